"""Particles on their way down a path of temperatures: weighed, drawn anew, moved, level after level."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from jaxce.devices import even_mesh, spread_out
from jaxce.diffusion.feynman_kac import resample
from jaxce.processes import gathered
from jaxce.sampling.chains import Progress, advance, start_progress
from jaxce.sampling.run_setup import Setup

_resample = jax.jit(resample)
_taken = jax.jit(lambda tree, rows: jax.tree.map(lambda leaf: leaf[rows], tree))


class Particles(NamedTuple):
    """All islands, one after the other, between two levels; NumPy but for `progress`.

    Attributes:
        progress: the chains.
        energy: `[islands, particles]` eV, without the Hamiltonian's constant.
        counts: `[islands * particles, sublattices, species]`.
        log_z: `[islands]` of the weights before particles were drawn anew for the last time.
        log_weights: `[islands, particles]` since then.
        ancestor: `[islands, particles]` first particle that each descends from.
    """

    progress: Progress
    energy: np.ndarray
    counts: np.ndarray
    log_z: np.ndarray
    log_weights: np.ndarray
    ancestor: np.ndarray


class Level(NamedTuple):
    """What is known of a level: inverse temperature, `[islands]` ln Z, and numbers as in `AnnealedParticles`."""

    beta: float
    log_z: np.ndarray
    effective_sample_size: float
    num_resampled: int
    acceptance_rate: float


# From an inverse temperature and E - sum mu N `[islands, particles]` to the next inverse temperature; None at the end.
NextBeta = Callable[[float, np.ndarray], float | None]


def start_particles(setup: Setup, log_number: float, shape: tuple[int, int]) -> Particles:
    """The particles at infinite temperature, `[islands, particles]`, from their uniform occupancies."""
    num_chains = shape[0] * shape[1]
    progress = start_progress(setup.plan.run, jnp.asarray(setup.occupancy), jnp.asarray(setup.counts, jnp.int32), None)
    return Particles(
        progress=spread_out(progress, even_mesh(num_chains, "particles")),
        energy=np.asarray(progress.reference, np.float64).reshape(shape),
        counts=setup.counts,
        log_z=np.full(shape[0], log_number),
        log_weights=np.zeros(shape),
        ancestor=np.arange(num_chains).reshape(shape),
    )


def anneal_particles(
    key: Any, setup: Setup, particles: Particles, next_beta: NextBeta, num_sweeps: int, resample_below: float
) -> Iterator[tuple[Level, Particles]]:
    """Level after level until there is no next one. The particles of a level are used up by the next.

    Raises:
        ValueError: if all particles of an island die.
    """
    beta, steps = 0.0, num_sweeps * sum(move.steps for move in setup.plan.run.moves)
    for number in itertools.count():
        work = _work(setup, particles)
        following = next_beta(beta, work)
        if following is None:
            return
        particles = particles._replace(log_weights=particles.log_weights - (following - beta) * work)
        beta = following
        _check_alive(particles.log_weights, number, beta)
        log_z = particles.log_z + _log_means(particles.log_weights)
        sizes = effective_sizes(particles.log_weights)
        is_due = sizes < resample_below * work.shape[1]
        if np.any(is_due):
            particles = _drawn_anew(jax.random.fold_in(key, number), particles, log_z, is_due)
        particles, num_accepted = _moved(setup, particles, beta, number * num_sweeps, num_sweeps)
        yield Level(beta, log_z, float(sizes.sum()), int(is_due.sum()), float(num_accepted.mean() / steps)), particles


def effective_sizes(log_weights: np.ndarray) -> np.ndarray:
    """`[islands]` effective sample sizes of weights `[islands, particles]`."""
    return np.exp(2 * logsumexp(log_weights, axis=1) - logsumexp(2 * log_weights, axis=1))


def _log_means(log_weights: np.ndarray) -> np.ndarray:
    return logsumexp(log_weights, axis=1) - np.log(log_weights.shape[1])


def _check_alive(log_weights: np.ndarray, number: int, beta: float) -> None:
    is_dead = ~np.isfinite(log_weights.max(axis=1))
    if np.any(is_dead):
        raise ValueError(
            f"all particles of {is_dead.sum()} of {len(is_dead)} islands are dead at level {number} (counted from 0; "
            f"{1 / (ase.units.kB * beta):.6g} K): no weight is above 0, or one is NaN. Energies or chemical potentials "
            "are not finite, or too large for the precision of the Hamiltonian."
        )


def _drawn_anew(key: Any, particles: Particles, log_z: np.ndarray, is_due: np.ndarray) -> Particles:
    """The particles with those of some islands drawn in proportion to their weights, which then are alike."""
    log_weights = particles.log_weights
    # Relative to the largest they keep their digits in single precision.
    relative = jnp.asarray(log_weights - log_weights.max(axis=1, keepdims=True), float)
    own = np.arange(log_weights.shape[1])[None, :]
    chosen = np.where(is_due[:, None], np.asarray(_resample(key, relative)), own)
    rows = chosen + np.arange(len(chosen))[:, None] * log_weights.shape[1]
    return particles._replace(
        progress=_taken(particles.progress, jnp.asarray(rows.ravel(), jnp.int32)),
        log_z=np.where(is_due, log_z, particles.log_z),
        log_weights=np.where(is_due[:, None], 0.0, log_weights),
        ancestor=particles.ancestor.ravel()[rows],
    )


def _moved(
    setup: Setup, particles: Particles, beta: float, first_sweep: int, num_sweeps: int
) -> tuple[Particles, np.ndarray]:
    """The particles after some sweeps at one temperature, and how many proposals each accepted."""
    num_chains, dtype = len(setup.occupancy), particles.progress.reference.dtype
    of_chains = lambda leaf: jnp.broadcast_to(jnp.asarray(leaf, dtype), (1, num_chains, *np.shape(leaf)[2:]))
    weight = jax.tree.map(of_chains, setup.plan.schedule._replace(beta=np.full((1, 1), beta)))
    index = lambda number: jnp.asarray(number, jnp.int32)
    progress, samples, num_accepted = advance(
        particles.progress,
        setup.plan.run,
        weight,
        index(first_sweep),
        index(1),
        index(num_sweeps),
        jnp.asarray(True),
        capacity=1,
        exchange_every=1,
        mesh=even_mesh(num_chains, "particles"),
    )
    samples, num_accepted = gathered((samples, num_accepted))
    energy = np.asarray(samples.energy[0], np.float64).reshape(particles.energy.shape)
    particles = particles._replace(progress=progress, energy=energy, counts=np.asarray(samples.counts[0]))
    return particles, np.asarray(num_accepted)


def _work(setup: Setup, particles: Particles) -> np.ndarray:
    """`[islands, particles]` E - sum mu N, eV."""
    if setup.potentials is None:
        return particles.energy
    work = np.einsum("crs,rs->c", particles.counts, setup.potentials[0, 0])
    return particles.energy - work.reshape(particles.energy.shape)
