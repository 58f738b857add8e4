"""Occupancies as networks take them: one-hot vectors, masks, and the way from structures and back."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import ase
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxce.build import site_species
from jaxce.io.structure_forms import as_atoms
from jaxce.lattice.structures import map_structure, occupancy_to_ase
from jaxce.lattice.supercell import Supercell
from jaxce.site_species import check_occupancy
from jaxce.tables import Batch, Hamiltonian, SiteSpecies


class SiteMasks(NamedTuple):
    """What a network must know of the sites that it may not learn.

    Attributes:
        present: `[..., sites]` False for the sites that only pad a batch.
        active: `[..., sites]` True where more than one species is allowed: all that noise and moves may change.
        allowed: `[..., sites, species]` the codes that exist on each site; a padded site has one, code 0.
    """

    present: Bool[Array, "*batch sites"]
    active: Bool[Array, "*batch sites"]
    allowed: Bool[Array, "*batch sites species"]


def one_hot(
    of: SiteSpecies | Hamiltonian | Batch | Supercell, occupancy: Int[ArrayLike, "*batch sites"], dtype: Any = None
) -> Float[Array, "*batch sites species"]:
    """One-hot vectors of species codes; the species axis is as long as that of all other functions of jaxce.

    Padded sites of a batch hold code 0: multiply by `site_masks(batch).present` where a sum must not see them.

    Args:
        of: what the occupancies belong to.
        occupancy: species codes.
        dtype: of the result; by default JAX's float type.

    Raises:
        ValueError: if the occupancies do not fit.
    """
    species = _species_of(of)
    check_occupancy(species.kind.shape[-1], occupancy)
    return jax.nn.one_hot(occupancy, species.labels.shape[-1], dtype=dtype or jnp.result_type(float))


def occupancy_from_one_hot(
    of: SiteSpecies | Hamiltonian | Batch | Supercell, one_hot: Any
) -> Int[Array, "*batch sites"]:
    """Species codes (int8) of one-hot vectors: the largest entry of each site among the species that it allows.

    Of probabilities or logits it is the likeliest species, which does not keep a composition.

    Raises:
        ValueError: if the last two axes are not sites and species.
    """
    species = _species_of(of)
    expected = (species.kind.shape[-1], species.labels.shape[-1])
    if jnp.shape(one_hot)[-2:] != expected:
        raise ValueError(
            f"one-hot vectors must have shape [..., {expected[0]}, {expected[1]}] (sites, species), but have shape "
            f"{jnp.shape(one_hot)}."
        )
    allowed = _allowed(species)
    vectors = jnp.asarray(one_hot)
    vectors = vectors.astype(jnp.result_type(float)) if vectors.dtype == bool else vectors
    lowest = -jnp.inf if jnp.issubdtype(vectors.dtype, jnp.floating) else jnp.iinfo(vectors.dtype).min
    return jnp.argmax(jnp.where(jnp.broadcast_to(allowed, vectors.shape), vectors, lowest), axis=-1).astype(jnp.int8)


def site_masks(of: SiteSpecies | Hamiltonian | Batch | Supercell) -> SiteMasks:
    """Which sites are real, which can change, and what they may hold; with a leading axis for a `Batch`."""
    species = _species_of(of)
    allowed = _allowed(species)
    # The last kind is that of padded sites.
    present = species.kind < species.num_species.shape[-1] - 1
    return SiteMasks(present, jnp.sum(allowed, axis=-1, dtype=jnp.int32) > 1, allowed)


def structures_to_tensors(supercell: Supercell, structures: Iterable[Any]) -> np.ndarray:
    """`[structures, sites]` species codes (int8) of structures in any form that `jaxce.io.as_atoms` takes.

    Ideal or relaxed, atoms in any order, vacancies present or absent. All must fit one supercell: structures of unlike
    ones go through `jaxce.map_structures`, and into one array by `jaxce.pad_batch`.

    Raises:
        ValueError: if one does not fit; it says which.
    """
    rows = []
    for place, structure in enumerate(structures):
        try:
            rows.append(map_structure(supercell.prim, as_atoms(structure), supercell).occupancy)
        except ValueError as error:
            raise ValueError(f"structure {place}: {error}") from error
    return np.array(rows, dtype=np.int8).reshape(-1, supercell.num_sites)


def tensors_to_structures(supercell: Supercell, occupancies: Any, keep_vacancies: bool = False) -> list[ase.Atoms]:
    """The structures of occupancies `[structures, sites]` on ideal positions, atoms in the order of the sites.

    Raises:
        ValueError: if an occupancy does not fit the supercell.
    """
    check_occupancy(supercell.num_sites, occupancies)
    if np.ndim(occupancies) != 2:
        raise ValueError(f"occupancies must have the shape [structures, sites], but have {np.shape(occupancies)}.")
    return [occupancy_to_ase(supercell, row, keep_vacancies) for row in np.asarray(occupancies)]


def _species_of(of: Any) -> SiteSpecies:
    if isinstance(of, SiteSpecies):
        return of
    if isinstance(of, Hamiltonian):
        return of.species
    if isinstance(of, Batch):
        return of.hamiltonian.species
    if isinstance(of, Supercell):
        return site_species(of)
    raise ValueError(f"a Supercell, a Hamiltonian, a Batch or SiteSpecies is wanted, not {type(of).__name__}.")


def _allowed(species: SiteSpecies) -> Bool[Array, "*batch sites species"]:
    """Which codes exist on each site, also of a stacked batch."""
    labels = jnp.take_along_axis(species.labels, species.kind.astype(jnp.int32)[..., None], axis=-2)
    return labels >= 0
