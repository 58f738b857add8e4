"""Compositions: every way to write one, all splits of shared species, and what is refused."""

import itertools
import math

import numpy as np
import pytest

from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.sampling import compositions
from jaxce.sampling.compositions import parse_composition

CUBE = 4.0 * np.eye(3)
TWO = [[0, 0, 0], [0.5, 0.5, 0.5]]
PEROVSKITE = Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti"], *[["O", "X"]] * 3],
    sublattice_names=["A", "O"],
)
EIGHT = Supercell(PEROVSKITE, 2)
# Magnesium and the vacancy are shared; three sites of each kind.
SHARED = Supercell(Prim(CUBE, TWO, [["Li", "Mg", "X"], ["O", "X", "Mg"]]), [1, 1, 3])
# Oxygen also fills an inactive site of each of four prims.
PARTLY_FIXED = Supercell(Prim(CUBE, TWO, [["O", "X"], ["O"]]), [1, 2, 2])


@pytest.mark.parametrize(
    "composition",
    [
        {"Sr": 6, "La": 2, "O": 21, "X": 3},
        {"Sr": 6, "La": 2, "Ti": 8, "O": 21, "X": 3},
        {"La": 2.0, "Sr": 6.0, "X": 3.0, "O": 21.0},
        {"Sr": np.int64(6), "La": np.float32(2), "O": 21, "Va": 3},
        {"Sr": 0.75, "La": 0.25, "O": 0.875, "VO": 0.125},
        {"Sr": 0.75, "La": 0.25, "O": 0.875, "X": 0.125, "Ti": 1.0},
        {"A": {"Sr": 6, "La": 2}, "O": {"O": 21, "X": 3}},
        {"O": {"Vacancy": 0.125, "O": 0.875}, "A": {"Sr": 6, "La": 2}},
        {"A": {"Sr": 0.75, "La": 0.25}, "O": {"V_O": 3, "O": 21}},
    ],
    ids=str,
)
def test_every_way_to_write_a_composition_gives_the_same_counts(composition):
    parsed = parse_composition(EIGHT, composition)
    assert parsed.counts.tolist() == [[[6, 2], [21, 3]]]
    assert parsed.log_arrangements == pytest.approx([math.log(math.comb(8, 2) * math.comb(24, 3))])


def test_species_that_are_not_named_are_absent():
    assert parse_composition(EIGHT, {"Sr": 8, "O": 24}).counts.tolist() == [[[8, 0], [24, 0]]]
    assert parse_composition(EIGHT, {"A": {"La": 8}, "O": {"O": 1.0}}).counts.tolist() == [[[0, 8], [24, 0]]]


def test_whole_floats_are_fractions_only_where_all_are_at_most_one():
    single = Supercell(Prim(CUBE, [[0, 0, 0]], [["A", "B"]]), [1, 1, 4])
    assert parse_composition(single, {"A": 1.0, "B": 0.0}).counts.tolist() == [[[4, 0]]]
    assert parse_composition(single, {"A": 1, "B": 3}).counts.tolist() == [[[1, 3]]]
    assert parse_composition(single, {"A": 1.0, "B": 3.0}).counts.tolist() == [[[1, 3]]]


def test_rounded_fractions_are_accepted_where_they_mean_a_count():
    three = Supercell(Prim(CUBE, [[0, 0, 0]], [["A", "B"]]), [1, 1, 3])
    assert parse_composition(three, {"A": 0.333333, "B": 0.666667}).counts.tolist() == [[[1, 2]]]


def test_all_splits_of_shared_species_are_found_with_their_arrangements():
    totals = {"Li": 1, "Mg": 2, "X": 2, "O": 1}
    parsed = parse_composition(SHARED, totals)
    found = {tuple(map(tuple, c)): round(math.exp(w)) for c, w in zip(*parsed, strict=True)}
    # Brute force: every occupancy of the six sites, sorted by its counts.
    expected = {}
    for codes in itertools.product(range(3), repeat=6):
        names = [SHARED.species[site][code] for site, code in enumerate(codes)]
        if all(names.count(name) == count for name, count in totals.items()):
            counts = tuple(tuple(codes[start : start + 3].count(code) for code in range(3)) for start in (0, 3))
            expected[counts] = expected.get(counts, 0) + 1
    assert found == expected
    assert sorted(expected.values()) == [9, 9, 36]


def test_a_composition_by_sublattice_fixes_the_split():
    parsed = parse_composition(SHARED, {"A": {"Li": 1, "Mg": 2}, "B": {"O": 1, "X": 2}})
    assert parsed.counts.tolist() == [[[1, 2, 0], [1, 2, 0]]]
    assert parsed.log_arrangements == pytest.approx([math.log(9)])


def test_inactive_sites_count_where_their_species_is_named():
    assert parse_composition(PARTLY_FIXED, {"O": 4 + 3, "X": 1}).counts.tolist() == [[[3, 1]]]
    assert parse_composition(PARTLY_FIXED, {"A": {"O": 3, "X": 1}}).counts.tolist() == [[[3, 1]]]
    assert parse_composition(PARTLY_FIXED, {"O": 4, "X": 4}).counts.tolist() == [[[0, 4]]]


