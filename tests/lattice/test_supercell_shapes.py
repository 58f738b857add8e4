"""Shapes of supercells against published counts, a formula for all lattices, and geometry with signed permutations."""

import itertools

import numpy as np
import pytest

from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell_shapes import distinct_supercells

FCC = Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["A", "B"]])
BCC = Prim(np.array([[-2, 2, 2], [2, -2, 2], [2, 2, -2.0]]), [[0, 0, 0]], [["A", "B"]])
CUBIC = Prim(3 * np.eye(3), [[0, 0, 0]], [["A", "B"]])
HEXAGONAL = Prim(np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.0]]), [[0, 0, 0]], [["A", "B"]])
TETRAGONAL = Prim(np.diag([3, 3, 4.0]), [[0, 0, 0]], [["A", "B"]])
TRICLINIC = Prim(np.array([[3, 0, 0], [0.7, 3.3, 0], [0.4, 1.1, 4.0]]), [[0, 0, 0], [0.3, 0.1, 0.2]], [["A", "B"]] * 2)
CUBIC_GROUP = [
    np.diag(signs) @ np.eye(3)[list(order)]
    for signs in itertools.product((-1, 1), repeat=3)
    for order in itertools.permutations(range(3))
]


# Hart and Forcade, Phys. Rev. B 77, 224115 (2008), table of derivative superlattices.
@pytest.mark.parametrize(
    ("prim", "expected"),
    [
        (FCC, [1, 2, 3, 7, 5, 10, 7, 20, 14, 18]),
        (BCC, [1, 2, 3, 7, 5, 10, 7, 20, 14, 18]),
        (CUBIC, [1, 3, 3, 9, 5, 13, 7, 24, 14, 23]),
        (HEXAGONAL, [1, 3, 5, 11, 7, 19, 11, 34, 23, 33]),
        (TETRAGONAL, [1, 5, 5, 17, 9, 29, 13, 51, 28, 53]),
    ],
    ids=str,
)
def test_counts_are_the_published_ones(prim, expected):
    assert [len(distinct_supercells(prim, size)) for size in range(1, 11)] == expected


def num_lattices(index):
    """Sublattices of Z^3 of this index: the sum of d sigma(d) over its divisors d."""
    divisors = [d for d in range(1, index + 1) if index % d == 0]
    return sum(d * sum(e for e in divisors if d % e == 0) for d in divisors)


def spans_the_same(first, second):
    change = first @ np.linalg.inv(second)
    return bool(np.allclose(change, np.round(change), atol=1e-6))


@pytest.mark.parametrize("size", range(1, 10))
def test_without_symmetry_every_lattice_is_a_shape(size):
    assert len(distinct_supercells(TRICLINIC, size)) == num_lattices(size)


@pytest.mark.parametrize("prim", [FCC, CUBIC], ids=str)
@pytest.mark.parametrize("size", [2, 4, 6, 8])
def test_shapes_are_different_and_stand_for_all_lattices(prim, size):
    cells = [supercell.lattice for supercell in distinct_supercells(prim, size)]
    turned = [[cell @ rotation for rotation in CUBIC_GROUP] for cell in cells]
    for first, second in itertools.combinations(range(len(cells)), 2):
        assert not any(spans_the_same(image, cells[second]) for image in turned[first])
    images = [48 / sum(spans_the_same(image, cell) for image in own) for own, cell in zip(turned, cells, strict=True)]
    assert sum(images) == num_lattices(size)


@pytest.mark.parametrize("prim", [FCC, HEXAGONAL, TRICLINIC], ids=str)
def test_vectors_are_the_shortest_that_span_the_lattice(prim):
    combinations = np.array([c for c in itertools.product(range(-9, 10), repeat=3) if any(c)])
    for supercell in distinct_supercells(prim, 6)[::4] + distinct_supercells(prim, 9)[-4:]:
        assert round(np.linalg.det(supercell.transformation)) == supercell.num_prims
        inside = combinations @ np.linalg.inv(supercell.transformation)
        inside = combinations[np.all(np.abs(inside - np.round(inside)) < 1e-6, axis=1)]
        lengths = np.linalg.norm(inside @ prim.lattice, axis=1)
        shortest = np.zeros((0, 3))
        for vector in inside[np.argsort(lengths)]:
            if len(shortest) < 3 and np.linalg.matrix_rank(np.vstack([shortest, vector])) > len(shortest):
                shortest = np.vstack([shortest, vector])
        minima = np.linalg.norm(shortest @ prim.lattice, axis=1)
        np.testing.assert_allclose(np.linalg.norm(supercell.lattice, axis=1), minima, rtol=1e-6)


def test_simple_cells_are_written_simply():
    found = [supercell.transformation.tolist() for supercell in distinct_supercells(CUBIC, 2)]
    assert found == [
        [[1, 0, 0], [0, 1, 0], [0, 0, 2]],
        [[1, 0, 0], [0, 1, 1], [0, -1, 1]],
        [[1, 1, 0], [1, 0, 1], [1, 0, -1]],
    ]


def test_rounding_of_the_lattice_does_not_change_the_vectors():
    noise = 1 + 1e-9 * np.random.default_rng(0).normal(size=(3, 3))
    noisy = Prim(FCC.lattice * noise, FCC.frac_coords, FCC.species)
    for size in range(1, 9):
        found = [supercell.transformation.tolist() for supercell in distinct_supercells(noisy, size)]
        assert found == [supercell.transformation.tolist() for supercell in distinct_supercells(FCC, size)]


@pytest.mark.parametrize("size", [0, -2])
def test_no_prims_are_refused(size):
    with pytest.raises(ValueError, match="1 prim or more"):
        distinct_supercells(FCC, size)
