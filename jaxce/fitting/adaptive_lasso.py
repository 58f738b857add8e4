"""The adaptive lasso: coefficients that ridge regression finds large are penalised less."""

import functools
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxce.fitting.elastic_net import ElasticNetOnPath
from jaxce.fitting.penalty_path import checked_data, choose_on_path


class AdaptiveLasso(RegressorMixin, BaseEstimator):
    """Lasso with the penalty `alpha |b_j| / |b_j of ridge regression|^gamma`.

    Zou, J. Am. Stat. Assoc. 101, 1418 (2006). The lasso shrinks all coefficients alike, so it keeps many small ones
    beside the large; this one keeps fewer. Both penalties are chosen by cross-validation, first that of ridge
    regression, then that of the lasso. The ridge coefficients are those of all data, so the errors of the folds are a
    little too small. Columns are not scaled here.

    Args:
        gamma: exponent of the weights, positive; 0 is the lasso.
        cv: number of folds (shuffled with a fixed seed), splitter, or list of splits.
        rule: "best" or "one_standard_error" (`jaxce.fitting.one_standard_error`); of the lasso only.
        ridge_alphas: penalties of ridge regression, relative to the number of samples; by default 1e-8 to 10.
        num_penalties: length of the lasso's path.
        smallest_penalty: end of the path, relative to the penalty that leaves nothing.

    Attributes:
        coef_: `[features]`.
        intercept_: the intercept, which is not penalised.
        alpha_: the chosen penalty of the lasso on columns times `|b of ridge|^gamma`.
        ridge_alpha_: the chosen penalty of ridge regression.
        ridge_coef_: `[features]` its coefficients.
        lasso_: the fitted lasso.
    """

    def __init__(
        self,
        *,
        gamma: Any = 1.0,
        cv: Any = 5,
        rule: Any = "best",
        ridge_alphas: Any = None,
        num_penalties: Any = 60,
        smallest_penalty: Any = 1e-4,
    ):
        # scikit-learn wants anything to be kept here as it comes, and judged in `fit`.
        self.gamma = gamma
        self.cv = cv
        self.rule = rule
        self.ridge_alphas = ridge_alphas
        self.num_penalties = num_penalties
        self.smallest_penalty = smallest_penalty

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "AdaptiveLasso":
        """Fit `[samples, features]` to `[samples]`, with optional weights of the samples."""
        X, y, weights = checked_data(self, X, y, sample_weight)
        alphas = np.logspace(1, -8, 37) if self.ridge_alphas is None else np.sort(self.ridge_alphas)[::-1]
        ridge = choose_on_path(functools.partial(_ridge_path, alphas), X, y, weights, self.cv, "best")
        factors = np.abs(ridge.coefficients) ** self.gamma
        # Only ratios count; with the largest 1 the penalty keeps the size of a lasso's.
        factors /= max(factors.max(), np.finfo(np.float64).tiny)
        self.lasso_ = ElasticNetOnPath(
            cv=self.cv, rule=self.rule, num_penalties=self.num_penalties, smallest_penalty=self.smallest_penalty
        ).fit(X * factors, y, weights)
        self.ridge_alpha_ = float(alphas[ridge.index])
        self.ridge_coef_ = ridge.coefficients
        self.coef_ = self.lasso_.coef_ * factors
        self.intercept_ = self.lasso_.intercept_
        self.alpha_ = self.lasso_.alpha_
        return self

    def predict(self, X: Any) -> np.ndarray:
        """`[samples]` predictions."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False) @ self.coef_ + self.intercept_


def _ridge_path(alphas: np.ndarray, matrix: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """`[features, alphas]` ridge coefficients from one singular value decomposition."""
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    shrunk = singular[:, None] / (singular[:, None] ** 2 + len(matrix) * alphas)
    return right.T @ (shrunk * (left.T @ targets)[:, None])
