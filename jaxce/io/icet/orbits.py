"""Orbits in the order of icet, on which the meaning of its parameters depends: its files hold no orbits.

icet reads clusters from a table of equivalent sites: one row for each *reference site* (the sites of the cell at the
origin and all within the largest cutoff of them), one column for each symmetry operation. Here a lattice point is
`(prim site, a, b, c)`, and points and clusters are compared as such tuples are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxce.io.icet.representatives import labelled_orbit
from jaxce.lattice.orbits import Orbit
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup

# Offsets are packed into one integer together with the site; this is their range to either side.
_REACH = 2**12
# Far beyond what anyone fits; more would only fill memory and time.
_MOST_NEIGHBOURS = 20_000
_MOST_NEIGHBOURS_IN_TRIPLETS = 2000
_MOST_CLUSTERS = 2_000_000
_MOST_ORBITS = 50_000
_MOST_ENTRIES = 500_000_000
_CHUNK = 20_000


class FoundOrbit(NamedTuple):
    """Clusters of one orbit as icet lists them.

    Attributes:
        clusters: `[clusters, order, 4]` one translation of each, the points in icet's order; the representative first.
        radius: mean distance of the representative's points to their centre, angstrom.
    """

    clusters: np.ndarray
    radius: float


def icet_orbits(
    prim: Prim, group: SpaceGroup, cutoffs: Sequence[float], position_tolerance: float
) -> tuple[list[Orbit], list[tuple[int, ...]]]:
    """Orbits of active sites in the order of icet, without the empty cluster, and those that tie.

    The functions of an orbit are in icet's order, too.

    Args:
        prim: icet's primitive cell.
        group: its operations in the order of spglib.
        cutoffs: largest distances in pairs, triplets, ..., angstrom, inclusive.
        position_tolerance: icet's tolerance of distances, angstrom.

    Returns:
        The orbits, and groups of indices of them that have the same order, radius and number of clusters, so that only
        details of the symmetry search decide which comes first.

    Raises:
        ValueError: if the cutoffs admit more clusters than anyone would fit.
    """
    finder = _OrbitFinder(prim, group, cutoffs, 4 * position_tolerance)
    # All clusters before the first orbit: too many of them are found at once.
    clusters = [finder.clusters(order) for order in range(1, len(cutoffs) + 2)]
    found = [orbit for of_order in clusters for orbit in finder.orbits(of_order)]
    ranks = _ranks(found, position_tolerance)
    order = sorted(range(len(found)), key=lambda i: (*ranks[i], found[i].clusters[0].tolist()))
    active = [i for i in order if np.all(prim.num_species[found[i].clusters[0, :, 0]] > 1)]
    tied: dict[tuple[int, ...], list[int]] = {}
    for place, i in enumerate(active):
        tied.setdefault(ranks[i], []).append(place)
    ties = [group for places in tied.values() for group in _undecided(places, [found[i].clusters for i in active])]
    return [labelled_orbit(prim, group, found[i].clusters) for i in active], ties


def _undecided(places: Sequence[int], clusters: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """Those of some orbits, alike in rank, whose order the numbers of their sites do not decide."""
    groups: list[list[int]] = []
    highest = -1
    for place in places:
        sites = clusters[place][..., 0]
        # Representatives are compared by their sites first. Single points are nothing else.
        if sites.min() > highest or sites.shape[1] == 1:
            groups.append([])
        groups[-1].append(place)
        highest = max(highest, int(sites.max()))
    return [tuple(group) for group in groups if len(group) > 1]


def _ranks(orbits: Sequence[FoundOrbit], position_tolerance: float) -> list[tuple[int, ...]]:
    """By order, shell of radii, and number of clusters."""
    radii = np.array([orbit.radius for orbit in orbits])
    by_radius = np.argsort(radii, kind="stable")
    shells = np.empty(len(orbits), dtype=int)
    shells[by_radius] = np.cumsum(np.diff(radii[by_radius], prepend=radii[by_radius][:1]) > position_tolerance)
    return [(o.clusters.shape[1], int(shell), len(o.clusters)) for o, shell in zip(orbits, shells, strict=True)]


class _OrbitFinder:
    """The table of equivalent sites of a prim, and the search for orbits in it.

    Attributes:
        neighbours: for each prim site, the points within the largest cutoff of it, ascending.
        reference: `[rows, 4]` the reference sites.
    """

    def __init__(self, prim: Prim, group: SpaceGroup, cutoffs: Sequence[float], margin: float):
        self.prim, self.group, self.cutoffs, self.margin = prim, group, cutoffs, margin
        reach = max(cutoffs, default=0.0) + margin
        self.neighbours = [_neighbours(prim, site, reach) for site in range(prim.num_sites)]
        origins = np.array([[site, 0, 0, 0] for site in range(prim.num_sites)])
        listed = [np.concatenate([origins[site : site + 1], points]) for site, points in enumerate(self.neighbours)]
        points = np.concatenate(listed)
        _, first = np.unique(_point_keys(points), return_index=True)
        self.reference = points[np.sort(first)]
        keys = _point_keys(self.reference)
        self._row_of_sorted = np.argsort(keys)
        self._sorted_keys = keys[self._row_of_sorted]

    def clusters(self, order: int) -> np.ndarray:
        """`[clusters, order, 4]` clusters that start at a site of the origin cell, the others ascending after it."""
        origins = np.array([[[site, 0, 0, 0]] for site in range(self.prim.num_sites)])
        if order == 1:
            return origins
        cutoff = self.cutoffs[order - 2] + self.margin
        listed = [np.zeros((0, order, 4), dtype=np.int64)]
        for site, origin in enumerate(origins):
            points = self.neighbours[site]
            positions = _positions(self.prim, points)
            near = np.linalg.norm(positions - self.prim.frac_coords[site] @ self.prim.lattice, axis=1) < cutoff
            later = near & (_point_keys(points) > _point_keys(origin))
            members = _cliques(positions[later], cutoff, order - 1)
            starts = np.broadcast_to(origin, (len(members), 1, 4))
            listed.append(np.concatenate([starts, points[later][members]], axis=1))
            if sum(map(len, listed)) > _MOST_CLUSTERS:
                raise ValueError(f"the cutoffs admit more than {_MOST_CLUSTERS} clusters of {order} points.")
        return np.concatenate(listed)

    def orbits(self, clusters: np.ndarray) -> list[FoundOrbit]:
        """The orbits of clusters `[clusters, order, 4]`, in the order in which they are found."""
        taken: set[bytes] = set()
        found: list[FoundOrbit] = []
        for rows in self._row_sets(clusters):
            orbit = None if rows.tobytes() in taken else self._orbit(rows, taken)
            if orbit is not None:
                found.append(orbit)
            if len(found) > _MOST_ORBITS:
                raise ValueError(f"the cutoffs admit more than {_MOST_ORBITS} orbits of {clusters.shape[1]} points.")
        return found

    def _row_sets(self, clusters: np.ndarray) -> np.ndarray:
        """`[different labels, order]` rows of the labels of clusters, in the order of the clusters."""
        if len(clusters) == 0:
            return np.zeros((0, clusters.shape[1]), dtype=np.int32)
        listed = []
        for start in range(0, len(clusters), _CHUNK):
            keys, rows, is_known = self._translations(clusters[start : start + _CHUNK])
            label = _lowest(keys, is_known)
            listed.append(np.sort(rows[np.arange(len(rows)), label], axis=-1)[is_known.any(axis=1)])
        rows = np.concatenate(listed)
        _, first = np.unique(rows, axis=0, return_index=True)
        return rows[np.sort(first)].astype(np.int32)

    def _orbit(self, rows: np.ndarray, taken: set[bytes]) -> FoundOrbit | None:
        """The orbit of the reference sites in these rows; marks all rows that it uses as taken."""
        read = self.reference[rows]
        sites, offsets = self.group.apply(slice(None), read[:, 0], read[:, 1:])
        keys, row_sets, is_known = self._translations(np.concatenate([sites[..., None], offsets], axis=-1))
        label = _lowest(keys, is_known)
        row_sets = np.sort(row_sets, axis=-1).astype(np.int32)
        touches_origin = np.any(np.all(_points(keys)[..., 1:] == 0, axis=-1), axis=-1)
        labels = []
        for column in np.flatnonzero(is_known.any(axis=1)):
            if row_sets[column, label[column]].tobytes() in taken:
                continue
            is_listed = False
            for translation in np.flatnonzero(is_known[column]):
                rows_read = row_sets[column, translation].tobytes()
                is_listed |= rows_read not in taken and bool(touches_origin[column, translation])
                taken.add(rows_read)
            if is_listed:
                labels.append(keys[column, label[column]].tolist())
        clusters = _points(np.array(sorted(labels)).reshape(-1, len(rows)))
        return FoundOrbit(clusters, _radius(self.prim, clusters[0])) if labels else None

    def _translations(self, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each cluster as it is, and moved so that each of its points in turn lies in the origin cell.

        Returns:
            `[clusters, 1 + order, order]` keys of the points, ascending except in the clusters as they are; their
            rows; `[clusters, 1 + order]` whether it is a translation of which all points are reference sites.
        """
        shifts = np.concatenate([np.zeros_like(clusters[:, :1, 1:]), clusters[..., 1:]], axis=1)
        moved = np.repeat(clusters[:, None], clusters.shape[1] + 1, axis=1)
        moved[..., 1:] -= shifts[:, :, None, :]
        keys = _point_keys(moved)
        keys[:, 1:].sort(axis=-1)
        # A point that is in the origin cell needs no translation, which would sort the points.
        is_moved = np.any(shifts != 0, axis=-1)
        is_moved[:, 0] = True
        place = np.minimum(np.searchsorted(self._sorted_keys, keys), len(self._sorted_keys) - 1)
        is_reference = self._sorted_keys[place] == keys
        return keys, self._row_of_sorted[place], is_reference.all(axis=-1) & is_moved


