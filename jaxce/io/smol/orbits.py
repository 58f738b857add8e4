"""The orbits and site functions of smol's files."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.io.smol.species import Species, in_code_order, place_of, species_of_text
from jaxce.lattice.orbits import Orbit, point_keys, points_of_keys
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup, space_group

# Points of the file must lie this close to a site, angstrom.
_SITE_TOLERANCE = 0.05
# Operations per lattice point: where there are spins, pymatgen lists each rotation twice, once with time reversed.
_MOST_ROTATIONS = 96
# Of a rotation in fractional coordinates; a cell would have to be very skewed.
_LARGEST_ENTRY = 1000
# A cluster with more is not listed.
_MOST_LABELINGS = 10**5


def numbers(values: Any, what: str, last_axes: tuple[int, ...]) -> np.ndarray:
    """The numbers of a list as an array, after its last axes are checked.

    Raises:
        ValueError: if they are not finite numbers, or of another shape.
    """
    array = np.array(values)
    is_number = np.issubdtype(array.dtype, np.number) and not np.iscomplexobj(array)
    if not is_number or array.shape[-len(last_axes) :] != last_axes or not np.all(np.isfinite(array)):
        raise ValueError(f"{what} must be finite numbers of shape [..., {', '.join(map(str, last_axes))}].")
    return array.astype(np.float64)


def read_operations(prim: Prim, operations: Sequence[Mapping[str, Any]]) -> SpaceGroup:
    """The symmetry operations of the file as maps between the sites of the prim.

    Raises:
        ValueError: if one does not map sites onto sites with the same species, or they lack one of the prim's own.
    """
    if not 0 < len(operations) <= _MOST_ROTATIONS * prim.num_sites:
        raise ValueError(f"a cell with {prim.num_sites} sites cannot have {len(operations)} symmetry operations.")
    matrices = numbers([operation["matrix"] for operation in operations], "symmetry operations", (4, 4))
    rounded = np.round(matrices[:, :3, :3])
    is_integer = np.abs(rounded - matrices[:, :3, :3]).max() < 1e-3 and np.abs(rounded).max() < _LARGEST_ENTRY
    if not is_integer or not np.allclose(np.abs(np.linalg.det(rounded)), 1):
        raise ValueError("the symmetry operations must be integer rotations of fractional coordinates.")
    rotations = rounded.astype(np.int64)
    images = prim.frac_coords @ np.swapaxes(rotations, 1, 2) + matrices[:, None, :3, 3]
    points = lattice_points(prim, images)
    site_map = points[..., 0]
    species_of = np.array([prim.species.index(names) for names in prim.species])
    is_permutation = np.all(np.sort(site_map, axis=1) == np.arange(prim.num_sites))
    if not is_permutation or np.any(species_of[site_map] != species_of):
        raise ValueError("a symmetry operation of the file does not map sites onto sites with the same species.")
    group = SpaceGroup(rotations, site_map, points[..., 1:])
    # Environments are shared by what the prim's own symmetry makes equivalent.
    if not _keys(space_group(prim)) <= _keys(group):
        raise ValueError(
            f"the file has {len(operations)} symmetry operations, but they lack some of the "
            f"{len(space_group(prim).rotations)} that its structure has: its orbits are smaller than those of jaxce."
        )
    return group


def _keys(group: SpaceGroup) -> set[bytes]:
    """One key per operation, the same for all that differ by a translation of the lattice."""
    offsets = group.offset_map - group.offset_map[:, :1]
    return {
        np.concatenate([rotation.ravel(), sites, moved.ravel()]).tobytes()
        for rotation, sites, moved in zip(group.rotations, group.site_map, offsets, strict=True)
    }


def lattice_points(prim: Prim, frac_coords: np.ndarray) -> np.ndarray:
    """`[..., 4]` prim site and cell of each fractional coordinate `[..., 3]`.

    Raises:
        ValueError: if there is no site.
    """
    difference = frac_coords[..., None, :] - prim.frac_coords
    offsets = np.round(difference)
    distances = np.linalg.norm((difference - offsets) @ prim.lattice, axis=-1)
    sites = distances.argmin(axis=-1)
    if distances.min(axis=-1).max(initial=0) > _SITE_TOLERANCE or np.abs(offsets).max(initial=0) > 1e6:
        raise ValueError(
            f"a point of the file is {distances.min(axis=-1).max():.3f} angstrom away from every site of its structure."
        )
    nearest = np.take_along_axis(offsets, sites[..., None, None], axis=-2)[..., 0, :]
    return np.concatenate([sites[..., None], nearest], axis=-1).astype(np.int64)


def read_orbits(
    prim: Prim, group: SpaceGroup, species: Sequence[Sequence[Species]], entries: Sequence[Mapping[str, Any]]
) -> tuple[list[np.ndarray], list[Orbit]]:
    """The table of site functions of each prim site, and the orbits in the order of the file.

    Args:
        prim: the prim.
        group: the operations of the file.
        species: for each prim site its species in the order of their codes.
        entries: the orbits of the file, by size.

    Raises:
        ValueError: if orbits, operations and site bases do not fit together.
    """
    found: list[np.ndarray | None] = [None] * prim.num_sites
    orbits = []
    for entry in entries:
        base = lattice_points(prim, numbers(entry["sites"], "sites of an orbit", (3,)))
        bases = zip(base[:, 0], entry["site_bases"], strict=True)
        tables = [read_site_functions(basis, species[site]) for site, basis in bases]
        images = _images(group, base)
        orbit = _orbit(prim, base, images, _labelings(entry, tables, base, images))
        orbits.append(orbit)
        for table, sites in zip(tables, orbit.clusters[:, :, 0].T, strict=True):
            for site in set(sites.tolist()):
                before = table if found[site] is None else found[site]
                if before.shape != table.shape or not np.allclose(before, table, rtol=0, atol=1e-10):
                    raise ValueError(f"the orbits of the file have different functions on site {site}.")
                found[site] = before
    # A site that is in no orbit has the constant alone.
    return [np.ones((1, len(s))) if table is None else table for s, table in zip(species, found, strict=True)], orbits


def _images(group: SpaceGroup, base: np.ndarray) -> np.ndarray:
    """`[ops, order]` keys of the points of all images of a cluster, in the order of its own points."""
    sites, offsets = group.apply(slice(None), base[:, 0], base[:, 1:])
    return point_keys(np.concatenate([sites[..., None], offsets], axis=-1))


def _orbit(prim: Prim, base: np.ndarray, images: np.ndarray, functions: tuple[np.ndarray, ...]) -> Orbit:
    """The orbit of all different images; each keeps the order of the points, to which the labelings refer."""
    if len(np.unique(images[0])) < len(base):
        raise ValueError(f"an orbit of the file has a point twice: {base.tolist()}.")
    _, first, counts = np.unique(np.sort(images, axis=1), axis=0, return_index=True, return_counts=True)
    if np.any(counts != counts[0]):
        raise ValueError("the symmetry operations of the file are no group: they make some clusters more often.")
    positions = (prim.frac_coords[base[:, 0]] + base[:, 1:]) @ prim.lattice
    diameter = np.linalg.norm(positions[:, None] - positions, axis=-1).max()
    return Orbit(points_of_keys(images[np.sort(first)]), float(diameter), functions)


def _labelings(
    entry: Mapping[str, Any], tables: Sequence[np.ndarray], base: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The functions of an orbit, as stored: some may have been removed. Old files do not store them."""
    permutations = _permutations(images, point_keys(base))
    functions = entry.get("_bit_combos")
    if functions is None:
        functions = _regenerated_labelings(entry["bits"], permutations)
    num_functions = [len(table) - 1 for table in tables]
    return tuple(_checked_labelings(rows, num_functions, permutations) for rows in functions)


