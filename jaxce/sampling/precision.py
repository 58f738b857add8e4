"""Running until averages are as precise as wanted."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from jaxce.processes import of_first
from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done
from jaxce.sampling.diagnostics import is_precise

# Averages are judged each time that there are so many times more samples.
_GROWTH = 1.25


@dataclasses.dataclass(frozen=True)
class Precision:
    """When a run may stop: the wanted standard error of averages, and that chains agree.

    Attributes:
        errors: name -> largest standard error of its mean: "energy" (eV per supercell), a species (number of sites), or
            an observable whose trace is kept.
        min_samples: samples per chain before averages are judged.
        max_r_hat: largest R-hat between the chains of one condition.

    Raises:
        ValueError: if errors are not positive, or there are none.
    """

    errors: Mapping[str, float | int]
    min_samples: int = 100
    max_r_hat: float = 1.05

    def __post_init__(self) -> None:
        wrong = [name for name, error in self.errors.items() if not (math.isfinite(error) and error > 0)]
        if not self.errors or wrong:
            raise ValueError(f"`until` needs positive standard errors, such as {{'energy': 0.01}}, not {self.errors}.")
        if self.min_samples < 8:
            raise ValueError(f"`min_samples` must be 8 at least, but is {self.min_samples}.")


class PrecisionCheck:
    """Judges the averages of a run now and then; a listener of `run_chunks`.

    Args:
        wanted: the precision.
        quantities: function that gives name -> `[chains, samples, ...]` of all samples so far.
        conditions: `[chains]` condition of each chain.
        sample_every: sweeps between samples.

    Attributes:
        is_reached: whether the last judgement was favourable.
        table: the last judgement.
    """

    def __init__(
        self, wanted: Precision, quantities: Callable[[], Mapping[str, Any]], conditions: np.ndarray, sample_every: int
    ):
        self._wanted = wanted
        self._quantities = quantities
        self._conditions = conditions
        self._sample_every = sample_every
        self.is_reached = False
        self.table = pd.DataFrame()

    def next_stop(self, num_samples: int) -> int:
        """Number of samples at which averages are judged next: the same whatever happened in between."""
        stop = self._wanted.min_samples
        while stop <= num_samples:
            stop = math.ceil(stop * _GROWTH)
        return stop

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Whether the run is over."""
        return len(samples.energy) > 0 and self.is_over(done)

    def is_over(self, done: Done) -> bool:
        """Judge the averages of all samples so far, if it is time."""
        num_samples = done.sweeps // self._sample_every
        if num_samples == 0 or num_samples != self.next_stop(num_samples - 1):
            return False
        self.judge()
        return self.is_reached

    def judge(self) -> None:
        """Judge the averages of all samples so far."""
        is_reached, self.table = is_precise(
            self._quantities(), self._wanted.errors, self._conditions, max_r_hat=self._wanted.max_r_hat
        )
        # Unlike machines may round to unlike judgements.
        self.is_reached = bool(of_first(float(is_reached)))
