"""Random occupancies: exact, uniform over all arrangements, independent. Seeds are fixed; chi-square at 1e-4."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy.stats import chi2

import jaxce
from jaxce.sampling import random_occupancies
from jaxce.sampling.compositions import parse_composition

CUBE = 4.0 * np.eye(3)
TWO = [[0, 0, 0], [0.5, 0.5, 0.5]]
FOUR = jaxce.Supercell(jaxce.Prim(CUBE, [[0, 0, 0]], [["A", "B"]]), [1, 1, 4])
SHARED = jaxce.Supercell(jaxce.Prim(CUBE, TWO, [["Li", "Mg", "X"], ["O", "X", "Mg"]]), [1, 1, 3])
SHARED_TOTALS = {"Li": 1, "Mg": 2, "X": 2, "O": 1}
PEROVSKITE = jaxce.Supercell(
    jaxce.Prim(
        3.9 * np.eye(3),
        [[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        [["Ti"], ["Sr", "La"], *[["O", "X"]] * 3],
        sublattice_names=["A", "O"],
    ),
    2,
)


def labels(supercell, occupancy):
    return [supercell.species[site][code] for site, code in enumerate(occupancy)]


def arrangements(supercell, totals):
    """Every occupancy with these totals over the active sites, by enumeration."""
    states = itertools.product(*(range(len(names)) for names in supercell.species))
    counted = {state: labels(supercell, state) for state in states}
    return [s for s, names in counted.items() if all(names.count(n) == count for n, count in totals.items())]


def assert_uniform(draws, outcomes):
    """Chi-square of the draws against equal probabilities of all outcomes."""
    index = {outcome: number for number, outcome in enumerate(outcomes)}
    observed = np.bincount([index[draw] for draw in draws], minlength=len(outcomes))
    expected = len(draws) / len(outcomes)
    assert expected > 100
    assert np.sum((observed - expected) ** 2) / expected < chi2.isf(1e-4, len(outcomes) - 1)


def rows(array):
    return list(map(tuple, np.asarray(array).tolist()))


@pytest.mark.parametrize(
    "composition",
    [
        {"Sr": 6, "La": 2, "O": 21, "Va": 3},
        {"Sr": 0.75, "La": 0.25, "O": 0.875, "X": 0.125},
        {"A": {"Sr": 6, "La": 2}, "O": {"O": 21, "VO": 3}},
    ],
    ids=str,
)
def test_every_draw_has_the_exact_composition(composition):
    occupancies = jaxce.random_occupancy(jax.random.key(0), PEROVSKITE, composition, (3, 4))
    assert occupancies.shape == (3, 4, 40)
    assert occupancies.dtype == np.int8
    for row in np.asarray(occupancies).reshape(12, 40):
        names = labels(PEROVSKITE, row)
        counts = {name: names.count(name) for name in ("Sr", "La", "Ti", "O", "X")}
        assert counts == {"Sr": 6, "La": 2, "Ti": 8, "O": 21, "X": 3}
    assert len(set(rows(occupancies.reshape(12, 40)))) == 12


def test_without_a_shape_there_is_one_occupancy():
    occupancy = jaxce.random_occupancy(jax.random.key(0), PEROVSKITE, {"Sr": 8, "O": 24})
    assert occupancy.shape == (40,)
    assert np.all(np.asarray(occupancy) == 0)


def test_a_shape_may_be_a_number_of_draws():
    draws = [jaxce.random_occupancy(jax.random.key(0), PEROVSKITE, {"Sr": 8, "O": 24}, shape) for shape in (3, (3,))]
    np.testing.assert_array_equal(*draws)
    assert draws[0].shape == (3, 40)


def test_a_key_gives_one_result_and_another_key_another():
    composition = {"Sr": 4, "La": 4, "O": 12, "X": 12}
    first, again, other = (jaxce.random_occupancy(jax.random.key(seed), PEROVSKITE, composition) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(np.asarray(first) != np.asarray(other))


def test_all_arrangements_are_equally_likely():
    draws = rows(jaxce.random_occupancy(jax.random.key(3), FOUR, {"A": 2, "B": 2}, (6000,)))
    outcomes = arrangements(FOUR, {"A": 2, "B": 2})
    assert len(outcomes) == 6
    assert_uniform(draws, outcomes)


def test_draws_are_independent_of_each_other():
    draws = rows(jaxce.random_occupancy(jax.random.key(4), FOUR, {"A": 2, "B": 2}, (6000, 2)).reshape(-1, 4))
    outcomes = list(itertools.product(arrangements(FOUR, {"A": 2, "B": 2}), repeat=2))
    assert_uniform(list(zip(draws[::2], draws[1::2], strict=True)), outcomes)
    # Neighbours across the rows of the shape too.
    assert_uniform(list(zip(draws[1:-2:2], draws[2:-1:2], strict=True)), outcomes)


def test_shared_species_split_with_the_weight_of_their_arrangements():
    draws = rows(jaxce.random_occupancy(jax.random.key(5), SHARED, SHARED_TOTALS, (10_000,)))
    outcomes = arrangements(SHARED, SHARED_TOTALS)
    # 3 ways to spread two magnesium and two vacancies: 9 + 36 + 9 arrangements.
    assert len(outcomes) == 54
    assert_uniform(draws, outcomes)


def test_a_composition_by_sublattice_keeps_its_split():
    by_sublattice = {"A": {"Li": 1, "Mg": 2}, "B": {"O": 1, "X": 2}}
    draws = rows(jaxce.random_occupancy(jax.random.key(6), SHARED, by_sublattice, (2000,)))
    outcomes = [s for s in arrangements(SHARED, SHARED_TOTALS) if labels(SHARED, s)[:3].count("Mg") == 2]
    assert len(outcomes) == 9
    assert_uniform(draws, outcomes)


def test_large_numbers_of_arrangements_do_not_blur_the_splits_in_single_precision(monkeypatch):
    # At 1e9 the steps of float32 are 64: only differences of the logarithms may be rounded.
    def with_offset(*arguments):
        parsed = parse_composition(*arguments)
        return parsed._replace(log_arrangements=parsed.log_arrangements + 1e9)

    def draws():
        return rows(jaxce.random_occupancy(jax.random.key(7), SHARED, SHARED_TOTALS, (200,)))

    jax.config.update("jax_enable_x64", False)
    try:
        expected = draws()
        monkeypatch.setattr(random_occupancies, "parse_composition", with_offset)
        assert draws() == expected
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize(
    ("supercell", "composition", "totals"),
    [
        (FOUR, {"A": 0.25, "B": 0.75}, {"A": 1, "B": 3}),
        (FOUR, {"B": 4}, {"B": 4}),
        (SHARED, SHARED_TOTALS, SHARED_TOTALS),
        (SHARED, {"Li": 2, "Mg": 1, "X": 3, "O": 0}, {"Li": 2, "Mg": 1, "X": 3, "O": 0}),
    ],
    ids=str,
)
def test_log_probability_is_minus_that_of_the_number_of_arrangements(supercell, composition, totals):
    expected = -math.log(len(arrangements(supercell, totals)))
    assert jaxce.log_probability(supercell, composition) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("key", [0, None, np.zeros(2, dtype=np.uint32), jax.random.PRNGKey(0)], ids=str)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match=r"`key` must be a random key, such as jax\.random\.key\(0\)"):
        jaxce.random_occupancy(key, FOUR, {"A": 2, "B": 2})


def test_a_composition_that_does_not_fit_is_refused():
    for function in (
        lambda c: jaxce.random_occupancy(jax.random.key(0), FOUR, c),
        lambda c: jaxce.log_probability(FOUR, c),
    ):
        with pytest.raises(ValueError, match=r"sublattice A: 4 sites, 2 A \+ 1 B = 3"):
            function({"A": 2, "B": 1})
