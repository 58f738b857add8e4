"""Commands that show what jaxce does, and what it does it with."""

import pathlib
from typing import Annotated

import typer


def demo(
    folder: Annotated[pathlib.Path, typer.Argument(help="Where the report goes.")] = pathlib.Path("jaxce-demo"),
    structures: Annotated[int, typer.Option(min=1, help="Number of random structures.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of the random structures.")] = 0,
) -> None:
    """Fit the embedded perovskite data, evaluate thousands of 160-site structures, write a report."""
    from jaxce.commands.demo import run_demo

    run_demo(folder, structures, seed)
