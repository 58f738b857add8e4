"""How a run goes on, for who watches it: a bar in a terminal, a line now and then elsewhere.

With several processes the first one shows it, and the energy is that of its chains.
"""

import math
import time
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jaxce.processes import own_part
from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done, Plan
from jaxce.sampling.diagnostics import split_r_hat

# Between lines where there is no bar.
_SECONDS_BETWEEN_LINES = 10.0
# R-hat takes at most this part of the time, and is of at most so many draws.
_R_HAT_SHARE = 0.05
_MOST_DRAWS = 200


class ProgressBar:
    """Shows sweeps, rate, time left, acceptance, energy and R-hat; a listener of `run_chunks` and a context.

    Args:
        plan: the run.
        sweeps: sweeps that were done before.
        conditions: `[chains]` condition of each chain.
        is_shown: whether to show anything.
    """

    def __init__(self, plan: Plan, sweeps: int, conditions: np.ndarray, *, is_shown: bool):
        self._plan = plan
        self._steps_per_sweep = sum(move.steps for move in plan.run.moves)
        self._constant = float(np.mean(plan.run.hamiltonian.constant))
        self._first: int | None = None
        self._is_shown = is_shown
        self._agreement = _Agreement(conditions)
        self._console = Console(soft_wrap=True, highlight=False)
        self._is_live = self._console.is_terminal or self._console.is_jupyter
        self._began_at = self._line_at = time.monotonic()
        self._without_line: Done | None = None
        self._progress = Progress(
            TextColumn("{task.completed:.0f}/{task.total:.0f} sweeps"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not (is_shown and self._is_live),
        )
        self._task = self._progress.add_task("compiling", total=plan.num_sweeps, completed=sweeps)

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()
        # After an error the state of the last call may be used up.
        if error is None and self._without_line is not None:
            self._print_line(self._without_line)

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Show how far the run has come."""
        if not self._is_shown:
            return False
        self._agreement.add(samples)
        if self._first is None:
            # The first call compiles, so its time tells nothing.
            self._first, self._began_at = done.sweeps, time.monotonic()
        if self._is_live:
            self._progress.update(self._task, completed=done.sweeps, description=self._description(done))
            return False
        self._without_line = done
        if time.monotonic() - self._line_at >= _SECONDS_BETWEEN_LINES:
            self._print_line(done)
        return False

    def _print_line(self, done: Done) -> None:
        total, speed = self._plan.num_sweeps, self._sweeps_per_second(done)
        parts = [f"{done.sweeps}/{total} sweeps", self._description(done)]
        if speed > 0:
            parts.insert(1, f"{(total - done.sweeps) / speed:.0f} s left")
        self._console.print(", ".join(parts), markup=False)
        self._line_at, self._without_line = time.monotonic(), None

    def _sweeps_per_second(self, done: Done) -> float:
        """0 as long as nothing is known."""
        return (done.sweeps - (self._first or 0)) / max(time.monotonic() - self._began_at, 1e-6)

    def _description(self, done: Done) -> str:
        steps = self._steps_per_sweep * len(done.num_accepted)
        energies = own_part(done.progress.reference) + own_part(done.progress.states.energy)
        speed = self._sweeps_per_second(done)
        parts = [
            *([f"{speed * steps:.3g} steps/s"] if speed else []),
            f"{100 * done.num_accepted.sum() / (done.sweeps * steps):.1f} % accepted",
            f"mean energy {energies.mean(dtype=np.float64) + self._constant:.4f} eV",
        ]
        # Chains on a schedule are never in equilibrium.
        is_constant = len(self._plan.schedule.beta) == 1
        r_hat = self._agreement.r_hat() if is_constant else math.nan
        return ", ".join(parts if math.isnan(r_hat) else [*parts, f"R-hat {r_hat:.2f}"])


class _Agreement:
    """How well the energies of chains agree so far: the largest R-hat of any condition."""

    def __init__(self, conditions: np.ndarray):
        self._conditions = conditions
        self._parts: list[np.ndarray] = []
        self._last = math.nan
        self._next_at = -math.inf

    def add(self, samples: Samples) -> None:
        self._parts.append(np.asarray(samples.energy, dtype=np.float64))

    def r_hat(self) -> float:
        """Of the later half of the samples; the last one known if there is no time for another."""
        began = time.monotonic()
        if began >= self._next_at:
            energies = np.concatenate(self._parts)
            self._parts = [energies]
            later = energies[len(energies) // 2 :]
            thinned = later[:: max(1, len(later) // _MOST_DRAWS)]
            chains = [thinned.T[self._conditions == condition] for condition in np.unique(self._conditions)]
            self._last = max(split_r_hat(values) for values in chains) if len(thinned) else math.nan
            now = time.monotonic()
            self._next_at = now + (now - began) / _R_HAT_SHARE
        return self._last
