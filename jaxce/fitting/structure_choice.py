"""Which structures to calculate next: those that tell most about the coefficients.

With prior covariance C of the coefficients and noise s^2, one more structure x reduces the log volume of the posterior
by log(1 + x.C.x / s^2) / 2 (D-optimality), and the variance of a prediction t by (t.C.x)^2 / (s^2 + x.C.x). Structures
are taken one after the other, each for what those before it leave open; see van de Walle and Ceder, J. Phase Equilib.
23, 348 (2002), Mueller and Ceder, Phys. Rev. B 82, 184107 (2010), Seko et al., Phys. Rev. B 80, 165122 (2009).
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.cluster_space import ClusterSpace
from jaxce.double_precision import double_precision
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.posterior import Posterior
from jaxce.lattice.enumeration import enumerate_structures
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.lattice.supercell_shapes import distinct_supercells

# Without a posterior: how little is assumed of a coefficient, in units of what one structure tells.
_VAGUE_PRECISION = 1e-6

Criterion = Literal["determinant", "variance"]


class Candidate(NamedTuple):
    """A structure that could be calculated: `jaxce.occupancy_to_ase(*candidate)` makes atoms of it.

    Attributes:
        supercell: its supercell.
        occupancy: `[sites]` species codes.
    """

    supercell: Supercell
    occupancy: np.ndarray


class StructureChoice(NamedTuple):
    """Structures in the order in which they were taken.

    Attributes:
        rows: `[chosen]` their places among the candidates.
        gains: `[chosen]` what each adds: nats of log volume, or the fall of the mean variance of the targets.
        condition_numbers: `[chosen]` of the known and chosen correlation vectors together; infinite below full rank.
    """

    rows: np.ndarray
    gains: np.ndarray
    condition_numbers: np.ndarray


def enumerated_candidates(prim: Prim, sizes: Any, **keywords: Any) -> list[Candidate]:
    """All symmetry-distinct structures of these numbers of prims; arguments as for `enumerate_structures`."""
    pairs = enumerate_structures(prim, sizes, **keywords)
    return [Candidate(supercell, occupancy) for supercell, occupancies in pairs for occupancy in occupancies]


def random_candidates(key: Any, prim: Prim, num_prims: int, num_candidates: int) -> list[Candidate]:
    """Random structures of a size: shape, composition of each sublattice and arrangement, each drawn uniformly.

    Args:
        key: typed key (`jax.random.key`).
        prim: the prim.
        num_prims: prims per supercell.
        num_candidates: number of structures.
    """
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    supercells = distinct_supercells(prim, num_prims)
    return [_random_candidate(generator, supercells) for _ in range(num_candidates)]


def choose_structures(
    space: ClusterSpace,
    candidates: Sequence[Any] | np.ndarray,
    num_structures: int,
    *,
    known: np.ndarray | None = None,
    posterior: Posterior | None = None,
    criterion: Criterion = "determinant",
) -> StructureChoice:
    """Choose structures that tell most about the coefficients; equal correlation vectors are taken once.

    Args:
        space: the cluster space.
        candidates: objects with `supercell` and `occupancy`, such as `Candidate`, or `[candidates, correlations]`
            correlation vectors.
        num_structures: how many to choose.
        known: `[structures, correlations]` of what is calculated already (`FitResult.matrix`).
        posterior: of a fit to what is known (`FitResult.posterior`): its covariance and noise say what is open.
            Without it, all coefficients are taken to be equally unknown.
        criterion: "determinant" (D-optimal), or "variance": the mean posterior variance of the different
            candidates that are not known.

    Raises:
        ValueError: if fewer different candidates exist than are wanted, or shapes disagree.
    """
    if criterion not in ("determinant", "variance"):
        raise ValueError(f'`criterion` must be "determinant" or "variance", but is {criterion!r}.')
    if isinstance(candidates, np.ndarray):
        matrix = np.asarray(candidates, dtype=np.float64)
    else:
        matrix = correlation_matrix(space, candidates)
    count = space.num_correlations
    known = np.zeros((0, count)) if known is None else np.asarray(known, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != count or known.ndim != 2 or known.shape[1] != count:
        raise ValueError(f"correlation vectors need {count} entries, but have shapes {matrix.shape} and {known.shape}.")
    new = _different_rows(matrix, known)
    if not 1 <= num_structures <= len(new):
        raise ValueError(
            f"{num_structures} structures are wanted, but {len(new)} of the {len(matrix)} candidates have correlation "
            "vectors that differ from each other and from the known ones."
        )
    if posterior is None:
        # Noise 1: only ratios matter.
        covariance, noise = np.linalg.inv(known.T @ known + _VAGUE_PRECISION * np.eye(count)), 1.0
    else:
        covariance, noise = posterior.covariance, posterior.noise_variance
        if covariance.shape != (count, count):
            raise ValueError(f"`posterior` is of {len(covariance)} coefficients, but the space has {count}.")
    with double_precision(True):
        chosen, gains = _greedy(matrix[new], covariance, noise, num_structures, criterion == "variance")
        rows, gains = new[np.asarray(chosen)], np.asarray(gains)
    conditions = [_condition_number(np.concatenate([known, matrix[rows[: n + 1]]])) for n in range(len(rows))]
    return StructureChoice(rows, gains, np.array(conditions))


def _random_candidate(generator: np.random.Generator, supercells: list[Supercell]) -> Candidate:
    supercell = supercells[generator.integers(len(supercells))]
    occupancy = np.zeros(supercell.num_sites, dtype=np.int8)
    for sublattice in supercell.sublattices:
        num_sites, num_species = len(sublattice.sites), len(sublattice.species)
        # Bars between stars: every composition is equally likely.
        bars = np.sort(generator.choice(num_sites + num_species - 1, num_species - 1, replace=False))
        counts = np.diff(np.concatenate([[-1], bars, [num_sites + num_species - 1]])) - 1
        occupancy[sublattice.sites] = generator.permutation(np.repeat(np.arange(num_species), counts))
    return Candidate(supercell, occupancy)


def _different_rows(matrix: np.ndarray, known: np.ndarray) -> np.ndarray:
    """First rows of each correlation vector that is not known; a random projection tells vectors apart."""
    direction = np.random.default_rng(0).normal(size=matrix.shape[1])
    values = np.round(np.concatenate([known, matrix]) @ direction, 9)
    _, first = np.unique(values, return_index=True)
    return np.sort(first[first >= len(known)]) - len(known)


def _greedy_choice(matrix: Any, covariance: Any, noise: Any, num_structures: int, by_variance: bool) -> Any:
    """Rows in the order taken, and their gains. Each choice is a rank-one change of all that is remembered."""
    matrix = jnp.asarray(matrix)
    gram = matrix.T @ matrix / len(matrix)

    def choose(state: Any, _: Any) -> Any:
        covariance, spread, is_taken = state
        own = spread + noise
        if by_variance:
            gain = jnp.sum((matrix @ (covariance @ gram @ covariance)) * matrix, axis=1) / own
        else:
            gain = 0.5 * jnp.log(own / noise)
        row = jnp.argmax(jnp.where(is_taken, -jnp.inf, gain))
        direction = covariance @ matrix[row] / jnp.sqrt(own[row])
        spread = jnp.maximum(spread - (matrix @ direction) ** 2, 0)
        state = (covariance - jnp.outer(direction, direction), spread, is_taken.at[row].set(True))
        return state, (row, gain[row])

    spread = jnp.sum((matrix @ covariance) * matrix, axis=1)
    start = (jnp.asarray(covariance), spread, jnp.zeros(len(matrix), dtype=bool))
    return jax.lax.scan(choose, start, None, length=num_structures)[1]


def _condition_number(matrix: np.ndarray) -> float:
    values = np.linalg.svd(matrix, compute_uv=False)
    is_full = len(values) == matrix.shape[1] and values[-1] > 1e-9 * values[0]
    return float(values[0] / values[-1]) if is_full else np.inf


_greedy = jax.jit(_greedy_choice, static_argnums=(3, 4))
