"""Cross-validation of linear estimators on correlation vectors, with standard deviations where they have them."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import Pipeline

from jaxce.fitting.posterior import final_estimator, posterior_of, takes


def fit_estimator(estimator: Any, matrix: np.ndarray, energies: np.ndarray, weights: Any, num_prims: np.ndarray) -> Any:
    """A fitted clone; weights and cell sizes go to the last step, if it takes them.

    Args:
        estimator: an estimator or a pipeline.
        matrix: `[structures, correlations]`.
        energies: `[structures]` eV per prim.
        weights: `[structures]` or None.
        num_prims: `[structures]`.

    Raises:
        ValueError: if there are weights and the estimator takes none.
    """
    model = clone(estimator)
    prefix = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    parameters = {}
    if weights is not None:
        _check_weights_are_taken(model)
        parameters[f"{prefix}sample_weight"] = weights
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if takes(last.fit, "sizes"):
        parameters[f"{prefix}sizes"] = num_prims
    return model.fit(matrix, energies, **parameters)


def predict_with_std(model: Any, matrix: np.ndarray, num_prims: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Means and standard deviations (None without any) of a fitted estimator, eV per prim."""
    posterior = posterior_of(model)
    if posterior is None:
        return np.asarray(model.predict(matrix)).ravel(), None
    return posterior.predict(matrix, num_prims)


def shuffled_splits(
    classes: np.ndarray, num_folds: int, seed: int, name: str = "cv"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each fold; equivalent structures stay together, or a test would know the answer.

    Args:
        classes: `[structures]` equal for equivalent structures.
        num_folds: number of folds.
        seed: of the shuffle.
        name: what the caller calls the number of folds.

    Raises:
        ValueError: if there are fewer different structures than folds.
    """
    num_different = len(np.unique(classes))
    if not 2 <= num_folds <= num_different:
        raise ValueError(
            f"`{name}` must lie between 2 and the number of usable structures ({num_different} different ones), "
            f"but is {num_folds}."
        )
    if num_different == len(classes):
        return list(KFold(num_folds, shuffle=True, random_state=seed).split(classes))
    folds = GroupKFold(num_folds, shuffle=True, random_state=seed)
    return list(folds.split(classes, groups=classes))


def cross_validate_estimator(
    estimator: Any, matrix: np.ndarray, energies: np.ndarray, weights: Any, num_prims: np.ndarray, folds: Any
) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions of each structure by the model that was fitted without its fold, and their standard deviations.

    Whatever the estimator chooses, it chooses anew in each fold. `folds` are pairs of training and test rows.
    """
    means, deviations = np.zeros(len(energies)), np.full(len(energies), np.nan)
    for train, test in folds:
        own_weights = None if weights is None else weights[train]
        model = fit_estimator(estimator, matrix[train], energies[train], own_weights, num_prims[train])
        means[test], std = predict_with_std(model, matrix[test], num_prims[test])
        if std is not None:
            deviations[test] = std
    return means, None if np.isnan(deviations).any() else deviations


def _check_weights_are_taken(model: Any) -> None:
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    inner = final_estimator(model)
    accepted = takes(last.fit, "sample_weight") or takes(last.fit, "fit_params")
    if not accepted or not takes(inner.fit, "sample_weight"):
        raise ValueError(
            f"{type(inner).__name__} takes no sample weights: leave `weights` out, or use `physical_prior`, `ridge`, "
            "`lasso` or `bayesian_ridge`."
        )
