"""Lasso and elastic net with a choice of rule for the penalty."""

import functools
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import enet_path
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxce.fitting.penalty_path import PathFit, centre, checked_data, choose_on_path, geometric_penalties

# Sweeps over the columns for one penalty, before scikit-learn warns.
_MOST_SWEEPS = 100_000


class ElasticNetOnPath(RegressorMixin, BaseEstimator):
    """Linear model with penalties on absolute values and squares, their strength chosen by cross-validation.

    It minimises `|y - X b|^2 / (2 samples) + alpha (l1_ratio |b|_1 + (1 - l1_ratio) |b|_2^2 / 2)`: Zou and Hastie,
    J. R. Stat. Soc. B 67, 301 (2005). Beside scikit-learn's `ElasticNetCV`, which solves the same problem, it has the
    one-standard-error rule. Columns and targets are not scaled here; but in other units of the targets the share means
    something else, unless it is 1.

    Args:
        l1_ratio: share of the absolute values, or several of which the best is taken; 1 is the lasso.
        cv: number of folds (shuffled with a fixed seed), splitter, or list of splits.
        rule: "best" or "one_standard_error" (`jaxce.fitting.one_standard_error`).
        num_penalties: length of the path.
        smallest_penalty: end of the path, relative to the penalty that leaves nothing.
        tol: duality gap at which a solution counts as found, relative to `|y|^2`.

    Attributes:
        coef_: `[features]`.
        intercept_: the intercept, which is not penalised.
        alpha_: the chosen penalty.
        l1_ratio_: the chosen share.
        alphas_: `[penalties]` the path.
        fold_errors_: `[penalties, folds]` mean square errors.
    """

    def __init__(
        self,
        l1_ratio: Any = 1.0,
        *,
        cv: Any = 5,
        rule: Any = "best",
        num_penalties: Any = 60,
        smallest_penalty: Any = 1e-4,
        tol: Any = 1e-5,
    ):
        # scikit-learn wants anything to be kept here as it comes, and judged in `fit`.
        self.l1_ratio = l1_ratio
        self.cv = cv
        self.rule = rule
        self.num_penalties = num_penalties
        self.smallest_penalty = smallest_penalty
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "ElasticNetOnPath":
        """Fit `[samples, features]` to `[samples]`, with optional weights of the samples."""
        X, y, weights = checked_data(self, X, y, sample_weight)
        data = centre(X, y, weights)
        largest = np.abs(data.matrix.T @ data.targets).max() / len(y)
        fits: list[tuple[PathFit, float, np.ndarray]] = []
        for ratio in np.atleast_1d(self.l1_ratio):
            alphas = geometric_penalties(largest / ratio, self.smallest_penalty, self.num_penalties)
            chosen = choose_on_path(functools.partial(self._path, ratio, alphas), X, y, weights, self.cv, self.rule)
            fits.append((chosen, float(ratio), alphas))
        chosen, self.l1_ratio_, self.alphas_ = min(fits, key=lambda entry: entry[0].smallest_error)
        self.coef_, self.intercept_ = chosen.coefficients, chosen.intercept
        self.alpha_ = float(self.alphas_[chosen.index])
        self.fold_errors_ = chosen.fold_errors
        return self

    def predict(self, X: Any) -> np.ndarray:
        """`[samples]` predictions."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False) @ self.coef_ + self.intercept_

    def _path(self, ratio: float, alphas: np.ndarray, matrix: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return enet_path(matrix, targets, l1_ratio=ratio, alphas=alphas, tol=self.tol, max_iter=_MOST_SWEEPS)[1]
