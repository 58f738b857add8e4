"""Cluster spaces: sizes, order, cutoffs, and what may be taken out or merged."""

import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, slow_correlations
from jaxce import cluster_space as cluster_space_module
from jaxce.lattice.symmetry import SpaceGroup, space_group

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
PEROVSKITE = jaxce.Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3],
    sublattice_names=["A", "B", "O"],
)
TERNARY = jaxce.Prim(FCC, [[0, 0, 0]], [["A", "B", "C"]])


@pytest.fixture(scope="module")
def space():
    return jaxce.ClusterSpace(PEROVSKITE, {2: 4.0, 3: 3.9})


def test_the_perovskite_to_7_and_5_angstrom_has_its_known_size():
    space = jaxce.ClusterSpace(PEROVSKITE, {2: 7.0, 3: 5.0})
    assert (space.num_correlations, space.num_clusters_per_prim) == (66, 1192)


def test_the_order_of_everything_is_independent_of_the_order_of_operations(monkeypatch):
    expected = jaxce.ClusterSpace(TERNARY, {2: 5.7, 3: 4.0, 4: 2.9})
    group = space_group(TERNARY)
    order = np.random.default_rng(0).permutation(48)
    shuffled = SpaceGroup(*(field[order] for field in group))
    monkeypatch.setattr(cluster_space_module, "space_group", lambda _prim: shuffled)
    found = jaxce.ClusterSpace(TERNARY, {2: 5.7, 3: 4.0, 4: 2.9})
    for one, other in zip(expected.orbits, found.orbits, strict=True):
        np.testing.assert_array_equal(one.clusters, other.clusters)
        assert [f.tolist() for f in one.functions] == [f.tolist() for f in other.functions]


def test_turning_the_crystal_changes_no_order():
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = jaxce.Prim(PEROVSKITE.lattice @ turn, PEROVSKITE.frac_coords, PEROVSKITE.species)
    one, other = (jaxce.ClusterSpace(prim, {2: 6.0, 3: 4.0}) for prim in (PEROVSKITE, turned))
    for left, right in zip(one.orbits, other.orbits, strict=True):
        np.testing.assert_array_equal(left.clusters, right.clusters)
        assert left.diameter == pytest.approx(right.diameter, abs=1e-9)


def test_orbits_0_and_1_are_always_there():
    space = jaxce.ClusterSpace(PEROVSKITE, {})
    assert [(orbit.order, orbit.multiplicity) for orbit in space.orbits] == [(0, 1), (1, 1), (1, 1), (1, 3)]
    assert jaxce.ClusterSpace(PEROVSKITE, {3: 3.9}).to_dataframe()["order"].unique().tolist() == [0, 1, 3]


def test_cutoffs_are_inclusive():
    # The nearest neighbours of this fcc lattice are 2 sqrt(2) apart, the second ones 4.
    def diameters(cutoff):
        return [orbit.diameter for orbit in jaxce.ClusterSpace(TERNARY, {2: cutoff}).orbits[2:]]

    np.testing.assert_allclose(diameters(4.0), [np.sqrt(8), 4])
    np.testing.assert_allclose(diameters(4.0 - 1e-6), [np.sqrt(8), 4])
    np.testing.assert_allclose(diameters(3.999), [np.sqrt(8)])


def test_a_higher_order_may_have_the_larger_cutoff():
    space = jaxce.ClusterSpace(TERNARY, {2: 2.9, 3: 4.0})
    assert max(orbit.diameter for orbit in space.orbits if orbit.order == 2) == pytest.approx(np.sqrt(8))
    assert max(orbit.diameter for orbit in space.orbits if orbit.order == 3) == pytest.approx(4)
    both = jaxce.ClusterSpace(TERNARY, {2: 4.0, 3: 4.0})
    assert [o.multiplicity for o in space.orbits if o.order == 3] == [
        o.multiplicity for o in both.orbits if o.order == 3
    ]


