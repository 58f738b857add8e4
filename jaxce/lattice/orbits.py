"""Clusters, their orbits under the space group, and the symmetry-distinct cluster functions.

A lattice point is `(prim site, offset a, b, c)`; a cluster is a set of lattice points up to a translation. Nothing
here depends on the order in which operations are listed:

* the canonical form of a cluster shifts its smallest offsets to 0 and sorts its points;
* orbits are sorted by order, diameter, multiplicity and canonical form of their first cluster;
* the points of each cluster are in an order that maps it onto the first one: the lexicographically lowest such order.
"""

import dataclasses
import itertools
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup

# Distances this close (angstrom) to a cutoff count as within it, and orbits this close in diameter are sorted as equal.
DISTANCE_TOLERANCE = 1e-5
# Offsets are packed into one integer together with the site; this is their range.
_OFFSET_RANGE = 2**10
# Cells that are looked at for neighbours of a site: a usual prim and cutoff have thousands.
_MOST_CELLS = 2**18


@dataclasses.dataclass(frozen=True, eq=False)
class Orbit:
    """Clusters that the space group makes equivalent, and their cluster functions.

    Attributes:
        clusters: `[multiplicity, order, 4]` lattice points `(prim site, a, b, c)` of each cluster of one prim; the
            first point lies in cell 0 and the points of all clusters correspond to each other.
        diameter: largest distance between two points, angstrom.
        functions: one array `[labelings, order]` per cluster function: the equivalent choices of site functions
            (counted from 1; 0 is the constant) on the points, over which the function averages.
    """

    clusters: np.ndarray
    diameter: float
    functions: tuple[np.ndarray, ...]

    @property
    def order(self) -> int:
        """Number of points of a cluster."""
        return self.clusters.shape[1]

    @property
    def multiplicity(self) -> int:
        """Number of clusters per prim."""
        return len(self.clusters)

    @property
    def function_multiplicities(self) -> np.ndarray:
        """`[functions]` multiplicity times number of labelings: coefficient = ECI x this."""
        return self.multiplicity * np.array([len(labelings) for labelings in self.functions])

    def __repr__(self) -> str:
        return (
            f"Orbit(order={self.order}, diameter={self.diameter:.4f}, multiplicity={self.multiplicity}, "
            f"functions={len(self.functions)})"
        )


def build_orbits(
    prim: Prim, group: SpaceGroup, cutoffs: Mapping[int, float | int], num_functions: np.ndarray
) -> tuple[Orbit, ...]:
    """All orbits of active sites within the cutoffs, orders 0 and 1 included.

    Args:
        prim: the prim.
        group: its space group.
        cutoffs: largest distance between two points of a cluster of each order (2 or more), angstrom; inclusive,
            with a tolerance of `DISTANCE_TOLERANCE`.
        num_functions: `[sites]` site functions besides the constant.

    Raises:
        ValueError: if a cutoff is no positive number or admits no cluster.
    """
    _check_cutoffs(cutoffs)
    empty = Orbit(np.zeros((1, 0, 4), dtype=np.int64), 0.0, (np.zeros((1, 0), dtype=np.int64),))
    points = np.array([[[site, 0, 0, 0]] for site in prim.active_sites], dtype=np.int64).reshape(-1, 1, 4)
    found = _orbits_of(prim, group, points, num_functions)
    for order, cutoff in sorted(cutoffs.items()):
        clusters = _clusters_within(prim, int(order), float(cutoff))
        if len(clusters) == 0:
            raise ValueError(
                f"cutoffs[{order}] = {cutoff} angstrom admits no cluster of {order} active sites; "
                f"the smallest distance between active sites is {_smallest_distance(prim):.4f} angstrom. "
                "Raise the cutoff or leave the order out."
            )
        found += _orbits_of(prim, group, clusters, num_functions)
    return (empty, *_sorted_orbits(found))


def merged_orbit(orbits: list[Orbit]) -> Orbit:
    """One orbit with the clusters of all; its functions and diameter are those of the first.

    Raises:
        ValueError: if the orbits differ in order or functions.
    """
    first = orbits[0]
    for other in orbits[1:]:
        same_functions = len(first.functions) == len(other.functions) and all(
            np.array_equal(a, b) for a, b in zip(first.functions, other.functions, strict=True)
        )
        if first.order != other.order or not same_functions:
            raise ValueError(f"only orbits of one order with the same functions can be merged, not {first}, {other}.")
    return dataclasses.replace(first, clusters=np.concatenate([orbit.clusters for orbit in orbits]))