def _checked_labelings(rows: Any, num_functions: Sequence[int], permutations: np.ndarray) -> np.ndarray:
    """`[labelings, order]` site functions from 1; smol counts from 0, without the constant."""
    labelings = np.array(rows)
    is_table = labelings.ndim == 2 and labelings.shape[1] == len(num_functions) and len(labelings) > 0
    if not is_table or not np.issubdtype(labelings.dtype, np.integer):
        raise ValueError(f"the labelings of a cluster of {len(num_functions)} points came as {rows}.")
    if np.any(labelings < 0) or np.any(labelings >= np.array(num_functions)):
        raise ValueError(f"the labelings {rows} name functions that sites with {list(num_functions)} do not have.")
    listed = set(map(tuple, labelings.tolist()))
    # Each image of the cluster is listed in one of several orders, all of which must give the same.
    if any(set(map(tuple, labelings[:, p].tolist())) != listed for p in permutations):
        raise ValueError(f"symmetry makes labelings equivalent to {rows} that are not among them.")
    return labelings.astype(np.int64) + 1


def _permutations(keys: np.ndarray, own: np.ndarray) -> np.ndarray:
    """`[permutations, order]` point onto which each point falls in the images that are the base cluster itself."""
    stabilising = keys[np.all(np.sort(keys, axis=1) == np.sort(own), axis=1)]
    return np.unique(np.argsort(own)[np.searchsorted(np.sort(own), stabilising)], axis=0)


def _regenerated_labelings(bits: Sequence[Sequence[int]], permutations: np.ndarray) -> list[list[tuple[int, ...]]]:
    """Classes of equivalent labelings in smol's order, for old files that do not store them."""
    if math.prod(map(len, bits)) > _MOST_LABELINGS:
        raise ValueError(f"a cluster of {len(bits)} points has more than {_MOST_LABELINGS} labelings.")
    classes: list[list[tuple[int, ...]]] = []
    seen: set[tuple[int, ...]] = set()
    for labeling in itertools.product(*bits):
        if labeling not in seen:
            classes.append(sorted({tuple(labeling[point] for point in p) for p in permutations.tolist()}))
            seen.update(classes[-1])
    return classes


def read_site_functions(entry: Mapping[str, Any], species: Sequence[Species]) -> np.ndarray:
    """`[functions, species]` table of a site basis of the file, its columns in the order of `species`, row 0 constant.

    Raises:
        ValueError: if the basis is of an unknown kind or of other species, or its table does not fit.
    """
    composition = entry["site_space"]["composition"]
    written = [(species_of_text(text), float(amount)) for text, amount in composition.items()]
    columns = [place_of(one, list(species)) for one in in_code_order(written)]
    if sorted(columns) != list(range(len(species))):
        raise ValueError(
            f"a site basis is of {list(composition)}, but its site may hold {[one.label for one in species]}."
        )
    if entry["@class"] == "IndicatorBasis":
        return np.vstack([np.ones(len(species)), np.eye(len(species))[columns]])
    # Files of early versions call it SiteBasis.
    if entry["@class"] not in ("StandardBasis", "SiteBasis"):
        raise ValueError(f"the site basis {entry['@class']!r} is unknown: expected StandardBasis or IndicatorBasis.")
    table = numbers(entry["func_array"], "func_array", (len(species),))
    if table.ndim != 2 or np.abs(table[0] - 1).max() > 1e-8:
        raise ValueError("the first row of a func_array must be the constant 1.")
    return table[:, np.argsort(columns)]
