"""Supercells: integer arithmetic against wrapped floats, permutations against geometry."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import spglib

from helpers import site_lookup
from jaxce.lattice import supercell as supercell_module
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell, hermite_normal_form

FCC = Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["A", "B"]])
HCP = Prim(
    np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.8]]),
    [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
    [["A", "B"]] * 2,
)
PEROVSKITE = Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti"], *[["O", "X"]] * 3],
    sublattice_names=["A", "O"],
)
TRANSFORMATIONS = [
    2,
    [1, 2, 3],
    [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    [[2, 1, 0], [0, 1, 1], [-1, 0, 3]],
    [[0, 0, 2], [3, 0, 0], [0, 1, 0]],
    [[1, 0, 0], [0, 1, 0], [5, -7, 2]],
]


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=str)
def test_site_index_equals_wrapping_with_floats(transformation):
    supercell = Supercell(PEROVSKITE, transformation)
    find = site_lookup(supercell)
    rng = np.random.default_rng(0)
    prim_sites, offsets = rng.integers(5, size=(10, 12)), rng.integers(-9, 10, size=(10, 12, 3))
    found = supercell.site_index(prim_sites, offsets)
    assert found.shape == (10, 12)
    expected = [find(s, o) for s, o in zip(prim_sites.ravel(), offsets.reshape(-1, 3), strict=True)]
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=str)
def test_sites_lie_inside_the_cell_in_the_documented_order(transformation):
    supercell = Supercell(HCP, transformation)
    volume = abs(round(np.linalg.det(np.array(supercell.transformation, dtype=float))))
    assert (supercell.num_prims, supercell.num_sites) == (volume, 2 * volume)
    inside = supercell.offsets @ np.linalg.inv(supercell.transformation)
    assert np.all((inside > -1e-9) & (inside < 1 - 1e-9))
    rows = np.column_stack([supercell.prim_sites, supercell.offsets]).tolist()
    assert rows == sorted(rows)
    assert len(set(map(tuple, rows))) == supercell.num_sites
    sites = supercell.site_index(supercell.prim_sites, supercell.offsets)
    np.testing.assert_array_equal(sites, np.arange(supercell.num_sites))
    position = (HCP.frac_coords[rows[-1][0]] + rows[-1][1:]) @ HCP.lattice
    np.testing.assert_allclose(supercell.cart_coords[-1], position, atol=1e-12)
    np.testing.assert_allclose(supercell.lattice, supercell.transformation @ HCP.lattice)


def test_far_away_offsets_are_wrapped_exactly():
    supercell = Supercell(FCC, TRANSFORMATIONS[3])
    rng = np.random.default_rng(1)
    offsets, cells = rng.integers(-5, 6, size=(100, 3)), rng.integers(-(10**15), 10**15, size=(100, 3))
    far = offsets + cells @ supercell.transformation
    np.testing.assert_array_equal(supercell.cell_index(far), supercell.cell_index(offsets))


def test_one_and_three_integers_are_diagonals():
    np.testing.assert_array_equal(Supercell(FCC, 2).transformation, 2 * np.eye(3))
    np.testing.assert_array_equal(Supercell(FCC, (1, 2, 3)).transformation, np.diag([1, 2, 3]))
    np.testing.assert_array_equal(Supercell(FCC, 2.0 * np.eye(3)).transformation, 2 * np.eye(3))


def test_a_left_handed_transformation_is_turned_round():
    supercell = Supercell(FCC, [[0, 1, 0], [1, 0, 0], [0, 0, 2]])
    assert supercell.transformation.tolist() == [[0, -1, 0], [-1, 0, 0], [0, 0, -2]]
    assert supercell.num_prims == 2
    assert Supercell(FCC, -2).transformation.tolist() == (2 * np.eye(3, dtype=int)).tolist()
    assert not supercell.transformation.flags.writeable


@pytest.mark.parametrize(
    "transformation",
    [1.5, [1, 2], np.ones((3, 2)), [[1, 0, 0], [0, 1, 0], [0, 0, 0.5]], np.nan, [1, 1, np.inf], np.zeros((2, 3, 3))],
    ids=str,
)
def test_a_transformation_that_is_not_of_integers_is_refused(transformation):
    with pytest.raises(ValueError, match="an integer, three integers or 3x3 integers"):
        Supercell(FCC, transformation)


@pytest.mark.parametrize("transformation", [0, [1, 0, 1], [[1, 2, 3], [2, 4, 6], [0, 0, 1]]], ids=str)
def test_a_singular_transformation_is_refused(transformation):
    with pytest.raises(ValueError, match="determinant 0"):
        Supercell(FCC, transformation)


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=str)
def test_sites_from_cells_are_site_indices(transformation):
    supercell = Supercell(PEROVSKITE, transformation)
    rng = np.random.default_rng(1)
    prim_sites = rng.integers(5, size=40)
    offsets = rng.integers(-9, 10, size=(40, 3))
    found = supercell.sites_from_cells(np.append(prim_sites, -1), np.append(offsets, [[1, 2, 3]], axis=0))
    every = offsets[:, None] + supercell.cells
    expected = supercell.site_index(np.broadcast_to(prim_sites[:, None], every.shape[:2]), every)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found[:-1], expected)
    np.testing.assert_array_equal(found[-1], -1)


@pytest.mark.parametrize("site", [-1, 5])
def test_a_prim_site_that_does_not_exist_is_refused(site):
    with pytest.raises(ValueError, match=r"prim sites must lie in 0\.\.4"):
        Supercell(PEROVSKITE, 2).site_index([0, site], np.zeros((2, 3), dtype=int))


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize(
    ("prim", "transformation"),
    [
        (FCC, 2),
        (FCC, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
        (FCC, [[2, 1, 0], [0, 1, 1], [-1, 0, 3]]),
        (HCP, [2, 2, 1]),
        (HCP, [[1, 1, 0], [-1, 2, 0], [0, 0, 1]]),
        (PEROVSKITE, [1, 1, 2]),
        (PEROVSKITE, [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]),
    ],
    ids=str,
)
def test_symmetry_permutations_are_those_of_the_geometry(prim, transformation):
    supercell = Supercell(prim, transformation)
    coords = supercell.cart_coords @ np.linalg.inv(supercell.lattice)
    kinds = [prim.species.index(names) for names in supercell.species]
    cell: Any = (supercell.lattice, coords, kinds)
    found: Any = spglib.get_symmetry(cell)
    expected = {
        tuple(_matched(coords, coords @ rotation.T + translation, supercell.lattice))
        for rotation, translation in zip(found["rotations"], found["translations"], strict=True)
    }
    permutations = supercell.symmetry_permutations
    assert permutations[0].tolist() == list(range(supercell.num_sites))
    assert len(set(map(tuple, permutations.tolist()))) == len(permutations)
    assert set(map(tuple, permutations.tolist())) == expected


def _matched(coords, images, lattice):
    """The site on which each image falls, by periodic distances."""
    difference = images[:, None] - coords
    distances = np.linalg.norm((difference - np.round(difference)) @ lattice, axis=-1)
    assert distances.min(axis=1).max() < 1e-4
    return distances.argmin(axis=1).tolist()


def test_permutations_form_a_group():
    supercell = Supercell(PEROVSKITE, [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    permutations = supercell.symmetry_permutations
    known = set(map(tuple, permutations.tolist()))
    assert 16 < len(known) <= 16 * 4
    for first in permutations[::3]:
        assert {tuple(row) for row in permutations[:, first].tolist()} == known


def test_lattice_operations_are_those_that_keep_the_supercell():
    assert len(Supercell(PEROVSKITE, 2).lattice_operations) == 48
    assert len(Supercell(PEROVSKITE, [1, 1, 2]).lattice_operations) == 16
    assert len(Supercell(PEROVSKITE, [1, 2, 3]).lattice_operations) == 8
    assert len(Supercell(FCC, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]).lattice_operations) == 48


def test_a_table_of_permutations_that_would_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(supercell_module, "_LARGEST_PERMUTATION_TABLE", 1000)
    with pytest.raises(ValueError, match="384 x 8; use a smaller supercell"):
        _ = Supercell(FCC, 2).symmetry_permutations


def test_sublattices_list_the_supercells_own_sites():
    supercell = Supercell(PEROVSKITE, [1, 1, 2])
    found = [(s.name, s.species, s.sites.tolist()) for s in supercell.sublattices]
    assert found == [("A", ("Sr", "La"), [0, 1]), ("O", ("O", "X"), [4, 5, 6, 7, 8, 9])]
    assert supercell.species[2:5] == (("Ti",), ("Ti",), ("O", "X"))
    assert repr(supercell) == "Supercell([[1, 0, 0], [0, 1, 0], [0, 0, 2]]: 2 prims, 10 sites)"


def test_symmetric_sublattices_are_numbered_where_they_fall_apart():
    labelled = Prim(
        PEROVSKITE.lattice,
        PEROVSKITE.frac_coords,
        PEROVSKITE.species,
        labels=["", "", "", "apical", ""],
        sublattice_names=["A", "O"],
    )
    found = [(s.name, s.sites.tolist()) for s in Supercell(labelled, 1).symmetric_sublattices]
    assert found == [("A", [0]), ("O1", [2, 4]), ("O2", [3])]
    assert [s.name for s in Supercell(PEROVSKITE, 1).symmetric_sublattices] == ["A", "O"]


def test_the_hermite_normal_form_spans_the_same_lattice():
    rng = np.random.default_rng(2)
    for matrix in rng.integers(-6, 7, size=(200, 3, 3)):
        determinant = round(np.linalg.det(matrix))
        if determinant == 0:
            continue
        form = hermite_normal_form(matrix)
        assert np.all(np.tril(form, k=-1) == 0)
        diagonal = np.diag(form)
        assert np.all(diagonal > 0)
        assert np.all((form >= 0) & ((form < diagonal) | (np.eye(3) == 1)))
        change = matrix @ np.linalg.inv(form)
        np.testing.assert_allclose(change, np.round(change), atol=1e-8)
        assert diagonal.prod() == abs(determinant)


def test_a_large_row_of_sites_takes_little_memory():
    supercell = Supercell(FCC, 60)
    prim_sites, offsets = np.zeros(4, dtype=np.int64), np.array([[1, -2, 3], [-7, 0, 1], [0, 0, 0], [59, 60, -61]])
    tracemalloc.start()
    try:
        sites = supercell.sites_from_cells(prim_sites, offsets)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Temporaries are those of one row: some integers of 64 bits for each cell.
    assert peak < sites.nbytes + 6 * 8 * supercell.num_prims
