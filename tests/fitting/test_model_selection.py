"""Choosing cutoffs: planted truth, errors recomputed by hand, and the rules."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold

import jaxce
from helpers import random_occupancies
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.model_selection import _choice, _matrices

PRIM = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
# fcc neighbours at 2.83, 4.00, 4.90, 5.66, 6.32 angstrom.
CUTOFFS = [{2: 2.9}, {2: 4.1}, {2: 5.0}, {2: 5.7}, {2: 5.0, 3: 2.9}, {2: 5.7, 3: 4.1}]
TRUE = jaxce.ClusterSpace(PRIM, {2: 5.0})


def ridge(_):
    return Ridge(alpha=1e-6)


def training_set(noise, seed=0, copies=0):
    """Structures of 5 to 8 sites, and energies of pairs up to the third neighbour."""
    generator = np.random.default_rng(seed)
    cells = [[5, 1, 1], [[2, 1, 0], [0, 1, 1], [-1, 0, 3]], 2, [1, 2, 3], [[1, 1, 0], [-1, 1, 0], [0, 0, 4]]]
    structures = [
        jaxce.Candidate(supercell, row)
        for number, supercell in enumerate(jaxce.Supercell(PRIM, cell) for cell in cells)
        for row in random_occupancies(supercell, 12, seed + number)
    ]
    matrix = correlation_matrix(TRUE, structures)
    coefficients = np.array([-3.0, 0.2, 0.15, -0.12, 0.3])
    energies = matrix @ coefficients + noise * generator.normal(size=len(structures))
    atoms = [jaxce.occupancy_to_ase(*structure) for structure in structures]
    if copies:
        atoms, energies = atoms + atoms[:copies], np.concatenate([energies, energies[:copies]])
    return jaxce.map_training_data(PRIM, atoms, energies, energies_per="prim")


@pytest.fixture(scope="module")
def noisy():
    return training_set(0.01)


def folds_of(classes, number, seed):
    if len(np.unique(classes)) == len(classes):
        return list(KFold(number, shuffle=True, random_state=seed).split(classes))
    return list(GroupKFold(number, shuffle=True, random_state=seed).split(classes, groups=classes))


def squared_errors(estimator, matrix, energies, folds):
    squares = np.zeros(len(energies))
    for train, test in folds:
        model = estimator.fit(matrix[train], energies[train])
        squares[test] = (model.predict(matrix[test]) - energies[test]) ** 2
    return squares


def test_planted_truth_is_chosen():
    data = training_set(0.002)
    selection = jaxce.select_cutoffs(data, CUTOFFS, ridge, rule="one_standard_error")
    assert selection.chosen == 2
    assert selection.space.num_correlations == TRUE.num_correlations
    assert np.all(selection.cv_rmse[:2] > 0.05)
    assert np.all(selection.cv_rmse[2:] < 0.004)
    assert selection.nested_rmse < 0.004
    # Spaces that lack a neighbour are never taken.
    assert np.all(selection.chosen_in_folds >= 2)
    assert jaxce.select_cutoffs(data, CUTOFFS[:3], cv=3, inner_cv=2).chosen == 2


def test_exact_data_are_described_by_all_spaces_that_hold_the_truth():
    selection = jaxce.select_cutoffs(training_set(0.0), CUTOFFS[:5], lambda _: LinearRegression())
    assert np.all(selection.cv_rmse[2:] < 1e-10)
    assert np.all(selection.cv_rmse[:2] > 0.05)


@pytest.mark.parametrize("rule", ["best", "one_standard_error"])
@pytest.mark.parametrize("copies", [0, 9])
def test_errors_and_nested_error_are_recomputed_by_hand(rule, copies):
    data, cutoffs = training_set(0.01, seed=5, copies=copies), CUTOFFS[1:5]
    selection = jaxce.select_cutoffs(data, cutoffs, ridge, rule=rule, cv=6, inner_cv=4, seed=3)
    energies, classes = data.energies_per_prim, data.equivalence_classes
    matrices = [correlation_matrix(jaxce.ClusterSpace(PRIM, choice), data.mappings) for choice in cutoffs]
    sizes = np.array([matrix.shape[1] for matrix in matrices])

    def chosen_of(rows, folds):
        rmse, errors = [], []
        for matrix in matrices:
            squares = squared_errors(ridge(None), matrix[rows], energies[rows], folds)
            parts = [squares[test].mean() for _, test in folds]
            rmse.append(np.sqrt(squares.mean()))
            # d sqrt(m) = dm / 2 sqrt(m)
            errors.append(np.std(parts, ddof=1) / np.sqrt(len(parts)) / (2 * rmse[-1]))
        best = int(np.argmin(rmse))
        if rule == "one_standard_error":
            close = [i for i in range(len(rmse)) if rmse[i] <= rmse[best] + errors[best]]
            best = min(close, key=lambda i: sizes[i])
        return best, rmse, errors

    outer = folds_of(classes, 6, 3)
    chosen, rmse, errors = chosen_of(np.arange(len(data)), outer)
    np.testing.assert_allclose(selection.cv_rmse, rmse, rtol=1e-8)
    np.testing.assert_allclose(selection.standard_errors, errors, rtol=1e-6)
    assert selection.chosen == chosen
    squares, picks = np.zeros(len(data)), []
    for train, test in outer:
        pick, _, _ = chosen_of(train, folds_of(classes[train], 4, 3))
        model = ridge(None).fit(matrices[pick][train], energies[train])
        squares[test] = (model.predict(matrices[pick][test]) - energies[test]) ** 2
        picks.append(pick)
    assert selection.chosen_in_folds.tolist() == picks
    assert selection.nested_rmse == pytest.approx(np.sqrt(squares.mean()), rel=1e-8)


def test_nested_error_is_above_the_lowest_of_many_when_all_spaces_are_alike():
    # Energies of noise alone: the lowest error among many spaces is a lucky one.
    data = training_set(0.0, seed=2)
    noise = np.random.default_rng(0).normal(size=len(data))
    atoms = [jaxce.occupancy_to_ase(m.supercell, m.occupancy) for m in data.mappings]
    data = jaxce.map_training_data(PRIM, atoms, noise, energies_per="prim")
    cutoffs = [{2: cutoff} for cutoff in (2.9, 4.1, 5.0, 5.7, 6.4, 7.0)]
    selection = jaxce.select_cutoffs(data, cutoffs, lambda _: Ridge(alpha=0.5))
    assert selection.nested_rmse > selection.cv_rmse[selection.chosen]


@pytest.mark.parametrize("basis", ["trigonometric", "indicator"])
def test_columns_of_the_widest_space_are_the_correlations_of_each(basis):
    prim = jaxce.Prim(PRIM.lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]])
    cutoffs = [{2: 2.1}, {2: 4.1, 3: 2.9}, {2: 2.9, 3: 4.1}, {3: 2.9}]
    supercell = jaxce.Supercell(prim, [2, 1, 2])
    structures = [jaxce.occupancy_to_ase(supercell, row) for row in random_occupancies(supercell, 5, 0)]
    data = jaxce.map_training_data(prim, structures, np.zeros(5))
    spaces = [jaxce.ClusterSpace(prim, choice, basis) for choice in cutoffs]
    for space, matrix in zip(spaces, _matrices(data, spaces, cutoffs, basis), strict=True):
        np.testing.assert_allclose(matrix, correlation_matrix(space, data.mappings), atol=1e-13)


def test_weights_reach_the_fits():
    data = training_set(0.0)
    wrong = data.energies_per_prim + np.where(np.arange(60) < 20, 1.0, 0.0)
    atoms = [jaxce.occupancy_to_ase(m.supercell, m.occupancy) for m in data.mappings]
    weights = np.where(np.arange(60) < 20, 1e-9, 1.0)
    weighted = jaxce.map_training_data(PRIM, atoms, wrong, energies_per="prim", weights=weights)
    selection = jaxce.select_cutoffs(weighted, [{2: 5.0}], lambda _: LinearRegression())
    # The twenty are off by 1 eV, the others by nothing.
    assert selection.cv_rmse[0] == pytest.approx(np.sqrt(20 / 60), rel=1e-5)
    assert selection.nested_rmse == pytest.approx(np.sqrt(20 / 60), rel=1e-5)


def test_rules_on_numbers():
    rmse, errors, sizes = np.array([0.5, 0.21, 0.2, 0.205]), np.array([0.1, 0.3, 0.02, 0.02]), np.array([2, 9, 12, 5])
    assert _choice(rmse, errors, sizes, "best") == 2
    assert _choice(rmse, errors, sizes, "one_standard_error") == 3
    # The error of the best counts, not that of the others.
    assert _choice(rmse, np.array([0.4, 0.4, 0.004, 0.4]), sizes, "one_standard_error") == 2


def test_table_and_summary(noisy):
    selection = jaxce.select_cutoffs(noisy, CUTOFFS[:3] + CUTOFFS[4:5], ridge, cv=5)
    table = selection.to_dataframe()
    assert isinstance(table, pd.DataFrame)
    assert table["cutoffs"].tolist() == ["2: 2.9", "2: 4.1", "2: 5", "2: 5, 3: 2.9"]
    assert table["num_functions"].tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(table["cv_rmse_meV_per_prim"], 1e3 * selection.cv_rmse)
    np.testing.assert_allclose(table["standard_error_meV_per_prim"], 1e3 * selection.standard_errors)
    assert table["chosen_in_folds"].sum() == 5
    assert table["is_chosen"].tolist() == [number == selection.chosen for number in range(4)]
    assert f"choice included: {1e3 * selection.nested_rmse:.3f} meV per prim" in selection.summary()
    assert selection.cutoffs[3] == {2: 5.0, 3: 2.9}


def test_bad_arguments_are_refused(noisy):
    with pytest.raises(ValueError, match="at least one set of cutoffs"):
        jaxce.select_cutoffs(noisy, [])
    with pytest.raises(ValueError, match="`cv` must lie between 2 and"):
        jaxce.select_cutoffs(noisy, CUTOFFS[:1], cv=61)
    with pytest.raises(ValueError, match="admits no cluster"):
        jaxce.select_cutoffs(noisy, [{2: 1.0}])
    # Its type is checked under test before its value is.
    with pytest.raises(Exception, match="rule"):
        jaxce.select_cutoffs(noisy, CUTOFFS[:1], rule="worst")
