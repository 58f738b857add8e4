"""An expansion in the trigonometric site functions, whatever it was in before."""

import functools
from collections.abc import Sequence

import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.io.labelled_clusters import LabelledClusters
from jaxce.lattice.orbits import Orbit
from jaxce.lattice.prim import Prim
from jaxce.lattice.site_basis import prim_site_functions

# Of a change of basis, whose numbers are of order 1.
_ZERO = 1e-12
# Weights of equivalent clusters differ by less than this part of the largest.
_EQUAL = 1e-9


def in_trigonometric_form(expansion: ClusterExpansion) -> ClusterExpansion:
    """The same energy on orbits of the prim's space group with trigonometric site functions.

    If the expansion has that form but for the order of its correlations, its coefficients are taken over to the last
    bit. Otherwise each product of site functions is written as a sum of products of trigonometric ones, on the cluster
    and its subclusters, exactly.

    Raises:
        ValueError: if the model is less symmetric than its prim.
    """
    space = expansion.space
    wanted = prim_site_functions(space.prim, "trigonometric")
    is_trigonometric = all(np.array_equal(a, b) for a, b in zip(space.site_functions, wanted, strict=True))
    matched = _matched(expansion) if is_trigonometric else None
    return _re_expanded(expansion, wanted) if matched is None else matched


def _matched(expansion: ClusterExpansion) -> ClusterExpansion | None:
    """The expansion in another order, if each of its correlations is one that symmetry alone gives."""
    space = expansion.space
    target = ClusterSpace(space.prim, _diameters(space.prim, space.orbits))
    labelled = LabelledClusters(target)
    places = []
    for orbit in space.orbits:
        for labelings in orbit.functions:
            numbers = _numbers(labelled, orbit, labelings)
            found = np.unique(labelled.correlation[numbers])
            if len(found) > 1 or len(np.unique(numbers)) != target.multiplicities[found[0]]:
                return None
            places.append(int(found[0]))
    if len(set(places)) < len(places):
        return None
    coefficients = np.zeros(target.num_correlations)
    coefficients[places] = expansion.coefficients
    return _reduced(target, coefficients, set(places))


def _re_expanded(expansion: ClusterExpansion, wanted: Sequence[np.ndarray]) -> ClusterExpansion:
    space = expansion.space
    changes = [_basis_change(*tables) for tables in zip(space.site_functions, wanted, strict=True)]
    diameters = _diameters(space.prim, space.orbits)
    # Subclusters are no larger than the clusters.
    orders = range(2, max(diameters, default=1) + 1)
    reach = {order: max(d for larger, d in diameters.items() if larger >= order) for order in orders}
    target = ClusterSpace(space.prim, reach)
    labelled = LabelledClusters(target)
    weights, is_met = np.zeros(len(labelled.correlation)), np.zeros(len(labelled.correlation), dtype=bool)
    start = 0
    for orbit in space.orbits:
        tensor, exists = _changed(orbit, expansion.ecis[start : start + len(orbit.functions)], changes)
        start += len(orbit.functions)
        for labels in np.argwhere(exists):
            kept = np.flatnonzero(labels)
            numbers = _numbers(labelled, orbit, labels[None, kept], kept)
            np.add.at(weights, numbers, tensor[tuple(labels)])
            is_met[numbers] = True
    _check_symmetric(weights, labelled.correlation)
    coefficients = np.bincount(labelled.correlation, weights, minlength=target.num_correlations)
    return _reduced(target, coefficients, set(labelled.correlation[is_met].tolist()))


def _reduced(space: ClusterSpace, coefficients: np.ndarray, kept: set[int]) -> ClusterExpansion:
    absent = [index for index in range(1, space.num_correlations) if index not in kept]
    return ClusterExpansion(space, coefficients).without_correlations(absent)


def _numbers(
    labelled: LabelledClusters, orbit: Orbit, labelings: np.ndarray, kept: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Numbers of all clusters of an orbit, or of the kept points of them, with all the labelings."""
    clusters = orbit.clusters[:, kept]
    points = np.repeat(clusters, len(labelings), axis=0)
    return labelled.numbers(points, np.tile(labelings, (len(clusters), 1)))


def _diameters(prim: Prim, orbits: Sequence[Orbit]) -> dict[int, float]:
    """For each number of active points from 2 on the largest diameter of a cluster, angstrom."""
    largest: dict[int, float] = {}
    is_active = prim.num_species > 1
    for orbit in orbits:
        points = orbit.clusters[:, is_active[orbit.clusters[0, :, 0]]]
        order = points.shape[1]
        if order > 1:
            positions = (prim.frac_coords[points[..., 0]] + points[..., 1:]) @ prim.lattice
            distances = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
            largest[order] = max(largest.get(order, 0.0), float(distances.max()))
    return largest


def _basis_change(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """`[functions, wanted functions]`: how each function is made of the wanted ones."""
    change = table @ np.linalg.inv(wanted)
    return np.where(np.abs(change) < _ZERO, 0.0, change)


def _changed(orbit: Orbit, ecis: np.ndarray, changes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all products of wanted functions on one cluster, and which of them the old functions give."""
    of_points = [changes[site] for site in orbit.clusters[0, :, 0]]
    weights, is_present = np.zeros([len(c) for c in of_points]), np.zeros([len(c) for c in of_points])
    for eci, labelings in zip(ecis, orbit.functions, strict=True):
        weights[tuple(labelings.T)] = eci
        is_present[tuple(labelings.T)] = 1
    exists = np.asarray(_contracted(is_present, [np.abs(change) for change in of_points]) > 0)
    return _contracted(weights, of_points), exists


def _contracted(tensor: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    return functools.reduce(lambda t, matrix: np.tensordot(t, matrix, axes=(0, 0)), matrices, tensor)


def _check_symmetric(weights: np.ndarray, correlation: np.ndarray) -> None:
    lowest, highest = np.full(correlation.max() + 1, np.inf), np.full(correlation.max() + 1, -np.inf)
    np.minimum.at(lowest, correlation, weights)
    np.maximum.at(highest, correlation, weights)
    if np.any(highest - lowest > _EQUAL * np.abs(weights).max()):
        raise ValueError(
            "clusters that the prim's symmetry makes equivalent have different energies in this model: give its sites "
            "different `labels` in the prim."
        )
