"""ATAT's clusters as correlations of a cluster space, and back."""

from collections.abc import Sequence

import numpy as np

from jaxce.cluster_space import ClusterSpace
from jaxce.io.atat.files import AtatCluster, AtatLattice
from jaxce.io.cluster_limits import check_reach
from jaxce.io.labelled_clusters import LabelledClusters
from jaxce.lattice.prim import Prim

# A point this far (angstrom) from all sites is none of the lattice; files have four digits or more.
_ON_A_SITE = 1e-2
_SAME_DIAMETER = 1e-2


def space_of_clusters(
    prim: Prim, lattice: AtatLattice, clusters: Sequence[AtatCluster]
) -> tuple[ClusterSpace, np.ndarray]:
    """A space that has all clusters, and the correlation that each of them stands for.

    Raises:
        ValueError: if a point is on no site with several species, its integers do not fit the site, a multiplicity or
            diameter is not that of the lattice, or a cluster is equivalent to an earlier one.
    """
    placed = [_placed(prim, lattice, cluster, f"cluster {n}") for n, cluster in enumerate(clusters, start=1)]
    space = ClusterSpace(prim, _cutoffs(prim, placed))
    labelled = LabelledClusters(space)
    correlations: list[int] = []
    for number, (cluster, (points, functions)) in enumerate(zip(clusters, placed, strict=True), start=1):
        found = labelled.numbers(points[None], functions[None])[0]
        correlation = int(labelled.correlation[found])
        wanted = space.multiplicities[correlation]
        if cluster.multiplicity != wanted:
            raise ValueError(
                f"cluster {number} of clusters.out has multiplicity {cluster.multiplicity:g}, but there are {wanted} "
                f"such clusters per cell of lat.in: {cluster.coords.tolist()}. Do both files belong together, and does "
                "the lattice have its full symmetry?"
            )
        if correlation in correlations:
            raise ValueError(
                f"clusters {correlations.index(correlation) + 1} and {number} of clusters.out are equivalent by "
                "symmetry, so they have one ECI: leave one of them out."
            )
        correlations.append(correlation)
    return space, np.array(correlations)


def clusters_of_space(space: ClusterSpace) -> list[AtatCluster]:
    """For each correlation a cluster, in fractional coordinates, with the integers that more than two species need."""
    prim = space.prim
    has_integers = np.any(prim.num_species > 2)
    clusters = []
    for orbit in space.orbits:
        points = orbit.clusters[0]
        coords = prim.frac_coords[points[:, 0]] + points[:, 1:]
        for labelings in orbit.functions:
            pairs = zip(prim.num_species[points[:, 0]].tolist(), labelings[0].tolist(), strict=True)
            functions = tuple((count - 2, function - 1) if has_integers else None for count, function in pairs)
            multiplicity = float(orbit.multiplicity * len(labelings))
            clusters.append(AtatCluster(multiplicity, orbit.diameter, coords, functions))
    return clusters


def _placed(prim: Prim, lattice: AtatLattice, cluster: AtatCluster, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Lattice points and site functions (from 1) of a cluster."""
    coords = cluster.coords @ np.linalg.inv(lattice.vectors)
    difference = coords[:, None] - prim.frac_coords
    offsets = np.round(difference).astype(np.int64)
    distances = np.linalg.norm((difference - offsets) @ prim.lattice, axis=-1)
    sites = distances.argmin(axis=1)
    points = np.concatenate([sites[:, None], offsets[np.arange(len(sites)), sites]], axis=1)
    for place, site in enumerate(sites):
        at = f"{name} of clusters.out: its point {cluster.coords[place].tolist()}"
        if distances[place, site] > _ON_A_SITE:
            raise ValueError(f"{at} is {distances[place, site]:.3f} angstrom away from the nearest site of lat.in.")
        if prim.num_species[site] < 2:
            raise ValueError(f"{at} is on a site that holds {prim.species[site][0]} alone and has no site functions.")
    if len(np.unique(points, axis=0)) < len(points):
        raise ValueError(f"{name} of clusters.out names a point twice: {cluster.coords.tolist()}.")
    _check_diameter(cluster, (prim.frac_coords[sites] + points[:, 1:]) @ prim.lattice, name)
    counts = prim.num_species[sites].tolist()
    functions = [_function(c, f, name) for c, f in zip(counts, cluster.functions, strict=True)]
    return points, np.array(functions, dtype=np.int64)


def _function(num_species: int, integers: tuple[int, int] | None, name: str) -> int:
    """The site function, from 1."""
    if integers is None:
        if num_species > 2:
            raise ValueError(
                f"{name} of clusters.out does not say which of {num_species - 1} site functions it means: two integers "
                "are wanted behind each point, as mmaps and corrdump write them."
            )
        return 1
    if integers[0] != num_species - 2 or not 0 <= integers[1] < num_species - 1:
        raise ValueError(
            f"{name} of clusters.out has the integers {integers[0]} {integers[1]} behind a point on a site with "
            f"{num_species} species; the first must be {num_species - 2}, the second from 0 to {num_species - 2}."
        )
    return integers[1] + 1


def _check_diameter(cluster: AtatCluster, positions: np.ndarray, name: str) -> None:
    diameter = np.linalg.norm(positions[:, None] - positions[None], axis=-1).max(initial=0.0)
    if abs(diameter - cluster.diameter) > _SAME_DIAMETER:
        raise ValueError(
            f"{name} of clusters.out has diameter {cluster.diameter:g}, but its points are up to {diameter:.4f} "
            "angstrom apart on the lattice of lat.in: do both files belong together?"
        )


def _cutoffs(prim: Prim, placed: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[int, float]:
    """Largest diameter of each order."""
    cutoffs: dict[int, float] = {}
    for points, _ in placed:
        if len(points) > 1:
            positions = (prim.frac_coords[points[:, 0]] + points[:, 1:]) @ prim.lattice
            diameter = float(np.linalg.norm(positions[:, None] - positions[None], axis=-1).max())
            cutoffs[len(points)] = max(diameter, cutoffs.get(len(points), 0.0))
    check_reach(prim, cutoffs)
    return cutoffs
