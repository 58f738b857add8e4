"""The group lasso, also with groups that overlap: groups of columns come in or stay out together."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxce.fitting.penalty_path import centre, checked_data, choose_on_path, geometric_penalties

# Iterations between two looks at the duality gap.
_ITERATIONS_PER_CHECK = 20
_MOST_ITERATIONS = 100_000


class GroupLasso(RegressorMixin, BaseEstimator):
    """Linear model with a penalty on the lengths of groups of coefficients, its strength chosen by cross-validation.

    It minimises `|y - X b|^2 / (2 samples) + alpha sum_g sqrt(size of g) |v_g|`, where b is the sum of the parts `v_g`
    and each part lives on the columns of its group. Groups without a common column are the group lasso of Yuan and Lin,
    J. R. Stat. Soc. B 68, 49 (2006). With overlaps it is the latent group lasso of Jacob, Obozinski and Vert,
    Proc. 26th Int. Conf. Mach. Learn. 433 (2009): the columns that remain are a union of groups.

    Columns are not scaled here, and within a group not orthonormalised either.

    Args:
        groups: index arrays of columns. Columns in no group stay out of the model. By default each column alone.
        cv: number of folds (shuffled with a fixed seed), splitter, or list of splits.
        rule: "best" or "one_standard_error" (`jaxce.fitting.one_standard_error`).
        num_penalties: length of the path.
        smallest_penalty: end of the path, relative to the penalty that leaves nothing.
        tol: duality gap at which a solution counts as found, relative to `|y|^2 / samples`.

    Attributes:
        coef_: `[features]`.
        intercept_: the intercept, which is not penalised.
        alpha_: the chosen penalty.
        alphas_: `[penalties]` the path.
        selected_groups_: indices of the groups all of whose columns are in the model.
        fold_errors_: `[penalties, folds]` mean square errors.
    """

    def __init__(
        self,
        groups: Any = None,
        *,
        cv: Any = 5,
        rule: Any = "best",
        num_penalties: Any = 50,
        smallest_penalty: Any = 1e-4,
        tol: Any = 1e-5,
    ):
        # scikit-learn wants anything to be kept here as it comes, and judged in `fit`.
        self.groups = groups
        self.cv = cv
        self.rule = rule
        self.num_penalties = num_penalties
        self.smallest_penalty = smallest_penalty
        self.tol = tol

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GroupLasso":
        """Fit `[samples, features]` to `[samples]`, with optional weights of the samples.

        Raises:
            ValueError: if a group is empty or names a column twice or one that does not exist.
        """
        X, y, weights = checked_data(self, X, y, sample_weight)
        layout = _layout(self.groups, X.shape[1])
        data = centre(X, y, weights)
        correlation = data.matrix.T @ data.targets / len(y)
        largest = (_lengths(layout, correlation[layout.columns]) / layout.factors).max()
        self.alphas_ = geometric_penalties(largest, self.smallest_penalty, self.num_penalties)

        def path(matrix: np.ndarray, targets: np.ndarray) -> np.ndarray:
            return _coefficient_path(layout, matrix, targets, self.alphas_, self.tol)

        chosen = choose_on_path(path, X, y, weights, self.cv, self.rule)
        self.coef_, self.intercept_ = chosen.coefficients, chosen.intercept
        self.alpha_ = float(self.alphas_[chosen.index])
        self.fold_errors_ = chosen.fold_errors
        is_in = np.logical_and.reduceat((self.coef_ != 0)[layout.columns], layout.starts)
        self.selected_groups_ = np.flatnonzero(is_in)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """`[samples]` predictions."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False) @ self.coef_ + self.intercept_


class _Layout(NamedTuple):
    """The parts of all groups in one vector.

    Attributes:
        columns: `[entries]` column of each entry.
        starts: `[groups]` first entry of each group.
        sizes: `[groups]` number of its columns.
        factors: `[groups]` its factor in the penalty.
        num_columns: columns of the matrix.
    """

    columns: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    factors: np.ndarray
    num_columns: int


class _Quadratic(NamedTuple):
    """The squared error of centred data: `(variance - 2 correlation.b + b.gram.b) / 2`."""

    gram: np.ndarray
    correlation: np.ndarray
    variance: float


