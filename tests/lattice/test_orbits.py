"""Orbits against brute-force counting and known multiplicities."""

import collections
import inspect
import itertools

import numpy as np
import pytest

from jaxce.lattice.orbits import build_orbits, canonical_keys, merged_orbit, point_keys, points_of_keys
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup, space_group

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
BCC = np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2.0]])
PEROVSKITE = Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La", "Ba"], ["Ti"], *[["O", "X"]] * 3],
)
HCP = Prim(
    np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.8]]),
    [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
    [["A", "B", "C"]] * 2,
)


def orbits_of(prim, cutoffs, group=None):
    return build_orbits(prim, group or space_group(prim), cutoffs, prim.num_species - 1)


def lattice_points(prim, cutoff):
    """Active lattice points in enough cells, and their positions."""
    extent = 1 + int(np.ceil(cutoff * np.linalg.norm(np.linalg.inv(prim.lattice), axis=0).max()))
    cells = itertools.product(range(-extent, extent + 1), repeat=3)
    points = [(int(site), *cell) for cell in cells for site in prim.active_sites]
    return points, {p: (prim.frac_coords[p[0]] + np.array(p[1:])) @ prim.lattice for p in points}


def brute_force_counts(prim, order, cutoff):
    """Clusters per prim by sublattices and sorted distances: seen from every site, so each is found `order` times."""
    points, positions = lattice_points(prim, cutoff)
    counts = collections.Counter()
    for site in prim.active_sites.tolist():
        origin = (site, 0, 0, 0)
        near = [p for p in points if p != origin and np.linalg.norm(positions[p] - positions[origin]) <= cutoff + 1e-5]
        for others in itertools.combinations(near, order - 1):
            cluster = (origin, *others)
            distances = [np.linalg.norm(positions[a] - positions[b]) for a, b in itertools.combinations(cluster, 2)]
            if max(distances) <= cutoff + 1e-5:
                counts[_kind(prim, cluster, distances)] += 1
    return {kind: count / order for kind, count in counts.items()}


def _kind(prim, cluster, distances):
    species = sorted("/".join(prim.species[point[0]]) for point in cluster)
    return (*species, *(f"{distance:.3f}" for distance in sorted(distances)))


def distance_matrices(prim, clusters):
    positions = (prim.frac_coords[clusters[..., 0]] + clusters[..., 1:]) @ prim.lattice
    return np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)


@pytest.mark.parametrize(
    ("prim", "cutoffs"),
    [(PEROVSKITE, {2: 6.0}), (PEROVSKITE, {3: 4.0}), (HCP, {2: 6.1, 3: 4.3}), (HCP, {4: 3.1})],
)
def test_multiplicities_add_up_to_the_brute_force_count(prim, cutoffs):
    orbits = orbits_of(prim, cutoffs)
    for order, cutoff in cutoffs.items():
        found = collections.Counter()
        for orbit in (orbit for orbit in orbits if orbit.order == order):
            matrix = distance_matrices(prim, orbit.clusters[:1])[0]
            found[_kind(prim, orbit.clusters[0], matrix[np.triu_indices(order, 1)])] += orbit.multiplicity
        assert found == brute_force_counts(prim, order, cutoff)


@pytest.mark.parametrize(
    ("lattice", "cutoffs", "expected"),
    [
        (FCC, {2: 5.7}, [1, 1, 6, 3, 12, 6]),
        (FCC, {2: 2.9, 3: 2.9, 4: 2.9}, [1, 1, 6, 8, 2]),
        (BCC, {2: 6.95}, [1, 1, 4, 3, 6, 12, 4]),
    ],
)
def test_multiplicities_are_the_textbook_ones(lattice, cutoffs, expected):
    orbits = orbits_of(Prim(lattice, [[0, 0, 0]], [["A", "B"]]), cutoffs)
    assert [orbit.multiplicity for orbit in orbits] == expected


