"""Coefficients of fitted scikit-learn estimators."""

from typing import Any

import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace

# Relative to the largest prediction. A linear model deviates by rounding only, which stays below the second even for
# thousands of features.
_LINEARITY_TOLERANCE = 1e-8
_ROUNDING = 1e-11


def from_sklearn(space: ClusterSpace, estimator: Any) -> ClusterExpansion:
    """The expansion that predicts what a fitted linear estimator predicts, eV per prim.

    Scalers, centring and intercepts are folded into the coefficients. This works for any estimator whose `predict` is
    an affine function of the correlation vector, also a `Pipeline` of several steps: the coefficients are read off its
    predictions at the origin and at the unit vectors.

    Args:
        space: the cluster space on which it was fitted.
        estimator: fitted estimator with `predict` on `[structures, correlations]`.

    Raises:
        ValueError: if the number of features differs or predictions are not linear.
    """
    num_features = space.num_correlations
    _check_num_features(space, getattr(estimator, "n_features_in_", num_features))
    probes = np.random.default_rng(0).uniform(-1, 1, size=(8, num_features))
    vectors = np.vstack([np.zeros(num_features), np.eye(num_features), probes])
    coefficients, intercept = folded_predictions(
        type(estimator).__name__,
        _predict(estimator, vectors),
        probes,
        (getattr(estimator, "coef_", None), getattr(estimator, "intercept_", None)),
    )
    return expansion_of(space, coefficients, intercept)


def expansion_of(space: ClusterSpace, coefficients: np.ndarray, intercept: float) -> ClusterExpansion:
    """The expansion of a linear model on the correlation vectors of a space, eV per prim.

    Raises:
        ValueError: if the number of coefficients differs from that of the correlations.
    """
    _check_num_features(space, len(coefficients))
    # Correlation 0 is always 1.
    return ClusterExpansion(space, coefficients + intercept * (np.arange(len(coefficients)) == 0))


def folded_predictions(
    name: str, predictions: np.ndarray, probes: np.ndarray, stored: tuple[Any, Any]
) -> tuple[np.ndarray, float]:
    """Coefficients and intercept of an affine function, from its values.

    Args:
        name: what errors call it.
        predictions: its values at the origin, at the unit vectors, and at the probes.
        probes: `[probes, features]` points where it is compared with the result.
        stored: coefficients and intercept that the model itself names, or None. They are preferred where they say the
            same, because they are not rounded.

    Raises:
        ValueError: if it is not affine.
    """
    num_features = probes.shape[1]
    origin, units, at_probes = predictions[0], predictions[1 : 1 + num_features], predictions[1 + num_features :]
    slopes = units - origin
    error = np.abs(at_probes - (origin + probes @ slopes)).max()
    size = max(1.0, np.abs(predictions).max())
    if not error <= _LINEARITY_TOLERANCE * size:
        raise ValueError(
            f"{name} is not linear in its features (its predictions deviate by {error:.2g}), so it is no cluster "
            "expansion; use a linear estimator such as RidgeCV, LassoCV or ARDRegression."
        )
    coefficients, intercept = _flat(stored[0]), _flat(stored[1])
    if (coefficients.shape, intercept.shape) == (slopes.shape, (1,)):
        differences = np.append(coefficients - slopes, intercept - origin)
        if np.all(np.abs(differences) <= _ROUNDING * size):
            return coefficients, float(intercept[0])
    return slopes, float(origin)


def _flat(numbers: Any) -> np.ndarray:
    """Numbers as one row; an empty one where there are none."""
    try:
        return np.ravel(np.asarray([] if numbers is None else numbers, dtype=np.float64))
    except (TypeError, ValueError):
        return np.zeros(0)


def _predict(estimator: Any, vectors: np.ndarray) -> np.ndarray:
    return np.asarray(estimator.predict(vectors), dtype=np.float64).reshape(len(vectors))


def _check_num_features(space: ClusterSpace, num_features: int) -> None:
    if num_features != space.num_correlations:
        raise ValueError(
            f"the estimator was fitted on {num_features} features, but the cluster space has "
            f"{space.num_correlations} correlations (the constant included): fit it on whole correlation vectors."
        )
