import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge, LassoCV, Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxce.fitting import estimators
from jaxce.fitting.cross_validation import (
    cross_validate_estimator,
    fit_estimator,
    predict_with_std,
    shuffled_splits,
)
from jaxce.fitting.prior_ridge import PriorRidge

FOLDS = list(KFold(4, shuffle=True, random_state=3).split(np.zeros(30)))
PRIOR_RIDGE = PriorRidge([0, 1, 1, 2, 2, 2], [0, 0, 0, 2, 3, 4])


def data(seed=0, count=30):
    random = np.random.default_rng(seed)
    X = random.uniform(-1, 1, size=(count, 6))
    X[:, 0] = 1
    y = X @ np.array([-50, 0.5, 1, 0.3, 0.1, 0.2]) + 0.05 * random.normal(size=count)
    return X, y, random.uniform(0.2, 2, size=count), random.integers(1, 4, size=count)


def test_every_structure_is_held_out_once_and_folds_are_shuffled():
    splits = shuffled_splits(np.arange(23), 5, seed=1)
    tests = [test.tolist() for _, test in splits]
    assert sorted(row for test in tests for row in test) == list(range(23))
    assert sorted(len(test) for test in tests) == [4, 4, 5, 5, 5]
    assert all(sorted([*train, *test]) == list(range(23)) for train, test in splits)
    assert max(np.ptp(test) for test in tests) > 10
    again, other = (shuffled_splits(np.arange(23), 5, seed) for seed in (1, 2))
    assert [test.tolist() for _, test in again] == tests
    assert [test.tolist() for _, test in other] != tests


@pytest.mark.parametrize("seed", range(3))
def test_equivalent_structures_stay_together(seed):
    classes = np.array([4, 7, 4, 4, 9, 7, 1, 2, 2, 3, 11, 12])
    splits = shuffled_splits(classes, 4, seed)
    assert sorted(row for _, test in splits for row in test.tolist()) == list(range(12))
    for train, test in splits:
        assert not set(classes[train]) & set(classes[test])
        assert sorted([*train, *test]) == list(range(12))
    assert [test.tolist() for _, test in splits] != [test.tolist() for _, test in shuffled_splits(classes, 4, seed + 1)]


@pytest.mark.parametrize("num_folds", [1, 6])
def test_folds_need_different_structures(num_folds):
    with pytest.raises(ValueError, match="5 different ones"):
        shuffled_splits(np.array([0, 0, 1, 1, 2, 3, 4, 4]), num_folds, 0)


@pytest.mark.parametrize("estimator", [Ridge(), estimators.ridge()])
def test_predictions_are_those_of_scikit_learn(estimator):
    X, y, _, sizes = data()
    means, deviations = cross_validate_estimator(estimator, X, y, None, sizes, FOLDS)
    np.testing.assert_allclose(means, cross_val_predict(estimator, X, y, cv=FOLDS), rtol=1e-12)
    assert deviations is None


def test_predictions_and_deviations_are_those_of_a_loop_over_folds():
    """Weights and sizes of the fold's structures go in, and the sizes of the held-out ones."""
    X, y, weights, sizes = data()
    y = y + np.where(sizes == 1, 0.3, 0.0) * np.random.default_rng(1).normal(size=30)
    means, deviations = cross_validate_estimator(PRIOR_RIDGE, X, y, weights, sizes, FOLDS)
    assert deviations is not None
    for train, test in FOLDS:
        model = PriorRidge(PRIOR_RIDGE.orders, PRIOR_RIDGE.diameters)
        model.fit(X[train], y[train], sample_weight=weights[train], sizes=sizes[train])
        mean, deviation = model.predict(X[test], return_std=True, sizes=sizes[test])
        np.testing.assert_allclose(means[test], mean, rtol=1e-12)
        np.testing.assert_allclose(deviations[test], deviation, rtol=1e-8)
    assert deviations[sizes == 1].mean() > 1.5 * deviations[sizes > 1].mean()


@pytest.mark.parametrize("estimator", [PRIOR_RIDGE, estimators.bayesian_ridge(), Ridge()])
def test_a_structure_does_not_know_its_own_energy(estimator):
    X, y, weights, sizes = data()
    changed = y.copy()
    changed[7] += 100.0
    before, after = (cross_validate_estimator(estimator, X, e, weights, sizes, FOLDS) for e in (y, changed))
    fold = next(test for _, test in FOLDS if 7 in test)
    np.testing.assert_array_equal(before[0][fold], after[0][fold])
    if before[1] is not None and after[1] is not None:
        np.testing.assert_array_equal(before[1][fold], after[1][fold])
    assert np.abs(np.delete(before[0] - after[0], fold)).min() > 1e-3


def test_weights_and_sizes_reach_the_last_step_of_a_pipeline():
    X, y, weights, sizes = data()
    pipeline = make_pipeline(StandardScaler(), PriorRidge())
    model = fit_estimator(pipeline, X, y, weights, sizes)
    alone = PriorRidge().fit(StandardScaler().fit_transform(X), y, sample_weight=weights, sizes=sizes)
    np.testing.assert_array_equal(model[-1].coef_, alone.coef_)
    assert model[-1].noise_.size_factors == alone.noise_.size_factors
    assert set(alone.noise_.size_factors) == {1, 2, 3}
    assert not np.allclose(alone.coef_, PriorRidge().fit(StandardScaler().fit_transform(X), y).coef_, atol=1e-4)


def test_weights_reach_the_regressor_of_scaled_energies():
    X, y, _, sizes = data()
    counts = np.random.default_rng(2).integers(0, 3, size=30).astype(float)
    kept = counts > 0
    weighted = fit_estimator(estimators.bayesian_ridge(), X, y, counts, sizes)
    without = fit_estimator(estimators.bayesian_ridge(), X, y, None, sizes)
    assert not np.allclose(weighted.predict(X), without.predict(X), atol=1e-4)
    expected = make_pipeline(StandardScaler(), BayesianRidge()).fit(X, y, bayesianridge__sample_weight=counts)
    np.testing.assert_allclose(weighted.predict(X[kept]), expected.predict(X[kept]), atol=2e-3)


def test_the_estimator_itself_stays_unfitted():
    X, y, weights, sizes = data()
    estimator = PriorRidge()
    fit_estimator(estimator, X, y, weights, sizes)
    cross_validate_estimator(estimator, X, y, weights, sizes, FOLDS)
    assert not hasattr(estimator, "coef_")


def test_what_has_no_posterior_has_no_deviations():
    X, y, _, sizes = data()
    mean, deviation = predict_with_std(Ridge().fit(X, y[:, None]), X, sizes)
    assert mean.shape == (30,)
    assert deviation is None


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (estimators.ard(), "ARDRegression"),
        (estimators.recursive_elimination(), "RFECV"),
        (make_pipeline(StandardScaler(), estimators.ard()[-1]), "ARDRegression"),
        (estimators.ard()[-1], "ARDRegression"),
    ],
)
def test_weights_are_not_lost(estimator, name):
    X, y, weights, sizes = data()
    with pytest.raises(ValueError, match=f"{name} takes no sample weights"):
        fit_estimator(estimator, X, y, weights, sizes)
    fit_estimator(estimator, X, y, None, sizes)


@pytest.mark.parametrize("estimator", [LassoCV(cv=3), RandomForestRegressor(3, random_state=0), estimators.lasso()])
def test_weights_go_where_they_are_taken(estimator):
    X, y, weights, sizes = data()
    assert np.all(np.isfinite(fit_estimator(estimator, X, y, weights, sizes).predict(X)))