@pytest.mark.parametrize("prim", [PEROVSKITE, HCP], ids=["perovskite", "hcp"])
def test_points_of_all_clusters_of_an_orbit_correspond(prim):
    orbits = orbits_of(prim, {2: 5.0, 3: 4.3})
    kind = space_group(prim).site_orbits
    keys = []
    for orbit in orbits[1:]:
        matrices = distance_matrices(prim, orbit.clusters)
        np.testing.assert_allclose(matrices, np.broadcast_to(matrices[0], matrices.shape), atol=1e-9)
        assert matrices[0].max() == pytest.approx(orbit.diameter, abs=1e-9)
        assert np.all(kind[orbit.clusters[..., 0]] == kind[orbit.clusters[0, :, 0]])
        assert np.all(orbit.clusters[:, 0, 1:] == 0)
        keys += [(orbit.order, *row) for row in canonical_keys(orbit.clusters).tolist()]
    assert len(set(keys)) == len(keys), "a cluster is in two orbits"


@pytest.mark.parametrize("prim", [PEROVSKITE, HCP], ids=["perovskite", "hcp"])
def test_orbits_do_not_depend_on_the_order_of_operations(prim):
    group = space_group(prim)
    expected = orbits_of(prim, {2: 5.0, 3: 4.3})
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(group.rotations))
        shuffled = SpaceGroup(*(field[order] for field in group))
        found = orbits_of(prim, {2: 5.0, 3: 4.3}, shuffled)
        assert len(found) == len(expected)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one.clusters, other.clusters)
            assert one.diameter == other.diameter
            assert [f.tolist() for f in one.functions] == [f.tolist() for f in other.functions]


def test_orbits_are_sorted_by_order_diameter_and_multiplicity():
    orbits = orbits_of(PEROVSKITE, {2: 6.0, 3: 4.0})
    ranks = [(orbit.order, round(orbit.diameter, 4), orbit.multiplicity) for orbit in orbits]
    assert ranks == sorted(ranks)
    assert ranks[:3] == [(0, 0, 1), (1, 0, 1), (1, 0, 3)]


def test_sites_written_in_other_cells_give_the_same_orbits():
    shift = np.array([[0, 0, 0], [2, -1, 0], [-3, 0, 1], [0, 5, 0], [1, 1, 1]])
    moved = Prim(PEROVSKITE.lattice, PEROVSKITE.frac_coords + shift, PEROVSKITE.species)
    facts = [
        [(o.order, round(o.diameter, 6), o.multiplicity, len(o.functions)) for o in orbits_of(prim, {2: 5.0, 3: 4.0})]
        for prim in (PEROVSKITE, moved)
    ]
    assert facts[0] == facts[1]


def test_labelings_are_classes_under_the_symmetry_of_the_cluster():
    ternary = Prim(FCC, [[0, 0, 0]], [["A", "B", "C"]])
    _, _, pair, triplet = orbits_of(ternary, {2: 2.9, 3: 2.9})
    assert [f.tolist() for f in pair.functions] == [[[1, 1]], [[1, 2], [2, 1]], [[2, 2]]]
    # Multisets of two functions on three equivalent points.
    assert [len(f) for f in triplet.functions] == [1, 3, 3, 1]
    assert triplet.function_multiplicities.tolist() == [8, 24, 24, 8]
    # Points on unlike sublattices are never exchanged.
    mixed = [o for o in orbits_of(PEROVSKITE, {2: 2.8}) if set(o.clusters[0, :, 0].tolist()) == {0, 2}]
    assert [f.tolist() for f in mixed[0].functions] == [[[1, 1]], [[2, 1]]]


