"""Flip vectors: they keep what they should, and connect all counts, against plain enumeration."""

import itertools

import numpy as np
import pytest

from jaxce.sampling import flip_vectors
from jaxce.sampling.flip_vectors import find_flip_vectors, is_connected

# Li+, Mn2+, Mn3+, Mn4+ on 8 sites with total charge 17.
MANGANESE = ([4], np.array([[3, 2, 2, 1]]), np.array([[[1, 2, 3, 4]]]))
# The same and O2-, F-.
OXYFLUORIDE = ([4, 2], np.array([[[1, 2, 3, 4], [-2, -1, 0, 0]]]))
# (Sr2+, La3+)(Ti4+, Fe3+)(O2-, vacancy).
PEROVSKITE = ([2, 2, 2], np.array([[[2, 3], [4, 3], [-2, 0]]]))


def species_totals(*rows):
    """Constraints that keep the total of every species, named by one letter in each row."""
    width = max(map(len, rows))
    names = sorted(set("".join(rows)))
    return np.array([[[row[code : code + 1] == name for code in range(width)] for row in rows] for name in names]) * 1


def compositions_of(num_sites, num_species, width):
    for row in itertools.product(range(num_sites + 1), repeat=num_species):
        if sum(row) == num_sites:
            yield (*row, *[0] * (width - num_species))


def all_counts(num_species, sites, width):
    rows = [list(compositions_of(n, s, width)) for n, s in zip(sites, num_species, strict=True)]
    return np.array(list(itertools.product(*rows)))


def fibers(num_species, sites, constraints):
    """All counts with so many sites on each row, apart by the sums of the constraints."""
    counts = all_counts(num_species, sites, constraints.shape[2])
    groups = {}
    for count in counts:
        groups.setdefault(tuple(np.sum(constraints * count, axis=(1, 2))), []).append(count)
    return list(groups.values())


def reached(start, vectors):
    """All counts that steps +-v reach from the start."""
    seen, unvisited = {start.tobytes()}, [start]
    while unvisited:
        count = unvisited.pop()
        for step in (*vectors, *-vectors):
            following = count + step
            if np.all(following >= 0) and following.tobytes() not in seen:
                seen.add(following.tobytes())
                unvisited.append(following)
    return seen


def fiber_of(start, num_species, constraints):
    sums = np.sum(constraints * start, axis=(1, 2))
    counts = all_counts(num_species, start.sum(axis=1), start.shape[1])
    return {count.tobytes() for count in counts if np.array_equal(np.sum(constraints * count, axis=(1, 2)), sums)}


def test_a_lattice_basis_splits_eleven_compositions_which_flip_vectors_connect():
    num_species, start, charge = MANGANESE
    lattice_basis = np.array([[[1, -2, 1, 0]], [[0, 1, -2, 1]]])
    fiber = fiber_of(start, num_species, charge)
    assert len(fiber) == 11
    assert is_connected(lattice_basis, *MANGANESE) is False
    assert len(reached(start, lattice_basis)) in (1, 10)

    vectors = find_flip_vectors(*MANGANESE)
    assert is_connected(vectors, *MANGANESE) is True
    assert reached(start, vectors) == fiber
    assert np.all(vectors.sum(axis=2) == 0)
    assert np.all(np.sum(vectors * charge, axis=(1, 2)) == 0)


def test_every_pair_of_vectors_comes_once_and_fewest_sites_come_first():
    vectors = find_flip_vectors(PEROVSKITE[0], [[28, 4], [20, 12], [94, 2]], PEROVSKITE[1])
    both = np.concatenate([vectors, -vectors]).reshape(2 * len(vectors), -1)
    assert len(np.unique(both, axis=0)) == len(both)
    num_sites = np.abs(vectors).sum(axis=(1, 2)) // 2
    np.testing.assert_array_equal(num_sites, np.sort(num_sites))
    assert vectors.dtype == np.int64


def test_three_sublattices_in_a_cycle_have_one_move_of_three_sites():
    start = np.array([[3, 2], [4, 1], [0, 5]])
    constraints = species_totals("xy", "yz", "zx")
    vectors = find_flip_vectors([2, 2, 2], start, constraints)
    # x leaves A and enters C, z leaves C and enters B, y leaves B and enters A.
    cycle = np.array([[-1, 1], [-1, 1], [-1, 1]])
    assert len(vectors) == 1
    assert np.array_equal(vectors[0], cycle) or np.array_equal(vectors[0], -cycle)
    assert reached(start, vectors) == fiber_of(start, [2, 2, 2], constraints)


