import dataclasses

import jax
import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import ARDRegression, BayesianRidge, LassoCV, LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from jaxce.fitting import estimators
from jaxce.fitting.noise_model import constant_noise
from jaxce.fitting.posterior import Posterior, final_estimator, posterior_of, takes
from jaxce.fitting.prior_ridge import PriorRidge

NUM_CORRELATIONS = 8
ORDERS = np.array([0, 1, 1, 2, 2, 2, 3, 3])
DIAMETERS = np.array([0, 0, 0, 2, 3, 4, 2, 3.0])


def standardised(estimator):
    return TransformedTargetRegressor(estimator, transformer=StandardScaler())


BAYESIAN = {
    "prior ridge": PriorRidge(ORDERS, DIAMETERS),
    "bayesian ridge": BayesianRidge(),
    "without intercept": BayesianRidge(fit_intercept=False),
    "ard": ARDRegression(),
    "jaxce bayesian_ridge": estimators.bayesian_ridge(),
    "jaxce ard": estimators.ard(),
    "jaxce ard, few kept": estimators.ard(threshold_lambda=20.0),
    "pipeline": make_pipeline(StandardScaler(), BayesianRidge()),
    "two scalers": make_pipeline(MinMaxScaler((-2, 5)), "passthrough", StandardScaler(), BayesianRidge()),
    "pipeline of prior ridge": make_pipeline(StandardScaler(), PriorRidge(ORDERS, DIAMETERS)),
    "target outside": standardised(make_pipeline(MinMaxScaler(), BayesianRidge())),
    "pipeline in pipeline": make_pipeline(
        StandardScaler(), make_pipeline(MinMaxScaler(), standardised(ARDRegression()))
    ),
    "target of target": standardised(TransformedTargetRegressor(PriorRidge(), transformer=MinMaxScaler((-3, 8)))),
}
# scikit-learn's own standard deviations take features for centred; where they are, all is right.
CENTRED = ["jaxce bayesian_ridge", "jaxce ard", "jaxce ard, few kept", "pipeline", "two scalers"]


def data(seed, count=30):
    random = np.random.default_rng(seed)
    X = random.uniform(-1, 1, size=(count, NUM_CORRELATIONS))
    X[:, 0] = 1
    return X, X @ np.array([-50, 0.5, 1, 0.3, 0.1, 0, 0.2, 0]) + 0.05 * random.normal(size=count)


def found(model) -> Posterior:
    posterior = posterior_of(model)
    assert posterior is not None
    return posterior


@pytest.mark.parametrize("name", BAYESIAN)
def test_mean_predicts_what_the_estimator_predicts(name):
    X, y = data(0)
    model = BAYESIAN[name].fit(X, y)
    new, _ = data(1)
    mean, deviation = found(model).predict(new)
    np.testing.assert_allclose(mean, model.predict(new).ravel(), rtol=0, atol=1e-10)
    # A little more than the noise, 0.05, and than what is dropped; in eV, whatever the estimator's unit.
    assert np.all((deviation > 0.03) & (deviation < (0.3 if "few" in name else 0.09)))


def own_deviations(model, X):
    """What the innermost estimator says of what it sees, in eV."""
    features = model[:-1].transform(X)
    last, scale = model[-1], 1.0
    if isinstance(last, TransformedTargetRegressor):
        last, scale = last.regressor_, last.transformer_.scale_
    return scale * last.predict(features, return_std=True)[1]


@pytest.mark.parametrize("name", CENTRED)
def test_standard_deviations_are_those_of_scikit_learn(name):
    X, y = data(2)
    model = BAYESIAN[name].fit(X, y)
    new, _ = data(3)
    np.testing.assert_allclose(found(model).predict(new)[1], own_deviations(model, new), rtol=1e-10)


def test_standard_deviations_do_not_depend_on_where_features_have_their_zero():
    X, y = data(4)
    plain = found(BayesianRidge(tol=1e-12).fit(X, y))
    shifted = found(make_pipeline(StandardScaler(with_std=False), BayesianRidge(tol=1e-12)).fit(X, y))
    np.testing.assert_allclose(plain.predict(X)[1], shifted.predict(X)[1], rtol=1e-8)
    np.testing.assert_allclose(plain.covariance, shifted.covariance, rtol=1e-6, atol=1e-12)