def test_canonical_keys_ignore_translation_and_the_order_of_points():
    rng = np.random.default_rng(0)
    clusters = np.concatenate([rng.integers(0, 5, size=(50, 4, 1)), rng.integers(-4, 5, size=(50, 4, 3))], axis=-1)
    moved = clusters.copy()
    moved[..., 1:] += rng.integers(-9, 10, size=(50, 1, 3))
    moved = moved[:, [2, 0, 3, 1]]
    np.testing.assert_array_equal(canonical_keys(clusters), canonical_keys(moved))
    changed = clusters.copy()
    changed[:, 0, 1] += 1
    assert not np.any(np.all(canonical_keys(clusters) == canonical_keys(changed), axis=1))


def test_points_come_back_from_their_keys():
    cluster = np.array([[[3, 0, 0, 0], [1, -2, 5, 1], [0, 4, -1, 0]]])
    np.testing.assert_array_equal(points_of_keys(point_keys(cluster)), cluster)


def test_a_cluster_over_too_many_cells_is_refused():
    with pytest.raises(ValueError, match=r"spans 2000 cells.*lower the cutoff"):
        point_keys(np.array([[0, 0, 0, 0], [0, 2000, 0, 0]]))


def test_merged_orbits_hold_all_clusters_and_must_be_alike():
    orbits = orbits_of(PEROVSKITE, {2: 4.0, 3: 4.0})
    same = [o for o in orbits if o.order == 2 and set(o.clusters[0, :, 0].tolist()) <= {2, 3, 4}]
    merged = merged_orbit(same[:2])
    assert merged.multiplicity == same[0].multiplicity + same[1].multiplicity
    assert merged.diameter == same[0].diameter
    with pytest.raises(ValueError, match="one order with the same functions"):
        merged_orbit([orbits[1], same[0]])
    with pytest.raises(ValueError, match="one order with the same functions"):
        # Strontium's site has two functions, oxygen's one.
        merged_orbit([orbits[1], orbits[2]])


def test_an_inactive_crystal_has_the_empty_cluster_alone():
    (empty,) = orbits_of(Prim(FCC, [[0, 0, 0]], [["A"]]), {})
    assert (empty.order, empty.multiplicity, empty.function_multiplicities.tolist()) == (0, 1, [1])


@pytest.mark.parametrize(
    ("cutoffs", "message"),
    [
        ({2: -1.0}, r"cutoffs\[2\] must be a positive distance"),
        ({2: 0.0}, "positive distance"),
        ({2: 5.0, 3: np.nan}, r"cutoffs\[3\] must be a positive distance in angstrom, but is nan"),
        ({2: np.inf}, "positive distance"),
        ({1: 3.0}, "orders from 2 on"),
        ({2: 2.5}, r"cutoffs\[2\] = 2.5 angstrom admits no cluster of 2 active sites.* is 2.7577"),
        ({2: 3.0, 4: 2.7}, r"cutoffs\[4\] = 2.7 angstrom admits no cluster of 4"),
    ],
)
def test_cutoffs_that_mean_nothing_are_refused(cutoffs, message):
    with pytest.raises(ValueError, match=message):
        orbits_of(PEROVSKITE, cutoffs)


def test_cutoffs_without_orders_are_refused():
    with pytest.raises(ValueError, match="must map orders to distances"):
        # Before the types are checked, which the tests do too.
        inspect.unwrap(build_orbits)(PEROVSKITE, None, [4.0, 3.0], None)


def test_a_cutoff_without_active_sites_is_refused():
    with pytest.raises(ValueError, match="admits no cluster"):
        orbits_of(Prim(FCC, [[0, 0, 0]], [["A"]]), {2: 9.0})


def test_a_cell_with_too_many_neighbours_is_refused():
    """A fuzzer's lattice, whose cells took 14 s to look through."""
    flat = Prim(np.array([[0, 0, 0.231], [2.1, 0, 2.1], [210, 2.1, 0]]), [[0, 0, 0]], [["Ca", "Mg"]])
    with pytest.raises(ValueError, match="reduce the cell"):
        orbits_of(flat, {2: 2.97})