def canonical_keys(clusters: np.ndarray) -> np.ndarray:
    """`[clusters, order]` integers that are equal for clusters that differ by a translation or the order of points."""
    return np.sort(point_keys(clusters), axis=-1)


def _check_cutoffs(cutoffs: Any) -> None:
    if not isinstance(cutoffs, Mapping):
        raise ValueError(f"`cutoffs` must map orders to distances, such as {{2: 7.0, 3: 5.0}}, but is {cutoffs!r}.")
    for order, cutoff in cutoffs.items():
        if not isinstance(order, int | np.integer) or order < 2:
            raise ValueError(f"the keys of `cutoffs` are cluster orders from 2 on, such as {{2: 7.0}}, not {order!r}.")
        if not isinstance(cutoff, numbers.Real) or not 0 < cutoff < np.inf:
            raise ValueError(f"cutoffs[{order}] must be a positive distance in angstrom, but is {cutoff!r}.")


def point_keys(clusters: np.ndarray) -> np.ndarray:
    """`[..., order]` one integer per point, relative to the smallest offsets; ascending as (site, a, b, c)."""
    if clusters.shape[-2] == 0:
        return clusters[..., 0]
    offsets = clusters[..., 1:] - clusters[..., 1:].min(axis=-2, keepdims=True)
    if offsets.max(initial=0) >= _OFFSET_RANGE:
        raise ValueError(f"a cluster spans {offsets.max()} cells; jaxce allows {_OFFSET_RANGE}: lower the cutoff.")
    key = clusters[..., 0]
    for axis in range(3):
        key = key * _OFFSET_RANGE + offsets[..., axis]
    return key


def points_of_keys(keys: np.ndarray) -> np.ndarray:
    """Inverse of `point_keys`, with the first point of each cluster moved into cell 0."""
    columns = []
    for _ in range(3):
        keys, offset = np.divmod(keys, _OFFSET_RANGE)
        columns.append(offset)
    points = np.stack([keys, *columns[::-1]], axis=-1)
    points[..., 1:] -= points[..., :1, 1:].copy()
    return points


def _positions(prim: Prim, points: np.ndarray) -> np.ndarray:
    return (prim.frac_coords[points[..., 0]] + points[..., 1:]) @ prim.lattice


def _diameter(prim: Prim, cluster: np.ndarray) -> float:
    positions = _positions(prim, cluster)
    return float(np.linalg.norm(positions[:, None, :] - positions[None, :, :], axis=-1).max(initial=0.0))


def _smallest_distance(prim: Prim) -> float:
    """Smallest distance between two active sites, periodic images included; infinite without any."""
    sites = prim.active_sites.tolist()
    if len(sites) == 0:
        return np.inf
    shortest_vector = min(np.linalg.norm(prim.lattice, axis=1))
    origins = [_positions(prim, np.array([site, 0, 0, 0])) for site in sites]
    distances = [
        np.linalg.norm(_positions(prim, _neighbours(prim, site, shortest_vector)) - origin, axis=-1)
        for site, origin in zip(sites, origins, strict=True)
    ]
    return min(float(d.min()) for d in distances if len(d))


def _neighbours(prim: Prim, site: int, cutoff: float) -> np.ndarray:
    """`[neighbours, 4]` active lattice points within the cutoff of `site` in cell 0, itself excluded."""
    reach = cutoff + DISTANCE_TOLERANCE
    # A sphere of radius r spans r / (distance between lattice planes) cells along each vector, plus the cell itself.
    planes = np.linalg.norm(np.linalg.inv(prim.lattice), axis=0)
    spread = np.ptp(prim.frac_coords, axis=0)
    extent = np.ceil(reach * planes + spread)
    # In floats, which do not overflow.
    num_cells = math.prod((2 * extent + 1).tolist())
    if num_cells > _MOST_CELLS:
        raise ValueError(
            f"{num_cells:.3g} cells of the lattice {prim.lattice.tolist()} may be within {cutoff:.4g} angstrom of a "
            f"site, but at most {_MOST_CELLS} are looked at: give a smaller cutoff, or reduce the cell, as by "
            "ase.build.niggli_reduce."
        )
    cells = np.array(list(itertools.product(*(range(-n, n + 1) for n in extent.astype(int)))))
    active = prim.active_sites
    points = np.concatenate([np.repeat(active, len(cells))[:, None], np.tile(cells, (len(active), 1))], axis=1)
    distances = np.linalg.norm(_positions(prim, points) - prim.frac_coords[site] @ prim.lattice, axis=-1)
    is_self = np.all(points == [site, 0, 0, 0], axis=1)
    return points[(distances <= reach) & ~is_self]


