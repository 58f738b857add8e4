"""From CASM's prototypes and formulas to orbits, cluster functions and coefficients."""

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from jaxce.io.casm.basis import CasmOrbit
from jaxce.io.casm.formulas import SiteFunction, parsed_formula
from jaxce.lattice.orbits import Orbit, distinct_labelings, point_keys
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup

# For each prim site its functions by number: values in the order of the species.
_Tables = Sequence[Mapping[int, np.ndarray]]

# Tables have twelve digits in older files, coefficients in formulas some more or less.
_ROUNDING = 1e-6
_CONSTANT = 1e-9
# Arrangements of species on one cluster; ten points of four species have as many.
_MOST_ARRANGEMENTS = 2**20


def stacked_site_functions(prim: Prim, tables: _Tables) -> list[np.ndarray]:
    """For each prim site `[functions, species]`: the constant 1, then the others by ascending number.

    Raises:
        ValueError: if a site has not as many independent functions as species.
    """
    stacked = []
    for site, species in enumerate(prim.species):
        table = np.array([np.ones(len(species)), *(tables[site][i] for i in varying_functions(tables[site]))])
        if len(table) != len(species) or np.linalg.matrix_rank(table) < len(species):
            raise ValueError(
                f"site {site} with the species {list(species)} needs {len(species) - 1} independent site functions "
                f"besides the constant, but the basis set has {table[1:].tolist()}."
            )
        stacked.append(table)
    return stacked


def varying_functions(table: Mapping[int, np.ndarray]) -> list[int]:
    """Numbers of the site functions that are not the constant 1, ascending."""
    return [number for number in sorted(table) if np.abs(table[number] - 1).max() > _CONSTANT]


def orbit_of_prototype(prim: Prim, group: SpaceGroup, prototype: CasmOrbit, num_functions: np.ndarray) -> Orbit:
    """The orbit of a prototype, which is its first cluster with the points in the file's order.

    Args:
        prim: the prim.
        group: its space group.
        prototype: the orbit as the file describes it.
        num_functions: `[sites]` site functions besides the constant.

    Raises:
        ValueError: if the prototype has points that do not exist, are inactive or coincide, or the space group makes
            another number of clusters of it than the file says.
    """
    sites = prototype.sites
    _check_points(prim, sites)
    if len(sites) == 0:
        return Orbit(np.zeros((1, 0, 4), dtype=np.int64), 0.0, (np.zeros((1, 0), dtype=np.int64),))
    image_sites, image_offsets = group.apply(slice(None), sites[:, 0], sites[:, 1:])
    images = np.concatenate([image_sites[..., None], image_offsets], axis=-1)
    keys = point_keys(images)
    names = np.sort(keys, axis=1)
    # The identity comes first, so the prototype itself does.
    _, places = np.unique(names, axis=0, return_index=True)
    clusters = images[np.sort(places)]
    clusters[..., 1:] -= clusters[:, :1, 1:].copy()
    if len(clusters) != prototype.multiplicity:
        raise ValueError(
            f"the orbit of {sites.tolist()} has {prototype.multiplicity} clusters per prim in the basis set, but the "
            f"space group of the prim ({len(group.rotations)} operations) makes {len(clusters)}. Was the basis set "
            "made with a subgroup (generating_group), another tolerance, or for another prim?"
        )
    own = np.argsort(keys[0])
    permutations = np.unique(own[np.searchsorted(keys[0][own], keys[np.all(names == names[0], axis=1)])], axis=0)
    positions = (prim.frac_coords[sites[:, 0]] + sites[:, 1:]) @ prim.lattice
    diameter = float(np.linalg.norm(positions[:, None] - positions, axis=-1).max())
    return Orbit(clusters, diameter, distinct_labelings(num_functions[sites[:, 0]], permutations))


