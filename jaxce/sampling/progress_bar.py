"""A bar that shows how a run goes on."""

from types import TracebackType
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done, Plan


class ProgressBar:
    """Shows sweeps, rate, time left, acceptance and energy; a listener of `run_chunks` and a context.

    Args:
        plan: the run.
        sweeps: sweeps that were done before.
        is_shown: whether to show anything.
    """

    def __init__(self, plan: Plan, sweeps: int, *, is_shown: bool):
        self._steps_per_sweep = sum(move.steps for move in plan.run.moves)
        self._constant = float(np.mean(plan.run.hamiltonian.constant))
        self._first = sweeps
        self._progress = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f} sweeps"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            disable=not is_shown,
        )
        self._task = self._progress.add_task("compiling", total=plan.num_sweeps, completed=sweeps)

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Show how far the run has come."""
        if not self._progress.disable:
            self._progress.update(self._task, completed=done.sweeps, description=self._description(done))
        return False

    def _description(self, done: Done) -> str:
        seconds: Any = self._progress.tasks[0].elapsed or np.inf
        steps = self._steps_per_sweep * len(done.num_accepted)
        energies = np.asarray(done.progress.reference + done.progress.states.energy, dtype=np.float64)
        return (
            f"{(done.sweeps - self._first) * steps / seconds:.3g} steps/s, "
            f"{100 * done.num_accepted.sum() / (done.sweeps * steps):.1f} % accepted, "
            f"mean energy {energies.mean() + self._constant:.4f} eV"
        )
