"""Prior ridge against the multivariate normal density, dense linear algebra, refits, and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.linear_model import BayesianRidge, Ridge, RidgeCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxce.fitting.noise_model import fit_noise
from jaxce.fitting.prior_ridge import PriorRidge, _posterior, _prior, _reduced

ORDERS = np.array([0, 1, 1, *[2] * 12, *[3] * 10, *[4] * 5])
DIAMETERS = np.array([0, 0, 0, *np.linspace(2, 7, 12), *np.linspace(3, 6, 10), *np.linspace(3, 5, 5)])
SIZES_OF_ORDER = np.array([0, 0.5, 0.1, 0.05, 0.02])


def features(random, count):
    """Columns like correlations: a constant, the others between -1 and 1."""
    X = random.uniform(-1, 1, size=(count, len(ORDERS)))
    X[:, 0] = 1
    return X


def decaying(random, exponent=4.0):
    """Coefficients drawn from the prior: smaller for higher orders and longer distances."""
    shortest = np.array([DIAMETERS[order == ORDERS].min() for order in ORDERS])
    decay = np.where(shortest > 0, (np.maximum(DIAMETERS, 1) / np.maximum(shortest, 1)) ** (-exponent / 2), 1)
    return SIZES_OF_ORDER[ORDERS] * decay * random.normal(size=len(ORDERS))


def drawn(seed, count=60, noise=0.02):
    random = np.random.default_rng(seed)
    X = features(random, count)
    return X, -3.0 + X @ decaying(random) + noise * random.normal(size=count)


def fitted(X, y, **keywords):
    return PriorRidge(ORDERS, DIAMETERS).fit(X, y, **keywords)


def slow_log_evidence(X, y, prior_variances, noise):
    """Logarithm of the normal density of all energies: prior variance of each pair of structures, plus noise."""
    centred = X - X.mean(axis=0)
    covariance = (centred * prior_variances) @ centred.T + noise * np.eye(len(y))
    return multivariate_normal(np.full(len(y), y.mean()), covariance).logpdf(y)


def slow_ridge(X, y, model, weights=None):
    """Ridge regression of scikit-learn with the penalties that the prior means; intercept and coefficients."""
    roots = np.sqrt(model.prior_variances_ / model.noise_variance_)
    ridge = Ridge(alpha=1.0, solver="svd").fit(X * roots, y, sample_weight=weights)
    return ridge.intercept_, ridge.coef_ * roots


def slow_leave_one_out(X, y, model, weights=None):
    """Residual of each structure from a fit without it, and the variance of that fit's prediction, noise aside."""
    weights = np.ones(len(y)) if weights is None else weights
    residuals, variances = [], []
    for row in range(len(y)):
        others = np.arange(len(y)) != row
        intercept, coefficients = slow_ridge(X[others], y[others], model, weights[others])
        residuals.append(y[row] - intercept - X[row] @ coefficients)
        covariance = slow_covariance(X[others], model, weights[others])
        vector = np.append(1, X[row])
        variances.append(vector @ covariance @ vector)
    return np.array(residuals), np.array(variances)


def slow_covariance(X, model, weights=None):
    """Inverse of the matrix of second derivatives of minus the log posterior, for what varies at all."""
    varies = np.append(True, model.prior_variances_ > 0)
    columns = np.column_stack([np.ones(len(X)), X])[:, varies]
    weights = np.ones(len(X)) if weights is None else weights
    precision = (columns.T * weights) @ columns / model.noise_variance_
    precision[1:, 1:] += np.diag(1 / model.prior_variances_[varies[1:]])
    covariance = np.zeros((len(varies), len(varies)))
    covariance[np.ix_(varies, varies)] = np.linalg.inv(precision)
    return covariance


@parametrize_with_checks([PriorRidge()])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("count", [15, 60, 200])
def test_evidence_is_the_normal_density_of_the_energies(count):
    X, y = drawn(0, count)
    model = fitted(X, y)
    expected = slow_log_evidence(X, y, model.prior_variances_, model.noise_variance_)
    assert model.log_evidence_ == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [15, 60])
