"""Ctrl-C and SIGTERM in a run that is kept in a folder: its state is saved before it stops."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done

# With what Python does at each.
_SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interruption:
    """Ends a run after the present call to the device when a signal has come. A listener of `run_chunks`.

    In its block the first SIGINT (Ctrl-C) or SIGTERM is only remembered, and the second stops at once. After the block
    the handlers of before are back. Outside the main thread, and for signals that have another handler than Python's
    own, nothing is changed.

    Args:
        is_active: whether to do all this, or nothing.
    """

    def __init__(self, is_active: bool) -> None:
        self._is_active = is_active
        self._came: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        if self._is_active and threading.current_thread() is threading.main_thread():
            self._before = {number: own for number, own in _SIGNALS.items() if signal.getsignal(number) == own}
            for number in self._before:
                signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, old in self._before.items():
            signal.signal(number, old)

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Whether a signal has come."""
        del done, samples
        return self._came is not None

    def stop(self) -> None:
        """Stop if a signal has come; to be called after the block, when the run is saved.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            SystemExit: after SIGTERM, with the code 143 that a program has which it ends.
        """
        if self._came == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        if self._came == signal.SIGINT:
            raise KeyboardInterrupt

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._came is not None:
            # As Python does it.
            self.__exit__(None, None, None)
            signal.raise_signal(number)
        self._came = number
