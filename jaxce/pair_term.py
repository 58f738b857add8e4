"""The pair-matrix term, such as an Ewald sum."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxce.tables import PairTerm
from jaxce.terms import (
    Changes,
    term_couplings,
    term_energy,
    term_potentials,
    term_relaxed_energy,
    term_site_potentials,
    term_site_tables,
)


@term_relaxed_energy.register
def _relaxed_energy(term: PairTerm, probabilities: Float[Array, "batch sites species"]) -> Float[Array, " batch"]:
    potentials = term.linear[None] + _pair_potentials(term, probabilities)
    return jnp.sum(probabilities * potentials, axis=(1, 2))


@term_energy.register
def _energy(term: PairTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, " batch"]:
    return _relaxed_energy(term, _one_hot(term, occupancy))


@term_potentials.register
def _potentials(term: PairTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, "batch sites species"]:
    # Each pair is in the energy twice, as (i, j) and as (j, i).
    return term.linear[None] + 2 * _pair_potentials(term, _one_hot(term, occupancy))


@term_site_potentials.register
def _site_potentials(
    term: PairTerm, occupancy: Int[Array, " sites"], site: Int[Array, ""], changed: Changes
) -> Float[Array, " species"]:
    for other, code in changed:
        occupancy = occupancy.at[other].set(code.astype(occupancy.dtype))
    row = jnp.take_along_axis(term.matrix[site], occupancy[None, :, None].astype(jnp.int32), axis=2)
    return term.linear[site] + 2 * jnp.sum(row[..., 0], axis=1)


@term_couplings.register
def _couplings(
    term: PairTerm, occupancy: Int[Array, " sites"], sites: Int[Array, " chosen"]
) -> Float[Array, "chosen species chosen species"]:
    del occupancy
    return 2 * term.matrix[sites][:, :, sites]


@term_site_tables.register
def _site_tables(term: PairTerm) -> np.ndarray:
    return np.zeros(len(term.linear), dtype=np.int64)


def _one_hot(term: PairTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, "batch sites species"]:
    return jax.nn.one_hot(occupancy, term.linear.shape[1], dtype=term.linear.dtype)


def _pair_potentials(
    term: PairTerm, probabilities: Float[Array, "batch sites species"]
) -> Float[Array, "batch sites species"]:
    return jnp.einsum("isjt,bjt->bis", term.matrix, probabilities, precision="highest")
