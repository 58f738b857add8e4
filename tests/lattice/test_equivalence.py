"""Keys of structures against orbits under permutations, in the same and in other supercells."""

import itertools

import numpy as np
import pytest

from helpers import random_occupancies
from jaxce.lattice.enumeration import enumerate_occupancies, enumerate_structures
from jaxce.lattice.equivalence import canonical_key
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.lattice.supercell_shapes import distinct_supercells
from jaxce.lattice.symmetry import space_group

FCC = Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
PEROVSKITE = Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti"], *[["O", "X"]] * 3],
)
ROCK_SALT = Prim(FCC.lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]])
HCP = Prim(
    np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.8]]),
    [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
    [["Mg", "Ti"]] * 2,
)
# A screw axis and nothing else.
CHIRAL = Prim(
    np.diag([3.0, 3.0, 7.0]),
    [[0.2, 0.1, 0], [-0.1, 0.2, 0.25], [-0.2, -0.1, 0.5], [0.1, -0.2, 0.75]],
    [["Li", "Na", "K"]] * 4,
)
# Twice the smallest cell: translations by half its vectors are symmetry too.
DOUBLED = Prim(np.diag([6.0, 3.0, 3.0]), [[0, 0, 0], [0.5, 0, 0]], [["Cu", "Au"]] * 2)
PRIMS = [FCC, PEROVSKITE, ROCK_SALT, HCP, CHIRAL, DOUBLED]
SKEW = [[2, 1, 0], [0, 1, 1], [-1, 0, 3]]


def all_occupancies(supercell):
    numbers = supercell.prim.num_species[supercell.prim_sites]
    return np.array(list(itertools.product(*map(range, numbers))))


def of_larger_cell(supercell, occupancy, transformation):
    """The same crystal in a larger cell, by positions in space."""
    larger = Supercell(supercell.prim, transformation)
    fractional = larger.cart_coords @ np.linalg.inv(supercell.lattice)
    own = supercell.cart_coords @ np.linalg.inv(supercell.lattice)
    difference = fractional[:, None] - own
    is_same = np.all(np.abs(difference - np.round(difference)) < 1e-6, axis=-1)
    assert np.all(is_same.sum(axis=1) == 1)
    return larger, np.asarray(occupancy)[is_same.argmax(axis=1)]


