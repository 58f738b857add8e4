"""Space groups: known sizes, geometry, and independence of the program that found the operations."""

import itertools
from typing import Any

import numpy as np
import pytest
import spglib

from jaxce.lattice import symmetry
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import reduce_to_primitive, space_group

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
BCC = np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2.0]])
HEXAGONAL = np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.9]])
PEROVSKITE_COORDS = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
PEROVSKITE_SPECIES = [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3]
AB = ["A", "B"]
PRIMS = {
    "fcc": (Prim(FCC, [[0, 0, 0]], [AB]), 48),
    "bcc": (Prim(BCC, [[0, 0, 0]], [AB]), 48),
    "hcp": (Prim(HEXAGONAL, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], [AB] * 2), 24),
    "diamond": (Prim(FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [AB] * 2), 48),
    "zincblende": (Prim(FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [AB, ["C"]]), 24),
    "fcc, conventional cell": (
        Prim(4 * np.eye(3), [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [AB] * 4),
        4 * 48,
    ),
    "perovskite": (Prim(3.9 * np.eye(3), PEROVSKITE_COORDS, PEROVSKITE_SPECIES), 48),
    "perovskite, one oxygen labelled": (
        Prim(3.9 * np.eye(3), PEROVSKITE_COORDS, PEROVSKITE_SPECIES, labels=["", "", "apical", "", ""]),
        16,
    ),
    "triclinic": (Prim([[3, 0, 0], [0.3, 4, 0], [0.5, 0.7, 5]], [[0.1, 0.2, 0.3], [0.45, 0.5, 0.6]], [AB, ["C"]]), 1),
    "left-handed fcc": (Prim(-FCC, [[0.1, 0.2, 0.3]], [AB]), 48),
}


@pytest.fixture(params=PRIMS, ids=str)
def prim(request):
    return PRIMS[request.param][0]


@pytest.mark.parametrize("name", PRIMS)
def test_crystals_have_their_known_numbers_of_operations(name):
    prim, count = PRIMS[name]
    assert len(space_group(prim).rotations) == count


def test_operations_keep_all_distances_and_species(prim):
    group = space_group(prim)
    rng = np.random.default_rng(0)
    sites, offsets = rng.integers(prim.num_sites, size=8), rng.integers(-3, 4, size=(8, 3))
    before = (prim.frac_coords[sites] + offsets) @ prim.lattice
    expected = np.linalg.norm(before[:, None] - before, axis=-1)
    new_sites, new_offsets = group.apply(slice(None), sites, offsets)
    after = (prim.frac_coords[new_sites] + new_offsets) @ prim.lattice
    distances = np.linalg.norm(after[:, :, None] - after[:, None], axis=-1)
    np.testing.assert_allclose(distances, np.broadcast_to(expected, distances.shape), atol=1e-9)
    for site, images in enumerate(group.site_map.T):
        assert {prim.species[image] for image in images} == {prim.species[site]}
        assert {prim.labels[image] for image in images} == {prim.labels[site]}


def test_operations_form_a_group_and_start_with_the_identity(prim):
    group = space_group(prim)
    sites, offsets = np.arange(prim.num_sites), np.zeros((prim.num_sites, 3), dtype=int)
    same_sites, same_offsets = group.apply(0, sites, offsets + 5)
    np.testing.assert_array_equal(same_sites, sites)
    np.testing.assert_array_equal(same_offsets, offsets + 5)

    # An operation up to a lattice translation: rotation, site map, and cells relative to those of site 0.
    def name(rotation, site_map, offset_map):
        return (rotation.tobytes(), site_map.tobytes(), (offset_map - offset_map[0]).tobytes())

    known = {name(*operation) for operation in zip(*group, strict=True)}
    assert len(known) == len(group.rotations)
    chosen = list(itertools.product(range(len(known)), repeat=2))[::7]
    for first, second in chosen:
        product = group.apply(second, *group.apply(first, sites, offsets))
        assert name(group.rotations[second] @ group.rotations[first], *product) in known


def test_one_operation_is_a_row_of_all():
    group = space_group(PRIMS["perovskite"][0])
    sites, offsets = np.array([2, 4]), np.array([[1, 0, -2], [0, 3, 1]])
    all_sites, all_offsets = group.apply(slice(None), sites, offsets)
    one_site, one_offset = group.apply(17, sites, offsets)
    np.testing.assert_array_equal(all_sites[17], one_site)
    np.testing.assert_array_equal(all_offsets[17], one_offset)