@pytest.mark.parametrize("rows", [("lmx", "oxm"), ("abc", "bcd", "cda"), ("ab", "abc", "bc")])
def test_species_shared_between_sublattices_spread_in_all_ways(rows):
    num_species = [len(row) for row in rows]
    constraints = species_totals(*rows)
    all_fibers = fibers(num_species, [3] * len(rows), constraints)
    vectors = find_flip_vectors(num_species, [fiber[0] for fiber in all_fibers], constraints)
    for fiber in all_fibers:
        assert reached(fiber[0], vectors) == {count.tobytes() for count in fiber}


def test_neutral_perovskites_exchange_cations_for_vacancies():
    num_species, charge = PEROVSKITE
    start = np.array([[4, 0], [0, 4], [10, 2]])
    assert np.sum(charge * start) == 0
    vectors = find_flip_vectors(num_species, start, charge)
    assert np.any(np.all(vectors[:, 0] == 0, axis=1) & np.any(vectors[:, 2] != 0, axis=1))  # 2 Ti + O for 2 Fe + X
    assert reached(start, vectors) == fiber_of(start, num_species, charge)


@pytest.mark.parametrize("seed", range(25))
def test_flip_vectors_connect_all_counts_of_random_constraints(seed):
    rng = np.random.default_rng(seed)
    num_species = rng.integers(1, 5, size=rng.integers(1, 4))
    sites = rng.integers(1, 8 // len(num_species) + 1, size=len(num_species))
    # Equal charges are common, so that species of one charge are tested too.
    constraints = rng.integers(-3, 4, size=(rng.integers(0, 3), len(num_species), 4))
    all_fibers = fibers(num_species, sites, constraints)
    vectors = find_flip_vectors(num_species, [fiber[0] for fiber in all_fibers], constraints)
    for fiber in all_fibers:
        assert reached(fiber[0], vectors) == {count.tobytes() for count in fiber}
        alone = find_flip_vectors(num_species, fiber[0], constraints)
        assert reached(fiber[0], alone) == {count.tobytes() for count in fiber}


@pytest.mark.parametrize("seed", range(12))
def test_graph_search_agrees_with_plain_enumeration(seed):
    rng = np.random.default_rng(seed)
    num_species = [3, 4]
    constraints = rng.integers(-2, 3, size=(1, 2, 4))
    start = np.zeros((2, 4), dtype=int)
    start[0, :3], start[1] = rng.multinomial(4, np.ones(3) / 3), rng.multinomial(4, np.ones(4) / 4)
    vectors = find_flip_vectors(num_species, start, constraints)
    fiber = fiber_of(start, num_species, constraints)
    answers = set()
    for number in range(len(vectors) + 1):
        is_whole = reached(start, vectors[:number]) == fiber
        assert is_connected(vectors[:number], num_species, start, constraints) == is_whole
        answers.add(is_whole)
    assert True in answers


def test_vectors_of_a_large_cell_connect_small_cells_of_every_charge():
    num_species, charge = OXYFLUORIDE
    large = [[54, 18, 18, 18], [99, 9, 0, 0]]
    vectors = find_flip_vectors(num_species, large, charge)
    assert is_connected(vectors, num_species, large, charge, limit=1000) is None
    starts = [fiber[0] for fiber in fibers(num_species, [5, 4], charge)]
    assert len(starts) > 10
    assert is_connected(vectors, num_species, starts, charge) is True
    assert is_connected(vectors[:-1], num_species, starts, charge) is False


def test_species_of_one_charge_exchange_and_flip_alike():
    charge = np.array([[[2, 2, 2, 3, 3, 3], [-2, -1, 0, 0, 0, 0]]])
    vectors = find_flip_vectors([6, 2], [[4, 4, 4, 4, 4, 4], [20, 4, 0, 0, 0, 0]], charge)
    changes_one = np.abs(vectors).sum(axis=(1, 2)) == 2
    # Three exchanges in each class of three, and any divalent one for any trivalent one.
    assert np.sum(changes_one) == 6
    assert np.sum(np.any(vectors[:, 1] != 0, axis=1)) == 9


def test_without_constraints_every_two_species_of_a_row_exchange():
    start = np.array([[2, 0, 0], [0, 3, 0]])
    vectors = find_flip_vectors([3, 2], start, np.zeros((0, 2, 3), dtype=int))
    assert len(vectors) == 4
    assert np.all(np.abs(vectors).sum(axis=(1, 2)) == 2)


def test_nothing_changes_where_no_sum_of_charges_cancels():
    # Eight sites of the first row would make up for one of the second, but it has seven.
    constraints = np.array([[[1, 2], [0, 8]]])
    vectors = find_flip_vectors([2, 2], [[3, 4], [5, 5]], constraints)
    assert vectors.shape == (0, 2, 2)
    assert is_connected(vectors, [2, 2], [[3, 4], [5, 5]], constraints) is True
    assert find_flip_vectors([1], [[4]], np.zeros((0, 1, 1), dtype=int)).shape == (0, 1, 1)


def test_vectors_that_no_count_can_take_are_left_out():
    num_species, charge = PEROVSKITE
    large = find_flip_vectors(num_species, [[28, 4], [20, 12], [94, 2]], charge)
    # One A site cannot give up two strontium.
    one_site = find_flip_vectors(num_species, [[1, 0], [1, 1], [5, 1]], charge)
    assert np.abs(large[:, 0]).max() == 2
    assert np.abs(one_site[:, 0]).max() == 1
    # All sites hold their lowest charges.
    assert len(find_flip_vectors(num_species, [[4, 0], [0, 4], [12, 0]], charge)) == 0


def test_several_starts_get_what_each_of_them_needs():
    num_species, charge = PEROVSKITE
    stuck, free = np.array([[4, 0], [0, 4], [12, 0]]), np.array([[3, 1], [2, 2], [12, 0]])
    together = find_flip_vectors(num_species, [stuck, free], charge)
    assert reached(free, together) == fiber_of(free, num_species, charge)
    np.testing.assert_array_equal(together, find_flip_vectors(num_species, free, charge))


def test_a_search_that_grows_too_long_says_what_to_do(monkeypatch):
    monkeypatch.setattr(flip_vectors, "_MOST_COMPARISONS", 100)
    with pytest.raises(ValueError, match="Give `flip_vectors` yourself"):
        find_flip_vectors(*MANGANESE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"constraints": np.array([[[1, 2, 3, 4.5]]])}, "`constraints` must hold integers"),
        ({"constraints": np.array([[[1, 2, 3, np.nan]]])}, "`constraints` must hold integers"),
        ({"constraints": np.array([[1, 2, 3, 4]])}, r"`constraints` must have shape \[constraints, 1, 4\]"),
        ({"constraints": np.array([[[1, 2, 3]]])}, r"has shape \(1, 1, 3\)"),
        ({"counts": np.array([[3, 2, 2.5, 1]])}, "`counts` must hold integers"),
        ({"counts": np.array([[4, 2, 3, -1]])}, "`counts` must be 0 or more"),
        ({"counts": np.array([3, 2, 2, 1])}, "`counts` must have shape"),
        ({"counts": np.array([[3, 2, 2, 1], [3, 2, 2, 1]])}, "`counts` must have shape"),
        ({"num_species": [3]}, "0 for species codes that `num_species` does not allow"),
        ({"num_species": [5]}, r"`num_species` must lie in 1\.\.4"),
    ],
)
def test_bad_input_is_refused_with_what_was_wanted(changed, message):
    arguments = dict(zip(("num_species", "counts", "constraints"), MANGANESE, strict=True)) | changed
    with pytest.raises(ValueError, match=message):
        find_flip_vectors(**arguments)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[[1, -1, 0, 0]]], r"vector 0 does not: \[\[1, -1, 0, 0\]\]"),
        ([[[1, -2, 1, 0]], [[0, 1, -1, 1]]], "vector 1 does not"),
        ([[1, -2, 1, 0]], r"`vectors` must have shape \[vectors, 1, 4\]"),
    ],
)
def test_graph_search_refuses_vectors_that_break_a_constraint(vectors, message):
    with pytest.raises(ValueError, match=message):
        is_connected(vectors, *MANGANESE)
