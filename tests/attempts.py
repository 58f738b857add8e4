"""One damaged file given to a reader: it is read, or refused with a `ValueError`; all else is a fault of the reader."""

import contextlib
import pathlib
import resource
import signal
import traceback
import warnings
from collections.abc import Generator
from typing import Any

SECONDS = 10
BYTES = 2**31


class TooSlow(BaseException):
    """So that no reader takes it for an error of its own."""


def attempt(read: Any, content: bytes) -> str:
    """What came of it: `read`, `refused`, or what went wrong and where."""
    before = _peak()
    try:
        with warnings.catch_warnings(), _time_limit():
            warnings.simplefilter("ignore")
            read(content)
        outcome = "read"
    except ValueError:
        outcome = "refused"
    except (Exception, TooSlow) as error:
        return f"{type(error).__name__} in {_place(error)}: {str(error)[:200]}"
    # What the process had taken before, for whatever else, is not the reader's.
    if _peak() - before > BYTES:
        return f"more than {BYTES} bytes of memory"
    return outcome


def _peak() -> int:
    """The most memory this process has had, bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def _time_limit() -> Generator[None]:
    def stop(number: int, frame: Any) -> None:
        raise TooSlow(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _place(error: BaseException) -> str:
    """The last line of jaxce, and the last line of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "jaxce" in pathlib.Path(frame.filename).parts]
    return " -> ".join(f"{pathlib.Path(f.filename).name}:{f.lineno}" for f in [*own[-1:], *frames[-1:]])
