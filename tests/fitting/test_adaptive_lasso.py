import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxce.fitting.adaptive_lasso import AdaptiveLasso
from jaxce.fitting.elastic_net import ElasticNetOnPath

RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=(200, 30))
TRUTH = np.zeros(30)
TRUTH[[2, 11, 20, 29]] = [1.0, -0.8, 0.5, 0.3]
Y = X @ TRUTH - 1.0 + 0.1 * RANDOM.normal(size=200)


@parametrize_with_checks([AdaptiveLasso(num_penalties=20)])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def test_finds_the_true_functions_and_shrinks_them_less_than_the_lasso():
    best = AdaptiveLasso().fit(X, Y)
    assert set(np.flatnonzero(TRUTH)) <= set(np.flatnonzero(best.coef_))
    sparse = AdaptiveLasso(rule="one_standard_error").fit(X, Y)
    np.testing.assert_array_equal(np.flatnonzero(sparse.coef_), np.flatnonzero(TRUTH))
    assert sparse.alpha_ > best.alpha_
    lasso = ElasticNetOnPath(rule="one_standard_error").fit(X, Y)
    assert np.abs(sparse.coef_ - TRUTH).sum() < 0.7 * np.abs(lasso.coef_ - TRUTH).sum()


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_solves_the_lasso_with_weighted_penalties(gamma):
    model = AdaptiveLasso(gamma=gamma, rule="one_standard_error").fit(X, Y)
    ridge = Ridge(alpha=model.ridge_alpha_ * len(Y)).fit(X, Y)
    np.testing.assert_allclose(model.ridge_coef_, ridge.coef_, atol=1e-10)
    factors = (np.abs(ridge.coef_) / np.abs(ridge.coef_).max()) ** gamma
    # The gradient of the squared error is within alpha / factor, and at it where the coefficient is not zero.
    residual = Y - model.predict(X)
    slope = X.T @ residual / len(Y)
    limit = model.alpha_ / factors
    assert np.all(np.abs(slope) <= limit * (1 + 1e-2))
    is_in = model.coef_ != 0
    np.testing.assert_allclose(slope[is_in], (limit * np.sign(model.coef_))[is_in], rtol=0.02)
    assert residual.mean() == pytest.approx(0, abs=1e-12)


def test_gamma_zero_is_the_lasso():
    model = AdaptiveLasso(gamma=0).fit(X, Y)
    np.testing.assert_allclose(model.coef_, ElasticNetOnPath().fit(X, Y).coef_, atol=1e-12)
    np.testing.assert_allclose(model.coef_, Lasso(alpha=model.alpha_, tol=1e-10).fit(X, Y).coef_, atol=1e-4)


def test_the_ridge_penalty_is_one_of_those_given():
    assert AdaptiveLasso(ridge_alphas=[0.5, 2.0]).fit(X, Y).ridge_alpha_ == 0.5
