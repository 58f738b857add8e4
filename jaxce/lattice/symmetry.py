"""The space group of a prim as integer maps between lattice sites."""

import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
import spglib

from jaxce.lattice.prim import Prim


class SpaceGroup(NamedTuple):
    """Operations on lattice points (prim site, cell offset).

    Operation `g` sends site `s` in cell `n` to site `site_map[g, s]` in cell `rotations[g] @ n + offset_map[g, s]`.
    The identity comes first, the others in lexicographic order of rotation and translation, so the order does not
    depend on the program that found them.

    Attributes:
        rotations: `[ops, 3, 3]` integer rotations on fractional coordinates.
        site_map: `[ops, sites]` prim site onto which each site falls.
        offset_map: `[ops, sites, 3]` cell into which it falls, when it started in cell 0.
    """

    rotations: np.ndarray
    site_map: np.ndarray
    offset_map: np.ndarray

    def apply(self, operation, sites: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images of the lattice points (`sites` `[points]`, `offsets` `[points, 3]`).

        `operation` is one index, or `slice(None)` for all operations at once (a leading axis).
        """
        rotated = offsets @ np.swapaxes(self.rotations[operation], -1, -2)
        return self.site_map[operation][..., sites], rotated + self.offset_map[operation][..., sites, :]

    @property
    def site_orbits(self) -> np.ndarray:
        """`[sites]` smallest site index that is symmetry-equivalent to each site."""
        return self.site_map.min(axis=0)


@functools.lru_cache(maxsize=64)
def space_group(prim: Prim) -> SpaceGroup:
    """The operations that leave the prim with its allowed species and labels unchanged.

    Raises:
        ValueError: if spglib fails, or equivalent sites list their species in different orders.
    """
    found = _ask_spglib(spglib.get_symmetry, prim)
    rotations = found["rotations"].astype(np.int64)
    images = prim.frac_coords @ np.swapaxes(rotations, 1, 2) + found["translations"][:, None, :]
    site_map, offset_map = _nearest_sites(prim, images)
    _check_equal_species(prim, site_map)
    order = _canonical_order(rotations, site_map, offset_map)
    return SpaceGroup(rotations[order], site_map[order], offset_map[order])


def reduce_to_primitive(prim: Prim) -> Prim:
    """The smallest cell that describes the same crystal, in the same orientation.

    Sublattice names, labels and the order of species are kept.

    Raises:
        ValueError: if spglib fails, or equivalent sites list their species in different orders.
    """
    # The sites that become one must be alike.
    space_group(prim)
    lattice, coords, _ = _ask_spglib(spglib.standardize_cell, prim, to_primitive=True, no_idealize=True)
    sites, _ = _nearest_sites(prim, (coords @ lattice @ np.linalg.inv(prim.lattice))[None])
    first_site = sites[0].tolist()
    names = {sublattice.species: sublattice.name for sublattice in prim.sublattices}
    species = [prim.species[site] for site in first_site]
    return Prim(
        lattice,
        coords,
        species,
        labels=[prim.labels[site] for site in first_site],
        sublattice_names=list(dict.fromkeys(names[s] for s in species if s in names)),
        vacancy_aliases=prim.vacancy_aliases,
        symprec=prim.symprec,
    )


def _site_kinds(prim: Prim) -> list[int]:
    """One positive integer per site; equal where a symmetry operation may exchange the sites."""
    keys = [(frozenset(names), label) for names, label in zip(prim.species, prim.labels, strict=True)]
    distinct = list(dict.fromkeys(keys))
    return [distinct.index(key) + 1 for key in keys]


def _ask_spglib(function: Any, prim: Prim, **keywords: Any) -> Any:
    cell = (prim.lattice, prim.frac_coords, _site_kinds(prim))
    with warnings.catch_warnings():
        # spglib 2.7 announces that a failure will raise instead of returning None; either ends below.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            answer = function(cell, symprec=prim.symprec, **keywords)
        except spglib.SpglibError:
            answer = None
    if answer is None:
        raise ValueError(f"spglib found no symmetry of {prim}: check the lattice and `symprec` ({prim.symprec}).")
    return answer


def _nearest_sites(prim: Prim, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The site and cell of each fractional coordinate `[ops, sites, 3]`."""
    difference = coords[:, :, None, :] - prim.frac_coords
    offsets = np.round(difference).astype(np.int64)
    distances = np.linalg.norm((difference - offsets) @ prim.lattice, axis=-1)
    site_map = distances.argmin(axis=-1)
    # spglib's tolerance is on pairs of atoms, so an image may miss its site by a few times symprec.
    if distances.min(axis=-1).max() > max(20 * prim.symprec, 1e-4):
        raise ValueError("a symmetry operation of spglib does not map the sites onto each other: lower `symprec`.")
    return site_map, np.take_along_axis(offsets, site_map[:, :, None, None], axis=2)[:, :, 0, :]


def _check_equal_species(prim: Prim, site_map: np.ndarray) -> None:
    for site, image in enumerate(site_map.min(axis=0)):
        if prim.species[site] != prim.species[image]:
            raise ValueError(
                f"sites {image} and {site} are symmetry-equivalent but list their species in different orders: "
                f"{prim.species[image]} and {prim.species[site]}. Use one order, or different `labels`."
            )


def _canonical_order(rotations: np.ndarray, site_map: np.ndarray, offset_map: np.ndarray) -> np.ndarray:
    num_ops = len(rotations)
    is_identity = (
        np.all(rotations == np.eye(3, dtype=np.int64), axis=(1, 2))
        & np.all(site_map == np.arange(site_map.shape[1]), axis=1)
        & np.all(offset_map == 0, axis=(1, 2))
    )
    keys = np.concatenate(
        [~is_identity[:, None], rotations.reshape(num_ops, -1), site_map, offset_map.reshape(num_ops, -1)], axis=1
    )
    return np.lexsort(keys.T[::-1])