def test_the_order_of_operations_is_not_that_of_spglib(prim, monkeypatch):
    expected = space_group(prim)
    original = spglib.get_symmetry

    def shuffled(*arguments, **keywords):
        found: Any = original(*arguments, **keywords)
        order = np.random.default_rng(1).permutation(len(found["rotations"]))
        # A translation may also come with another lattice vector added.
        return {"rotations": found["rotations"][order], "translations": found["translations"][order]}

    monkeypatch.setattr(spglib, "get_symmetry", shuffled)
    again = space_group.__wrapped__(prim)
    for one, other in zip(expected, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_site_orbits_name_the_lowest_equivalent_site():
    assert space_group(PRIMS["perovskite"][0]).site_orbits.tolist() == [0, 1, 2, 2, 2]
    assert space_group(PRIMS["perovskite, one oxygen labelled"][0]).site_orbits.tolist() == [0, 1, 2, 3, 3]


def test_the_tolerance_decides_whether_a_distorted_cell_is_cubic():
    lattice = np.diag([4.0, 4.0, 4.02])
    exact, loose = (Prim(lattice, [[0, 0, 0]], [AB], symprec=symprec) for symprec in (1e-5, 0.1))
    assert len(space_group(exact).rotations) == 16
    assert len(space_group(loose).rotations) == 48


def test_equivalent_sites_must_list_their_species_in_one_order():
    coords = [[0, 0, 0], [0.25, 0.25, 0.25]]
    prim = Prim(FCC, coords, [["A", "B"], ["B", "A"]])
    for function in (space_group, reduce_to_primitive):
        with pytest.raises(ValueError, match=r"sites 0 and 1 are symmetry-equivalent.*\('A', 'B'\) and \('B', 'A'\)"):
            function(prim)
    labelled = Prim(FCC, coords, [["A", "B"], ["B", "A"]], labels=["one", "two"])
    assert len(space_group(labelled).rotations) == 24


def test_a_failure_of_spglib_is_a_value_error():
    # Atoms closer than the tolerance are no structure.
    prim = Prim(4 * np.eye(3), [[0, 0, 0], [0, 0, 0.05]], [AB, AB], symprec=1.0)
    with pytest.raises(ValueError, match="spglib found no symmetry"):
        space_group(prim)


def test_operations_that_miss_the_sites_are_refused(monkeypatch):
    def wrong(*_arguments, **_keywords):
        return {"rotations": np.eye(3, dtype=int)[None], "translations": np.array([[0.1, 0, 0]])}

    monkeypatch.setattr(spglib, "get_symmetry", wrong)
    with pytest.raises(ValueError, match="lower `symprec`"):
        space_group.__wrapped__(PRIMS["fcc"][0])


def test_the_primitive_cell_of_the_conventional_one_is_a_quarter():
    origin = np.array([0.05, 0.1, 0.15])
    coords = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    prim = Prim(
        4 * turn,
        np.concatenate([coords + origin, coords + origin + np.array([0.5, 0, 0])]),
        [["Ni", "Mg"]] * 4 + [["O", "X"]] * 4,
        sublattice_names=["cation", "anion"],
        vacancy_aliases=["hole"],
    )
    reduced = reduce_to_primitive(prim)
    assert reduced.num_sites == 2
    assert abs(np.linalg.det(reduced.lattice)) == pytest.approx(16)
    assert [(s.name, s.species) for s in reduced.sublattices] == [("cation", ("Ni", "Mg")), ("anion", ("O", "X"))]
    assert reduced.vacancy_aliases == ("hole",)
    _assert_same_crystal(prim, reduced)
    assert reduce_to_primitive(reduced).num_sites == 2


def test_the_primitive_cell_keeps_each_sites_own_order_of_species_and_label():
    # Two inequivalent sites with the same species in different orders, in a doubled cell.
    coords = [[0, 0, 0], [0, 0, 0.5], [0.25, 0.3, 0.1], [0.25, 0.3, 0.6], [0.6, 0.1, 0.2], [0.6, 0.1, 0.7]]
    species = [["Cl"]] * 2 + [["A", "B"]] * 2 + [["B", "A"]] * 2
    prim = Prim(np.diag([3, 4, 10.0]), coords, species, labels=["", "", "p", "p", "q", "q"])
    _assert_same_crystal(prim, reduce_to_primitive(prim))
    prim = Prim(np.diag([3, 4, 10.0]), coords, species)
    reduced = reduce_to_primitive(prim)
    assert reduced.num_sites == 3
    _assert_same_crystal(prim, reduced)


def _assert_same_crystal(prim, reduced):
    """Every site of `prim` is one of the lattice points of `reduced`, with the same species and label."""
    vectors = prim.lattice @ np.linalg.inv(reduced.lattice)
    np.testing.assert_allclose(vectors, np.round(vectors), atol=1e-9)
    assert round(abs(np.linalg.det(vectors))) * reduced.num_sites == prim.num_sites
    for site, position in enumerate(prim.cart_coords()):
        difference = (position - reduced.cart_coords()) @ np.linalg.inv(reduced.lattice)
        found = np.flatnonzero(np.all(np.abs(difference - np.round(difference)) < 1e-6, axis=1))
        assert [reduced.species[image] for image in found] == [prim.species[site]]
        assert [reduced.labels[image] for image in found] == [prim.labels[site]]


def test_site_kinds_ignore_the_order_of_species():
    prim = Prim(FCC, [[0, 0, 0], [0.3, 0.3, 0.3], [0.6, 0.6, 0.6]], [["A", "B"], ["B", "A"], ["A", "C"]])
    assert symmetry._site_kinds(prim) == [1, 1, 2]