def test_the_conventional_cell_has_the_same_correlations():
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    conventional = jaxce.Prim(4 * np.eye(3), corners, TERNARY.species * 4)
    single, four = (jaxce.ClusterSpace(prim, {2: 4.0, 3: 4.0, 4: 2.9}) for prim in (TERNARY, conventional))
    assert four.num_correlations == single.num_correlations
    assert [4 * orbit.multiplicity for orbit in single.orbits[1:]] == [orbit.multiplicity for orbit in four.orbits[1:]]
    np.testing.assert_allclose([o.diameter for o in single.orbits], [o.diameter for o in four.orbits], atol=1e-9)
    # The same structure in both descriptions.
    cube, supercell = jaxce.Supercell(conventional, 1), jaxce.Supercell(TERNARY, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    occupancy = random_occupancies(cube, 1, seed=2)[0]
    cells = np.round(cube.cart_coords @ np.linalg.inv(FCC)).astype(int)
    same = np.empty_like(occupancy)
    same[supercell.site_index(np.zeros(4, dtype=int), cells)] = occupancy
    one, other = slow_correlations(four, cube, occupancy), slow_correlations(single, supercell, same)
    # Another cell may list the points of a cluster, and so the functions of an orbit, in another order.
    np.testing.assert_allclose(np.sort(one), np.sort(other), atol=1e-12)


def test_a_cell_whose_shape_breaks_the_symmetry_has_more_orbits_until_it_is_reduced():
    doubled = jaxce.Prim(
        np.diag([1, 1, 2]) @ PEROVSKITE.lattice,
        np.concatenate([np.add(PEROVSKITE.frac_coords, [0, 0, c]) / [1, 1, 2] for c in (0, 1)]),
        PEROVSKITE.species * 2,
    )
    single, double, reduced = (
        jaxce.ClusterSpace(prim, {2: 4.0, 3: 3.9}) for prim in (PEROVSKITE, doubled, jaxce.reduce_to_primitive(doubled))
    )
    assert double.num_clusters_per_prim == 2 * single.num_clusters_per_prim
    assert double.num_correlations > single.num_correlations
    assert reduced.multiplicities.tolist() == single.multiplicities.tolist()


def test_multiplicities_count_clusters_and_labelings():
    space = jaxce.ClusterSpace(TERNARY, {2: 2.9})
    assert space.multiplicities.tolist() == [1, 1, 1, 6, 12, 6]
    assert space.orbit_of_correlation.tolist() == [0, 1, 1, 2, 2, 2]


def test_the_table_has_one_row_per_correlation(space):
    table = space.to_dataframe()
    assert len(table) == space.num_correlations
    assert table.index.name == "correlation"
    first_pair = table[table["order"] == 2].iloc[0]
    assert first_pair["sublattices"] == "B-O"
    assert (first_pair["multiplicity"], first_pair["functions"]) == (6, "1-1")
    assert first_pair["diameter"] == pytest.approx(1.95)
    ternary = jaxce.ClusterSpace(TERNARY, {2: 2.9}).to_dataframe()
    assert ternary["functions"].tolist() == ["", "1", "2", "1-1", "1-2", "2-2"]
    assert ternary["multiplicity"].tolist() == [1, 1, 1, 6, 12, 6]
    assert ternary["orbit_multiplicity"].tolist() == [1, 1, 1, 6, 6, 6]
    assert f"{space.num_correlations} correlations, {len(space.orbits)} orbits" in repr(space)


def test_orbits_can_be_taken_out(space):
    smaller = space.without_orbits([2, 5])
    expected = [orbit for index, orbit in enumerate(space.orbits) if index not in (2, 5)]
    assert list(smaller.orbits) == expected
    assert space.without_orbits([]).orbits == space.orbits


def test_single_correlations_can_be_taken_out_and_empty_orbits_go_too():
    space = jaxce.ClusterSpace(TERNARY, {2: 2.9})
    smaller = space.without_correlations([1, 2, 4])
    assert smaller.multiplicities.tolist() == [1, 6, 6]
    assert [(orbit.order, len(orbit.functions)) for orbit in smaller.orbits] == [(0, 1), (2, 2)]
    supercell = jaxce.Supercell(TERNARY, [[1, 1, 0], [0, 2, 0], [0, 0, 1]])
    occupancy = random_occupancies(supercell, 1, seed=3)[0]
    whole, part = (np.array(jaxce.correlations(jaxce.build_tables(s, supercell), occupancy)) for s in (space, smaller))
    np.testing.assert_allclose(part, whole[[0, 3, 5]], atol=1e-14)


def test_merged_orbits_average_over_all_their_clusters(space):
    table = space.to_dataframe()
    # The two kinds of O-O pairs one lattice constant apart.
    same = table[(table["sublattices"] == "O-O") & np.isclose(table["diameter"], 3.9)]
    first, second = same["orbit"].tolist()
    merged = space.with_merged_orbits([[second, first]])
    assert merged.num_correlations == space.num_correlations - 1
    supercell = jaxce.Supercell(PEROVSKITE, [1, 1, 2])
    occupancy = random_occupancies(supercell, 1, seed=4)[0]
    whole, part = (slow_correlations(s, supercell, occupancy) for s in (space, merged))
    weights = space.multiplicities[[first, second]]
    expected = np.delete(whole, first)
    # The merged orbit stands where the group's first one stood.
    expected[second - 1] = weights @ whole[[first, second]] / weights.sum()
    np.testing.assert_allclose(part, expected, atol=1e-13)


@pytest.mark.parametrize("indices", [[0], [-1], [1000], [2, 2]])
def test_orbits_and_correlations_that_are_not_there_cannot_be_taken_out(space, indices):
    with pytest.raises(ValueError, match=r"orbit indices must be different and lie in 1\.\."):
        space.without_orbits(indices)
    with pytest.raises(ValueError, match=r"correlation indices must be different and lie in 1\.\."):
        space.without_correlations(indices)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[4]], "at least two orbits"),
        ([[10, 11], [11, 12]], "in no other group"),
        ([[1, 4]], "one order"),
        ([[0, 1]], "orbit indices"),
    ],
)
def test_orbits_that_do_not_fit_together_cannot_be_merged(space, groups, message):
    with pytest.raises(ValueError, match=message):
        space.with_merged_orbits(groups)