def test_gradient_is_that_of_finite_differences(count):
    X, y = drawn(1, count)
    prior = _prior(ORDERS, DIAMETERS, X.shape[1])
    data = _reduced(X, y, np.random.default_rng(2).uniform(0.5, 2, size=count), prior)
    hyperparameters = np.array([0.5, 0.3, -1.0, -2.0, -3.0, -1.0, -0.5, -4.0])
    slopes = []
    for step in 1e-5 * np.eye(len(hyperparameters)):
        high, low = (_posterior(data, prior, hyperparameters + sign * step).cost for sign in (1, -1))
        slopes.append((high - low) / 2e-5)
    np.testing.assert_allclose(_posterior(data, prior, hyperparameters).gradient, slopes, rtol=1e-6, atol=1e-6)


def test_evidence_falls_in_every_direction():
    X, y = drawn(3, 200)
    model = fitted(X, y)
    noise, variances = model.noise_variance_, model.prior_variances_
    best = slow_log_evidence(X, y, variances, noise)
    for factor in (0.7, 1.4):
        assert slow_log_evidence(X, y, variances, factor * noise) < best
        for order in (1, 2, 3, 4):
            assert slow_log_evidence(X, y, np.where(order == ORDERS, factor, 1) * variances, noise) < best
        for order in (2, 3):
            ratio = np.where(order == ORDERS, np.maximum(DIAMETERS, 1) / DIAMETERS[order == ORDERS].min(), 1)
            assert slow_log_evidence(X, y, ratio ** np.log(factor) * variances, noise) < best


def test_evidence_is_no_lower_than_that_of_the_prior_that_made_the_data():
    """Nearly exact data have several maxima, and climbing from noisy ones alone may end far below."""
    shortest = np.array([DIAMETERS[order == ORDERS].min() for order in ORDERS])
    decay = np.where(shortest > 0, (np.maximum(DIAMETERS, 1) / np.maximum(shortest, 1)) ** -4.0, 1)
    for seed in range(20):
        X, y = drawn(seed, 30, noise=1e-3)
        truth = slow_log_evidence(X, y, SIZES_OF_ORDER[ORDERS] ** 2 * decay, 1e-6)
        assert fitted(X, y).log_evidence_ > truth, seed


def test_prior_falls_with_distance_as_the_data_do():
    """Many pairs: the exponent that made them comes back."""
    random = np.random.default_rng(4)
    diameters = np.linspace(2, 8, 150)
    X = random.uniform(-1, 1, size=(400, 150))
    coefficients = 0.3 * (diameters / 2) ** -2.5 * random.normal(size=150)
    model = PriorRidge(np.full(150, 2), diameters).fit(X, X @ coefficients + 1e-3 * random.normal(size=400))
    slopes = np.diff(np.log(model.prior_variances_)) / np.diff(np.log(diameters))
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-6)
    assert slopes[0] == pytest.approx(-5.0, abs=0.6)
    assert np.sqrt(model.prior_variances_[0]) == pytest.approx(0.3, rel=0.3)
    assert model.noise_variance_ == pytest.approx(1e-6, rel=0.3)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [15, 60])
def test_mean_and_covariance_are_those_of_dense_algebra(count, weighted):
    X, y = drawn(5, count)
    weights = np.random.default_rng(6).uniform(0.5, 2, size=count) if weighted else None
    model = fitted(X, y, sample_weight=weights)
    intercept, coefficients = slow_ridge(X, y, model, weights)
    np.testing.assert_allclose(model.coef_, coefficients, atol=1e-9)
    assert model.intercept_ == pytest.approx(intercept, abs=1e-9)
    covariance = slow_covariance(X, model, weights)
    np.testing.assert_allclose(model.covariance_, covariance, atol=1e-7 * covariance.max())