@pytest.mark.parametrize(
    ("supercell", "composition", "message"),
    [
        (EIGHT, {"Sr": 6, "Ba": 2, "O": 24}, r"names \['Ba'\], but the species are \['Sr', 'La', 'Ti', 'O', 'X'\]"),
        (EIGHT, {"Sr": 6, "La": 2, "O": 21}, r"sublattice O: 24 sites, 21 O \+ 0 X = 21"),
        (
            EIGHT,
            {"Sr": 6, "La": 3, "O": 24},
            r"32 active sites exactly \(33 species given.*\n.*A: 8 sites, 6 Sr \+ 3 La",
        ),
        (EIGHT, {"Sr": 7, "La": 2, "O": 23}, r"sublattice A: 8 sites, 7 Sr \+ 2 La = 9"),
        (EIGHT, {}, "sublattice A: 8 sites, 0 Sr"),
        (EIGHT, {"Sr": 8, "O": 24, "Ti": 7}, "Ti fills 8 inactive sites, but the composition has 7"),
        (EIGHT, {"Sr": 0.75, "La": 0.35, "O": 1.0}, "fractions of sublattice A must add up to 1, but add up to 1.1"),
        (EIGHT, {"Sr": 0.75, "La": 0.25, "O": 1.0, "Ti": 0.3}, r"\['Ti'\] fill their sites alone"),
        (EIGHT, {"Sr": 0.7, "La": 0.3, "O": 1.0}, "0.7 of Sr is 5.6 sites, .* nearest fraction is 6/8"),
        (
            EIGHT,
            {"Sr": 0.75, "La": 0.25},
            r"sublattice O has 24 sites.* puts 0 species on it; name the vacancy \(X\) too",
        ),
        (EIGHT, {"Sr": 6.5, "La": 1.5, "O": 24}, "fractions of sublattice A must add up to 1"),
        (EIGHT, {"Sr": -1, "La": 9, "O": 24}, "amount of Sr must be a number from 0 on, but is -1"),
        (EIGHT, {"Sr": np.nan, "La": 2, "O": 24}, "amount of Sr must be a number from 0 on, but is nan"),
        (EIGHT, {"Sr": np.inf, "La": 2, "O": 24}, "amount of Sr must be a number from 0 on, but is inf"),
        (EIGHT, {"Sr": True, "La": 7, "O": 24}, "amount of Sr must be a number"),
        (EIGHT, {"Sr": "all", "O": 24}, "amount of Sr must be a number from 0 on, but is 'all'"),
        (EIGHT, {"Sr": None, "O": 24}, "amount of Sr must be a number"),
        (EIGHT, {"Sr": 8, "O": 21, "X": 1, "Va": 2}, "names a species twice"),
        (EIGHT, {"A": {"Sr": 8}}, r"each of the sublattices \['A', 'O'\] once, but names \['A'\]"),
        (EIGHT, {"A": {"Sr": 8}, "O": {"O": 24}, "B": {"Ti": 8}}, "each of the sublattices"),
        (EIGHT, {"A": {"Sr": 8}, "O": 24}, "composition of sublattice O must map species to numbers, but is 24"),
        (EIGHT, {"A": {"Ti": 8}, "O": {"O": 24}}, r"sublattice A holds \['Sr', 'La'\], but not \['Ti'\]"),
        (EIGHT, {"A": {"Sr": 7}, "O": {"O": 24}}, r"sublattice A has 8 sites.*\{'Sr': 7\} puts 7 species on it"),
        (EIGHT, {"A": {"Sr": 8}, "O": {"O": 0.9, "X": 0.2}}, "fractions of sublattice O must add up to 1"),
        (EIGHT, {"A": {"Sr": 8, "La": -0.0}, "O": {"O": 24, "VO": 0, "X": 0}}, "names a species twice"),
        (SHARED, {"Li": 0.5, "Mg": 0.5, "O": 1.0}, r"fractions of \['Mg', 'X'\].*several sublattices share"),
        (SHARED, {"Li": 4, "Mg": 1, "O": 1}, "sublattice A: 3 sites, 4 Li"),
        (PARTLY_FIXED, {"O": 3, "X": 5}, "O fills 4 inactive sites, but the composition has only 3"),
        (PARTLY_FIXED, {"O": 0.5, "X": 0.5}, r"fractions of \['O'\], which several"),
        (Supercell(Prim(CUBE, [[0, 0, 0]], [["A"]]), 2), {"A": 8}, "nothing to compose"),
    ],
    ids=str,
)
def test_a_composition_that_does_not_fit_says_what_was_wanted(supercell, composition, message):
    with pytest.raises(ValueError, match=message):
        parse_composition(supercell, composition)


def test_too_many_splits_are_not_listed(monkeypatch):
    monkeypatch.setattr(compositions, "_MOST_SPLITS", 2)
    with pytest.raises(ValueError, match="in over 2 ways; give the composition of each sublattice"):
        parse_composition(SHARED, {"Li": 1, "Mg": 2, "X": 2, "O": 1})
    monkeypatch.setattr(compositions, "_MOST_SPLITS", 3)
    assert len(parse_composition(SHARED, {"Li": 1, "Mg": 2, "X": 2, "O": 1}).counts) == 3