def prototype_values(prototype: CasmOrbit, tables: _Tables, coefficients: Mapping[int, float]) -> np.ndarray:
    """`[species of the first point, of the second, ...]` sum of coefficients times functions on the prototype.

    Raises:
        ValueError: if a formula cannot be read or does not fit the prototype.
    """
    sites = prototype.sites[:, 0].tolist()
    varying = [varying_functions(table) for table in tables]
    values = np.zeros([len(next(iter(tables[site].values()))) for site in sites])
    for function in prototype.functions:
        if coefficients.get(function.number):
            for term in parsed_formula(function.formula):
                product = _product(term.functions, sites, tables, varying)
                values += coefficients[function.number] * term.coefficient * product
    return values


def orbit_coefficients(values: np.ndarray, orbit: Orbit, site_functions: Sequence[np.ndarray]) -> list[float]:
    """The coefficient of each cluster function of an orbit, such that they give the values on the first cluster.

    Raises:
        ValueError: if the values are not the same for equivalent labelings, or contain functions of fewer points.
    """
    tensor = values
    for axis, site in enumerate(orbit.clusters[0, :, 0]):
        change = np.linalg.inv(site_functions[site])
        tensor = np.moveaxis(np.tensordot(tensor, change, axes=(axis, 0)), -1, axis)
    allowed = _ROUNDING * np.abs(tensor).max()
    inner = tensor[(slice(1, None),) * tensor.ndim]
    found = [tensor[tuple(labelings.T)] for labelings in orbit.functions]
    if orbit.order and abs(np.abs(tensor).sum() - np.abs(inner).sum()) > allowed:
        raise ValueError(f"the functions of the orbit of {orbit.clusters[0].tolist()} do not involve all its points.")
    if any(np.ptp(np.atleast_1d(values)) > allowed for values in found):
        raise ValueError(
            f"the functions of the orbit of {orbit.clusters[0].tolist()} are not invariant under the operations of the "
            "space group that leave the cluster as it is. Was the basis set made with a subgroup (generating_group)?"
        )
    return [float(np.sum(values)) for values in found]


def _check_points(prim: Prim, sites: np.ndarray) -> None:
    for site in sites[:, 0].tolist():
        if not 0 <= site < prim.num_sites or len(prim.species[site]) == 1:
            raise ValueError(
                f"a prototype has a point on site {site}, which is no site of {prim} with several species."
            )
    if len(np.unique(sites, axis=0)) != len(sites):
        raise ValueError(f"the prototype {sites.tolist()} has the same point twice.")
    if math.prod(len(prim.species[site]) for site in sites[:, 0]) > _MOST_ARRANGEMENTS:
        raise ValueError(
            f"a prototype has {len(sites)} points, too many: species can be arranged on it in more than "
            f"{_MOST_ARRANGEMENTS} ways."
        )


def _product(
    functions: Sequence[SiteFunction], sites: list[int], tables: _Tables, varying: list[list[int]]
) -> np.ndarray:
    """`[species of the first point, ...]` the product of site functions."""
    factors = [np.ones(len(next(iter(tables[site].values())))) for site in sites]
    for place, function in enumerate(functions):
        point = place if function.point is None else function.point
        if point >= len(sites):
            raise ValueError(f"a formula has a site function on point {point}, but its prototype has {len(sites)}.")
        factors[point] = factors[point] * _values(function, sites[point], tables, varying)
    return functools.reduce(np.multiply.outer, factors, np.array(1.0))


def _values(function: SiteFunction, site: int, tables: _Tables, varying: list[list[int]]) -> np.ndarray:
    """Values of a site function on a site.

    CASM 2 leaves out the number of the function where no site has two, and the sublattice where all sites agree.
    """
    indices = function.indices
    if max(map(len, varying)) == 1 and len(indices) < 2:
        indices = (*(indices or (site,)), varying[site][0])
    elif len(indices) == 1:
        indices = (site, *indices)
    if len(indices) != 2 or indices[0] != site or indices[1] not in tables[site]:
        raise ValueError(
            f"a formula has the site function {list(function.indices)} on a point of sublattice {site}, which has the "
            f"functions {sorted(tables[site])}."
        )
    return tables[site][indices[1]]
