import itertools

import numpy as np
import pytest

import jaxce
from jaxce.fitting.cluster_groups import orbit_groups, sub_cluster_groups

FCC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Ag", "Pd"]])
ROCK_SALT = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]]
)


def distances(space, cluster):
    positions = (space.prim.frac_coords[cluster[:, 0]] + cluster[:, 1:]) @ space.prim.lattice
    return [np.linalg.norm(a - b) for a, b in itertools.combinations(positions, 2)]


def described(space, cluster):
    """What tells clusters apart in these small spaces: their sites, and their distances with the sites of the pair."""
    names = [str(site) for site in cluster[:, 0]]
    pairs = itertools.combinations(names, 2)
    lengths = [("".join(sorted(p)), round(float(d), 3)) for p, d in zip(pairs, distances(space, cluster), strict=True)]
    return tuple(sorted(names)), tuple(sorted(lengths))


def slow_groups(space):
    kinds = [{described(space, cluster) for cluster in orbit.clusters} for orbit in space.orbits]
    groups = []
    for index, orbit in enumerate(space.orbits[1:], 1):
        subs = {
            described(space, cluster[list(points)])
            for cluster in orbit.clusters
            for size in range(1, orbit.order)
            for points in itertools.combinations(range(orbit.order), size)
        }
        members = [other for other in range(1, len(kinds)) if other == index or kinds[other] & subs]
        groups.append([c for c, owner in enumerate(space.orbit_of_correlation) if owner in members])
    return groups


def test_orbit_groups_share_out_all_functions_but_the_constant():
    space = jaxce.ClusterSpace(ROCK_SALT, {2: 4.1, 3: 2.9})
    groups = orbit_groups(space)
    np.testing.assert_array_equal(np.concatenate(groups), np.arange(1, space.num_correlations))
    assert [len(group) for group in groups] == [len(orbit.functions) for orbit in space.orbits[1:]]
    assert max(len(group) for group in groups) > 1


@pytest.mark.parametrize(
    ("prim", "cutoffs"),
    [(FCC, {2: 6.0, 3: 5.0, 4: 4.1}), (ROCK_SALT, {2: 4.1, 3: 2.9}), (FCC, {2: 3.0, 3: 5.0}), (FCC, {3: 4.1})],
)
def test_sub_cluster_groups_are_those_of_a_search_by_distances(prim, cutoffs):
    space = jaxce.ClusterSpace(prim, cutoffs)
    groups = sub_cluster_groups(space)
    assert [group.tolist() for group in groups] == slow_groups(space)
    for own, group in zip(orbit_groups(space), groups, strict=True):
        assert set(own) <= set(group)


def test_groups_of_the_nearest_tetrahedron_by_hand():
    # Point 1, pairs 2 (2.83 A) and 3 (4 A), triplets 4 and 5, the tetrahedron of nearest neighbours.
    space = jaxce.ClusterSpace(FCC, {2: 4.1, 3: 4.1, 4: 2.9})
    assert [group.tolist() for group in sub_cluster_groups(space)] == [
        [1],
        [1, 2],
        [1, 3],
        [1, 2, 4],
        [1, 2, 3, 5],
        [1, 2, 4, 6],
    ]


def test_sub_clusters_that_the_space_lacks_are_left_out():
    space = jaxce.ClusterSpace(FCC, {2: 4.1, 3: 4.1, 4: 2.9}).without_orbits([2])
    assert [group.tolist() for group in sub_cluster_groups(space)] == [[1], [1, 2], [1, 3], [1, 2, 4], [1, 3, 5]]


def test_merged_orbits_have_the_sub_clusters_of_all():
    space = jaxce.ClusterSpace(FCC, {2: 4.1, 3: 4.1}).with_merged_orbits([[4, 5]])
    assert [group.tolist() for group in sub_cluster_groups(space)][-1] == [1, 2, 3, 4]
