import itertools
import json

import numpy as np
import pytest
from scipy.optimize import linprog

import jaxce
from helpers import random_occupancies
from jaxce.fitting.convex_hull import concentrations_of, ground_state_check, lower_hull


def above_by_linear_programme(concentrations, energies):
    """Energy of each structure less that of the lowest mixture of the same composition."""
    constraints = np.vstack([concentrations.T, np.ones(len(energies))])
    lowest = [linprog(energies, A_eq=constraints, b_eq=np.append(row, 1), method="highs").fun for row in concentrations]
    return energies - np.array(lowest)


def random_fractions(rng, count, components, sites):
    weights = [rng.dirichlet(np.ones(components)) for _ in range(count)]
    return np.array([rng.multinomial(sites, weight) for weight in weights]) / sites


def test_a_binary_by_hand():
    x = np.array([0.0, 1.0, 0.5, 0.5, 0.25, 0.75, 0.25])
    energies = np.array([-1.0, -3.0, -2.6, -2.0, -1.7, -2.8, -1.9])
    # The line from (0, -1) to (0.5, -2.6) is at -1.8 in the middle; the one on to (1, -3) at -2.8.
    hull = lower_hull(x[:, None], energies)
    assert hull.vertices.tolist() == [0, 1, 2, 6]
    np.testing.assert_allclose(hull.energies_above_hull, [0, 0, 0, 0.6, 0.2, 0, 0], atol=1e-14)
    assert {tuple(sorted(pair)) for pair in hull.simplices.tolist()} == {(0, 6), (2, 6), (1, 2)}
    assert hull.num_dimensions == 1


def test_a_ternary_by_hand():
    # The corners at 0, and a compound in the middle at -0.3 that divides the triangle into three.
    corners = np.eye(3)
    inside = np.array([[1, 1, 1], [2, 2, 2], [4, 1, 1], [3, 3, 0]]) / np.array([[3], [6], [6], [6]])
    energies = np.array([0, 0, 0, -0.3, -0.1, -0.1, 0.05])
    hull = lower_hull(np.vstack([corners, inside]), energies)
    assert hull.vertices.tolist() == [0, 1, 2, 3]
    # (4, 1, 1) / 6 is half of a corner and half of the compound.
    np.testing.assert_allclose(hull.energies_above_hull, [0, 0, 0, 0, 0.2, 0.05, 0.05], atol=1e-14)
    assert {tuple(sorted(row)) for row in hull.simplices.tolist()} == {(0, 1, 3), (0, 2, 3), (1, 2, 3)}


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", ["random", "convex"])
def test_energies_above_hull_are_those_of_the_linear_programme(dimensions, shape):
    rng = np.random.default_rng(dimensions)
    fractions = random_fractions(rng, 60, dimensions + 1, 8)
    energies = -40 + fractions @ rng.normal(scale=5, size=dimensions + 1) + 0.05 * rng.normal(size=60)
    if shape == "convex":
        energies += np.sum(fractions**2, axis=1)
    hull = lower_hull(fractions, energies)
    assert hull.num_dimensions == dimensions
    np.testing.assert_allclose(
        hull.energies_above_hull, above_by_linear_programme(fractions, energies), rtol=0, atol=1e-11
    )
    # Each facet's corners are ground states, and all of these are corners.
    assert set(hull.simplices.ravel().tolist()) == set(hull.vertices.tolist())
    assert np.all(hull.energies_above_hull[hull.vertices] == 0)
    assert np.all(hull.energies_above_hull >= 0)


def test_fractions_on_several_sublattices_make_a_prism():
    rng = np.random.default_rng(5)
    ternary, binary = random_fractions(rng, 80, 3, 4), random_fractions(rng, 80, 2, 4)
    concentrations = np.hstack([ternary, binary])
    energies = rng.normal(size=80) + concentrations @ rng.normal(size=5)
    hull = lower_hull(concentrations, energies)
    assert hull.num_dimensions == 3
    np.testing.assert_allclose(
        hull.energies_above_hull, above_by_linear_programme(concentrations, energies), rtol=0, atol=1e-11
    )


