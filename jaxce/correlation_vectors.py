"""Correlation vectors and their changes."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.blocks import block_size, over_batch
from jaxce.cluster_products import product_sums
from jaxce.site_species import check_occupancy, swapped_codes
from jaxce.tables import ClusterTables, TouchingProducts


def correlations(
    tables: ClusterTables, occupancy: Int[ArrayLike, "*batch sites"]
) -> Float[Array, "*batch correlations"]:
    """Correlation vectors: the mean of each cluster function over its orbit.

    Intensive, entry 0 is the empty cluster's 1. Every cluster of the infinite crystal counts, also where two of its
    sites fall on one site of the supercell. Large batches are evaluated in blocks; give the whole batch rather than
    `vmap` over it.
    """
    check_occupancy(len(tables.products.kind), occupancy)
    block = block_size(tables.correlation.shape[0] + tables.products.kind.shape[0])
    return over_batch(lambda occupancies: _correlations(tables, occupancies), block, (occupancy, 1))


def substitution_correlations(
    tables: ClusterTables,
    occupancy: Int[ArrayLike, "*batch sites"],
    site: Int[ArrayLike, "..."],
    species: Int[ArrayLike, "..."],
) -> Float[Array, "*result correlations"]:
    """Change of the correlation vector when `site` takes the species code `species`.

    Only clusters that touch the site are visited. `site` and `species` broadcast with the batch.
    """
    check_occupancy(len(tables.products.kind), occupancy)
    return over_batch(
        jax.vmap(lambda *args: _substitution_correlations(tables, *args)),
        64,
        (occupancy, 1),
        (site, 0),
        (species, 0),
    )


def swap_correlations(
    tables: ClusterTables, occupancy: Int[ArrayLike, "*batch sites"], i: Int[ArrayLike, "..."], j: Int[ArrayLike, "..."]
) -> Float[Array, "*result correlations"]:
    """Change of the correlation vector when sites `i` and `j` exchange their species.

    Across sublattices species are matched by name; NaN where a site does not allow the other's.
    """
    check_occupancy(len(tables.products.kind), occupancy)

    def of_one(occupancy, i, j):
        new_i, new_j, is_allowed = swapped_codes(tables.species, occupancy, i, j)
        first = _substitution_correlations(tables, occupancy, i, new_i)
        # The sites may share clusters: the second change is taken with the first already made.
        moved = occupancy.at[i].set(new_i.astype(occupancy.dtype))
        second = _substitution_correlations(tables, moved, j, new_j)
        return jnp.where(is_allowed, first + second, jnp.nan)

    return over_batch(jax.vmap(of_one), 64, (occupancy, 1), (i, 0), (j, 0))


def _correlations(tables: ClusterTables, occupancy: Int[Array, "batch sites"]) -> Float[Array, "batch correlations"]:
    # The barrier keeps the sum of one structure from being computed anew for each correlation.
    sums = jax.lax.optimization_barrier(product_sums(tables.products, occupancy))
    if jnp.issubdtype(sums.dtype, jnp.integer):
        sums = sums.astype(jnp.int32)
    totals = jax.ops.segment_sum(sums, tables.correlation, tables.weights.shape[0])
    return (tables.constant[:, None] + totals.astype(tables.weights.dtype) * tables.weights[:, None]).T


def _substitution_correlations(
    tables: ClusterTables, occupancy: Int[Array, " sites"], site: Int[Array, ""], species: Int[Array, ""]
) -> Float[Array, " correlations"]:
    sites = tables.touching_sites[:, tables.cell[site]]
    before = _column_values(tables, sites, occupancy)
    after = _column_values(tables, sites, occupancy.at[site].set(species.astype(occupancy.dtype)))
    change = jnp.zeros_like(tables.weights)
    for touching in tables.touching:
        change += _change(touching, tables.prim_site[site], before, after, len(change))
    return change


def _column_values(
    tables: ClusterTables, sites: Int[Array, " columns"], occupancy: Int[Array, " sites"]
) -> Float[Array, " columns"]:
    codes = occupancy[sites].astype(sites.dtype)
    values = tables.products.site_values[tables.products.kind[sites], codes, tables.touching_functions]
    return jnp.where(sites < 0, jnp.zeros((), values.dtype), values).astype(tables.weights.dtype)


def _change(
    touching: TouchingProducts,
    prim_site: Int[Array, ""],
    before: Float[Array, " columns"],
    after: Float[Array, " columns"],
    num_correlations: int,
) -> Float[Array, " correlations"]:
    factors = touching.factors[prim_site]
    difference = jnp.prod(after[factors], axis=-1) - jnp.prod(before[factors], axis=-1)
    return jax.ops.segment_sum(
        difference * touching.weights[prim_site], touching.correlation[prim_site], num_correlations
    )
