"""The different shapes that supercells of one size may have."""

import itertools
from collections.abc import Iterator

import numpy as np

from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell, hermite_normal_form
from jaxce.lattice.symmetry import space_group

# Lengths that agree to this part are equal: rounding never decides which of two vectors is taken.
_LENGTH_TOLERANCE = 1e-6
_NEIGHBOURS = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
_SHORT_COMBINATIONS = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)))


def distinct_supercells(prim: Prim, num_prims: int) -> list[Supercell]:
    """One supercell for each lattice of `num_prims` prims that differs from the others by symmetry.

    Every lattice of this size has one Hermite normal form. Forms that a rotation of the prim's space group maps onto
    each other are one shape, of which the lexicographically lowest form is taken (Hart and Forcade, Phys. Rev. B 77,
    224115 (2008)). The vectors of each supercell are the shortest that span its lattice, the shortest first.

    Args:
        prim: the prim. Of one that is not primitive, shapes are counted as whole prims all the same.
        num_prims: number of prims in each supercell.

    Raises:
        ValueError: if `num_prims` is below 1.
    """
    if num_prims < 1:
        raise ValueError(f"a supercell has 1 prim or more, but `num_prims` is {num_prims}.")
    rotations = np.unique(space_group(prim).rotations, axis=0)
    seen: set[bytes] = set()
    supercells = []
    for form in _hermite_normal_forms(num_prims):
        if form.tobytes() not in seen:
            seen.update(hermite_normal_form(form @ rotation.T).tobytes() for rotation in rotations)
            supercells.append(Supercell(prim, _shortest_vectors(form, prim.lattice)))
    return supercells


def _hermite_normal_forms(num_prims: int) -> Iterator[np.ndarray]:
    """Every upper triangular form of this determinant, in lexicographic order."""
    forms = []
    for a in _divisors(num_prims):
        for d in _divisors(num_prims // a):
            f = num_prims // (a * d)
            forms += [[[a, b, c], [0, d, e], [0, 0, f]] for b in range(d) for c in range(f) for e in range(f)]
    return (np.array(form, dtype=np.int64) for form in sorted(forms))


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _shortest_vectors(form: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """`[3, 3]` shortest independent vectors of the lattice that the rows of `form` span, in prim vectors.

    In three dimensions such vectors span the whole lattice. Of equally long ones the first in descending order of
    their integers is taken, so that `[1, 0, 0]` comes before `[0, 1, 0]` and `[-1, 0, 0]`.
    """
    reduced = _reduced(form, lattice)
    vectors = _SHORT_COMBINATIONS @ reduced
    lengths = _lengths(vectors, lattice)
    order = np.argsort(lengths)
    is_longer = np.diff(lengths[order], prepend=0.0) > _LENGTH_TOLERANCE * _lengths(reduced, lattice).max()
    length_class = np.empty(len(vectors), dtype=np.int64)
    length_class[order] = np.cumsum(is_longer)
    chosen = np.zeros((0, 3), dtype=np.int64)
    for vector in vectors[np.lexsort((*-vectors.T[::-1], length_class))]:
        longer = np.vstack([chosen, vector])
        if len(chosen) < 3 and np.linalg.matrix_rank(longer) == len(longer):
            chosen = longer
    return chosen * [[1], [1], [round(np.sign(np.linalg.det(chosen)))]]


def _reduced(form: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """A Minkowski-reduced basis: no vector gets shorter when combinations of the shorter ones are added."""
    vectors, total = form, np.inf
    while (new_total := _lengths(vectors, lattice).sum()) < total * (1 - _LENGTH_TOLERANCE):
        total = new_total
        vectors = vectors[np.argsort(_lengths(vectors, lattice), kind="stable")]
        for row in (1, 2):
            vectors = _with_shortened_row(vectors, row, lattice)
    return vectors


def _with_shortened_row(vectors: np.ndarray, row: int, lattice: np.ndarray) -> np.ndarray:
    """`vectors` after a combination of the rows before `row` is taken off that row, the one that leaves least."""
    cartesian = vectors @ lattice
    nearest = np.round(np.linalg.lstsq(cartesian[:row].T, cartesian[row], rcond=None)[0]).astype(np.int64)
    candidates = vectors[row] - (nearest + _NEIGHBOURS[:, :row]) @ vectors[:row]
    shortened = vectors.copy()
    shortened[row] = candidates[np.argmin(_lengths(candidates, lattice))]
    return shortened


def _lengths(vectors: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors @ lattice, axis=-1)