def _layout(groups: Sequence[Any] | None, num_columns: int) -> _Layout:
    each_alone = [[column] for column in range(num_columns)]
    arrays = [np.asarray(group) for group in (each_alone if groups is None else groups)]
    for number, group in enumerate(arrays):
        is_valid = group.ndim == 1 and group.size > 0 and np.issubdtype(group.dtype, np.integer)
        if not is_valid or group.min() < 0 or group.max() >= num_columns or len(np.unique(group)) < len(group):
            raise ValueError(
                f"each of `groups` must be different integers from 0 to {num_columns - 1} (the columns of X), but "
                f"group {number} is {group.tolist()}."
            )
    if not arrays:
        raise ValueError("`groups` must hold at least one group of columns, but is empty.")
    sizes = np.array([len(group) for group in arrays])
    return _Layout(np.concatenate(arrays), np.cumsum(sizes) - sizes, sizes, np.sqrt(sizes), num_columns)


def _coefficient_path(
    layout: _Layout, matrix: np.ndarray, targets: np.ndarray, alphas: np.ndarray, tol: float | int
) -> np.ndarray:
    """`[columns, penalties]` coefficients; each penalty starts from the parts of the one before."""
    samples = len(targets)
    error = _Quadratic(matrix.T @ matrix / samples, matrix.T @ targets / samples, float(targets @ targets) / samples)
    # The largest curvature of the error in the parts: a column in k groups counts k times.
    spread = np.sqrt(np.bincount(layout.columns, minlength=layout.num_columns))
    curvature = max(float(np.linalg.eigvalsh(spread[:, None] * error.gram * spread)[-1]), np.finfo(np.float64).tiny)
    parts = np.zeros(len(layout.columns))
    path = np.zeros((layout.num_columns, len(alphas)))
    for place, alpha in enumerate(alphas):
        parts = _solve(layout, error, float(alpha), parts, curvature, tol)
        path[:, place] = _sums(layout, parts)
    return path


def _solve(
    layout: _Layout,
    error: _Quadratic,
    alpha: float,
    parts: np.ndarray,
    curvature: float,
    tol: float | int,
) -> np.ndarray:
    """Accelerated proximal gradient: Beck and Teboulle, SIAM J. Imaging Sci. 2, 183 (2009).

    The momentum starts anew when it points uphill: O'Donoghue and Candes, Found. Comput. Math. 15, 715 (2015).
    """
    ahead, momentum = parts, 1.0
    for iteration in range(_MOST_ITERATIONS):
        if iteration % _ITERATIONS_PER_CHECK == 0 and _duality_gap(layout, error, alpha, parts) <= tol * error.variance:
            return parts
        downhill = (error.correlation - error.gram @ _sums(layout, ahead))[layout.columns]
        new = _shrunk(layout, ahead + downhill / curvature, alpha / curvature)
        if (ahead - new) @ (new - parts) > 0:
            momentum = 1.0
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / next_momentum * (new - parts)
        parts, momentum = new, next_momentum
    warnings.warn(
        f"the group lasso did not converge in {_MOST_ITERATIONS} iterations at penalty {alpha:.3g}: raise `tol` or "
        "`smallest_penalty`, or scale the columns.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return parts


def _sums(layout: _Layout, parts: np.ndarray) -> np.ndarray:
    """`[columns]` the coefficients, sums of the parts of all groups."""
    return np.bincount(layout.columns, parts, layout.num_columns)


def _lengths(layout: _Layout, parts: np.ndarray) -> np.ndarray:
    """`[groups]` lengths of the parts."""
    return np.sqrt(np.add.reduceat(parts * parts, layout.starts))


def _shrunk(layout: _Layout, parts: np.ndarray, amount: float) -> np.ndarray:
    """Each part shorter by `amount` times its factor, or zero."""
    lengths = np.maximum(_lengths(layout, parts), np.finfo(np.float64).tiny)
    return parts * np.repeat(np.maximum(1 - amount * layout.factors / lengths, 0), layout.sizes)


def _duality_gap(layout: _Layout, error: _Quadratic, alpha: float, parts: np.ndarray) -> float:
    """An upper bound of how far the objective is above its minimum, from the residual scaled to be feasible."""
    coefficients = _sums(layout, parts)
    downhill = error.correlation - error.gram @ coefficients
    along_targets = error.variance - error.correlation @ coefficients
    residual = along_targets - downhill @ coefficients
    primal = residual / 2 + alpha * layout.factors @ _lengths(layout, parts)
    steepest = (_lengths(layout, downhill[layout.columns]) / layout.factors).max()
    scale = min(1.0, alpha / max(steepest, np.finfo(np.float64).tiny))
    return float(primal - scale * along_targets + scale**2 * residual / 2)
