"""Groups of cluster functions that belong together in a fit: those of an orbit, and an orbit with its sub-clusters."""

import collections
import itertools

import numpy as np

from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.orbits import Orbit, canonical_keys


def orbit_groups(space: ClusterSpace) -> list[np.ndarray]:
    """Places in the correlation vector of the functions of each orbit, orbit by orbit, the empty cluster left out."""
    return [np.flatnonzero(space.orbit_of_correlation == index) for index in _orbits_with_points(space)]


def sub_cluster_groups(space: ClusterSpace) -> list[np.ndarray]:
    """For each orbit but the empty one, the places of its functions and of those of all its sub-clusters.

    A union of such groups holds with a cluster all its sub-clusters, points included. Sub-clusters that the space does
    not have are simply not there: with a pair cutoff below that of the triplets, some pairs of triplets are missing.
    """
    orbits_of = collections.defaultdict(set)
    for index in _orbits_with_points(space):
        for key in canonical_keys(space.orbits[index].clusters):
            orbits_of[key.tobytes()].add(index)
    groups = []
    for index in _orbits_with_points(space):
        members = {index}
        for key in _sub_cluster_keys(space.orbits[index]):
            members |= orbits_of.get(key, set())
        groups.append(np.flatnonzero(np.isin(space.orbit_of_correlation, sorted(members))))
    return groups


def _orbits_with_points(space: ClusterSpace) -> list[int]:
    return [index for index, orbit in enumerate(space.orbits) if orbit.order]


def _sub_cluster_keys(orbit: Orbit) -> set[bytes]:
    """Canonical forms of all proper sub-clusters with at least one point."""
    return {
        key.tobytes()
        for size in range(1, orbit.order)
        for points in itertools.combinations(range(orbit.order), size)
        for key in canonical_keys(orbit.clusters[:, list(points)])
    }
