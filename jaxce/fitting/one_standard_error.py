"""The penalty that cross-validation chooses: the best one, or the strongest that is no worse within its error."""

from typing import Any

import numpy as np


def choose_penalty(fold_errors: Any, rule: str = "best", fold_weights: Any = None) -> int:
    """Index of the penalty to use, from the errors of all folds.

    "best" is the smallest mean error. "one_standard_error" is the strongest penalty, thus the simplest model, whose
    mean error is at most the smallest one plus its standard error over the folds: Breiman, Friedman, Olshen and Stone,
    *Classification and Regression Trees* (1984), section 3.4.3; Hastie, Tibshirani and Friedman, *The Elements of
    Statistical Learning*, section 7.10.1. Of equal errors the stronger penalty counts.

    Args:
        fold_errors: `[penalties, folds]` mean square error of each fold, the strongest penalty first.
        rule: "best" or "one_standard_error".
        fold_weights: `[folds]` weight of each fold in the mean; by default equal.

    Raises:
        ValueError: if the rule is unknown, errors are not finite, or a standard error is wanted of a single fold.
    """
    errors = np.asarray(fold_errors, dtype=np.float64)
    if rule not in ("best", "one_standard_error"):
        raise ValueError(f'`rule` must be "best" or "one_standard_error", but is {rule!r}.')
    if not np.all(np.isfinite(errors)):
        raise ValueError("errors of the folds must be finite; look for NaN or a fold without weight.")
    means = np.average(errors, axis=1, weights=fold_weights)
    best = int(np.argmin(means))
    if rule == "best":
        return best
    if errors.shape[1] < 2:
        raise ValueError('`rule="one_standard_error"` needs the errors of at least 2 folds, but there is 1.')
    variance = np.average((errors[best] - means[best]) ** 2, weights=fold_weights)
    # The variance over n folds is n / (n - 1) times this, that of their mean 1 / n of it.
    standard_error = np.sqrt(variance / (errors.shape[1] - 1))
    return int(np.flatnonzero(means <= means[best] + standard_error)[0])
