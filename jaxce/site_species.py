"""Species codes across sites: what is allowed where, and what a swap does."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxce.tables import SiteSpecies


def check_occupancy(num_sites: int, occupancy: Any) -> None:
    """Raise `ValueError` unless `occupancy` has integers `[..., sites]`; shapes are known also while tracing."""
    if not hasattr(occupancy, "dtype"):
        raise ValueError(
            f"`occupancy` must be an array of species codes, [..., {num_sites}], but is {type(occupancy).__name__}."
        )
    shape, dtype = jnp.shape(occupancy), jnp.result_type(occupancy)
    if not shape or shape[-1] != num_sites or not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(
            f"`occupancy` must hold integer species codes of shape [..., {num_sites}], but has shape {shape} and dtype "
            f"{dtype}. Probabilities and one-hot vectors go to `relaxed_energy`."
        )


def is_allowed(species: SiteSpecies) -> Bool[Array, "sites species"]:
    """Which codes exist on each site."""
    return species.labels[species.kind] >= 0


def swapped_codes(
    species: SiteSpecies, occupancy: Int[Array, " sites"], i: Int[Array, ""], j: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""], Bool[Array, ""]]:
    """Species codes of `i` and `j` after they exchange species, and whether both sites allow it.

    Where they do not, the codes are the present ones.
    """
    kind_i, kind_j = species.kind[i], species.kind[j]
    old_i, old_j = occupancy[i].astype(kind_i.dtype), occupancy[j].astype(kind_j.dtype)
    new_i = species.codes[kind_i, species.labels[kind_j, old_j]]
    new_j = species.codes[kind_j, species.labels[kind_i, old_i]]
    is_allowed = (new_i >= 0) & (new_j >= 0)
    return jnp.where(is_allowed, new_i, old_i), jnp.where(is_allowed, new_j, old_j), is_allowed