def test_standard_deviations_are_those_of_the_prior_ridge():
    X, y = data(5)
    sizes = np.arange(30) % 3
    model = PriorRidge(ORDERS, DIAMETERS).fit(X, y, sizes=sizes)
    posterior = found(model)
    np.testing.assert_allclose(posterior.predict(X)[1], model.predict(X, return_std=True)[1], rtol=1e-10)
    new_sizes = np.arange(30) % 5
    own = model.predict(X, return_std=True, sizes=new_sizes)[1]
    np.testing.assert_allclose(posterior.predict(X, new_sizes)[1], own, rtol=1e-10)
    assert not np.allclose(own, posterior.predict(X)[1], rtol=1e-3)


def test_standard_deviations_are_those_of_scaled_energies():
    """Also the noise of each size is in eV, not in the unit in which the estimator works."""
    X, y = data(6)
    sizes = np.arange(30) % 3
    plain = found(PriorRidge(ORDERS, DIAMETERS).fit(X, y, sizes=sizes))
    scaled = found(standardised(PriorRidge(ORDERS, DIAMETERS)).fit(X, y, sizes=sizes))
    np.testing.assert_allclose(scaled.mean, plain.mean, atol=1e-4)
    np.testing.assert_allclose(scaled.predict(X)[1], plain.predict(X)[1], rtol=1e-4)
    np.testing.assert_allclose(scaled.predict(X, sizes)[1], plain.predict(X, sizes)[1], rtol=1e-4)


def test_dropped_functions_of_ard_have_no_deviation():
    X, y = data(7)
    model = estimators.ard(threshold_lambda=20.0).fit(X, y)
    is_dropped = model[-1].regressor_.coef_ == 0
    assert 2 < is_dropped.sum() < NUM_CORRELATIONS - 1
    deviations = found(model).standard_deviations
    assert np.all(deviations[1:][is_dropped[1:]] == 0)
    assert np.all(deviations[1:][~is_dropped[1:]] > 0)


@pytest.mark.parametrize(
    "estimator",
    [Ridge(), LinearRegression(), LassoCV(), estimators.ridge(), estimators.lasso(), standardised(Ridge())],
    ids=lambda estimator: type(final_estimator(estimator)).__name__,
)
def test_others_have_none(estimator):
    assert posterior_of(estimator.fit(*data(8))) is None


def test_draws_have_the_mean_and_the_covariance():
    random = np.random.default_rng(9)
    root = random.normal(size=(5, 3))
    posterior = Posterior(random.normal(size=5), root @ root.T, constant_noise(0.1))
    count = 40_000
    draws = posterior.sample(jax.random.key(1), count)
    assert draws.shape == (count, 5)
    assert draws.dtype == np.float64
    variances = np.diag(posterior.covariance)
    assert np.all(np.abs(draws.mean(axis=0) - posterior.mean) < 5 * np.sqrt(variances / count))
    errors = np.sqrt((posterior.covariance**2 + np.outer(variances, variances)) / count)
    assert np.all(np.abs(np.cov(draws.T) - posterior.covariance) < 5 * errors)
    # The covariance has rank 3, and no draw leaves its space.
    assert np.linalg.matrix_rank(draws - posterior.mean, tol=1e-6) == 3
    np.testing.assert_array_equal(draws, posterior.sample(jax.random.key(1), count))
    assert not np.allclose(draws, posterior.sample(jax.random.key(2), count))


def test_predicted_variance_is_that_of_the_draws():
    X, y = data(10)
    posterior = found(PriorRidge(ORDERS, DIAMETERS).fit(X, y))
    count = 20_000
    energies = posterior.sample(jax.random.key(3), count) @ X.T
    mean, deviation = posterior.predict(X)
    variance = deviation**2 - posterior.noise.variances(X)
    assert np.all(np.abs(energies.mean(axis=0) - mean) < 5 * np.sqrt(variance / count))
    np.testing.assert_allclose(energies.var(axis=0), variance, rtol=5 * np.sqrt(2 / count))


def test_noise_is_that_of_the_size():
    noise = dataclasses.replace(constant_noise(0.16), size_factors={4: 0.55 / 0.16})
    posterior = Posterior(np.array([2.0, 1.0]), np.diag([0.0, 0.09]), noise)
    mean, deviation = posterior.predict(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]), np.array([4, 5, 4]))
    np.testing.assert_allclose(mean, [3, 3, 2])
    np.testing.assert_allclose(deviation, [0.8, 0.5, np.sqrt(0.55)])
    np.testing.assert_allclose(posterior.standard_deviations, [0, 0.3])


def test_parameters_of_functions_are_found():
    assert takes(PriorRidge().fit, "sizes")
    assert not takes(Ridge().fit, "sizes")
    assert takes(standardised(Ridge()).fit, "fit_params")
