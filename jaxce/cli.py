"""The command line."""

import pathlib
from typing import Annotated

import typer

import jaxce
from jaxce.demo import run_demo

app = typer.Typer(help="Cluster expansions in JAX.", no_args_is_help=True, add_completion=False)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(jaxce.__version__)
        raise typer.Exit


@app.command()
def demo(
    folder: Annotated[pathlib.Path, typer.Argument(help="Where the report goes.")] = pathlib.Path("jaxce-demo"),
    structures: Annotated[int, typer.Option(min=1, help="Number of random structures.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of the random structures.")] = 0,
) -> None:
    """Fit the embedded perovskite data, evaluate thousands of 160-site structures, write a report."""
    run_demo(folder, structures, seed)


def main() -> None:
    """Entry point of `jaxce`."""
    app()