def _lowest(keys: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """`[clusters]` the lexicographically lowest of the known translations."""
    lowest = is_known.argmax(axis=1)
    rows = np.arange(len(keys))
    for translation in range(keys.shape[1]):
        candidate, present = keys[:, translation], keys[rows, lowest]
        differs = candidate != present
        first = differs.argmax(axis=-1)
        is_lower = differs.any(axis=-1) & (candidate[rows, first] < present[rows, first])
        lowest = np.where(is_known[:, translation] & is_lower, translation, lowest)
    return lowest


def _neighbours(prim: Prim, site: int, reach: float) -> np.ndarray:
    """`[neighbours, 4]` points nearer than `reach` to `site` in the origin cell, ascending, itself excluded."""
    planes = np.linalg.norm(np.linalg.inv(prim.lattice), axis=0)
    extent = np.ceil(reach * planes + np.ptp(prim.frac_coords, axis=0)).astype(int)
    if prim.num_sites * np.prod(2.0 * extent + 1) > 100 * _MOST_NEIGHBOURS or extent.max() > _REACH // 4:
        raise ValueError(f"a cutoff of {reach:.4g} angstrom reaches more sites than a cluster expansion can have.")
    cells = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in extent), indexing="ij"), axis=-1).reshape(-1, 3)
    sites = np.repeat(np.arange(prim.num_sites), len(cells))
    points = np.concatenate([sites[:, None], np.tile(cells, (prim.num_sites, 1))], axis=1)
    distances = np.linalg.norm(_positions(prim, points) - prim.frac_coords[site] @ prim.lattice, axis=-1)
    is_near = (distances < reach) & ~np.all(points == [site, 0, 0, 0], axis=1)
    if is_near.sum() > _MOST_NEIGHBOURS:
        raise ValueError(f"a cutoff of {reach:.4g} angstrom reaches more sites than a cluster expansion can have.")
    return points[is_near]


