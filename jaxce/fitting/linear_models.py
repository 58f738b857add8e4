"""Coefficients of fitted scikit-learn estimators."""

from typing import Any

import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace

# Relative to the largest prediction; rounding of a linear model stays far below.
_LINEARITY_TOLERANCE = 1e-8


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
    num_features = getattr(estimator, "n_features_in_", space.num_correlations)
    if num_features != space.num_correlations:
        raise ValueError(
            f"the estimator was fitted on {num_features} features, but the cluster space has "
            f"{space.num_correlations} correlations (the constant included): fit it on whole correlation vectors."
        )
    origin, *units = _predict(estimator, np.vstack([np.zeros(num_features), np.eye(num_features)]))
    slopes = np.array(units) - origin
    _check_linear(estimator, origin, slopes)
    # Correlation 0 is always 1.
    slopes[0] += origin
    return ClusterExpansion(space, slopes)


def _check_linear(estimator: Any, origin: float, slopes: np.ndarray) -> None:
    probes = np.random.default_rng(0).uniform(-1, 1, size=(8, len(slopes)))
    predicted = _predict(estimator, probes)
    error = np.abs(predicted - (origin + probes @ slopes)).max()
    if not error <= _LINEARITY_TOLERANCE * max(1.0, np.abs(predicted).max()):
        raise ValueError(
            f"{type(estimator).__name__} is not linear in the correlations (deviation {error:.2g} eV per prim), so it "
            "has no cluster expansion; use a linear estimator such as RidgeCV, LassoCV or ARDRegression."
        )


def _predict(estimator: Any, vectors: np.ndarray) -> np.ndarray:
    return np.asarray(estimator.predict(vectors), dtype=np.float64).reshape(len(vectors))