def _clusters_within(prim: Prim, order: int, cutoff: float) -> np.ndarray:
    """`[clusters, order, 4]` different clusters whose points all lie within the cutoff of each other."""
    keys = [np.zeros((0, order), dtype=np.int64)]
    for site in prim.active_sites.tolist():
        neighbours = _neighbours(prim, site, cutoff)
        positions = _positions(prim, neighbours)
        distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        members = _cliques(distances <= cutoff + DISTANCE_TOLERANCE, order - 1)
        origin = np.broadcast_to([site, 0, 0, 0], (len(members), 1, 4))
        keys.append(canonical_keys(np.concatenate([origin, neighbours[members]], axis=1)))
    return points_of_keys(np.unique(np.concatenate(keys), axis=0))


def _cliques(adjacent: np.ndarray, size: int) -> np.ndarray:
    """`[cliques, size]` ascending index sets that are pairwise adjacent."""
    later = np.triu(adjacent, k=1)
    members = np.arange(len(adjacent))[:, None]
    for _ in range(size - 1):
        common = later[members].all(axis=1)
        clique, new = np.nonzero(common)
        members = np.concatenate([members[clique], new[:, None]], axis=1)
    return members


def _orbits_of(prim: Prim, group: SpaceGroup, clusters: np.ndarray, num_functions: np.ndarray) -> list[Orbit]:
    """The orbits of all given clusters."""
    orbits = []
    assigned: set[bytes] = set()
    for cluster, key in zip(clusters, canonical_keys(clusters), strict=True):
        if key.tobytes() in assigned:
            continue
        images, permutations = _images(group, cluster)
        assigned.update(row.tobytes() for row in canonical_keys(images))
        labelings = distinct_labelings(num_functions[cluster[:, 0]], permutations)
        # A site may have the constant alone; clusters with it have no function.
        if labelings:
            orbits.append(Orbit(images, _diameter(prim, images[0]), labelings))
    return orbits


def _images(group: SpaceGroup, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clusters of the orbit, the given one first, and the permutations of its points onto itself.

    The given cluster must be the canonically lowest of its orbit for the result to be independent of where one starts.
    """
    sites, offsets = group.apply(slice(None), cluster[:, 0], cluster[:, 1:])
    images = np.concatenate([sites[..., None], offsets], axis=-1)
    ordered = point_keys(images)
    canonical = np.sort(ordered, axis=1)
    # Sort by cluster first and by the order of its points second; the first row of each cluster is kept.
    rows = np.lexsort(np.concatenate([canonical, ordered], axis=1).T[::-1])
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = np.any(canonical[rows[1:]] != canonical[rows[:-1]], axis=1)
    own = point_keys(cluster)
    stabilising = ordered[np.all(canonical == np.sort(own), axis=1)]
    permutations = np.unique(np.argsort(own)[np.searchsorted(np.sort(own), stabilising)], axis=0)
    return points_of_keys(ordered[rows[is_first]]), permutations


def distinct_labelings(num_functions: np.ndarray, permutations: np.ndarray) -> tuple[np.ndarray, ...]:
    """Classes of site-function choices that the permutations map into each other, in lexicographic order."""
    labelings = np.array(list(itertools.product(*(range(1, count + 1) for count in num_functions))), dtype=np.int64)
    labelings = labelings.reshape(-1, len(num_functions))
    base = np.concatenate([[1], np.cumprod(num_functions[::-1] + 1)])[:-1][::-1]
    # Point j goes to point p[j] and takes its function along; the lowest image names the class.
    images = np.stack([labelings[:, np.argsort(p)] @ base for p in permutations])
    lowest = images.min(axis=0)
    return tuple(labelings[lowest == value] for value in np.unique(lowest))


def _sorted_orbits(orbits: list[Orbit]) -> list[Orbit]:
    diameters = np.array([orbit.diameter for orbit in orbits])
    by_size = np.argsort(diameters, kind="stable")
    starts_shell = np.diff(diameters[by_size], prepend=diameters[by_size][:1]) > DISTANCE_TOLERANCE
    shells = np.empty(len(orbits), dtype=int)
    shells[by_size] = np.cumsum(starts_shell)
    keys = [canonical_keys(orbit.clusters).tolist() for orbit in orbits]
    ranks = [(o.order, shells[i], o.multiplicity, min(keys[i]), i) for i, o in enumerate(orbits)]
    return [orbits[rank[-1]] for rank in sorted(ranks)]
