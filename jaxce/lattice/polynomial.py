"""The energy of one prim as a polynomial in integer site functions.

Every cluster function, whatever the site basis, is re-expanded here in functions with values -1, 0 and 1. They are
closed under multiplication, which makes repeated sites in small supercells easy to fold, and products of them are exact
in 8-bit integers. For two species the function is (-1, +1); for more, function k is 1 on the k-th species and 0
elsewhere, and the last species is the reference.
"""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxce.lattice.orbits import Orbit, point_keys, points_of_keys

# Weights that the change of basis makes zero come out below this; the functions themselves are of order 1.
_ZERO = 1e-12


class Polynomial(NamedTuple):
    """`constant + sum over terms of weight * product of integer site functions`, per prim.

    Attributes:
        constant: eV per prim.
        points: for order 1, 2, ...: `[terms, order, 4]` lattice points of each term.
        functions: `[terms, order]` site function (from 1) on each point.
        weights: `[terms]` eV.
        marks: `[terms]` weights that random ECIs would give: equal where symmetry makes weights equal, else unequal.
    """

    constant: float
    points: tuple[np.ndarray, ...]
    functions: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    marks: tuple[np.ndarray, ...]


def integer_site_functions(num_species: int) -> np.ndarray:
    """`[species, species]` the integer site functions of a site, row 0 the constant 1."""
    if num_species == 2:
        return np.array([[1, 1], [-1, 1]])
    return np.vstack([np.ones(num_species, dtype=int), np.eye(num_species, dtype=int)[:-1]])


def energy_polynomial(orbits: Iterable[Orbit], ecis: np.ndarray, site_functions: tuple[np.ndarray, ...]) -> Polynomial:
    """The polynomial whose value is the energy of one prim.

    Which terms exist depends on the orbits and the site basis only, never on the values of the ECIs.

    Args:
        orbits: the orbits.
        ecis: `[correlations]` energy per cluster and labeling, eV.
        site_functions: `[functions, species]` for each prim site.
    """
    changes = tuple(_basis_change(table) for table in site_functions)
    orbits = tuple(orbits)
    random_ecis = np.random.default_rng(0).normal(size=len(ecis))
    _, _, _, marks = _expanded(orbits, random_ecis, changes)
    return Polynomial(*_expanded(orbits, ecis, changes), marks)


def _expanded(orbits: tuple[Orbit, ...], ecis: np.ndarray, changes: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    """Constant, points, functions and weights."""
    constant = 0.0
    terms: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    start = 0
    for orbit in orbits:
        tensor, exists = _orbit_tensor(orbit, ecis[start : start + len(orbit.functions)], changes)
        start += len(orbit.functions)
        for labels in np.argwhere(exists):
            kept = np.flatnonzero(labels)
            weight = tensor[tuple(labels)]
            if len(kept) == 0:
                constant += orbit.multiplicity * float(weight)
                continue
            points = orbit.clusters[:, kept]
            rows = (points, np.broadcast_to(labels[kept], points.shape[:2]), np.full(len(points), weight))
            terms.setdefault(len(kept), []).append(rows)
    orders = range(1, max(terms, default=0) + 1)
    unique = [_added_up(terms[order]) if order in terms else _no_terms(order) for order in orders]
    points, functions, weights = zip(*unique, strict=True) if unique else ((), (), ())
    return constant, points, functions, weights


def folded(sites: np.ndarray, functions: np.ndarray, num_species: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Terms `[terms, order]` with every site named at most once per term.

    A repeated site keeps one factor; the others become the constant (function 0). A product that vanishes identically
    has function -1 somewhere.

    Args:
        sites: site of each factor.
        functions: integer site function of each factor.
        num_species: number of species on the site of each factor.

    Returns:
        The sites, sorted within each term, and their functions.
    """
    order = np.argsort(sites, axis=1, kind="stable")
    sites, functions, num_species = (np.take_along_axis(a, order, axis=1) for a in (sites, functions, num_species))
    functions = functions.copy()
    for j in range(1, sites.shape[1]):
        is_repeated = sites[:, j] == sites[:, j - 1]
        product = _product(functions[:, j - 1], functions[:, j], num_species[:, j])
        functions[:, j] = np.where(is_repeated, product, functions[:, j])
        functions[:, j - 1] = np.where(is_repeated & (functions[:, j - 1] > 0), 0, functions[:, j - 1])
    return sites, functions


def _product(first: np.ndarray, second: np.ndarray, num_species: np.ndarray) -> np.ndarray:
    """The function that equals the product of two integer functions of one site; -1 stands for zero."""
    square = np.where(num_species == 2, 0, first)  # (+-1)^2 = 1, indicator^2 = indicator
    both = np.where(first == second, square, -1)
    return np.where(first == 0, second, np.where(second == 0, first, both))


def _basis_change(table: np.ndarray) -> np.ndarray:
    """`[functions, integer functions]`: how each site function is made of integer ones."""
    return table @ np.linalg.inv(integer_site_functions(table.shape[1]))


def _orbit_tensor(orbit: Orbit, ecis: np.ndarray, changes: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all products of integer functions on one cluster, and which of them the basis lets exist."""
    of_points = [changes[site] for site in orbit.clusters[0, :, 0]]
    shape = tuple(len(change) for change in of_points)
    weights, is_present = np.zeros(shape), np.zeros(shape)
    for eci, labelings in zip(ecis, orbit.functions, strict=True):
        weights[tuple(labelings.T)] = eci
        is_present[tuple(labelings.T)] = 1
    exists = _contracted(is_present, [np.abs(change) for change in of_points]) > _ZERO
    return _contracted(weights, of_points), np.asarray(exists)


def _contracted(tensor: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    # Contracting the first axis appends the new one at the end, so after all of them the order is the old one.
    return functools.reduce(lambda t, matrix: np.tensordot(t, matrix, axes=(0, 0)), matrices, tensor)


def _added_up(
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Different terms of one order, with the weights of equal ones added."""
    points, functions, weights = (np.concatenate(part) for part in zip(*rows, strict=True))
    keys = point_keys(points)
    order = np.argsort(keys, axis=1)
    keys, functions = np.take_along_axis(keys, order, axis=1), np.take_along_axis(functions, order, axis=1)
    unique, inverse = np.unique(np.concatenate([keys, functions], axis=1), axis=0, return_inverse=True)
    keys, functions = np.split(unique, 2, axis=1)
    return points_of_keys(keys), functions, np.bincount(inverse.ravel(), weights, minlength=len(unique))


def _no_terms(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((0, order, 4), dtype=np.int64), np.zeros((0, order), dtype=np.int64), np.zeros(0)
