"""The command line.

The files of this folder hold the flags of commands and import nothing large, so that help and completion are quick.
What a command does is in `jaxce.commands`, and imported when it runs.
"""

from typing import Annotated

import typer

import jaxce
from jaxce.cli import about_commands, model_commands, run_commands, structure_commands
from jaxce.cli.readable_errors import ReadableErrors

app = typer.Typer(cls=ReadableErrors, no_args_is_help=True)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Cluster expansions of crystals: fit them, read them, sample them.

    Exit codes: 0 fine, 1 a fault of the program or the machine, 2 bad input, 3 not converged.
    """
    del debug  # `ReadableErrors` has taken it out of the arguments.
    if version:
        typer.echo(jaxce.__version__)
        raise typer.Exit


_PANELS = {
    "Start here": (about_commands.demo, about_commands.bench, about_commands.doctor),
    "Models": (
        model_commands.fit,
        model_commands.info,
        model_commands.predict,
        model_commands.convert,
        model_commands.convert_pickle,
    ),
    "Structures": (structure_commands.sample, structure_commands.enumerate),
    "Monte Carlo": (run_commands.mc, run_commands.resume, run_commands.analyze),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Entry point of `jaxce`."""
    app()