def test_charge_balance_takes_a_dimension_away():
    # Vacancies make up for half of the substituted cations.
    x, y = np.meshgrid(np.arange(5) / 4, np.arange(5) / 4)
    dopants, others = x.ravel(), y.ravel()
    concentrations = np.column_stack([dopants, 1 - dopants, others, 1 - others, dopants / 6, 1 - dopants / 6])
    energies = np.random.default_rng(0).normal(size=25)
    hull = lower_hull(concentrations, energies)
    assert hull.num_dimensions == 2
    np.testing.assert_allclose(
        hull.energies_above_hull, above_by_linear_programme(concentrations, energies), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("noise", [0.0, 1e-12])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_energies_on_one_tie_plane_are_all_on_the_hull(dimensions, noise):
    rng = np.random.default_rng(7)
    fractions = np.vstack([np.eye(dimensions + 1), random_fractions(rng, 40, dimensions + 1, 6)])
    energies = fractions @ rng.normal(scale=10, size=dimensions + 1)
    hull = lower_hull(fractions, energies + noise * rng.normal(size=len(energies)))
    np.testing.assert_allclose(hull.energies_above_hull, 0, atol=2e-11)
    assert np.all(hull.energies_above_hull >= 0)
    assert len(hull.vertices) == dimensions + 1
    # Of structures that noise alone tells apart, any may stand for a corner.
    assert {row.tobytes() for row in np.eye(dimensions + 1)} == {row.tobytes() for row in fractions[hull.vertices]}
    # One more structure above the plane.
    above = lower_hull(np.vstack([fractions, np.full(dimensions + 1, 1 / (dimensions + 1))]), [*energies, 10.0])
    np.testing.assert_allclose(above.energies_above_hull[:-1], 0, atol=1e-12)
    assert np.all(above.energies_above_hull >= 0)
    assert above.energies_above_hull[-1] == pytest.approx(10 - energies[: dimensions + 1].mean())


def test_few_structures_and_one_composition():
    one = lower_hull([[0.3, 0.7]], [-5.0])
    assert (one.vertices.tolist(), one.energies_above_hull.tolist(), one.num_dimensions) == ([0], [0.0], 0)
    same = lower_hull([[0.3, 0.7]] * 3, [-5.0, -6.0, -5.5])
    assert same.vertices.tolist() == [1]
    np.testing.assert_allclose(same.energies_above_hull, [1.0, 0.0, 0.5])
    # No active sublattice, so no components.
    assert lower_hull(np.zeros((2, 0)), [1.0, 0.5]).energies_above_hull.tolist() == [0.5, 0.0]
    two = lower_hull(np.eye(4)[:2], [1.0, 2.0])
    assert (two.vertices.tolist(), two.num_dimensions) == ([0, 1], 1)
    three = lower_hull(np.eye(5)[:3], [1.0, 2.0, -7.0])
    assert (three.vertices.tolist(), three.num_dimensions) == ([0, 1, 2], 2)


def test_rounded_compositions_and_duplicates_change_nothing():
    rng = np.random.default_rng(2)
    exact = np.vstack([np.eye(3), random_fractions(rng, 50, 3, 7)])
    energies = rng.normal(size=len(exact))
    expected = lower_hull(exact, energies)
    rounded = lower_hull(np.round(exact, 6), energies)
    assert rounded.num_dimensions == 2
    assert rounded.vertices.tolist() == expected.vertices.tolist()
    np.testing.assert_allclose(rounded.energies_above_hull, expected.energies_above_hull, rtol=0, atol=1e-4)
    twice = np.vstack([exact, exact + 1e-12 * rng.normal(size=exact.shape)])
    both = lower_hull(twice, np.concatenate([energies, energies]))
    assert both.vertices.tolist() == expected.vertices.tolist()
    np.testing.assert_allclose(both.energies_above_hull, np.tile(expected.energies_above_hull, 2), rtol=0, atol=1e-9)


def test_a_linear_shift_and_a_change_of_units_leave_the_ground_states():
    rng = np.random.default_rng(3)
    fractions = random_fractions(rng, 100, 4, 8)
    energies = 0.05 * rng.normal(size=100)
    small = lower_hull(fractions, energies)
    large = lower_hull(fractions[:, ::-1], 1e3 * (energies + fractions @ [-10.0, 3.0, 40.0, 7.0]))
    assert large.vertices.tolist() == small.vertices.tolist()
    np.testing.assert_allclose(large.energies_above_hull, 1e3 * small.energies_above_hull, rtol=0, atol=1e-8)


def test_thousands_of_structures_in_four_dimensions():
    rng = np.random.default_rng(4)
    fractions = random_fractions(rng, 4000, 5, 16)
    energies = 0.1 * rng.normal(size=4000) + fractions @ rng.normal(size=5)
    hull = lower_hull(fractions, energies)
    rows = rng.choice(4000, 20, replace=False)
    constraints = np.vstack([fractions.T, np.ones(4000)])
    expected = [linprog(energies, A_eq=constraints, b_eq=np.append(fractions[r], 1), method="highs").fun for r in rows]
    np.testing.assert_allclose(energies[rows] - hull.energies_above_hull[rows], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("concentrations", "energies", "message"),
    [
        ([0.0, 1.0], [0.0, 1.0], r"write a single concentration x as x\[:, None\]"),
        ([[0.0], [1.0]], [0.0], r"shapes \(2, 1\) and \(1,\)"),
        (np.zeros((0, 2)), [], "at least one structure"),
        ([[0.0], [1.0]], [0.0, np.nan], r"those of \[1\] are not"),
        ([[0.0], [np.inf]], [0.0, 1.0], r"those of \[1\] are not"),
    ],
)
def test_bad_data_are_refused(concentrations, energies, message):
    with pytest.raises(ValueError, match=message):
        lower_hull(concentrations, energies)


X = np.array([0.0, 1.0, 0.5, 0.25, 0.75, 0.5])
REFERENCE = np.array([0.0, 0.0, -0.10, -0.06, -0.02, -0.08])
# The structure at 1/4 rises over the line to -0.10 at 1/2 by 10 meV, and that at 3/4 falls under it by 5 meV.
PREDICTED = np.array([0.0, 0.0, -0.10, -0.04, -0.055, -0.08])


def test_ground_states_that_are_kept_missed_and_invented():
    check = ground_state_check(X[:, None], REFERENCE, PREDICTED)
    assert check.reference.vertices.tolist() == [0, 1, 2, 3]
    assert check.predicted.vertices.tolist() == [0, 1, 2, 4]
    assert (check.kept.tolist(), check.missed.tolist(), check.invented.tolist()) == ([0, 1, 2], [3], [4])
    # In the reference, structure 4 is at -0.02 and the line from 1/2 to 1 at -0.05.
    np.testing.assert_allclose([*check.missed_by, *check.invented_by], [0.01, 0.03], atol=1e-12)
    assert not check.is_preserved
    assert check.ground_state_rmse == pytest.approx(0.02 / np.sqrt(4))
    # Hulls differ by 10 meV at 1/4 and by 5 meV at 3/4; energies above them by 10 and 30 meV.
    assert check.hull_rmse == pytest.approx(np.sqrt((0.01**2 + 0.005**2) / 6))
    assert check.above_hull_rmse == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 6))


