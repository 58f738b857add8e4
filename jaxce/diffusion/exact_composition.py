"""What keeps a composition: the species of a crystal's sublattices, their counts, and permutations of chosen sites.

Counts are `[..., sublattices, species]`, the active sublattices in the order of `Supercell.sublattices`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Int

from jaxce.build import site_species
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.compositions import parse_composition
from jaxce.tables import Hamiltonian, SiteSpecies


def species_of(crystal: Any) -> SiteSpecies:
    """The species of the sites of a `Supercell` or a `Hamiltonian`; a `SiteSpecies` as it is.

    Raises:
        ValueError: if it is something else, or no site has more than one species.
    """
    species = site_species(crystal) if isinstance(crystal, Supercell) else getattr(crystal, "species", crystal)
    if not isinstance(species, SiteSpecies):
        raise ValueError(f"the sites must be given by a Supercell, a Hamiltonian or its `species`, not by {crystal!r}.")
    if not active_kinds(species):
        raise ValueError("no site has more than one species: there is nothing to noise or to decode.")
    return species


def composition_counts(supercell: Supercell, composition: Mapping[str, Any]) -> np.ndarray:
    """`[sublattices, species]` sites of each active sublattice that hold each species code.

    Args:
        supercell: the supercell.
        composition: as for `jaxce.random_occupancy`.

    Raises:
        ValueError: if the composition does not fill the sites exactly, or leaves open how sublattices share a species.
    """
    counts = parse_composition(supercell, composition).counts
    if len(counts) > 1:
        raise ValueError(
            f"the composition {dict(composition)} can be spread over the sublattices in {len(counts)} ways; "
            "give the composition of each sublattice: {sublattice: {species: number}}."
        )
    return counts[0]


def check_counts(crystal: Supercell | Hamiltonian | SiteSpecies, counts: Any) -> None:
    """Raise `ValueError` unless `counts` fill every active sublattice exactly, with species that it allows. Host only.

    Args:
        crystal: the sites.
        counts: `[..., sublattices, species]` integers.
    """
    species, given = species_of(crystal), np.asarray(counts)
    check_counts_shape(species, given)
    kinds = np.asarray(species.kind)
    for row, kind in enumerate(active_kinds(species)):
        name, sites, allowed = species.sublattice_names[kind], np.sum(kinds == kind), int(species.num_species[kind])
        of_sublattice = given[..., row, :].reshape(-1, given.shape[-1])
        wrong = np.flatnonzero(
            (of_sublattice.sum(axis=1) != sites)
            | np.any(of_sublattice < 0, axis=1)
            | np.any(of_sublattice[:, allowed:] != 0, axis=1)
        )
        if len(wrong):
            raise ValueError(
                f"the counts of sublattice {name} must be {allowed} numbers from 0 on that add up to {sites} sites, "
                f"but are {of_sublattice[wrong[0]].tolist()} in composition {wrong[0]} of the batch."
            )


def check_counts_shape(species: SiteSpecies, counts: Any) -> None:
    """Raise `ValueError` unless `counts` has integers `[..., sublattices, species]`; known also while tracing."""
    expected = (len(active_kinds(species)), species.labels.shape[-1])
    shape, dtype = jnp.shape(counts), jnp.result_type(counts)
    if shape[-2:] != expected or not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(
            f"the counts must be integers of shape [..., {expected[0]}, {expected[1]}] (active sublattices, species), "
            f"but have shape {shape} and dtype {dtype}; `composition_counts` makes them of a composition."
        )


def active_kinds(species: SiteSpecies) -> tuple[int, ...]:
    """The kinds of site with more than one species, one for each active sublattice; known also while tracing."""
    return tuple(kind for kind, name in enumerate(species.sublattice_names) if name)


def is_active(species: SiteSpecies) -> Bool[Array, " sites"]:
    """Which sites have more than one species."""
    return species.num_species[species.kind] > 1


def sublattice_of_sites(species: SiteSpecies) -> Int[Array, " sites"]:
    """Active sublattice of each site; the number of sublattices where the site is on none."""
    kinds = active_kinds(species)
    row = np.full(len(species.sublattice_names), len(kinds), dtype=np.int32)
    row[list(kinds)] = np.arange(len(kinds))
    return jnp.asarray(row)[species.kind]


def count_species(
    species: SiteSpecies, occupancy: Int[Array, "*batch sites"], is_counted: Bool[Array, "*batch sites"] | None = None
) -> Int[Array, "*batch sublattices species"]:
    """Sites of each active sublattice that hold each species code, of all sites or of those that are counted.

    Codes that are none, such as the mask, are not counted.
    """
    codes = jnp.arange(species.labels.shape[-1], dtype=occupancy.dtype)
    present = occupancy[..., None] == codes.reshape((1,) * occupancy.ndim + codes.shape)
    if is_counted is not None:
        present &= is_counted[..., None]
    rows = [jnp.sum(present & _rows_of(species, kind, present), axis=-2) for kind in active_kinds(species)]
    return jnp.stack(rows, axis=-2).astype(jnp.int32)


def log_arrangements(counts: Int[Array, "*batch sublattices species"]) -> Float[Array, "*batch"]:
    """Logarithm of the number of arrangements with these counts: a multinomial for each sublattice."""
    numbers = counts.astype(jnp.result_type(float))
    return jnp.sum(gammaln(jnp.sum(numbers, axis=-1) + 1) - jnp.sum(gammaln(numbers + 1), axis=-1), axis=-1)


def sublattice_sizes(species: SiteSpecies) -> Int[Array, " sites"]:
    """How many sites the sublattice of each site has; 1 for inactive sites."""
    is_like = species.kind[:, None] == species.kind[None, :]
    return jnp.where(is_active(species), jnp.sum(is_like, axis=1), 1)


def exchanged_marginals(
    species: SiteSpecies, occupancy: Int[Array, "*batch sites"], at_home: Float[Array, "*batch sites"]
) -> Float[Array, "*batch sites species"]:
    """Probability of each species code on each site after random exchanges within sublattices.

    Args:
        species: the species of the sites.
        occupancy: species codes before.
        at_home: probability that a site has the species that it had itself; it has that of any other site of its
            sublattice with equal probabilities.
    """
    own = jax.nn.one_hot(occupancy, species.labels.shape[-1], dtype=at_home.dtype)
    counts = count_species(species, occupancy)
    # The null sublattice of inactive sites has no others.
    counts = jnp.concatenate([counts, jnp.zeros_like(counts[..., :1, :])], axis=-2)
    others = counts[..., sublattice_of_sites(species), :].astype(own.dtype)
    others = jnp.where(jnp.broadcast_to(is_active(species), occupancy.shape)[..., None], others - own, 0)
    num_others = jnp.maximum(sublattice_sizes(species) - 1, 1).astype(at_home.dtype)
    elsewhere = (1 - at_home) / jnp.broadcast_to(num_others, at_home.shape)
    return at_home[..., None] * own + elsewhere[..., None] * others


def ordered_occupancy(
    species: SiteSpecies, counts: Int[Array, "*batch sublattices species"]
) -> Int[Array, "*batch sites"]:
    """The occupancy with these counts whose species codes ascend along each sublattice; 0 on inactive sites."""
    of_sites = sublattice_of_sites(species)
    sublattices = jnp.arange(counts.shape[-2], dtype=of_sites.dtype)
    is_on = of_sites[None, :] == sublattices[:, None]
    place = jnp.sum(jnp.where(is_on, jnp.cumsum(is_on, axis=1) - 1, 0), axis=0)
    # The null sublattice of inactive sites is full of species 0.
    ends = jnp.cumsum(counts, axis=-1)[..., :-1]
    inactive = jnp.full((*ends.shape[:-2], 1, ends.shape[-1]), len(species.kind), ends.dtype)
    ends = jnp.concatenate([ends, inactive], axis=-2)[..., of_sites, :]
    place = place.astype(ends.dtype).reshape((1,) * (ends.ndim - 2) + (*place.shape, 1))
    return jnp.sum(place >= ends, axis=-1, dtype=jnp.int8)


def permuted(
    key: Any, species: SiteSpecies, occupancy: Int[Array, "*batch sites"], is_chosen: Bool[Array, "*batch sites"]
) -> Int[Array, "*batch sites"]:
    """The species of the chosen sites permuted uniformly, on each sublattice by itself; the others stay.

    Args:
        key: random key, consumed.
        species: the species of the sites.
        occupancy: species codes.
        is_chosen: which sites take part.
    """
    num_sites = occupancy.shape[-1]
    of_sites = sublattice_of_sites(species)
    sites = jnp.arange(num_sites, dtype=of_sites.dtype)
    batch = occupancy.shape[:-1]
    broadcast = lambda array: jnp.broadcast_to(array, (*batch, num_sites))
    # A site that stays is a group of its own.
    group = jnp.where(is_chosen, broadcast(of_sites), broadcast(sites + len(species.sublattice_names)))
    # Two words: with one, equal words would leave an order to the sort once in 2^32 pairs.
    words = jax.random.bits(key, (2, *batch, num_sites), jnp.uint32)
    _, places = jax.lax.sort((group, broadcast(sites)), num_keys=1, is_stable=True)
    *_, moved = jax.lax.sort((group, words[0], words[1], occupancy), num_keys=3)
    return jnp.put_along_axis(jnp.zeros_like(occupancy), places, moved, axis=-1, inplace=False)


def _rows_of(species: SiteSpecies, kind: int, like: Array) -> Bool[Array, "..."]:
    is_kind = species.kind == kind
    return is_kind.reshape((1,) * (like.ndim - 2) + (*is_kind.shape, 1))
