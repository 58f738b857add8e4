"""Random occupancies at exact composition."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from scipy.special import logsumexp

from jaxce.lattice.supercell import Supercell
from jaxce.sampling.compositions import parse_composition


def random_occupancy(
    key: Any, supercell: Supercell, composition: Mapping[str, Any], shape: int | tuple[int, ...] = ()
) -> Int[Array, "*shape sites"]:
    """Occupancies drawn uniformly from all arrangements of an exact composition.

    Args:
        key: random key, consumed.
        supercell: the supercell.
        composition: species -> count over the whole supercell, or sublattice -> {species -> count}; fractions of a
            sublattice's sites where floats add up to 1. Where a species is shared between sublattices, a composition
            by species leaves its split random, with the weight of its arrangements; one by sublattice fixes it.
        shape: leading axes of the result, or the number of draws; all are independent.

    Returns:
        Species codes, int8.

    Raises:
        ValueError: if the composition does not fill the sites exactly, or the key is not one.
    """
    if not jax.dtypes.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise ValueError(f"`key` must be a random key, such as jax.random.key(0), but is {key!r}.")
    shape = (shape,) if isinstance(shape, int) else shape
    parsed = parse_composition(supercell, composition)
    # Only differences count; they keep their digits in float32 too.
    log_weights = parsed.log_arrangements - parsed.log_arrangements.max()
    sites = tuple(sublattice.sites for sublattice in supercell.sublattices)
    drawn = _draw(key, log_weights, parsed.counts, sites, (math.prod(shape), supercell.num_sites))
    return drawn.reshape((*shape, supercell.num_sites))


@functools.partial(jax.jit, static_argnames="shape")
def _draw(
    key: Any,
    log_weights: Float[Array, " splits"],
    counts: Int[Array, "splits sublattices species"],
    sites: tuple[Int[Array, " _"], ...],
    shape: tuple[int, int],
) -> Int[Array, "draws sites"]:
    """A split of the species between the sublattices, and an arrangement on each."""
    split_key, *sublattice_keys = jax.random.split(key, 1 + len(sites))
    splits = jax.random.categorical(split_key, log_weights, shape=shape[:1])
    occupancy = jnp.zeros(shape, jnp.int8)
    for index, (members, sublattice_key) in enumerate(zip(sites, sublattice_keys, strict=True)):
        codes = _ordered_codes(counts[:, index][splits], len(members))
        shuffled = jax.vmap(jax.random.permutation)(jax.random.split(sublattice_key, shape[0]), codes)
        occupancy = occupancy.at[:, members].set(shuffled)
    return occupancy


def log_probability(supercell: Supercell, composition: Mapping[str, Any]) -> float:
    """Logarithm of the probability of each occupancy that `random_occupancy` draws: minus that of their number."""
    return -float(logsumexp(parse_composition(supercell, composition).log_arrangements))


def _ordered_codes(counts: Int[Array, "draws species"], num_sites: int) -> Int[Array, "draws sites"]:
    """The species codes of a sublattice in ascending order, as often as they are counted."""
    ends = jnp.cumsum(counts, axis=1)[:, :-1]
    places = jnp.arange(num_sites, dtype=ends.dtype)
    return jnp.sum(places[None, None, :] >= ends[:, :, None], axis=1, dtype=jnp.int8)
