"""Ridge regression with a prior that lets interactions decay with the order and the diameter of their clusters."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from jaxce.fitting.noise_model import fit_noise

# Logarithms of prior variance over noise variance. The upper bound also keeps the normal matrix invertible.
_SMALLEST_LOG_RATIO, _LARGEST_LOG_RATIO = -25.0, 20.0
_STEEPEST_DECAY = -30.0
# Logarithm of noise variance over the variance of the energies; the lower bound is that of exact data.
_LOG_NOISE_BOUNDS = (-35.0, 2.0)
# Logarithms of amplitudes and noise from which the evidence is climbed, for noisy and for nearly exact data: it has
# several maxima, and from one start alone a tenth of small synthetic data sets ended on a lower one.
_STARTS = ((0.0, -4.0), (6.0, -10.0))


class PriorRidge(RegressorMixin, BaseEstimator):
    """Bayesian ridge regression whose prior knows the cluster of each coefficient.

    Coefficient j of order k and diameter d has a normal prior of mean 0 and variance `a_k (d / d_k)**-b_k`, with `d_k`
    the smallest diameter of that order and `b_k >= 0`: interactions decay with distance, and those of each order have a
    size of their own (Mueller and Ceder, Phys. Rev. B 80, 024103 (2009)). All `a_k`, `b_k` and the variance of the
    noise maximise the evidence, the probability of the data with the coefficients integrated out (MacKay, Neural
    Computation 4, 415 (1992)); so nothing is left to choose, and a fit takes milliseconds. The intercept is free.

    The noise is what no coefficient can describe. Once the coefficients are fitted, it is estimated from leave-one-out
    residuals as a function of composition (features of order 1) and of `sizes` (`jaxce.fitting.noise_model`).

    Args:
        orders: `[features]` order of each feature's cluster; features of order 0 (the constant) get coefficient 0,
            the intercept stands for them. By default all are of one order.
        diameters: `[features]` diameter of each feature's cluster, angstrom. By default nothing decays.

    Attributes:
        coef_: `[features]` posterior means.
        intercept_: posterior mean of the intercept.
        covariance_: `[1 + features, 1 + features]` posterior covariance of intercept and coefficients.
        noise_variance_: mean variance of the noise of a structure of weight 1.
        noise_: the `NoiseModel`.
        prior_variances_: `[features]`.
        log_evidence_: natural logarithm of the evidence, with the intercept at its best value.
        leave_one_out_residuals_: `[structures]` energy minus the prediction of a fit without the structure, with the
            same prior.
    """

    def __init__(self, orders: Any = None, diameters: Any = None):
        self.orders = orders
        self.diameters = diameters

    def fit(self, X: Any, y: Any, sample_weight: Any = None, sizes: Any = None) -> "PriorRidge":
        """Fit to `X` `[structures, features]` and `y` `[structures]`.

        Args:
            X: features, such as correlation vectors.
            y: energies per prim.
            sample_weight: `[structures]` weights: how many times a structure counts.
            sizes: `[structures]` any label that tells apart structures of different noise, such as the number of prims.

        Raises:
            ValueError: if shapes disagree, or numbers are not finite or negative where they must not be.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2, y_numeric=True)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        prior = _prior(self.orders, self.diameters, X.shape[1])
        data = _reduced(X, y, weights, prior)
        hyperparameters = _most_probable(data, prior)
        posterior, left_over = _refined(data, _posterior(data, prior, hyperparameters))
        self._store(posterior, prior, data)
        self._store_noise(X, y, left_over, weights, sizes)
        return self

    def predict(self, X: Any, return_std: bool = False, sizes: Any = None) -> Any:
        """Mean `[structures]`, and with `return_std` the standard deviation, noise included.

        Args:
            X: `[structures, features]`.
            return_std: whether the standard deviation is returned too.
            sizes: `[structures]` as in `fit`; a size that was not fitted has the average noise.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        mean = X @ self.coef_ + self.intercept_
        if not return_std:
            return mean
        noise = self.noise_.variances(X, None if sizes is None else _labels(sizes, len(X)))
        return mean, np.sqrt(_quadratic_form(self.covariance_, _with_ones(X)) + noise)

    def _store(self, posterior: "_Posterior", prior: "_Prior", data: "_Reduced") -> None:
        scale = np.sqrt(data.energy_variance)
        num_features = len(prior.is_fitted)
        coefficients = np.zeros(num_features)
        coefficients[prior.is_fitted] = posterior.mean * scale
        variances = np.zeros(num_features)
        variances[prior.is_fitted] = posterior.prior_ratios * posterior.noise * data.energy_variance
        # From the fitted columns, of which the means were taken off, to intercept and features.
        back = np.zeros((1 + num_features, len(posterior.mean)))
        back[0] = -data.column_means
        back[1 + np.flatnonzero(prior.is_fitted), np.arange(len(posterior.mean))] = 1
        self.coef_ = coefficients
        self.prior_variances_ = variances
        self.intercept_ = float(data.energy_mean + (back[0] @ posterior.mean) * scale)
        root = posterior.root_covariance @ back.T
        self.noise_variance_ = float(posterior.noise * data.energy_variance)
        self.covariance_ = root.T @ root * self.noise_variance_
        self.covariance_[0, 0] += self.noise_variance_ / data.num_rows
        self.log_evidence_ = float(-posterior.cost - 0.5 * data.num_rows * np.log(2 * np.pi * data.energy_variance))

    def _store_noise(
        self, X: np.ndarray, y: np.ndarray, left_over: np.ndarray, weights: np.ndarray, sizes: Any
    ) -> None:
        """Leave-one-out residuals in closed form, and the noise from those.

        A fit without the structure predicts it with the variance noise / (weight * left over).
        """
        self.leave_one_out_residuals_ = (y - X @ self.coef_ - self.intercept_) / left_over
        used = weights > 0
        points = [] if self.orders is None else np.flatnonzero(np.asarray(self.orders) == 1)
        self.noise_ = fit_noise(
            weights[used] * self.leave_one_out_residuals_[used] ** 2,
            self.noise_variance_ * (1 / left_over[used] - 1),
            self.noise_variance_,
            X[used],
            np.asarray(points, dtype=np.int64),
            None if sizes is None else np.asarray(_labels(sizes, len(y)))[used],
        )


class _Prior(NamedTuple):
    """Which features are fitted, and what their log prior variances depend on.

    `factors` `[fitted features, hyperparameters]` times the hyperparameters gives the logarithm of prior variance over
    noise; the first `num_amplitudes` hyperparameters are amplitudes, the others exponents of the decay.
    """

    is_fitted: np.ndarray
    factors: np.ndarray
    num_amplitudes: int


class _Reduced(NamedTuple):
    """The least-squares problem as a triangle: |y - X b|^2 = |target - triangle b|^2 + rest.

    Means are taken off columns and energies, which leaves the intercept independent of the coefficients. `orthogonal`
    `[structures, rows of the triangle]` times the triangle gives the weighted columns; `outside` `[structures]` is the
    part of each structure that neither they nor the intercept reach.
    """

    orthogonal: np.ndarray
    outside: np.ndarray
    triangle: np.ndarray
    target: np.ndarray
    rest: float
    num_rows: float
    column_means: np.ndarray
    energy_mean: float
    energy_variance: float


@dataclasses.dataclass(frozen=True)
class _Posterior:
    """Of the coefficients, in units of the energies' standard deviation.

    The covariance is `noise * root_covariance.T @ root_covariance`.
    """

    mean: np.ndarray
    root_covariance: np.ndarray
    prior_ratios: np.ndarray
    noise: float
    cost: float
    gradient: np.ndarray


def _prior(orders: Any, diameters: Any, num_features: int) -> _Prior:
    orders = np.ones(num_features, dtype=int) if orders is None else np.asarray(orders)
    diameters = np.zeros(num_features) if diameters is None else np.asarray(diameters, dtype=np.float64)
    if orders.shape != (num_features,) or diameters.shape != (num_features,):
        raise ValueError(
            f"`orders` and `diameters` need one number for each of the {num_features} features, but have shapes "
            f"{orders.shape} and {diameters.shape}."
        )
    if not np.all(np.isfinite(orders) & np.isfinite(diameters) & (orders >= 0) & (diameters >= 0)):
        raise ValueError("`orders` and `diameters` must be finite and not negative.")
    is_fitted = orders > 0
    amplitudes, decays = [], []
    for order in np.unique(orders[is_fitted]):
        is_own = (orders == order)[is_fitted]
        own = diameters[is_fitted][is_own]
        amplitudes.append(is_own.astype(float))
        # With one diameter, or points, there is nothing to decay.
        if own.min() > 0 and np.ptp(own) > 0:
            decay = np.zeros(len(is_own))
            decay[is_own] = np.log(own / own.min())
            decays.append(decay)
    factors = np.array([*amplitudes, *decays]).reshape(len(amplitudes) + len(decays), int(is_fitted.sum())).T
    return _Prior(is_fitted, factors, len(amplitudes))


def _reduced(X: np.ndarray, y: np.ndarray, weights: np.ndarray, prior: _Prior) -> _Reduced:
    total = weights.sum()
    if not total > 0:
        raise ValueError("`sample_weight` must have a positive entry, but all are 0.")
    fitted = X[:, prior.is_fitted]
    means, mean = weights @ fitted / total, float(weights @ y / total)
    variance = float(weights @ (y - mean) ** 2 / total) or 1.0
    root = np.sqrt(weights)
    orthogonal, triangle = np.linalg.qr(root[:, None] * _with_ones(fitted - means))
    outside = np.maximum(1 - np.sum(orthogonal**2, axis=1), 0)
    # Column 0 is the intercept's; the others are orthogonal to it.
    orthogonal, triangle = orthogonal[:, 1:], triangle[1:, 1:]
    target = root * (y - mean) / np.sqrt(variance)
    projected = orthogonal.T @ target
    rest = float(np.sum((target - orthogonal @ projected) ** 2))
    return _Reduced(orthogonal, outside, triangle, projected, rest, float(total), means, mean, variance)


def _most_probable(data: _Reduced, prior: _Prior) -> np.ndarray:
    """Amplitudes, exponents and log noise of the largest evidence."""
    num_decays = prior.factors.shape[1] - prior.num_amplitudes
    bounds = [
        *[(_SMALLEST_LOG_RATIO, _LARGEST_LOG_RATIO)] * prior.num_amplitudes,
        *[(_STEEPEST_DECAY, 0.0)] * num_decays,
        _LOG_NOISE_BOUNDS,
    ]

    def cost(hyperparameters: np.ndarray) -> tuple[float, np.ndarray]:
        posterior = _posterior(data, prior, hyperparameters)
        return posterior.cost, posterior.gradient

    options = {"maxiter": 1000, "ftol": 1e-11, "gtol": 1e-7}
    climbed = []
    for amplitude, noise in _STARTS:
        start = np.array([amplitude] * prior.num_amplitudes + [-1.0] * num_decays + [noise])
        climbed.append(minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options))
    return min(climbed, key=lambda result: result.fun).x


def _posterior(data: _Reduced, prior: _Prior, hyperparameters: np.ndarray) -> _Posterior:
    """The posterior for given hyperparameters, with minus the log evidence and its gradient.

    The gradient is short because moments of the posterior give it: d(log evidence) / d(log v_j) =
    (mean_j^2 + variance_j) / 2 v_j - 1/2, and likewise for the noise (MacKay 1992, eq. 4.3 ff.).
    """
    noise = np.exp(hyperparameters[-1])
    ratios = np.exp(prior.factors @ hyperparameters[:-1])
    roots = np.sqrt(ratios)
    scaled = data.triangle * roots
    # One plus a positive matrix, in units of noise and prior: always positive definite.
    factor = cholesky(np.eye(len(roots)) + scaled.T @ scaled, lower=True)
    inverse_factor = solve_triangular(factor, np.eye(len(roots)), lower=True)
    mean = roots * (inverse_factor.T @ (inverse_factor @ (scaled.T @ data.target)))
    residual = data.target - data.triangle @ mean
    squares = residual @ residual + data.rest
    prior_squares = mean**2 / ratios
    cost = 0.5 * (squares + prior_squares.sum()) / noise + np.log(np.diag(factor)).sum()
    cost += 0.5 * data.num_rows * np.log(noise)
    gradient_ratios = 0.5 * (1 - np.sum(inverse_factor**2, axis=0)) - 0.5 * prior_squares / noise
    gradient_noise = 0.5 * data.num_rows - 0.5 * (squares + prior_squares.sum()) / noise
    gradient = np.append(prior.factors.T @ gradient_ratios, gradient_noise)
    return _Posterior(mean, inverse_factor * roots, ratios, noise, cost, gradient)


def _refined(data: _Reduced, posterior: _Posterior) -> tuple[_Posterior, np.ndarray]:
    """Mean and covariance once more from singular values, and what is left over of each structure: 1 - leverage.

    Normal equations have half the digits, and exact data leave less than 1e-10 over where there are many coefficients.
    """
    roots = np.sqrt(posterior.prior_ratios)
    left, values, right = np.linalg.svd(data.triangle * roots)
    count = len(values)
    mean = roots * (right[:count].T @ (values / (1 + values**2) * (left.T @ data.target)))
    shrinking = np.ones(len(roots))
    shrinking[:count] = 1 / np.sqrt(1 + values**2)
    root = shrinking[:, None] * right * roots
    left_over = data.outside + (data.orthogonal @ left) ** 2 @ (1 / (1 + values**2))
    return dataclasses.replace(posterior, mean=mean, root_covariance=root), left_over


def _with_ones(X: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(X), 1)), X], axis=1)


def _quadratic_form(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`[rows]` row . matrix . row."""
    return np.einsum("ij,ij->i", rows @ matrix, rows)


def _labels(sizes: Any, count: int) -> list[Any]:
    labels = np.asarray(sizes)
    if labels.shape != (count,):
        raise ValueError(f"`sizes` needs one label for each of the {count} structures, but has shape {labels.shape}.")
    return labels.tolist()
