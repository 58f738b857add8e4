"""Sequential Monte Carlo and annealed importance sampling from uniform occupancies down to a temperature.

Particles start where the partition function is known and are cooled along a path: at each level they are weighed by
the change of the Boltzmann factor, drawn anew where few of them still count, and moved by the steps of
`jaxce.run_monte_carlo`. So ln Z is absolute. Del Moral, Doucet and Jasra, J. R. Stat. Soc. B 68, 411 (2006); Neal,
Stat. Comput. 11, 125 (2001).
"""

from typing import Any

import ase.units
import jax
import numpy as np
from scipy.optimize import brentq

from jaxce.diffusion.annealed_particles import AnnealedParticles, log_mean
from jaxce.diffusion.particle_levels import Level, Particles, anneal_particles, effective_sizes, start_particles
from jaxce.diffusion.uniform_start import uniform_setup
from jaxce.processes import are_several, check_same, ending_together, gathered
from jaxce.sampling.ensemble_moves import Moves
from jaxce.sampling.ensembles import Canonical, Ensemble
from jaxce.sampling.monte_carlo import identity
from jaxce.sampling.run_folder import fingerprint
from jaxce.sampling.run_setup import Setup
from jaxce.tables import Hamiltonian

_CANONICAL = Canonical()


def sequential_monte_carlo(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble = _CANONICAL,
    *,
    temperatures: Any,
    num_particles: int = 256,
    num_islands: int = 16,
    num_sweeps: int = 1,
    resample_below: float = 0.5,
    moves: Moves | None = None,
    method: str = "auto",
) -> AnnealedParticles:
    """Weighted occupancies at the last temperature, and ln Z at all of them.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: `[sites]` one occupancy. It gives the composition of the sublattices where the ensemble keeps it, and
            the species of frozen sites; all else is drawn.
        ensemble: `Canonical()`, `SemiGrand(...)` or a `Hybrid` of these; chemical potentials are single numbers.
        temperatures: `[levels]` kelvin, falling, from well above all transitions (`temperature_path`,
            `adaptive_temperatures`). The first is reached from infinite temperature.
        num_particles: particles of each island.
        num_islands: independent sets of particles, from whose differences errors are taken: at least 2, and 16 or so
            for errors to trust.
        num_sweeps: Monte Carlo sweeps at each level.
        resample_below: the particles of an island are drawn anew, in proportion to their weights, when their effective
            size falls below this part of their number.
        moves: as in `run_monte_carlo`.
        method: as in `run_monte_carlo`.

    Raises:
        ValueError: if the path does not fall, the ensemble has no uniform start, or all particles of an island die.
    """
    path = _checked_path(temperatures)
    if num_islands < 2 or num_particles < 1 or num_sweeps < 1:
        raise ValueError(
            f"there must be 2 islands, a particle and a sweep at least, but there are {num_islands}, {num_particles} "
            f"and {num_sweeps}."
        )
    start_key, resample_key = jax.random.split(key)
    setup, log_number = uniform_setup(
        start_key, hamiltonian, occupancy, ensemble, num_islands * num_particles, moves, method
    )
    betas = iter(1 / (ase.units.kB * path))
    next_beta = lambda beta, work: next(betas, None)
    levels = []
    with ending_together():
        _check_processes(setup, path, num_islands, num_sweeps, resample_below)
        particles = start_particles(setup, log_number, (num_islands, num_particles))
        for level, moved in anneal_particles(resample_key, setup, particles, next_beta, num_sweeps, resample_below):
            levels.append(level)
            particles = moved
        particles = particles._replace(progress=gathered(particles.progress))
    return _result(hamiltonian, setup, levels, particles)


def annealed_importance_sampling(
    key: Any, hamiltonian: Hamiltonian, occupancy: Any, ensemble: Ensemble = _CANONICAL, **keywords: Any
) -> AnnealedParticles:
    """`sequential_monte_carlo` without drawing particles anew, so that all of them are independent.

    Their weights spread out more and more along the path, so it takes more levels or sweeps for the same error.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: as in `sequential_monte_carlo`.
        ensemble: as there.
        **keywords: as there, but `resample_below`.

    Raises:
        ValueError: as there.
    """
    return sequential_monte_carlo(key, hamiltonian, occupancy, ensemble, **keywords, resample_below=0.0)


