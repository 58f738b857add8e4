"""Occupancies at exact composition from a denoiser's logits, cheaper than and not the same as `decode_conditional`."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxce.blocks import over_batch
from jaxce.diffusion.exact_composition import sublattice_of_sites
from jaxce.diffusion.open_sites import EXCLUDED_BY_COUNTS, counts_left, open_sites, or_impossible
from jaxce.lattice.supercell import Supercell
from jaxce.tables import Hamiltonian, SiteSpecies


def decode_sequential(
    key: Any,
    crystal: Supercell | Hamiltonian | SiteSpecies,
    logits: Float[ArrayLike, "*denoised sites species"],
    counts: Int[ArrayLike, "*composed sublattices species"],
    known: Int[ArrayLike, "*known sites"] | None = None,
) -> tuple[Int[Array, "*batch sites"], Float[Array, "*batch"]]:
    """Occupancies at exact composition, and their log-probabilities given the order in which sites were decoded.

    Site after site, in a random order, takes a species by its logits among those of which some are left. Late sites
    take what remains, so this is not the distribution of `decode_conditional`.

    Args:
        key: random key, consumed.
        crystal: the sites.
        logits: of the species on each site.
        counts: sites of each active sublattice with each species code, known sites included (`composition_counts`).
        known: species codes of sites that are known; any other number, such as -1 or the mask code, where they are not.
    """
    sites = open_sites(crystal, logits, counts, known)
    order_key, species_key = jax.random.split(key)
    words = jax.random.bits(order_key, sites.known.shape, jnp.uint32)
    gumbel = jax.random.gumbel(species_key, sites.logits.shape, sites.logits.dtype)
    row = sublattice_of_sites(sites.species)
    occupancy, log_probability = over_batch(
        jax.vmap(lambda *arrays: _decoded_in_order(row, *arrays)),
        None,
        (sites.logits, 2),
        (counts_left(sites), 2),
        (sites.is_open, 1),
        (jnp.argsort(words, axis=-1), 1),
        (gumbel, 2),
    )
    occupancy = jnp.where(sites.is_open, occupancy, sites.known).astype(jnp.int8)
    return occupancy, or_impossible(log_probability, sites, occupancy)


def decode_gumbel(
    key: Any,
    crystal: Supercell | Hamiltonian | SiteSpecies,
    logits: Float[ArrayLike, "*denoised sites species"],
    counts: Int[ArrayLike, "*composed sublattices species"],
    known: Int[ArrayLike, "*known sites"] | None = None,
) -> tuple[Int[Array, "*batch sites"], Float[Array, "*batch"]]:
    """Occupancies at exact composition by Gumbel-top-k, and the log-probabilities of the ordered draws (Plackett-Luce).

    Species after species, from the last code to the second, is given to the sites with the highest perturbed log-odds
    against the codes before it; the first code takes what is left. An occupancy comes from many orders of its sites, so
    its own probability is larger. Under jit the log-probability costs nothing where it is not used, and else the most.

    Args:
        key: random key, consumed.
        crystal: the sites.
        logits: of the species on each site.
        counts: sites of each active sublattice with each species code, known sites included (`composition_counts`).
        known: species codes of sites that are known; any other number, such as -1 or the mask code, where they are not.
    """
    sites = open_sites(crystal, logits, counts, known)
    gumbel = jax.random.gumbel(key, sites.logits.shape, sites.logits.dtype)
    row = sublattice_of_sites(sites.species)
    occupancy, log_probability = over_batch(
        jax.vmap(lambda *arrays: _decoded_by_species(row, *arrays)),
        None,
        (sites.logits, 2),
        (counts_left(sites), 2),
        (sites.is_open, 1),
        (gumbel, 2),
    )
    occupancy = jnp.where(sites.is_open, occupancy, sites.known).astype(jnp.int8)
    return occupancy, or_impossible(log_probability, sites, occupancy)


def _decoded_in_order(
    row: Int[Array, " sites"],
    logits: Float[Array, "sites species"],
    left: Int[Array, "sublattices species"],
    is_open: Bool[Array, " sites"],
    order: Int[Array, " sites"],
    gumbel: Float[Array, "sites species"],
) -> tuple[Int[Array, " sites"], Float[Array, ""]]:
    codes = jnp.arange(logits.shape[1], dtype=left.dtype)

    def decode_site(left, site):
        row, logits, is_open, gumbel = site
        remaining = jnp.where(left[row] > 0, logits, EXCLUDED_BY_COUNTS)
        code = jnp.argmax(remaining + gumbel).astype(left.dtype)
        log_probability = jax.nn.log_softmax(remaining)[code]
        taken = ((codes == code) & is_open).astype(left.dtype)
        return left.at[row].add(-taken), (code, jnp.where(is_open, log_probability, 0))

    steps = (row[order], logits[order], is_open[order], gumbel[order])
    _, (decoded, log_probabilities) = jax.lax.scan(decode_site, left, steps)
    return jnp.zeros_like(decoded).at[order].set(decoded), jnp.sum(log_probabilities)


def _decoded_by_species(
    row: Int[Array, " sites"],
    logits: Float[Array, "sites species"],
    left: Int[Array, "sublattices species"],
    is_open: Bool[Array, " sites"],
    gumbel: Float[Array, "sites species"],
) -> tuple[Int[Array, " sites"], Float[Array, ""]]:
    occupancy = jnp.zeros(len(row), left.dtype)
    log_probability = jnp.zeros((), logits.dtype)
    for sublattice in range(left.shape[0]):
        is_free = is_open & (row == sublattice)
        for code in range(left.shape[1] - 1, 0, -1):
            log_odds = logits[:, code] - logsumexp(logits[:, :code], axis=1)
            is_chosen, of_draw = _ordered_draw(log_odds, gumbel[:, code], is_free, left[sublattice, code])
            occupancy = jnp.where(is_chosen, jnp.asarray(code, occupancy.dtype), occupancy)
            is_free &= ~is_chosen
            log_probability += of_draw
    return occupancy, log_probability


def _ordered_draw(
    scores: Float[Array, " sites"],
    gumbel: Float[Array, " sites"],
    is_free: Bool[Array, " sites"],
    number: Int[Array, ""],
) -> tuple[Bool[Array, " sites"], Float[Array, ""]]:
    """The free sites with the highest perturbed scores, and the log-probability of drawing them in this order."""
    scores = jnp.where(is_free, scores, EXCLUDED_BY_COUNTS)
    order = jnp.argsort(-(scores + gumbel))
    ordered = scores[order]
    # Of each place: the weight of the sites that were still there.
    remaining = jax.lax.cumlogsumexp(ordered, reverse=True)
    is_drawn = jnp.arange(len(scores), dtype=number.dtype) < number
    is_chosen = jnp.zeros_like(is_free).at[order].set(is_drawn)
    return is_chosen & is_free, jnp.sum(jnp.where(is_drawn, ordered - remaining, 0))