def test_standard_deviations_are_those_of_the_covariance_and_the_noise():
    X, y = drawn(7)
    model = fitted(X, y)
    new, _ = drawn(8)
    mean, deviation = model.predict(new, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(new))
    vectors = np.column_stack([np.ones(len(new)), new])
    variances = [vector @ slow_covariance(X, model) @ vector for vector in vectors] + model.noise_.variances(new)
    np.testing.assert_allclose(deviation**2, variances, rtol=1e-6)


def test_without_orders_it_is_bayesian_ridge():
    """scikit-learn's fixes the intercept at its best value, which matters by one structure in all."""
    random = np.random.default_rng(9)
    X = random.normal(size=(2000, 8))
    y = X @ random.normal(size=8) + 0.5 * random.normal(size=2000) + 1.0
    theirs = BayesianRidge(tol=1e-10, max_iter=1000, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0).fit(X, y)
    ours = PriorRidge().fit(X, y)
    assert ours.noise_variance_ == pytest.approx(1 / theirs.alpha_, rel=2e-3)
    np.testing.assert_allclose(ours.prior_variances_, 1 / theirs.lambda_, rtol=2e-3)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.covariance_[1:, 1:], theirs.sigma_, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [15, 60])
def test_leave_one_out_residuals_are_those_of_refits(count, weighted):
    X, y = drawn(10, count)
    weights = np.random.default_rng(11).integers(0, 3, size=count).astype(float) if weighted else None
    model = fitted(X, y, sample_weight=weights)
    expected, _ = slow_leave_one_out(X, y, model, weights)
    # The 15 go through nearly all energies: residuals of 1e-9 are divided by as little.
    np.testing.assert_allclose(model.leave_one_out_residuals_, expected, rtol=1e-4 if count == 15 else 1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_noise_is_fitted_to_the_residuals_of_refits(weighted):
    random = np.random.default_rng(12)
    X, y = drawn(13)
    sizes = np.repeat([1, 2, 8], 20)
    y += np.where(sizes == 1, 0.2, 0.0) * random.normal(size=60)
    weights = random.integers(0, 3, size=60).astype(float) if weighted else np.ones(60)
    model = fitted(X, y, sample_weight=weights, sizes=sizes)
    residuals, variances = slow_leave_one_out(X, y, model, weights)
    used = weights > 0
    expected = fit_noise(
        weights[used] * residuals[used] ** 2,
        weights[used] * variances[used],
        model.noise_variance_,
        X[used],
        np.flatnonzero(ORDERS == 1),
        sizes[used],
    )
    assert model.noise_.size_factors == pytest.approx(expected.size_factors, rel=1e-4)
    np.testing.assert_allclose(model.noise_.excesses, expected.excesses, rtol=1e-4)
    assert model.noise_.size_factors[1] > 3 * model.noise_.size_factors[8]


def test_noise_goes_into_standard_deviations():
    X, y = drawn(14)
    model = fitted(X, y, sizes=["small", "large"] * 30)
    sizes = ["small", "large", "unheard of"]
    _, average = model.predict(X[:3], return_std=True)
    _, own = model.predict(X[:3], return_std=True, sizes=sizes)
    noise, own_noise = model.noise_.variances(X[:3]), model.noise_.variances(X[:3], sizes)
    assert own_noise[0] != noise[0]
    assert own_noise[2] == noise[2]
    np.testing.assert_allclose(own**2 - own_noise, average**2 - noise, rtol=1e-9)
    assert fitted(X, y).noise_.size_factors == {}


@pytest.mark.parametrize("count", [60, 300])
def test_exact_data_are_recovered(count):
    random = np.random.default_rng(15)
    X = features(random, count)
    truth = np.where(ORDERS > 0, random.normal(size=len(ORDERS)), 0)
    model = fitted(X, X @ truth + 100.0)
    np.testing.assert_allclose(model.coef_, truth, atol=1e-8)
    assert model.intercept_ == pytest.approx(100.0, abs=1e-8)
    assert np.sqrt(model.noise_variance_) < 1e-4 * np.std(X @ truth)


@pytest.mark.parametrize("seed", range(4))
def test_exact_data_of_too_few_structures_have_right_leave_one_out_residuals(seed):
    """The fit goes through all energies, so what is left over of them is below 1e-9; rounding must not decide."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(20, 60))
    y = X @ random.normal(size=60)
    model = PriorRidge().fit(X, y, sizes=np.arange(20) % 3)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-6 * np.std(y))
    expected, _ = slow_leave_one_out(X, y, model)
    # Residuals are 1e-10 of the energies, which are rounded to 1e-15.
    np.testing.assert_allclose(model.leave_one_out_residuals_, expected, rtol=2e-2, atol=1e-3)
    assert min(model.noise_.size_factors.values()) > 0
    assert np.all(np.isfinite(model.predict(random.normal(size=(50, 60)), return_std=True)[1]))


def test_equal_columns_share_their_coefficient():
    random = np.random.default_rng(16)
    X = random.normal(size=(40, 5))
    truth = random.normal(size=5)
    model = PriorRidge().fit(np.hstack([X, X]), X @ truth)
    np.testing.assert_allclose(model.coef_, np.tile(truth / 2, 2), atol=1e-8)
    # Only the sum is known.
    total = np.hstack([np.zeros((5, 1)), np.eye(5), np.eye(5)])
    assert np.diag(total @ model.covariance_ @ total.T).max() < 1e-6 * np.diag(model.covariance_)[1:].min()


def test_weights_are_repetitions():
    X, y = drawn(17)
    counts = np.random.default_rng(18).integers(0, 4, size=60)
    weighted, repeated = fitted(X, y, sample_weight=counts), fitted(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert weighted.log_evidence_ == pytest.approx(repeated.log_evidence_, abs=1e-6)
    assert weighted.noise_variance_ == pytest.approx(repeated.noise_variance_, rel=1e-3)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-5)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), atol=1e-5)
    np.testing.assert_allclose(np.diag(weighted.covariance_), np.diag(repeated.covariance_), rtol=1e-3)
    assert not np.allclose(weighted.coef_, fitted(X, y).coef_, atol=1e-3)


def test_unit_and_zero_of_energy_do_not_matter():
    X, y = drawn(19)
    model, scaled = fitted(X, y, sizes=np.arange(60) % 2), fitted(X, 1e3 * y - 1e4, sizes=np.arange(60) % 2)
    np.testing.assert_allclose(scaled.coef_, 1e3 * model.coef_, atol=1e-3)
    assert scaled.intercept_ == pytest.approx(1e3 * model.intercept_ - 1e4, abs=1e-3)
    assert scaled.noise_variance_ == pytest.approx(1e6 * model.noise_variance_, rel=1e-4)
    assert scaled.noise_.size_factors == pytest.approx(model.noise_.size_factors, rel=1e-4)
    np.testing.assert_allclose(scaled.covariance_, 1e6 * model.covariance_, rtol=1e-3, atol=1e-3)
    assert scaled.log_evidence_ == pytest.approx(model.log_evidence_ - 60 * np.log(1e3), abs=1e-5)


def test_the_constant_is_left_to_the_intercept():
    X, y = drawn(20)
    model = fitted(X, y)
    assert model.coef_[0] == model.prior_variances_[0] == 0
    np.testing.assert_array_equal(model.covariance_[1], 0)
    without = PriorRidge(ORDERS[1:], DIAMETERS[1:]).fit(X[:, 1:], y)
    np.testing.assert_array_equal(model.coef_[1:], without.coef_)
    assert model.intercept_ == without.intercept_


def test_a_feature_that_does_not_vary_keeps_its_prior():
    X, y = drawn(21)
    X[:, 5] = 0.25
    model = fitted(X, y)
    assert model.coef_[5] == pytest.approx(0, abs=1e-12)
    assert model.covariance_[6, 6] == pytest.approx(model.prior_variances_[5], rel=1e-9)
    new = np.tile(X[:1], (2, 1))
    new[1, 5] = 1.25
    deviations = model.predict(new, return_std=True)[1]
    assert deviations[1] ** 2 - deviations[0] ** 2 == pytest.approx(model.prior_variances_[5], rel=1e-6)


def test_equal_energies_give_no_coefficients():
    X, _ = drawn(22)
    model = fitted(X, np.full(60, -0.1), sizes=np.arange(60) % 2)
    np.testing.assert_allclose(model.coef_, 0, atol=1e-12)
    mean, deviation = model.predict(X, return_std=True, sizes=np.arange(60) % 2)
    np.testing.assert_allclose(mean, -0.1, atol=1e-12)
    assert np.all((deviation > 0) & (deviation < 1e-6))


def test_without_clusters_it_is_mean_and_variance():
    y = np.random.default_rng(23).normal(size=20)
    model = PriorRidge([0], [0.0]).fit(np.ones((20, 1)), y)
    np.testing.assert_allclose(model.predict(np.ones((2, 1))), y.mean())
    assert model.noise_variance_ == pytest.approx(np.var(y), rel=1e-5)
    assert model.covariance_[0, 0] == pytest.approx(np.var(y) / 20, rel=1e-5)
    np.testing.assert_allclose(model.leave_one_out_residuals_, (y - y.mean()) * 20 / 19, atol=1e-8)


def test_beats_plain_ridge_where_interactions_decay():
    errors = []
    for seed in range(12):
        random = np.random.default_rng(100 + seed)
        X, coefficients = features(random, 520), decaying(random)
        y = X @ coefficients + 0.01 * random.normal(size=520)
        models = PriorRidge(ORDERS, DIAMETERS), BayesianRidge(), RidgeCV(np.logspace(-6, 3, 37))
        predicted = np.array([model.fit(X[:20], y[:20]).predict(X[20:]) for model in models])
        errors.append(np.sqrt(np.mean((predicted - X[20:] @ coefficients) ** 2, axis=1)))
    ours, bayesian, ridge = np.array(errors).T
    assert ours.mean() < 0.3 * min(bayesian.mean(), ridge.mean())
    assert np.sum((ours < bayesian) & (ours < ridge)) >= 11


def test_standard_deviations_are_those_of_the_errors():
    """Data drawn from the model: z-scores of new structures have the standard deviation 1."""
    z_scores = []
    for seed in range(30):
        X, y = drawn(200 + seed, 160)
        mean, deviation = fitted(X[:100], y[:100]).predict(X[100:], return_std=True)
        z_scores.append((y[100:] - mean) / deviation)
    # Structures of one fit share its errors: the uncertainty is that of the 30 mean squares.
    squares = np.mean(np.square(z_scores), axis=1)
    assert abs(squares.mean() - 1) < 3 * squares.std() / np.sqrt(30)
    assert squares.std() / np.sqrt(30) < 0.08


def test_can_be_cloned_and_printed():
    model = PriorRidge(ORDERS, DIAMETERS)
    assert "PriorRidge" in repr(clone(model))


def test_bad_input_is_refused():
    X, y = drawn(24)
    with pytest.raises(ValueError, match="one number for each of the 30 features"):
        PriorRidge(ORDERS[1:]).fit(X, y)
    with pytest.raises(ValueError, match="one number for each of the 30 features"):
        PriorRidge(ORDERS, DIAMETERS[:, None]).fit(X, y)
    with pytest.raises(ValueError, match="must be finite"):
        PriorRidge(ORDERS, np.where(ORDERS == 3, np.nan, DIAMETERS)).fit(X, y)
    with pytest.raises(ValueError, match=r"at least one|a positive entry"):
        fitted(X, y, sample_weight=np.zeros(60))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        fitted(X, y, sample_weight=np.full(60, -1.0))
    with pytest.raises(ValueError, match="one label for each of the 60"):
        fitted(X, y, sizes=[1, 2])
    with pytest.raises(ValueError, match="one label for each of the 60"):
        fitted(X, y).predict(X, return_std=True, sizes=[1])
