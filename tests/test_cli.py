"""What all commands have in common: help, errors, exit codes."""

import subprocess
import sys
import typing
import warnings

import pytest
import typer
from typer.testing import CliRunner

import jaxce
from jaxce.cli import app
from jaxce.cli.model_commands import EstimatorName
from jaxce.cli.readable_errors import ReadableErrors
from jaxce.commands.fit import ESTIMATORS


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def failing():
    """An application whose one command fails as it is told."""
    errors = {
        "value": ValueError("give more."),
        "missing": FileNotFoundError(2, "No such file", "a.vasp"),
        "disk": OSError(28, "No space left on device"),
        "bug": KeyError("x"),
        "interrupted": KeyboardInterrupt(),
        "stopped": typer.Exit(3),
    }
    failing = typer.Typer(cls=ReadableErrors)

    @failing.callback()
    def group():
        pass

    @failing.command()
    def fail(how: str):
        if how == "warn":
            warnings.warn("it is late", stacklevel=1)
        else:
            raise errors[how]

    return lambda *arguments: CliRunner().invoke(failing, ["fail", *arguments])


@pytest.mark.parametrize(
    ("how", "code", "shown"),
    [
        ("value", 2, "error: give more.\n"),
        ("missing", 2, "error: a.vasp: No such file\n"),
        ("disk", 1, "No space left on device. Repeat the command with --debug"),
        ("bug", 1, "error: KeyError: 'x'. Repeat"),
        ("interrupted", 130, "error: interrupted.\n"),
        ("stopped", 3, ""),
    ],
)
def test_errors_are_one_block_and_an_exit_code(failing, how, code, shown):
    outcome = failing(how)
    assert outcome.exit_code == code
    assert shown in outcome.stderr
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize("arguments", [("--debug", "value"), ("value", "--debug")])
def test_debug_raises_the_error_itself(failing, arguments):
    with pytest.raises(ValueError, match="give more"):
        raise failing(*arguments).exception


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(failing):
    outcome = failing("warn")
    assert (outcome.exit_code, outcome.stderr) == (0, "warning: it is late\n")


def test_help_and_version_import_nothing_large():
    script = (
        "import sys\nfrom jaxce.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'jax', 'numpy', 'sklearn', 'ase', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run("--version").output == f"{jaxce.__version__}\n"


def test_every_command_is_named_and_helps():
    overview = run("--help").output
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        assert name in overview
        assert run(name, "--help").exit_code == 0


def test_estimators_of_the_flag_are_those_there_are():
    assert set(typing.get_args(EstimatorName)) == set(ESTIMATORS)
