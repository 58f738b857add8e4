"""Random occupancies at exact composition."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int
from scipy.special import logsumexp

from jaxce.lattice.supercell import Supercell
from jaxce.sampling.compositions import parse_composition


def random_occupancy(
    key: Any, supercell: Supercell, composition: Mapping[str, Any], shape: tuple[int, ...] = ()
) -> Int[Array, "*shape sites"]:
    """Occupancies drawn uniformly from all arrangements of an exact composition.

    Args:
        key: random key, consumed.
        supercell: the supercell.
        composition: species -> count over the whole supercell, or sublattice -> {species -> count}; fractions of a
            sublattice's sites where floats add up to 1. Where a species is shared between sublattices, a composition
            by species leaves its split random, with the weight of its arrangements; one by sublattice fixes it.
        shape: leading axes of the result; all draws are independent.

    Returns:
        Species codes, int8.

    Raises:
        ValueError: if the composition does not fill the sites exactly, or the key is not one.
    """
    if not jax.dtypes.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise ValueError(f"`key` must be a random key, such as jax.random.key(0), but is {key!r}.")
    parsed = parse_composition(supercell, composition)
    num_draws = math.prod(shape)
    split_key, *sublattice_keys = jax.random.split(key, 1 + len(supercell.sublattices))
    # Only differences count; they keep their digits in float32 too.
    weights = parsed.log_arrangements - parsed.log_arrangements.max()
    splits = jax.random.categorical(split_key, jnp.asarray(weights), shape=(num_draws,))
    occupancy = jnp.zeros((num_draws, supercell.num_sites), jnp.int8)
    for index, (sublattice, sublattice_key) in enumerate(zip(supercell.sublattices, sublattice_keys, strict=True)):
        codes = _ordered_codes(jnp.asarray(parsed.counts[:, index])[splits], len(sublattice.sites))
        shuffled = jax.vmap(jax.random.permutation)(jax.random.split(sublattice_key, num_draws), codes)
        occupancy = occupancy.at[:, sublattice.sites].set(shuffled)
    return occupancy.reshape((*shape, supercell.num_sites))


def log_probability(supercell: Supercell, composition: Mapping[str, Any]) -> float:
    """Logarithm of the probability of each occupancy that `random_occupancy` draws: minus that of their number."""
    return -float(logsumexp(parse_composition(supercell, composition).log_arrangements))


def _ordered_codes(counts: Int[Array, "draws species"], num_sites: int) -> Int[Array, "draws sites"]:
    """The species codes of a sublattice in ascending order, as often as they are counted."""
    ends = jnp.cumsum(counts, axis=1)[:, :-1]
    places = jnp.arange(num_sites, dtype=ends.dtype)
    return jnp.sum(places[None, None, :] >= ends[:, :, None], axis=1, dtype=jnp.int8)
