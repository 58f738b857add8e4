import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold

from jaxce.fitting.penalty_path import centre, choose_on_path, geometric_penalties, shuffled_folds

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 5)) + 1.0
Y = X @ [1.0, -2.0, 0.0, 0.5, 0.0] + 3.0 + RANDOM.normal(size=40)
WEIGHTS = RANDOM.uniform(0.1, 2.0, size=40)
ALPHAS = np.array([1e3, 10.0, 0.1])


def ridge_path(matrix, targets):
    return np.transpose([np.linalg.solve(matrix.T @ matrix + a * np.eye(5), matrix.T @ targets) for a in ALPHAS])


def test_centred_data_have_no_weighted_mean_and_give_the_weighted_least_squares():
    data = centre(X, Y, WEIGHTS)
    root = np.sqrt(WEIGHTS / WEIGHTS.mean())
    np.testing.assert_allclose(root @ data.matrix, 0, atol=1e-12)
    np.testing.assert_allclose(root @ data.targets, 0, atol=1e-12)
    design = np.hstack([np.ones((40, 1)), X]) * np.sqrt(WEIGHTS)[:, None]
    expected = np.linalg.lstsq(design, Y * np.sqrt(WEIGHTS), rcond=None)[0]
    slopes = np.linalg.lstsq(data.matrix, data.targets, rcond=None)[0]
    np.testing.assert_allclose(slopes, expected[1:], atol=1e-10)
    assert data.target_mean - data.matrix_mean @ slopes == pytest.approx(expected[0])


def test_fold_errors_are_those_of_a_loop_over_folds():
    folds = list(KFold(4, shuffle=True, random_state=0).split(X))
    expected = np.zeros((3, 4))
    for place, alpha in enumerate(ALPHAS):
        for fold, (train, test) in enumerate(folds):
            # Weights of mean 1, as the penalty of the path is not relative to them.
            model = Ridge(alpha=alpha).fit(X[train], Y[train], WEIGHTS[train] / WEIGHTS[train].mean())
            expected[place, fold] = np.average((model.predict(X[test]) - Y[test]) ** 2, weights=WEIGHTS[test])
    chosen = choose_on_path(ridge_path, X, Y, WEIGHTS, 4, "best")
    np.testing.assert_allclose(chosen.fold_errors, expected, rtol=1e-10)
    fold_weights = [WEIGHTS[test].sum() for _, test in folds]
    means = [np.average(row, weights=fold_weights) for row in expected]
    assert chosen.index == np.argmin(means)
    assert chosen.smallest_error == pytest.approx(min(means))
    model = Ridge(alpha=ALPHAS[chosen.index]).fit(X, Y, WEIGHTS / WEIGHTS.mean())
    np.testing.assert_allclose(chosen.coefficients, model.coef_, rtol=1e-10)
    assert chosen.intercept == pytest.approx(model.intercept_)


def test_folds_of_sorted_structures_are_mixed_and_always_the_same():
    order = np.arange(60)
    first, second = ([test for _, test in shuffled_folds(5).split(order)] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(np.ptp(test) > 30 for test in first)
    splitter = GroupKFold(3)
    assert shuffled_folds(splitter) is splitter


def test_penalties_fall_evenly_in_their_logarithm():
    np.testing.assert_allclose(geometric_penalties(2.0, 1e-4, 5), [2, 0.2, 0.02, 0.002, 0.0002])
    assert np.all(geometric_penalties(0.0, 1e-4, 5) > 0)
