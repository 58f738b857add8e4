"""Distinct occupancies against published counts, Burnside's lemma, and comparing all occupancies with all images."""

import itertools
from typing import Any

import numpy as np
import pytest

import jaxce
from jaxce.lattice import enumeration as module
from jaxce.lattice.enumeration import enumerate_occupancies, enumerate_structures
from jaxce.lattice.prim import Prim
from jaxce.lattice.structures import occupancy_to_ase
from jaxce.lattice.supercell import Supercell

FCC = Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
TERNARY = Prim(FCC.lattice, [[0, 0, 0]], [["Cu", "Au", "Ag"]])
HCP = Prim(
    np.array([[3, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 4.8]]),
    [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
    [["Mg", "Ti"]] * 2,
)
PEROVSKITE = Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti"], *[["O", "X"]] * 3],
    sublattice_names=["A", "O"],
)
ROCK_SALT = Prim(
    FCC.lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "X"], ["O", "X"]], sublattice_names=["M", "O"]
)
CELL = Supercell(PEROVSKITE, [[1, 1, 0], [-1, 1, 0], [0, 0, 1]])
CASES = [
    (FCC, [2, 2, 1]),
    (FCC, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
    (FCC, [[2, 1, 0], [0, 1, 1], [-1, 0, 3]]),
    (TERNARY, [1, 1, 5]),
    (TERNARY, [3, 2, 1]),
    (HCP, [2, 2, 1]),
    (HCP, [[1, 1, 0], [-1, 2, 0], [0, 0, 1]]),
    (PEROVSKITE, 1),
    (PEROVSKITE, [1, 1, 2]),
    (ROCK_SALT, [[1, 0, 0], [0, 1, -1], [-1, 1, 1]]),
    (ROCK_SALT, [1, 1, 3]),
]

# Hart and Forcade, Phys. Rev. B 77, 224115 (2008): binary structures of fcc by sites per cell, A and B alike.
ALIKE = {2: 2, 3: 3, 4: 12, 5: 14, 6: 50, 7: 52, 8: 229, 9: 252, 10: 685, 11: 682, 12: 3875}
# The same with A and B told apart.
DISTINCT = {1: 2, 2: 2, 3: 6, 4: 19, 5: 28, 6: 80, 7: 104, 8: 390, 9: 504, 10: 1211, 11: 1364, 12: 7140}


@pytest.mark.parametrize("size", DISTINCT)
def test_numbers_of_fcc_structures_are_the_published_ones(size):
    assert sum(len(occupancies) for _, occupancies in enumerate_structures(FCC, [size])) == DISTINCT[size]


@pytest.mark.parametrize("size", ALIKE)
def test_numbers_with_interchangeable_species_are_the_published_ones(size):
    found = enumerate_structures(FCC, [size], interchangeable=["A"])
    assert sum(len(occupancies) for _, occupancies in found) == ALIKE[size]


def relabelings(supercell, interchangeable):
    """For each way to rename species, the new code of each code on each site."""
    chosen = [s for s in supercell.sublattices if s.name in interchangeable]
    for renamed in itertools.product(*(itertools.permutations(range(len(s.species))) for s in chosen)):
        tables = [list(range(len(names))) for names in supercell.species]
        for sublattice, codes in zip(chosen, renamed, strict=True):
            for site in sublattice.sites:
                tables[site] = list(codes)
        yield tables


def slow_representatives(supercell, primitive_only, interchangeable=(), is_allowed=lambda occupancy: True):
    """The lowest of each set of equal occupancies: every occupancy is compared with all its images."""
    permutations = supercell.symmetry_permutations.tolist()
    cells = supercell.cells[np.any(supercell.cells != 0, axis=1)]
    translations = [supercell.site_index(supercell.prim_sites, supercell.offsets + cell).tolist() for cell in cells]
    everything = [o for o in itertools.product(*(range(len(n)) for n in supercell.species)) if is_allowed(o)]
    seen, kept = set(), []
    for occupancy in everything:
        if occupancy in seen:
            continue
        if not (primitive_only and any(moved(occupancy, p) == occupancy for p in translations)):
            kept.append(occupancy)
        for tables in relabelings(supercell, interchangeable):
            renamed = tuple(table[code] for table, code in zip(tables, occupancy, strict=True))
            seen.update(moved(renamed, permutation) for permutation in permutations)
    return [list(occupancy) for occupancy in kept]


def moved(occupancy, permutation):
    image = [0] * len(permutation)
    for site, target in enumerate(permutation):
        image[target] = occupancy[site]
    return tuple(image)


def number_of(supercell, occupancy, name):
    return sum(names[code] == name for names, code in zip(supercell.species, occupancy, strict=True))


@pytest.mark.parametrize("primitive_only", [True, False])
@pytest.mark.parametrize(("prim", "transformation"), CASES, ids=str)
def test_occupancies_are_the_lowest_of_all_images(prim, transformation, primitive_only):
    supercell = Supercell(prim, transformation)
    found = enumerate_occupancies(supercell, primitive_only=primitive_only)
    assert (found.dtype, found.shape[1]) == (np.int8, supercell.num_sites)
    assert found.tolist() == slow_representatives(supercell, primitive_only)


@pytest.mark.parametrize(
    ("prim", "transformation", "names"),
    [
        (FCC, [[2, 1, 0], [0, 1, 1], [-1, 0, 3]], ["A"]),
        (TERNARY, [1, 2, 2], ["A"]),
        (PEROVSKITE, [1, 1, 2], ["A"]),
        (PEROVSKITE, [1, 1, 2], ["O", "A"]),
        (ROCK_SALT, [1, 1, 3], ["M"]),
    ],
    ids=str,
)
def test_species_may_be_interchangeable(prim, transformation, names):
    supercell = Supercell(prim, transformation)
    found = enumerate_occupancies(supercell, interchangeable=names)
    assert found.tolist() == slow_representatives(supercell, True, names)
    assert len(found) < len(enumerate_occupancies(supercell))


def num_orbits(supercell):
    """Burnside's lemma: the mean over permutations of the product over cycles of the number of species."""
    permutations = supercell.symmetry_permutations.tolist()
    total = 0
    for permutation in permutations:
        fixed, left = 1, set(range(supercell.num_sites))
        while left:
            site = first = left.pop()
            fixed *= len(supercell.species[site])
            while (site := permutation[site]) != first:
                left.remove(site)
        total += fixed
    assert total % len(permutations) == 0
    return total // len(permutations)


@pytest.mark.parametrize(
    ("prim", "transformation"),
    [*CASES, (FCC, [2, 2, 4]), (FCC, [1, 1, 17]), (TERNARY, [3, 3, 1]), (HCP, [2, 2, 2]), (PEROVSKITE, [1, 2, 2])],
    ids=str,
)
def test_all_occupancies_number_as_by_burnsides_lemma(prim, transformation):
    supercell = Supercell(prim, transformation)
    assert len(enumerate_occupancies(supercell, primitive_only=False)) == num_orbits(supercell)


@pytest.mark.parametrize(
    ("composition", "is_allowed"),
    [
        ({"La": 1}, lambda o: number_of(CELL, o, "La") == 1),
        ({"La": (0, 0.5), "X": (1, 2)}, lambda o: number_of(CELL, o, "La") <= 1 and 1 <= number_of(CELL, o, "X") <= 2),
        ({"A": {"La": 0.5}, "O": {"X": 1}}, lambda o: number_of(CELL, o, "La") == 1 and number_of(CELL, o, "X") == 1),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_a_limited_composition_gives_a_part_of_the_full_list(composition, is_allowed):
    every = enumerate_occupancies(CELL).tolist()
    expected = [occupancy for occupancy in every if is_allowed(occupancy)]
    assert 0 < len(expected) < len(every)
    assert enumerate_occupancies(CELL, composition=composition).tolist() == expected


def test_renaming_out_of_the_limits_makes_nothing_equal():
    # Two Au on six sites: renamed they would be four, which the limits exclude.
    supercell = Supercell(FCC, [1, 2, 3])
    expected = enumerate_occupancies(supercell, composition={"Au": 2}).tolist()
    assert enumerate_occupancies(supercell, composition={"Au": 2}, interchangeable=["A"]).tolist() == expected
    # The lowest occupancy of a set may be outside of the limits: then the lowest of those inside stands for the set.
    for lowest, highest in [(4, 6), (3, 5), (1, 4)]:
        is_allowed = lambda occupancy, low=lowest, high=highest: low <= sum(occupancy) <= high
        found = enumerate_occupancies(supercell, composition={"Au": (lowest, highest)}, interchangeable=["A"])
        assert found.tolist() == slow_representatives(supercell, True, ["A"], is_allowed)


@pytest.mark.parametrize("interchangeable", [(), ("M", "O")], ids=str)
def test_neither_blocks_nor_words_matter(monkeypatch, interchangeable):
    supercell = Supercell(ROCK_SALT, [1, 2, 2])
    keywords: dict[str, Any] = {"composition": {"Ni": (1, 3)}, "interchangeable": interchangeable}
    expected = enumerate_occupancies(supercell, **keywords)
    monkeypatch.setattr(module, "_BLOCK", 37)
    monkeypatch.setattr(module, "_MOST_OPERATIONS", 3)
    monkeypatch.setattr(module, "_LARGEST_NUMBER", 7)
    np.testing.assert_array_equal(enumerate_occupancies(supercell, **keywords), expected)


def test_numbers_of_occupancies_are_exact_and_ordered_as_the_occupancies():
    num_species = np.random.default_rng(0).integers(2, 6, size=150)
    weights = module._place_values(num_species)
    # The largest number of each word, in Python's exact integers.
    largest = [sum(int(w) * (int(n) - 1) for w, n in zip(word, num_species, strict=True)) for word in weights]
    assert all(2**50 < number < 2**53 for number in largest[:-1])
    assert largest[-1] < 2**53
    codes = np.random.default_rng(1).integers(0, num_species, size=(200, 150))
    codes[:100, :75] = 0
    numbers = [tuple(int(number) for number in weights @ row) for row in codes]
    assert [row.tolist() for _, row in sorted(zip(numbers, codes, strict=True), key=lambda pair: pair[0])] == sorted(
        codes.tolist()
    )


def test_two_vacancies_in_a_large_cell_are_the_different_pairs_of_sites():
    # 81 binary sites: more than one float64 holds exactly.
    supercell = Supercell(PEROVSKITE, 3)
    found = enumerate_occupancies(supercell, composition={"La": 0, "X": 2})
    pairs = {tuple(sorted(pair)) for pair in itertools.combinations(supercell.sublattices[1].sites.tolist(), 2)}
    classes = 0
    while pairs:
        classes += 1
        pairs -= {tuple(row) for row in np.sort(supercell.symmetry_permutations[:, list(pairs.pop())]).tolist()}
    assert len(found) == classes
    assert np.all(found.sum(axis=1) == 2)
    # La on two A sites of a cubic lattice: neighbours along an edge, a face diagonal or a body diagonal.
    assert len(enumerate_occupancies(supercell, composition={"La": 2, "X": 0})) == 3


def test_structures_of_all_shapes_differ_in_their_correlations():
    structures = [
        occupancy_to_ase(supercell, occupancy)
        for supercell, occupancies in enumerate_structures(FCC, 6)
        for occupancy in occupancies
    ]
    assert len(structures) == 2 + 2 + 6 + 19 + 28 + 80
    space = jaxce.ClusterSpace(FCC, {2: 8.1, 3: 5.7, 4: 4.1})
    vectors = jaxce.CorrelationTransformer(space).transform(structures)
    differences = np.abs(vectors[:, None] - vectors).max(axis=-1)
    assert np.all(differences[np.triu_indices(len(structures), k=1)] > 1e-3)


def test_sizes_come_in_the_order_asked_for():
    found = [
        (supercell.num_prims, len(occupancies)) for supercell, occupancies in enumerate_structures(FCC, range(4, 1, -1))
    ]
    assert [size for size, _ in found] == [4] * 7 + [3] * 3 + [2] * 2
    ones = [(supercell.num_prims, occupancies.tolist()) for supercell, occupancies in enumerate_structures(FCC, 1)]
    assert ones == [(1, [[0], [1]])]


def test_sizes_that_cannot_have_the_composition_are_passed_over():
    found = enumerate_structures(FCC, 6, composition={"Au": 1 / 3})
    numbers = {supercell.num_prims: occupancies.sum(axis=1) for supercell, occupancies in found}
    assert set(numbers) == {3, 6}
    assert all(np.all(3 * number == size) for size, number in numbers.items())


def test_a_prim_that_is_not_primitive_keeps_all_its_structures():
    double = Prim(np.diag([1, 1, 2]) @ FCC.lattice, [[0, 0, 0], [0, 0, 0.5]], [["Cu", "Au"]] * 2)
    # Both pure structures, and one with both species: what a translation within the prim maps is equal, not dropped.
    assert enumerate_occupancies(Supercell(double, 1)).tolist() == [[0, 0], [0, 1], [1, 1]]


def test_a_prim_without_choices_has_one_structure():
    fixed = Prim(FCC.lattice, [[0, 0, 0]], [["Al"]])
    assert [(s.num_prims, o.tolist()) for s, o in enumerate_structures(fixed, 3)] == [(1, [[0]])]
    assert enumerate_occupancies(Supercell(fixed, 2), primitive_only=False).tolist() == [[0] * 8]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"active sublattices \['A', 'O'\], but came as \['B'\]"):
        enumerate_occupancies(CELL, interchangeable=["B"])
    with pytest.raises(ValueError, match="must list names"):
        enumerate_occupancies(CELL, interchangeable="A")
    with pytest.raises(ValueError, match=r"no occupancy of .* has the composition \{'La': 3\}"):
        enumerate_occupancies(CELL, composition={"La": 3})
    with pytest.raises(ValueError, match="limits 'Ba'"):
        enumerate_occupancies(CELL, composition={"Ba": 1})
    with pytest.raises(ValueError, match=r"there are 256 occupancies .* more than `max_count` \(255\)"):
        enumerate_occupancies(CELL, max_count=255)


def test_bad_input_is_refused_before_anything_is_enumerated():
    with pytest.raises(ValueError, match="numbers of prims from 1 on"):
        enumerate_structures(FCC, 0)
    with pytest.raises(ValueError, match="numbers of prims from 1 on"):
        enumerate_structures(FCC, [2, 0])
    with pytest.raises(ValueError, match="must list names"):
        enumerate_structures(FCC, 2, interchangeable=["O"])
    with pytest.raises(ValueError, match="there are 64 occupancies"):
        enumerate_structures(FCC, 6, max_count=63)
    with pytest.raises(ValueError, match=r"no supercell of \[1, 2\] prims can have"):
        enumerate_structures(FCC, 2, composition={"Au": 1 / 3})
