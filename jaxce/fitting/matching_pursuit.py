"""Orthogonal matching pursuit with a number of functions that cross-validation chooses."""

import functools
import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import orthogonal_mp
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxce.fitting.penalty_path import checked_data, choose_on_path


class MatchingPursuitOnPath(RegressorMixin, BaseEstimator):
    """Least squares on few columns: one after the other comes in, always that most correlated with the residual.

    Pati, Rezaiifar and Krishnaprasad, Proc. 27th Asilomar Conf. 40 (1993). scikit-learn's
    `OrthogonalMatchingPursuitCV` tries a tenth of the columns unless it is told a number, which must not be larger than
    that of the columns, and takes no weights; this one tries all numbers. Columns should be scaled.

    Args:
        cv: number of folds (shuffled with a fixed seed), splitter, or list of splits.
        rule: "best" or "one_standard_error" (`jaxce.fitting.one_standard_error`).
        max_functions: largest number of columns; by default as many as there are columns, or half the samples.

    Attributes:
        coef_: `[features]`.
        intercept_: the intercept.
        n_nonzero_coefs_: the chosen number of columns.
        fold_errors_: `[numbers, folds]` mean square errors with 0, 1, ... columns.
    """

    def __init__(self, *, cv: Any = 5, rule: Any = "best", max_functions: Any = None):
        # scikit-learn wants anything to be kept here as it comes, and judged in `fit`.
        self.cv = cv
        self.rule = rule
        self.max_functions = max_functions

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MatchingPursuitOnPath":
        """Fit `[samples, features]` to `[samples]`, with optional weights of the samples."""
        X, y, weights = checked_data(self, X, y, sample_weight)
        # Weights of 0 count as absent, so that they change nothing.
        limit = min(X.shape[1], max(1, np.count_nonzero(weights) // 2))
        count = limit if self.max_functions is None else min(self.max_functions, limit)
        path = functools.partial(_pursuit_path, int(count))
        chosen = choose_on_path(path, X, y, weights, self.cv, self.rule)
        self.coef_, self.intercept_ = chosen.coefficients, chosen.intercept
        self.n_nonzero_coefs_ = np.count_nonzero(self.coef_)
        self.fold_errors_ = chosen.fold_errors
        return self

    def predict(self, X: Any) -> np.ndarray:
        """`[samples]` predictions."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False) @ self.coef_ + self.intercept_


def _pursuit_path(count: int, matrix: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """`[features, count + 1]` coefficients with 0, 1, ... columns."""
    with warnings.catch_warnings():
        # It stops early where the residual is 0 or columns depend on each other; the last model then stays.
        warnings.filterwarnings("ignore", message=".*ended prematurely", category=RuntimeWarning)
        found = orthogonal_mp(matrix, targets, n_nonzero_coefs=count, precompute=True, return_path=True)
    found = found.reshape(matrix.shape[1], -1)
    last = np.repeat(found[:, -1:], count - found.shape[1], axis=1)
    return np.hstack([np.zeros((matrix.shape[1], 1)), found, last])