@pytest.mark.parametrize(
    ("prim", "cell"),
    [(prim, cell) for prim in PRIMS for cell in (1, [2, 1, 1], [2, 2, 1], SKEW)] + [(FCC, 2), (PEROVSKITE, 2)],
    ids=str,
)
def test_key_is_the_same_for_all_symmetry_images(prim, cell):
    supercell = Supercell(prim, cell)
    for occupancy in random_occupancies(supercell, 2, seed=0):
        images = np.zeros_like(supercell.symmetry_permutations)
        np.put_along_axis(images, supercell.symmetry_permutations, occupancy[None].astype(images.dtype), axis=1)
        different = np.unique(images, axis=0)
        some = different[:: max(1, len(different) // 60)]
        assert len({canonical_key(supercell, image) for image in [occupancy, *some]}) == 1


@pytest.mark.parametrize(
    ("prim", "cell"),
    [
        (FCC, [2, 2, 2]),
        (FCC, SKEW),
        (FCC, [1, 1, 8]),
        (ROCK_SALT, [3, 1, 1]),
        (HCP, [2, 2, 1]),
        (PEROVSKITE, 1),
        (CHIRAL, 1),
        (DOUBLED, [2, 2, 1]),
    ],
    ids=str,
)
def test_keys_tell_apart_exactly_the_orbits_of_a_cell(prim, cell):
    supercell = Supercell(prim, cell)
    occupancies = all_occupancies(supercell)
    keys = [canonical_key(supercell, occupancy) for occupancy in occupancies]
    # Burnside: orbits are the mean number of occupancies that an operation leaves as they are.
    fixed = [
        np.sum(np.all(occupancies[:, permutation] == occupancies, axis=1))
        for permutation in supercell.symmetry_permutations
    ]
    # Smaller structures in this cell may be images of each other by operations that change its shape.
    lattice_is_symmetric = len(supercell.lattice_operations) == len(space_group(prim).rotations)
    orbits = round(np.mean(fixed))
    assert len(set(keys)) == orbits if lattice_is_symmetric else len(set(keys)) <= orbits
    primitive = enumerate_occupancies(supercell)
    assert len({canonical_key(supercell, occupancy) for occupancy in primitive}) == len(primitive)


@pytest.mark.parametrize(
    ("prim", "size"), [(FCC, 4), (FCC, 5), (ROCK_SALT, 2), (HCP, 3), (CHIRAL, 1), (DOUBLED, 2)], ids=str
)
def test_all_occupancies_of_all_shapes_have_the_keys_of_the_enumerated_structures(prim, size):
    enumerated = [canonical_key(cell, codes) for cell, rows in enumerate_structures(prim, size) for codes in rows]
    assert len(set(enumerated)) == len(enumerated)
    found = {
        canonical_key(supercell, occupancy)
        for number in range(1, size + 1)
        for supercell in distinct_supercells(prim, number)
        for occupancy in all_occupancies(supercell)
    }
    assert found == set(enumerated)


@pytest.mark.parametrize("prim", PRIMS, ids=str)
def test_larger_cells_and_other_vectors_do_not_change_the_key(prim):
    supercell = Supercell(prim, SKEW)
    for occupancy in random_occupancies(supercell, 3, seed=1):
        key = canonical_key(supercell, occupancy)
        for change in (
            [[1, 3, 0], [0, 1, 0], [2, 0, 1]],
            [[0, 1, 0], [0, 0, -1], [1, 0, 0]],
            [[2, 1, 0], [0, 1, 0], [0, 0, 2]],
        ):
            larger, codes = of_larger_cell(supercell, occupancy, np.array(change) @ supercell.transformation)
            assert canonical_key(larger, codes) == key


def test_rotated_supercells_of_the_crystal_share_a_key():
    group = space_group(PEROVSKITE)
    supercell = Supercell(PEROVSKITE, [[1, 1, 0], [0, 2, 0], [0, 0, 3]])
    occupancy = random_occupancies(supercell, 1, seed=2)[0]
    key = canonical_key(supercell, occupancy)
    cells = set()
    for operation, rotation in enumerate(group.rotations):
        turned = Supercell(PEROVSKITE, supercell.transformation @ rotation.T)
        sites, offsets = group.apply(operation, supercell.prim_sites, supercell.offsets)
        codes = np.zeros_like(occupancy)
        codes[turned.site_index(sites, offsets)] = occupancy
        assert canonical_key(turned, codes) == key
        cells.add(turned.lattice.tobytes())
    assert len(cells) > 10


def test_mirror_images_differ_where_the_crystal_has_no_mirror():
    chain, image = np.array([0, 0, 1, 2]), np.array([0, 2, 1, 0])
    supercell = Supercell(CHIRAL, 1)
    turned = {canonical_key(supercell, np.roll(chain, shift)) for shift in range(4)}
    assert len(turned) == 1
    assert canonical_key(supercell, image) not in turned


def test_changing_one_site_changes_the_key():
    supercell = Supercell(ROCK_SALT, [2, 2, 2])
    occupancy = random_occupancies(supercell, 1, seed=3)[0]
    keys = {canonical_key(supercell, occupancy)}
    for site in range(supercell.num_sites):
        changed = occupancy.copy()
        changed[site] = (changed[site] + 1) % supercell.prim.num_species[supercell.prim_sites[site]]
        keys.add(canonical_key(supercell, changed))
    assert len(keys) > 8
    composition = {canonical_key(supercell, np.where(supercell.prim_sites == 0, code, 0)) for code in range(3)}
    assert len(composition) == 3


def test_integer_type_does_not_matter():
    supercell = Supercell(ROCK_SALT, [2, 2, 1])
    occupancy = random_occupancies(supercell, 1, seed=4)[0]
    keys = {canonical_key(supercell, occupancy.astype(kind)) for kind in (np.int8, np.int32, np.int64, np.uint8)}
    assert len(keys) == 1
