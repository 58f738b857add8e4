"""Simulated annealing to the lowest structures that can be found."""

import os
from typing import Any

import numpy as np

from jaxce.sampling.ensemble_moves import Moves
from jaxce.sampling.ensembles import Canonical, Ensemble
from jaxce.sampling.monte_carlo import run_monte_carlo
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.run_setup import check_integers
from jaxce.tables import Hamiltonian

_CANONICAL = Canonical()


def anneal(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble = _CANONICAL,
    *,
    temperatures: Any,
    num_sweeps: int = 1000,
    moves: Moves | None = None,
    folder: str | os.PathLike | None = None,
    progress: bool = False,
    method: str = "auto",
    only_read: bool = False,
) -> MonteCarloResult:
    """Cool every chain from a high to a low temperature, in equal ratios from sweep to sweep.

    Take `result.lowest_occupancy` (`[chains, sites]`) and `result.lowest_energy`: the best that each chain had after
    any sweep, also on the way. Nothing proves that the lowest of all is the ground state; that many chains end in it
    is a good sign.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: `[chains, sites]` starting occupancies.
        ensemble: as in `run_monte_carlo`.
        temperatures: the first and the last, kelvin.
        num_sweeps: sweeps from the one to the other.
        moves: as in `run_monte_carlo`.
        folder: as in `run_monte_carlo`.
        progress: as in `run_monte_carlo`.
        method: as in `run_monte_carlo`.
        only_read: as in `run_monte_carlo`.

    Returns:
        The run, with up to 100 samples on the way.

    Raises:
        ValueError: unless high > low > 0; and as `run_monte_carlo`.
    """
    high, low = (float(kelvin) for kelvin in temperatures)
    if not np.inf > high > low > 0:
        raise ValueError(f"`temperatures` must be (high, low) with high > low > 0 kelvin, but is {temperatures}.")
    check_integers(num_sweeps=num_sweeps)
    schedule = np.geomspace(high, low, num_sweeps)[:, None]
    return run_monte_carlo(
        key,
        hamiltonian,
        occupancy,
        ensemble,
        temperature=schedule,
        num_sweeps=num_sweeps,
        sample_every=_sample_every(num_sweeps),
        moves=moves,
        folder=folder,
        progress=progress,
        method=method,
        only_read=only_read,
    )


def _sample_every(num_sweeps: int) -> int:
    """The smallest divisor that leaves at most 100 samples."""
    return next(every for every in range(-(-num_sweeps // 100), num_sweeps + 1) if num_sweeps % every == 0)
