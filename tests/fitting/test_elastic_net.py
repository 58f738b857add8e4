import numpy as np
import pytest
from sklearn.linear_model import ElasticNetCV, LassoCV
from sklearn.model_selection import KFold, LeaveOneGroupOut
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxce.fitting.elastic_net import ElasticNetOnPath
from jaxce.fitting.one_standard_error import choose_penalty

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(60, 12))
TRUTH = np.where(np.arange(12) < 4, [3.0, -2.0, 1.0, 0.5] * 3, 0.0)
Y = X @ TRUTH + 2.0 + 0.5 * RANDOM.normal(size=60)


@parametrize_with_checks([ElasticNetOnPath(num_penalties=20), ElasticNetOnPath([0.5, 1.0], num_penalties=20)])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def test_is_the_lasso_of_scikit_learn():
    ours = ElasticNetOnPath(tol=1e-10).fit(X, Y)
    theirs = LassoCV(alphas=ours.alphas_, cv=KFold(5, shuffle=True, random_state=0), tol=1e-10, max_iter=100_000)
    theirs.fit(X, Y)
    np.testing.assert_allclose(ours.fold_errors_, theirs.mse_path_, rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    assert ours.intercept_ == pytest.approx(theirs.intercept_)


def test_the_path_begins_where_nothing_is_left():
    model = ElasticNetOnPath([0.3], num_penalties=3).fit(X, Y)
    centred = X - X.mean(axis=0)
    assert model.alphas_[0] == pytest.approx(np.abs(centred.T @ (Y - Y.mean())).max() / 60 / 0.3)
    np.testing.assert_allclose(model.alphas_ / model.alphas_[0], [1, 1e-2, 1e-4])


def test_the_share_is_the_one_of_smallest_error():
    model = ElasticNetOnPath([0.1, 0.5, 1.0]).fit(X, Y)
    single = [ElasticNetOnPath(ratio).fit(X, Y) for ratio in (0.1, 0.5, 1.0)]
    errors = [entry.fold_errors_.mean(axis=1).min() for entry in single]
    assert model.l1_ratio_ == (0.1, 0.5, 1.0)[int(np.argmin(errors))] == 1.0
    np.testing.assert_array_equal(model.coef_, single[2].coef_)
    theirs = ElasticNetCV(l1_ratio=0.1, alphas=single[0].alphas_, cv=KFold(5, shuffle=True, random_state=0), tol=1e-8)
    np.testing.assert_allclose(single[0].coef_, theirs.fit(X, Y).coef_, atol=1e-3)


def test_one_standard_error_takes_a_stronger_penalty():
    best = ElasticNetOnPath().fit(X, Y)
    sparse = ElasticNetOnPath(rule="one_standard_error").fit(X, Y)
    np.testing.assert_array_equal(best.fold_errors_, sparse.fold_errors_)
    expected = choose_penalty(best.fold_errors_, "one_standard_error")
    assert sparse.alpha_ == sparse.alphas_[expected] > best.alpha_
    assert np.count_nonzero(sparse.coef_) < np.count_nonzero(best.coef_)


def test_weights_are_repetitions():
    counts = RANDOM.integers(0, 4, size=60)
    fold = np.arange(60) % 4
    rows = np.repeat(np.arange(60), counts)
    kept = np.flatnonzero(counts)
    weighted = ElasticNetOnPath(cv=list(LeaveOneGroupOut().split(X[kept], groups=fold[kept])), tol=1e-10)
    repeated = ElasticNetOnPath(cv=list(LeaveOneGroupOut().split(X[rows], groups=fold[rows])), tol=1e-10)
    weighted.fit(X[kept], Y[kept], sample_weight=counts[kept])
    repeated.fit(X[rows], Y[rows])
    assert weighted.alpha_ == pytest.approx(repeated.alpha_)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)
    assert not np.allclose(weighted.coef_, ElasticNetOnPath().fit(X, Y).coef_, atol=1e-3)
