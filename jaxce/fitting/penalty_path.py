"""Models along a path of penalties, and the choice of one of them by cross-validation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.validation import _check_sample_weight, validate_data

from jaxce.fitting.one_standard_error import choose_penalty

# From centred data to `[features, penalties]` coefficients, the strongest penalty first.
Path = Callable[[np.ndarray, np.ndarray], np.ndarray]


class CentredData(NamedTuple):
    """Data without their weighted mean, which is the same as to fit an intercept that is not penalised.

    Attributes:
        matrix: `[samples, features]`, rows times the square root of their weights (which have mean 1).
        targets: `[samples]`, likewise.
        matrix_mean: `[features]` weighted mean that was taken off.
        target_mean: the same of the targets.
    """

    matrix: np.ndarray
    targets: np.ndarray
    matrix_mean: np.ndarray
    target_mean: float


class PathFit(NamedTuple):
    """The chosen model of a path.

    Attributes:
        coefficients: `[features]`.
        intercept: the intercept.
        index: which penalty it is.
        fold_errors: `[penalties, folds]` mean square error of each fold.
        smallest_error: the smallest mean over the folds, weighted as they are.
    """

    coefficients: np.ndarray
    intercept: float
    index: int
    fold_errors: np.ndarray
    smallest_error: float


def shuffled_folds(cv: Any) -> Any:
    """A number of folds as a shuffled `KFold` of fixed seed; splitters and lists of splits as they are.

    Structures come sorted by size or by composition, so folds in their order would be unlike each other.
    """
    return KFold(cv, shuffle=True, random_state=0) if isinstance(cv, int | np.integer) else check_cv(cv)


def checked_data(estimator: Any, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrix, targets and weights in double precision, checked as scikit-learn does it; sets `n_features_in_`."""
    X, y = validate_data(estimator, X, y, dtype=np.float64, y_numeric=True)
    y = np.asarray(y, dtype=np.float64)
    return X, y, _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def centre(X: np.ndarray, y: np.ndarray, weights: np.ndarray) -> CentredData:
    """Take off the weighted means, and let the weights enter as factors of the rows."""
    matrix_mean = np.average(X, axis=0, weights=weights)
    target_mean = float(np.average(y, weights=weights))
    scale = np.sqrt(weights / np.mean(weights))
    return CentredData(scale[:, None] * (X - matrix_mean), scale * (y - target_mean), matrix_mean, target_mean)


def geometric_penalties(largest: float | int, ratio: float | int, count: int) -> np.ndarray:
    """`[count]` penalties from `largest` down to `ratio` of it, evenly spaced in their logarithm."""
    # Constant targets need no penalty at all, but solvers want a positive one.
    return max(float(largest), 1e-15) * np.geomspace(1.0, ratio, count)


def choose_on_path(path: Path, X: np.ndarray, y: np.ndarray, weights: np.ndarray, cv: Any, rule: str) -> PathFit:
    """The model of a path that cross-validation chooses, fitted to all data.

    Args:
        path: the coefficients for all penalties; the penalties must be the same in each fold.
        X: `[samples, features]`.
        y: `[samples]`.
        weights: `[samples]` sample weights; they weight the errors too.
        cv: number of folds (shuffled with a fixed seed), splitter, or list of splits.
        rule: "best" or "one_standard_error", see `choose_penalty`.

    Raises:
        ValueError: if the rule is unknown or there are fewer samples than folds.
    """
    rows, fold_weights = [], []
    for train, test in shuffled_folds(cv).split(X, y):
        data = centre(X[train], y[train], weights[train])
        predicted = data.target_mean + (X[test] - data.matrix_mean) @ path(data.matrix, data.targets)
        rows.append(np.average((predicted - y[test, None]) ** 2, axis=0, weights=weights[test]))
        fold_weights.append(np.sum(weights[test]))
    errors = np.transpose(rows)
    index = choose_penalty(errors, rule, fold_weights)
    data = centre(X, y, weights)
    coefficients = path(data.matrix, data.targets)[:, index]
    intercept = float(data.target_mean - data.matrix_mean @ coefficients)
    smallest_error = float(np.average(errors, axis=1, weights=fold_weights).min())
    return PathFit(coefficients, intercept, index, errors, smallest_error)