def _cliques(positions: np.ndarray, cutoff: float, size: int) -> np.ndarray:
    """`[cliques, size]` ascending sets of points nearer to each other than the cutoff, in lexicographic order."""
    members = np.arange(len(positions))[:, None]
    if size == 1:
        return members
    if len(positions) > _MOST_NEIGHBOURS_IN_TRIPLETS:
        raise ValueError(f"a cutoff of {cutoff:.4g} angstrom reaches {len(positions)} sites, too many for triplets.")
    distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
    later = np.triu(distances < cutoff, k=1)
    common = later
    for points in range(2, size + 1):
        count = np.count_nonzero(common)
        if count > _MOST_CLUSTERS or count * len(positions) > _MOST_ENTRIES:
            raise ValueError(f"the cutoff of {cutoff:.4g} angstrom admits {count} clusters of {points + 1} points.")
        clique, new = np.nonzero(common)
        members = np.concatenate([members[clique], new[:, None]], axis=1)
        common = common[clique] & later[new]
    return members


def _point_keys(points: np.ndarray) -> np.ndarray:
    """One integer per point, ascending as `(site, a, b, c)`."""
    key = points[..., 0]
    for axis in (1, 2, 3):
        key = key * (2 * _REACH) + points[..., axis] + _REACH
    return key


def _points(keys: np.ndarray) -> np.ndarray:
    """Inverse of `_point_keys`."""
    columns = []
    for _ in range(3):
        keys, digit = np.divmod(keys, 2 * _REACH)
        columns.append(digit - _REACH)
    return np.stack([keys, *columns[::-1]], axis=-1)


def _positions(prim: Prim, points: np.ndarray) -> np.ndarray:
    return (prim.frac_coords[points[..., 0]] + points[..., 1:]) @ prim.lattice


def _radius(prim: Prim, cluster: np.ndarray) -> float:
    positions = _positions(prim, cluster)
    return float(np.linalg.norm(positions - positions.mean(axis=0), axis=1).mean())
