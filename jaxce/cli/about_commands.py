"""Commands that show what jaxce does, and what it does it with."""

import pathlib
from typing import Annotated

import typer

from jaxce.cli.readable_errors import show


def demo(
    folder: Annotated[pathlib.Path, typer.Argument(help="Where the report goes.")] = pathlib.Path("jaxce-demo"),
    structures: Annotated[int, typer.Option(min=1, help="Number of random structures.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of the random structures.")] = 0,
) -> None:
    """Fit the embedded perovskite data, evaluate thousands of 160-site structures, write a report."""
    from jaxce.commands.demo import run_demo

    run_demo(folder, structures, seed)


def bench(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Measure energies, correlation vectors and Monte Carlo of the embedded perovskite on this machine, in a minute."""
    from jaxce.commands.bench import bench as measure

    measure(json)


def doctor() -> None:
    """Say what is installed and which devices there are, and check numbers; exit code 1 if something is wrong."""
    from jaxce.commands.doctor import doctor as examine

    wrong = examine()
    for sentence in wrong:
        show("wrong", sentence, "bold red")
    if wrong:
        raise typer.Exit(1)
