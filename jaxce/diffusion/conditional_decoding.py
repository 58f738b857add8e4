"""Occupancies drawn from independent sites on the condition of an exact composition.

For logits l the probability of an occupancy x with the right counts is exp(sum_i l[i, x_i]) / Z, where Z sums over all
arrangements. Site by site along a sublattice, with Z_i(k) the sum over the sites from i on that use up the counts k,

    Z_i(k) = sum_a exp(l[i, a]) Z_(i+1)(k - e_a),

in logarithms, which then also gives each site's species given those before it (backward filtering, forward sampling).
The counts of one species follow from the others, so two species need a table of sites x counts.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxce.blocks import block_size, over_batch
from jaxce.diffusion.exact_composition import active_kinds, check_counts_shape, species_of, sublattice_of_sites
from jaxce.diffusion.open_sites import (
    EXCLUDED_BY_COUNTS,
    EXCLUDED_BY_LOGITS,
    OpenSites,
    chosen_logits,
    open_sites,
    or_impossible,
)
from jaxce.lattice.supercell import Supercell
from jaxce.tables import Hamiltonian, SiteSpecies

# Entries of one structure's table: 64 MiB in float64.
_LARGEST_TABLE = 2**23


def decode_conditional(
    key: Any,
    crystal: Supercell | Hamiltonian | SiteSpecies,
    logits: Float[ArrayLike, "*denoised sites species"],
    counts: Int[ArrayLike, "*composed sublattices species"],
    known: Int[ArrayLike, "*known sites"] | None = None,
) -> tuple[Int[Array, "*batch sites"], Float[Array, "*batch"]]:
    """Occupancies at exact composition, and their log-probabilities: independent sites on condition of the counts.

    Exact, unlike the other decodings. Counts that are known while tracing make for smaller tables, which matters where
    there are many species.

    Args:
        key: random key, consumed.
        crystal: the sites.
        logits: of the species on each site.
        counts: sites of each active sublattice with each species code, known sites included (`composition_counts`).
        known: species codes of sites that are known; any other number, such as -1 or the mask code, where they are not.

    Raises:
        ValueError: if shapes do not fit, or the tables would be too large.
    """
    tables = _tables(species_of(crystal), counts)
    sites = open_sites(crystal, logits, counts, known)
    gumbel = jax.random.gumbel(key, sites.logits.shape, sites.logits.dtype)
    draw = lambda *arrays: _draw(tables, *arrays)
    drawn, log_total = over_batch(jax.vmap(draw), tables.block, (sites.logits, 2), (sites.counts, 2), (gumbel, 2))
    occupancy = drawn.astype(jnp.int8)
    return occupancy, or_impossible(jnp.sum(chosen_logits(sites, occupancy), axis=-1) - log_total, sites, occupancy)


def conditional_log_probability(
    crystal: Supercell | Hamiltonian | SiteSpecies,
    logits: Float[ArrayLike, "*denoised sites species"],
    counts: Int[ArrayLike, "*composed sublattices species"],
    occupancy: Int[ArrayLike, "*given sites"],
    known: Int[ArrayLike, "*known sites"] | None = None,
) -> Float[Array, "*batch"]:
    """Log-probability that `decode_conditional` draws an occupancy; -inf if it cannot. Differentiable in the logits."""
    sites = open_sites(crystal, logits, counts, known, jnp.shape(occupancy)[:-1])
    occupancy = jnp.broadcast_to(jnp.asarray(occupancy), sites.known.shape)
    log_total = _log_totals(sites, _tables(sites.species, counts))
    return or_impossible(jnp.sum(chosen_logits(sites, occupancy), axis=-1) - log_total, sites, occupancy)


def log_partition(
    crystal: Supercell | Hamiltonian | SiteSpecies,
    logits: Float[ArrayLike, "*denoised sites species"],
    counts: Int[ArrayLike, "*composed sublattices species"],
    known: Int[ArrayLike, "*known sites"] | None = None,
) -> Float[Array, "*batch"]:
    """Log Z: exp(sum of the logits of the open sites), summed over all their arrangements at the exact composition.

    -inf if there is none.
    """
    sites = open_sites(crystal, logits, counts, known)
    log_total = _log_totals(sites, _tables(sites.species, counts))
    return jnp.where(log_total <= EXCLUDED_BY_LOGITS / 2, -jnp.inf, log_total)


class _Tables(NamedTuple):
    """The order of the sites, and the tables over counts.

    Attributes:
        order: `[sites]` sites by sublattice, the inactive ones last.
        row: `[sites]` sublattice of each site in this order.
        is_first: `[sites]` whether a sublattice begins with it.
        tracked: species whose counts are the axes of a table: all but one.
        shape: of a table.
        block: how many structures at a time.
    """

    order: Int[Array, " sites"]
    row: Int[Array, " sites"]
    is_first: Bool[Array, " sites"]
    tracked: tuple[int, ...]
    shape: tuple[int, ...]
    block: int


def _tables(species: SiteSpecies, counts: Any) -> _Tables:
    check_counts_shape(species, counts)
    largest = _largest_counts(species, counts)
    omitted = int(np.argmax(largest))
    tracked = tuple(code for code in range(len(largest)) if code != omitted)
    shape = tuple(int(largest[code]) + 1 for code in tracked)
    entries = len(species.kind) * math.prod(shape)
    if entries > _LARGEST_TABLE:
        raise ValueError(
            f"exact decoding of {len(species.kind)} sites with counts up to {largest.tolist()} needs a table of "
            f"{entries} entries per structure, more than {_LARGEST_TABLE}. Use decode_sequential or decode_gumbel, or "
            "give the counts as a NumPy array that is no argument of the jitted function."
        )
    row = sublattice_of_sites(species)
    order = jnp.argsort(row, stable=True)
    row = row[order]
    is_first = jnp.concatenate([jnp.ones(1, bool), row[1:] != row[:-1]])
    return _Tables(order, row, is_first, tracked, shape, block_size(entries))


def _largest_counts(species: SiteSpecies, counts: Any) -> np.ndarray:
    """Largest count of each species on any sublattice; while tracing what the number of sites allows."""
    if not isinstance(counts, Tracer):
        given = np.asarray(counts)
        return given.reshape(-1, given.shape[-1]).max(axis=0)
    if isinstance(species.kind, Tracer):
        return np.full(counts.shape[-1], len(species.kind))
    sites = max(np.sum(np.asarray(species.kind) == kind) for kind in active_kinds(species))
    return np.full(counts.shape[-1], sites)


def _log_totals(sites: OpenSites, tables: _Tables) -> Float[Array, "*batch"]:
    total = lambda logits, counts: _filtered(tables, logits, counts)[1]
    return over_batch(jax.vmap(total), tables.block, (sites.logits, 2), (sites.counts, 2))


def _filtered(
    tables: _Tables, logits: Float[Array, "sites species"], counts: Int[Array, "sublattices species"]
) -> tuple[Array, Float[Array, ""]]:
    """The table of what follows each site, `[sites, *shape]` in the order of `tables`, and log Z."""
    empty = jnp.full(tables.shape, EXCLUDED_BY_COUNTS, logits.dtype).at[(0,) * len(tables.shape)].set(0)
    is_last = jnp.concatenate([tables.is_first[1:], jnp.ones(1, bool)])
    is_active = tables.row < len(counts)

    def add_site(table, site):
        logits, row, is_first, is_last, is_active = site
        after = jnp.where(is_last, empty, table)
        table = _extended(tables, after, logits)
        log_total = table[tuple(counts[row, code] for code in tables.tracked)]
        return table, (after, jnp.where(is_first & is_active, log_total, 0))

    steps = (logits[tables.order], tables.row, tables.is_first, is_last, is_active)
    _, (after, log_totals) = jax.lax.scan(add_site, empty, steps, reverse=True)
    return after, jnp.sum(log_totals)


def _extended(tables: _Tables, after: Array, logits: Float[Array, " species"]) -> Array:
    """The table of one more site: with each of its species, what the others have is one less of it."""
    branches = []
    for code in range(len(logits)):
        before = after
        if code in tables.tracked:
            axis = tables.tracked.index(code)
            excluded = jnp.full((*after.shape[:axis], 1, *after.shape[axis + 1 :]), EXCLUDED_BY_COUNTS, after.dtype)
            kept = jax.lax.slice_in_dim(after, 0, after.shape[axis] - 1, axis=axis)
            before = jnp.concatenate([excluded, kept], axis=axis)
        branches.append(logits[code] + before)
    return functools.reduce(jnp.logaddexp, branches)


def _draw(
    tables: _Tables,
    logits: Float[Array, "sites species"],
    counts: Int[Array, "sublattices species"],
    gumbel: Float[Array, "sites species"],
) -> tuple[Int[Array, " sites"], Float[Array, ""]]:
    """One occupancy and log Z."""
    after, log_total = _filtered(tables, logits, counts)
    tracked = jnp.asarray(tables.tracked, jnp.int32)
    wanted = counts[:, tracked]

    def choose(left, site):
        logits, gumbel, after, row, is_first = site
        left = jnp.where(is_first, wanted[row], left)
        follows = [_what_follows(tables, after, left, code) for code in range(len(logits))]
        code = jnp.argmax(logits + gumbel + jnp.stack(follows)).astype(jnp.int32)
        return left - (tracked == code).astype(left.dtype), code

    steps = (logits[tables.order], gumbel[tables.order], after, tables.row, tables.is_first)
    _, codes = jax.lax.scan(choose, wanted[0], steps)
    is_active = tables.row < len(counts)
    return jnp.zeros(len(codes), jnp.int32).at[tables.order].set(jnp.where(is_active, codes, 0)), log_total


def _what_follows(tables: _Tables, after: Array, left: Int[Array, " tracked"], code: int) -> Float[Array, ""]:
    """Log Z of the sites behind one that takes a species, with the counts that are left before it."""
    counts = [left[axis] - int(tracked == code) for axis, tracked in enumerate(tables.tracked)]
    followed = after[tuple(jnp.maximum(count, 0) for count in counts)]
    is_possible = jnp.all(jnp.stack(counts) >= 0)
    return jnp.where(is_possible, followed, EXCLUDED_BY_COUNTS)