def test_orbits_with_other_site_functions_cannot_be_merged():
    """Energies of the merged orbit were once those of the first table for all."""
    prim = jaxce.Prim(2.5 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.4]], [["Cu", "Au"], ["Ni", "Pd"]])
    space = jaxce.ClusterSpace(prim, {2: 2.6}, [np.array([[-1.0, 1.0]]), np.array([[0.0, 1.0]])])
    with pytest.raises(ValueError, match="different site functions"):
        space.with_merged_orbits([[1, 2]])
    alike = jaxce.ClusterSpace(prim, {2: 2.6})
    assert alike.with_merged_orbits([[1, 2]]).num_correlations == alike.num_correlations - 1


def test_equivalent_sites_need_the_same_functions():
    hcp = jaxce.Prim(
        np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.8]]),
        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
        [["A", "B"]] * 2,
    )
    assert jaxce.ClusterSpace(hcp, {}, [[[0, 1]], [[0, 1]]]).num_correlations == 2
    with pytest.raises(ValueError, match="sites 0 and 1 are symmetry-equivalent but have different site functions"):
        jaxce.ClusterSpace(hcp, {}, [[[0, 1]], [[1, 0]]])


def test_an_orbit_without_functions_is_no_orbit():
    # Oxygen's site has the constant alone, so no cluster on it carries a correlation.
    functions = [[[0, 1.0]], [[0, 1.0]], *[np.zeros((0, 2))] * 3]
    space = jaxce.ClusterSpace(PEROVSKITE, {2: 3.9}, functions)
    assert all(orbit.functions for orbit in space.orbits)
    assert set(space.to_dataframe()["sublattices"]) == {"", "A", "B", "A-A", "A-B", "B-B"}
    assert space.multiplicities.dtype.kind == "i"
