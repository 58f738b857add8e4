"""What decoding starts from: the sites that are open, their logits, and the species that are left for them.

Two large numbers stand for what cannot be, since differences of infinities are not numbers: a species that logits
exclude, and, far below, one that the counts exclude. So a composition is kept even where logits forbid all of it.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxce.diffusion.exact_composition import (
    check_counts_shape,
    count_species,
    species_of,
    sublattice_of_sites,
)
from jaxce.lattice.supercell import Supercell
from jaxce.site_species import check_occupancy, is_allowed
from jaxce.tables import Hamiltonian, SiteSpecies

EXCLUDED_BY_LOGITS = -1e30
EXCLUDED_BY_COUNTS = -1e36


class OpenSites(NamedTuple):
    """Sites that are to be decoded, and those that are known.

    Attributes:
        species: the species of the sites.
        logits: `[..., sites, species]` finite; 0 for the species of a known site, which is the only one it may take.
        counts: `[..., sublattices, species]` of all sites.
        is_open: `[..., sites]` which sites are active and not known.
        known: `[..., sites]` species codes of the known sites, 0 on inactive ones, -1 on open ones.
    """

    species: SiteSpecies
    logits: Float[Array, "*batch sites species"]
    counts: Int[Array, "*batch sublattices species"]
    is_open: Bool[Array, "*batch sites"]
    known: Int[Array, "*batch sites"]


def open_sites(
    crystal: Supercell | Hamiltonian | SiteSpecies,
    logits: Float[ArrayLike, "*denoised sites species"],
    counts: Int[ArrayLike, "*composed sublattices species"],
    known: Int[ArrayLike, "*known sites"] | None = None,
    batch: tuple[int, ...] = (),
) -> OpenSites:
    """The sites to decode, with all arrays broadcast to common leading axes.

    Args:
        crystal: the sites.
        logits: of the species on each site; float32 at least is computed with.
        counts: exact composition of all sites, the known ones included.
        known: species codes of sites that are known; any other number, such as -1 or the mask code, where they are not.
        batch: leading axes that the others have to broadcast with.
    """
    species = species_of(crystal)
    num_sites, num_species = len(species.kind), species.labels.shape[-1]
    _check_logits_shape(species, logits)
    check_counts_shape(species, counts)
    known = np.full(num_sites, -1) if known is None else known
    check_occupancy(num_sites, known)
    logits, counts, known = jnp.asarray(logits), jnp.asarray(counts, jnp.int32), jnp.asarray(known, jnp.int32)
    batch = jnp.broadcast_shapes(batch, logits.shape[:-2], counts.shape[:-2], known.shape[:-1])
    logits = jnp.broadcast_to(logits, (*batch, num_sites, num_species))
    of_sites = species.num_species[species.kind].astype(jnp.int32)
    sizes = jnp.broadcast_to(of_sites, (*batch, num_sites))
    known = jnp.broadcast_to(known, sizes.shape)
    known = jnp.where((known >= 0) & (known < sizes), known, jnp.where(sizes > 1, -1, 0))
    is_open = known < 0
    codes = jnp.arange(num_species, dtype=known.dtype).reshape((1,) * known.ndim + (num_species,))
    logits = at_least_single(logits)
    logits = jnp.where(is_open[..., None], jnp.maximum(logits, EXCLUDED_BY_LOGITS), 0)
    may_be = jnp.where(
        is_open[..., None], jnp.broadcast_to(is_allowed(species), logits.shape), known[..., None] == codes
    )
    logits = jnp.where(may_be, logits, EXCLUDED_BY_LOGITS)
    return OpenSites(species, logits, jnp.broadcast_to(counts, (*batch, *counts.shape[-2:])), is_open, known)


def at_least_single(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """The values in float32 where they have fewer bits."""
    return values if jnp.finfo(values.dtype).bits >= 32 else values.astype(jnp.float32)


def counts_left(sites: OpenSites) -> Int[Array, "*batch sublattices species"]:
    """The counts of the open sites: those of all sites without those of the known ones."""
    return sites.counts - count_species(sites.species, sites.known)


def chosen_logits(sites: OpenSites, occupancy: Int[Array, "*batch sites"]) -> Float[Array, "*batch sites"]:
    """The logit of the species on each site; 0 on known sites."""
    return jnp.take_along_axis(sites.logits, occupancy[..., None].astype(jnp.int32), axis=-1)[..., 0]


def or_impossible(
    log_probability: Float[Array, "*batch"], sites: OpenSites, occupancy: Int[Array, "*batch sites"]
) -> Float[Array, "*batch"]:
    """-inf where logits, known sites or counts exclude the occupancy, else the log-probability."""
    is_excluded = jnp.any(chosen_logits(sites, occupancy) <= EXCLUDED_BY_LOGITS / 2, axis=-1)
    has_other_counts = jnp.any(count_species(sites.species, occupancy) != sites.counts, axis=(-2, -1))
    return jnp.where(is_excluded | has_other_counts, -jnp.inf, log_probability)


def check_logits(crystal: Supercell | Hamiltonian | SiteSpecies, logits: Any) -> None:
    """Raise `ValueError` for what cannot be a denoiser's logits: another shape, NaN, +inf, probabilities. Host only.

    Args:
        crystal: the sites.
        logits: `[..., sites, species]`. -inf forbids a species; a site needs one that is allowed.
    """
    species, given = species_of(crystal), np.asarray(logits)
    _check_logits_shape(species, given)
    allowed = np.broadcast_to(np.array(is_allowed(species), dtype=bool), given.shape)
    wrong = np.argwhere(allowed & (np.isnan(given) | np.isposinf(given)))
    if len(wrong):
        raise ValueError(
            f"the logits hold {len(wrong)} values that are NaN or +inf, the first at {wrong[0].tolist()} "
            "([..., site, species]); the denoiser has diverged, or divides by 0."
        )
    empty = np.argwhere(np.all(np.isneginf(given) | ~allowed, axis=-1))
    if len(empty):
        raise ValueError(f"the logits forbid every species (-inf) on {len(empty)} sites, first at {empty[0].tolist()}.")
    active = np.asarray(sublattice_of_sites(species)) < len([name for name in species.sublattice_names if name])
    of_active = np.where(allowed, given, 0)[..., active, :]
    is_fraction = (of_active >= 0) & (of_active <= 1)
    if of_active.size and np.all(is_fraction) and np.allclose(of_active.sum(axis=-1), 1, atol=1e-3):
        raise ValueError(
            "the denoiser seems to return probabilities: all values lie in 0..1 and add up to 1 on every site. "
            "Logits are wanted: return the logarithm, or what goes into the softmax."
        )


def _check_logits_shape(species: SiteSpecies, logits: Any) -> None:
    expected = (len(species.kind), species.labels.shape[-1])
    shape, dtype = jnp.shape(logits), jnp.result_type(logits)
    if shape[-2:] != expected or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"the logits must be floats of shape [..., {expected[0]}, {expected[1]}] (sites, species), "
            f"but have shape {shape} and dtype {dtype}."
        )
