"""The normal posterior of coefficients from Bayesian linear estimators."""

import dataclasses
import inspect
from typing import Any

import jax
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import ARDRegression, BayesianRidge
from sklearn.pipeline import Pipeline

from jaxce.fitting.noise_model import NoiseModel, constant_noise
from jaxce.fitting.prior_ridge import PriorRidge


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """Normal distribution of the coefficients, given the data and the prior.

    Attributes:
        mean: `[correlations]` eV per prim.
        covariance: `[correlations, correlations]` eV^2.
        noise: variance of energies per prim about the expansion with the true coefficients, eV^2.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise: NoiseModel

    @property
    def noise_variance(self) -> float:
        """Mean variance of the noise, eV^2 per prim."""
        return self.noise.variance

    @property
    def standard_deviations(self) -> np.ndarray:
        """`[correlations]` of the coefficients, eV per prim."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0))

    def sample(self, key: Any, num_samples: int) -> np.ndarray:
        """`[samples, correlations]` coefficients drawn from the posterior.

        Args:
            key: typed key (`jax.random.key`).
            num_samples: number of draws.
        """
        # Eigenvectors, since the covariance of coefficients that are not fitted is 0.
        values, vectors = np.linalg.eigh(self.covariance)
        normal = np.asarray(jax.random.normal(key, (num_samples, len(values))), dtype=np.float64)
        return self.mean + (normal * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def predict(self, correlations: np.ndarray, num_prims: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of energies, eV per prim, noise included.

        Args:
            correlations: `[structures, correlations]`.
            num_prims: `[structures]`; with it, the noise is that of structures of the same size, where known.
        """
        variance = np.einsum("ij,ij->i", correlations @ self.covariance, correlations)
        noise = self.noise.variances(correlations, num_prims)
        return correlations @ self.mean, np.sqrt(np.maximum(variance, 0) + noise)


def posterior_of(estimator: Any) -> Posterior | None:
    """The posterior of a fitted estimator, also inside pipelines of scalers; None if it has none.

    Args:
        estimator: fitted on correlation vectors, whose entry 0 is 1.
    """
    inner = final_estimator(estimator)
    if not isinstance(inner, PriorRidge | BayesianRidge | ARDRegression):
        return None
    back = _to_correlations(estimator, len(inner.coef_))
    if isinstance(inner, PriorRidge):
        covariance = inner.covariance_
        # Of scaled features we do not know which are concentrations.
        is_scaled = not np.array_equal(back[:, 1:], np.eye(len(back))) or np.any(back[1:, 0])
        noise = inner.noise_.without_composition() if is_scaled else inner.noise_
    else:
        covariance, noise = _covariance(inner), constant_noise(1 / float(inner.alpha_))
    scale, offset = _target_scale(estimator)
    mean = scale * (back @ np.append(inner.intercept_, inner.coef_))
    mean[0] += offset
    return Posterior(mean, scale**2 * back @ covariance @ back.T, noise.scaled(scale**2))


def final_estimator(estimator: Any) -> Any:
    """The estimator inside pipelines and target transformers, fitted where these are."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, TransformedTargetRegressor):
            estimator = getattr(estimator, "regressor_", estimator.regressor)
        else:
            return estimator


def takes(function: Any, name: str) -> bool:
    """Whether a function has a parameter of this name."""
    return name in inspect.signature(function).parameters


def _covariance(estimator: Any) -> np.ndarray:
    """`[1 + features, 1 + features]` of intercept and coefficients of scikit-learn's Bayesian regressions."""
    kept = np.ones(len(estimator.coef_), dtype=bool)
    if isinstance(estimator, ARDRegression):
        kept = estimator.lambda_ < estimator.threshold_lambda
    covariance = np.zeros((len(kept) + 1, len(kept) + 1))
    covariance[1:, 1:][np.ix_(kept, kept)] = estimator.sigma_
    # The intercept is the mean energy, less the coefficients times the mean correlations.
    change = np.eye(len(kept) + 1)
    change[0, 1:] = -np.broadcast_to(estimator.X_offset_, len(kept))
    return change @ covariance @ change.T


def _to_correlations(estimator: Any, num_features: int) -> np.ndarray:
    """`[correlations, 1 + features]`: coefficients of correlations from intercept and coefficients of the last step.

    What comes before it is affine: the images of the origin and of the unit vectors say all.
    """
    num_correlations = getattr(estimator, "n_features_in_", num_features)
    images = _seen_inside(estimator, np.concatenate([np.zeros((1, num_correlations)), np.eye(num_correlations)]))
    back = np.zeros((num_correlations, num_features + 1))
    back[:, 1:] = images[1:] - images[0]
    back[0] += np.append(1, images[0])
    return back


def _seen_inside(estimator: Any, vectors: np.ndarray) -> np.ndarray:
    """What the innermost estimator sees of vectors."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            vectors = vectors if step in (None, "passthrough") else step.transform(vectors)
        return _seen_inside(estimator.steps[-1][1], vectors)
    if isinstance(estimator, TransformedTargetRegressor):
        return _seen_inside(estimator.regressor_, vectors)
    return vectors


def _target_scale(estimator: Any) -> tuple[float, float]:
    """Slope and offset from the energies that the innermost estimator sees to eV per prim."""
    if isinstance(estimator, Pipeline):
        return _target_scale(estimator.steps[-1][1])
    if isinstance(estimator, TransformedTargetRegressor):
        scale, offset = _target_scale(estimator.regressor_)
        zero, one = estimator.transformer_.inverse_transform(np.array([[0.0], [1.0]])).ravel()
        return float(one - zero) * scale, float(zero + (one - zero) * offset)
    return 1.0, 0.0
