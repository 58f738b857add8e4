"""Occupancies within limits against filtering a list of all occupancies."""

import itertools

import numpy as np
import pytest

from jaxce.lattice import limited_occupancies as module
from jaxce.lattice.limited_occupancies import composition_limits, limited_occupancies
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell

# The oxygen of the last site is fixed; X is on two sublattices, and Sr on a site of its own too.
PRIM = Prim(
    4.0 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La", "X"], ["Sr"], ["O", "X"], ["O", "X"], ["O"]],
    sublattice_names=["A", "O"],
)
CELL = Supercell(PRIM, [1, 1, 2])


def every_occupancy(supercell):
    return [list(codes) for codes in itertools.product(*(range(len(names)) for names in supercell.species))]


def within(supercell, composition, max_count=10**6):
    """The occupancies of all sites within the limits."""
    limits = composition_limits(supercell, composition)
    active = [site for site, names in enumerate(supercell.species) if len(names) > 1]
    num_species = np.array([len(supercell.species[site]) for site in active])
    found = limited_occupancies(num_species, limits, max_count)
    codes = found.codes(0, found.count)
    assert codes.dtype == np.int8
    assert np.all(limits.admit(codes))
    occupancies = np.zeros((len(codes), supercell.num_sites), dtype=int)
    occupancies[:, active] = codes
    return occupancies.tolist()


def number_of(supercell, occupancy, name, sites=None):
    sites = range(supercell.num_sites) if sites is None else sites
    return sum(supercell.species[site][occupancy[site]] == name for site in sites)


A_SITES, O_SITES = CELL.sublattices[0].sites, CELL.sublattices[1].sites


@pytest.mark.parametrize(
    ("composition", "is_within"),
    [
        (None, lambda o: True),
        ({"La": 1}, lambda o: number_of(CELL, o, "La") == 1),
        ({"La": (1, 2)}, lambda o: 1 <= number_of(CELL, o, "La") <= 2),
        ({"La": (0, 99)}, lambda o: True),
        ({"La": 0.5}, lambda o: number_of(CELL, o, "La") == 1),
        ({"La": (0, 0.5)}, lambda o: number_of(CELL, o, "La") <= 1),
        # 0.3 to 0.8 of six sites.
        ({"vacancy": (0.3, 0.8)}, lambda o: 2 <= number_of(CELL, o, "X") <= 4),
        # Two of the three or four strontium sites are always full.
        ({"Sr": (3, 4)}, lambda o: 3 <= number_of(CELL, o, "Sr") <= 4),
        ({"Sr": 2, "X": 4}, lambda o: number_of(CELL, o, "Sr") == 2 and number_of(CELL, o, "X") == 4),
        ({"A": {"X": 1}, "X": 3}, lambda o: number_of(CELL, o, "X", A_SITES) == 1 and number_of(CELL, o, "X") == 3),
        (
            {"O": {"X": (1, 2)}, "A": {"Sr": (0.5, 1.0)}},
            lambda o: 1 <= number_of(CELL, o, "X", O_SITES) <= 2 and number_of(CELL, o, "Sr", A_SITES) >= 1,
        ),
        ({"La": np.int64(2), "O": [4, np.int64(5)]}, lambda o: o[:2] == [1, 1] and 4 <= number_of(CELL, o, "O") <= 5),
    ],
    ids=lambda value: "" if callable(value) else str(value),
)
def test_occupancies_are_those_of_the_full_list_in_its_order(composition, is_within):
    expected = [occupancy for occupancy in every_occupancy(CELL) if is_within(occupancy)]
    assert len(expected) > 0
    assert within(CELL, composition) == expected


@pytest.mark.parametrize(
    "composition", [{"La": 3}, {"La": 2, "X": 5}, {"Sr": 1}, {"La": 1, "A": {"X": 2}}, {"La": 0.3}]
)
def test_limits_that_exclude_everything_leave_nothing(composition):
    assert within(CELL, composition) == []


@pytest.mark.parametrize(("fraction", "count"), [(0.07, 7), (0.29, 29)])
def test_fractions_are_whole_numbers_in_spite_of_rounding(fraction, count):
    # 0.07 * 100 is a little over 7, and 0.29 * 100 a little under 29.
    _, lowest, highest = composition_limits(Supercell(PRIM, [1, 10, 10]), {"La": fraction})
    assert (lowest.tolist(), highest.tolist()) == ([count], [count])


def test_any_part_of_the_list_can_be_asked_for():
    limits = composition_limits(CELL, {"X": (1, 3)})
    found = limited_occupancies(np.array([3, 3, 2, 2, 2, 2]), limits, 1000)
    whole = found.codes(0, found.count)
    np.testing.assert_array_equal(np.concatenate([found.codes(0, 7), found.codes(7, found.count)]), whole)


def test_narrow_limits_make_large_supercells_possible():
    # 2 of 64 and 1 of 128 sites; without limits there are 3^64 * 2^128 occupancies.
    large = Supercell(PRIM, 4)
    composition = {"La": 2, "X": 1, "A": {"X": 0}}
    limits = composition_limits(large, composition)
    num_species = large.prim.num_species[large.prim_sites]
    found = limited_occupancies(num_species[num_species > 1], limits, 10**6)
    assert found.count == 64 * 63 // 2 * 128
    last = found.codes(found.count - 1, found.count)[0]
    assert np.flatnonzero(last).tolist() == [0, 1, 64]


def test_a_prim_without_choices_has_one_occupancy():
    fixed = Supercell(Prim(np.eye(3) * 4, [[0, 0, 0]], [["Al"]]), 2)
    assert within(fixed, None) == [[0] * 8]
    assert within(fixed, {"Al": 8}) == [[0] * 8]
    assert limited_occupancies(np.zeros(0, dtype=int), composition_limits(fixed, {"Al": 7}), 10).count == 0


def test_too_many_occupancies_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"there are 144 occupancies .* `max_count` \(143\): limit the composition"):
        within(CELL, None, max_count=143)
    assert len(within(CELL, None, max_count=144)) == 144
    # 3^64 * 2^128
    with pytest.raises(ValueError, match=r"about 1\.16e69 occupancies"):
        within(Supercell(PRIM, 4), None)


def test_limits_with_too_many_compositions_are_refused(monkeypatch):
    composition = {"La": (0, 10), "A": {"X": (0, 10)}}
    monkeypatch.setattr(module, "_MOST_STATES", 50)
    with pytest.raises(ValueError, match="over 50 different compositions: make them narrower"):
        within(Supercell(PRIM, [1, 1, 10]), composition)


@pytest.mark.parametrize(
    ("composition", "message"),
    [
        ({"Ba": 1}, r"'Ba', but the species are \['Sr', 'La', 'X', 'O'\]"),
        ({"B": {"X": 1}}, r"sublattice 'B', but the active sublattices are \['A', 'O'\]"),
        ({"A": {"O": 1}}, r"'O', but the species on A are \['Sr', 'La', 'X'\]"),
        ({"La": (2, 1)}, "0 <= lowest <= highest"),
        ({"La": -1}, "0 <= lowest <= highest"),
        ({"La": (0, 1.5)}, "must not exceed 1"),
        ({"La": float("nan")}, "0 <= lowest <= highest"),
        ({"La": (0, 1, 2)}, r"number or \(lowest, highest\)"),
        ({"La": "all"}, r"number or \(lowest, highest\)"),
        ({"La": True}, r"number or \(lowest, highest\)"),
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(composition, message):
    with pytest.raises(ValueError, match=message):
        composition_limits(CELL, composition)