def test_report_of_ground_states_is_text_and_json():
    check = ground_state_check(X[:, None], REFERENCE, PREDICTED)
    facts = json.loads(json.dumps(check.to_dict(), allow_nan=False))
    assert facts["num_structures"] == 6
    assert (facts["reference_ground_states"], facts["predicted_ground_states"]) == ([0, 1, 2, 3], [0, 1, 2, 4])
    assert (facts["kept"], facts["missed"], facts["invented"]) == ([0, 1, 2], [3], [4])
    assert facts["missed_by_eV_per_prim"] == pytest.approx([0.01])
    assert facts["invented_by_eV_per_prim"] == pytest.approx([0.03])
    assert facts["ground_state_rmse_eV_per_prim"] == pytest.approx(0.01)
    text = check.summary()
    assert "4 reference ground states among 6 structures" in text
    assert "3 kept, 1 missed, 1 invented" in text
    assert "missed: structure 3, 10.000 meV/prim above the predicted hull" in text
    assert "invented: structure 4, 30.000 meV/prim above the reference hull" in text


def test_a_perfect_model_and_a_constant_error_preserve_all_ground_states():
    for error in (0.0, 0.5):
        check = ground_state_check(X[:, None], REFERENCE, REFERENCE + error)
        assert check.is_preserved
        assert check.kept.tolist() == [0, 1, 2, 3]
        assert check.ground_state_rmse == pytest.approx(error)
        assert check.hull_rmse == pytest.approx(error)
        assert check.above_hull_rmse == pytest.approx(0, abs=1e-12)