def temperature_path(temperature: float, num_levels: int) -> np.ndarray:
    """`[levels]` falling temperatures that end at one, kelvin: 1/T rises by equal steps from 0, the start of particles.

    Raises:
        ValueError: if the temperature is not positive or there is no level.
    """
    if not 0 < temperature < np.inf or num_levels < 1:
        raise ValueError(f"a path needs a positive temperature and levels, but has {temperature} K and {num_levels}.")
    return temperature * num_levels / np.arange(1, num_levels + 1)


def adaptive_temperatures(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble = _CANONICAL,
    *,
    temperature: float,
    kept: float = 0.9,
    num_particles: int = 1024,
    num_sweeps: int = 1,
    moves: Moves | None = None,
    method: str = "auto",
) -> np.ndarray:
    """`[levels]` falling temperatures that end at one, kelvin, each step of which costs the same part of the particles.

    Found by a trial run. A path that particles find for themselves would bias ln Z; one of other particles does not.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: as in `sequential_monte_carlo`.
        ensemble: as there.
        temperature: the last one, kelvin.
        kept: part of the effective sample size that is left after a step; between 0 and 1.
        num_particles: particles of the trial.
        num_sweeps: sweeps at each level.
        moves: as there.
        method: as there.

    Raises:
        ValueError: as there.
    """
    last = 1 / (ase.units.kB * temperature_path(temperature, 1)[0])
    if not 0 < kept < 1:
        raise ValueError(f"`kept` must be between 0 and 1, but is {kept}.")

    def next_beta(beta: float, work: np.ndarray) -> float | None:
        missing = lambda step: effective_sizes(-step * work.reshape(1, -1))[0] - kept * work.size
        if beta >= last or missing(last - beta) >= 0:
            return None if beta >= last else last
        return beta + brentq(missing, 0.0, last - beta)

    start_key, resample_key = jax.random.split(key)
    setup, log_number = uniform_setup(start_key, hamiltonian, occupancy, ensemble, num_particles, moves, method)
    with ending_together():
        _check_processes(setup, last, kept, num_sweeps)
        particles = start_particles(setup, log_number, (1, num_particles))
        # Particles are drawn anew after every step.
        levels = anneal_particles(resample_key, setup, particles, next_beta, num_sweeps, resample_below=1.0)
        return 1 / (ase.units.kB * np.array([level.beta for level, _ in levels]))


def _check_processes(setup: Setup, *numbers: Any) -> None:
    """Several processes must be given the same run."""
    if are_several():
        check_same(identity(setup) | fingerprint(path=numbers))


def _checked_path(temperatures: Any) -> np.ndarray:
    path = np.asarray(temperatures, dtype=np.float64)
    if path.ndim != 1 or not len(path) or not np.all(np.isfinite(path) & (path > 0)) or np.any(np.diff(path) >= 0):
        raise ValueError(
            f"`temperatures` must be positive, in kelvin, and fall from level to level, but are {temperatures!r}; "
            "temperature_path(500.0, 40) makes such a path."
        )
    return path


def _result(hamiltonian: Hamiltonian, setup: Setup, levels: list[Level], particles: Particles) -> AnnealedParticles:
    shape, constant = particles.energy.shape, float(hamiltonian.constant)
    betas = np.array([level.beta for level in levels])
    log_z, error = log_mean(np.stack([level.log_z for level in levels]))
    log_weights = particles.log_weights + particles.log_z[:, None] - betas[-1] * constant
    return AnnealedParticles(
        occupancy=particles.progress.states.occupancy.reshape(*shape, -1),
        log_weights=log_weights,
        energy=particles.energy + constant,
        counts=setup.counts_by_label(particles.counts).reshape(*shape, -1),
        species=setup.species,
        temperatures=1 / (ase.units.kB * betas),
        log_z=log_z - betas * constant,
        log_z_error=error,
        effective_sample_size=np.array([level.effective_sample_size for level in levels]),
        num_resampled=np.array([level.num_resampled for level in levels]),
        acceptance_rate=np.array([level.acceptance_rate for level in levels]),
        num_ancestors=len(np.unique(particles.ancestor)),
    )
