"""What users did wrong, and what the library warns of, as a line to read; the traceback only with `--debug`."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

# Exit codes besides 0 (fine) and 1 (a fault of the program or of the machine).
BAD_INPUT = 2
NOT_CONVERGED = 3
INTERRUPTED = 130

_USER_ERRORS = (ValueError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
# All others but those that typer itself raises and shows.
_FAULTS = (RuntimeError, OSError, MemoryError, ImportError, ArithmeticError, LookupError, TypeError, AssertionError)


class ReadableErrors(TyperGroup):
    """A group of commands whose errors are one readable block. `--debug` may stand anywhere."""

    debug = False

    def main(self, args: Sequence[str] | None = None, *positional: Any, **named: Any) -> Any:
        """Take `--debug` out of the arguments, and run the command that the others name."""
        args = list(sys.argv[1:] if args is None else args)
        self.debug = "--debug" in args
        return super().main([arg for arg in args if arg != "--debug"], *positional, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # ty: ignore[invalid-assignment]
            try:
                return super().invoke(ctx)
            except _USER_ERRORS as error:
                self._stop(error, BAD_INPUT, _in_words(error))
            except KeyboardInterrupt as error:
                self._stop(error, INTERRUPTED, str(error) or "interrupted.")
            except (
                OSError,
                MemoryError,
                ImportError,
                ArithmeticError,
                LookupError,
                TypeError,
                AssertionError,
            ) as error:
                hint = "Repeat the command with --debug to see where."
                self._stop(error, 1, f"{type(error).__name__}: {error}. {hint}")

    def _stop(self, error: BaseException, code: int, message: str) -> None:
        if self.debug:
            raise error
        show("error", message, "bold red")
        raise typer.Exit(code) from error


def _in_words(error: Exception) -> str:
    """The message; of errors of the operating system what is wrong with which file, not the number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def show(title: str, message: str, style: str) -> None:
    """A message to the user on standard error; long lines are left to the terminal, so that paths can be copied."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text.assemble((f"{title}: ", style), message))


def _show_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    del place, more
    show("warning", str(message), "bold yellow")