def test_tolerance_decides_what_is_on_a_hull():
    check = ground_state_check(X[:, None], REFERENCE, PREDICTED, tolerance=0.02)
    # Of those within 20 meV of the predicted hull, 4 is 30 meV above the reference hull; 5 is no further than 20.
    assert (check.missed.tolist(), check.invented.tolist()) == ([], [4])
    with pytest.raises(ValueError, match="at least 0"):
        ground_state_check(X[:, None], REFERENCE, PREDICTED, tolerance=-1.0)


def test_structures_a_model_cannot_tell_apart_are_invented_in_any_order():
    energies = np.array([0.0, 0.0, -0.1, -0.04])
    for order in itertools.permutations(range(4)):
        order = list(order)
        x, predicted = np.array([0.0, 1.0, 0.5, 0.5])[order], np.array([0.0, 0.0, -0.08, -0.08])[order]
        check = ground_state_check(x[:, None], energies[order], predicted)
        assert len(check.missed) == 0
        assert [order[i] for i in check.invented] == [3]


def test_copies_of_a_ground_state_are_not_invented():
    """Structures 2 to 4 are one; 5 is another, with a copy, that the model takes for as low."""
    x = np.array([0.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5])[:, None]
    reference = np.array([0.0, 0.0, -0.098, -0.1, -0.099, -0.05, -0.04])
    predicted = np.array([0.0, 0.0, *[-0.1] * 5])
    check = ground_state_check(x, reference, predicted, classes=[0, 1, 2, 2, 2, 3, 3])
    assert (check.kept.tolist(), check.invented.tolist()) == ([0, 1, 3], [5])
    assert "invented: five, 50.000 meV" in check.summary(["", "", "", "", "", "five", ""])
    assert len(ground_state_check(x, reference, predicted).invented) == 4


def test_a_summary_lists_the_worst_ten():
    rng = np.random.default_rng(0)
    fractions = random_fractions(rng, 60, 2, 59)
    check = ground_state_check(fractions, np.abs(rng.normal(size=60)), np.zeros(60))
    assert len(check.invented) > 11
    assert np.all(np.diff(check.invented_by) <= 0)
    assert f"invented: {len(check.invented) - 10} more, nearer to the hull" in check.summary()
    assert check.summary().count("invented: structure") == 10


def test_concentrations_of_sublattices():
    prim = jaxce.Prim(
        np.diag([4.0, 4.0, 4.0]),
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        [["Sr", "La"], ["Ti"], *[["O", "X"]] * 3],
        sublattice_names=["A", "O"],
    )
    supercell = jaxce.Supercell(prim, (2, 1, 1))
    occupancies = random_occupancies(supercell, 3, 0)
    structures = [jaxce.occupancy_to_ase(supercell, occupancy) for occupancy in occupancies]
    concentrations, names = concentrations_of([jaxce.map_structure(prim, atoms) for atoms in structures])
    assert names == ("A:Sr", "A:La", "O:O", "O:X")
    for row, atoms in zip(concentrations, structures, strict=True):
        symbols = atoms.get_chemical_symbols()
        numbers = [symbols.count(name) for name in ("Sr", "La", "O")]
        np.testing.assert_allclose(row, [numbers[0] / 2, numbers[1] / 2, numbers[2] / 6, 1 - numbers[2] / 6])


def test_concentrations_need_structures_of_one_prim():
    cell = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
    prims = [jaxce.Prim(cell, [[0, 0, 0]], [species]) for species in (["Cu", "Au"], ["Au", "Cu"], ["Cu"])]
    mappings = [jaxce.map_structure(p, jaxce.occupancy_to_ase(jaxce.Supercell(p, 1), np.zeros(1, int))) for p in prims]
    with pytest.raises(ValueError, match="at least one"):
        concentrations_of([])
    with pytest.raises(ValueError, match=r"one prim, but those of \[1, 2\] differ"):
        concentrations_of(mappings)
    concentrations, names = concentrations_of(mappings[2:])
    assert (concentrations.shape, names) == ((1, 0), ())
