"""Which cutoffs and orders: cross-validation of cluster spaces, and its own error by nested cross-validation."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.cross_validation import cross_validate_estimator, fit_estimator, shuffled_splits
from jaxce.fitting.estimators import physical_prior
from jaxce.fitting.training_set import TrainingSet
from jaxce.lattice.orbits import DISTANCE_TOLERANCE


@dataclasses.dataclass(frozen=True, eq=False)
class CutoffSelection:
    """Cross-validated errors of cluster spaces; eV per prim.

    Attributes:
        spaces: the cluster space of each set of cutoffs.
        cutoffs: the sets of cutoffs.
        cv_rmse: `[spaces]` cross-validated errors.
        standard_errors: `[spaces]` standard errors of these over folds.
        chosen: index of the space that is taken.
        nested_rmse: error of the whole procedure, choice included: each outer fold is predicted by the space that the
            other folds chose. `cv_rmse[chosen]` is too low, since it is the lowest of many.
        chosen_in_folds: `[folds]` the space that each outer fold chose.
    """

    spaces: tuple[ClusterSpace, ...]
    cutoffs: tuple[dict[int, float], ...]
    cv_rmse: np.ndarray
    standard_errors: np.ndarray
    chosen: int
    nested_rmse: float
    chosen_in_folds: np.ndarray

    @property
    def space(self) -> ClusterSpace:
        """The cluster space that is taken."""
        return self.spaces[self.chosen]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per set of cutoffs: functions, error and standard error in meV per prim, how often it was chosen."""
        return pd.DataFrame(
            {
                "cutoffs": [
                    ", ".join(f"{order}: {value:g}" for order, value in cutoffs.items()) for cutoffs in self.cutoffs
                ],
                "num_functions": [space.num_correlations for space in self.spaces],
                "cv_rmse_meV_per_prim": 1e3 * self.cv_rmse,
                "standard_error_meV_per_prim": 1e3 * self.standard_errors,
                "chosen_in_folds": np.bincount(self.chosen_in_folds, minlength=len(self.spaces)),
                "is_chosen": np.arange(len(self.spaces)) == self.chosen,
            }
        )

    def summary(self) -> str:
        """The table and the nested error."""
        return (
            f"{self.to_dataframe().to_string(float_format='{:.3f}'.format)}\n"
            f"nested cross-validation, choice included: {1e3 * self.nested_rmse:.3f} meV per prim"
        )


def select_cutoffs(
    data: TrainingSet,
    cutoffs: Sequence[Mapping[int, float | int]],
    estimator_of: Callable[[ClusterSpace], Any] = physical_prior,
    *,
    rule: Literal["best", "one_standard_error"] = "best",
    cv: int = 10,
    inner_cv: int = 5,
    seed: int = 0,
    site_basis: str | Sequence[Any] = "trigonometric",
) -> CutoffSelection:
    """Compare cluster spaces by cross-validation and take one.

    Args:
        data: mapped structures.
        cutoffs: sets of cutoffs, each as for `ClusterSpace`.
        estimator_of: makes the estimator of a cluster space, such as `jaxce.estimators.physical_prior` or
            `lambda space: jaxce.estimators.ridge()`.
        rule: "best", or "one_standard_error": the fewest functions within one standard error of the best.
        cv: outer folds.
        inner_cv: folds that choose within each outer training set.
        seed: of the folds.
        site_basis: as for `ClusterSpace`.

    Raises:
        ValueError: if there are no cutoffs, the rule is unknown, or too few structures for the folds.
    """
    if not cutoffs:
        raise ValueError("`cutoffs` must name at least one set of cutoffs, such as [{2: 6.0}, {2: 6.0, 3: 4.0}].")
    if rule not in ("best", "one_standard_error"):
        raise ValueError(f'`rule` must be "best" or "one_standard_error", but is {rule!r}.')
    folds = shuffled_splits(data.equivalence_classes, cv, seed)
    spaces = tuple(ClusterSpace(data.prim, choice, site_basis) for choice in cutoffs)
    matrices = _matrices(data, spaces, cutoffs, site_basis)
    estimators = [estimator_of(space) for space in spaces]
    sizes = np.array([space.num_correlations for space in spaces])
    rmse, errors = _scores(estimators, matrices, data, folds)
    predictions, chosen_in_folds = np.zeros(len(data)), []
    for train, test in folds:
        part = data.rows(train)
        inner = shuffled_splits(part.equivalence_classes, inner_cv, seed, "inner_cv")
        chosen = _choice(*_scores(estimators, [m[train] for m in matrices], part, inner), sizes, rule)
        model = fit_estimator(
            estimators[chosen], matrices[chosen][train], part.energies_per_prim, part.weights, part.num_prims
        )
        predictions[test] = np.ravel(model.predict(matrices[chosen][test]))
        chosen_in_folds.append(chosen)
    return CutoffSelection(
        spaces=spaces,
        cutoffs=tuple({int(order): float(value) for order, value in choice.items()} for choice in cutoffs),
        cv_rmse=rmse,
        standard_errors=errors,
        chosen=_choice(rmse, errors, sizes, rule),
        nested_rmse=float(np.sqrt(np.mean((predictions - data.energies_per_prim) ** 2))),
        chosen_in_folds=np.array(chosen_in_folds),
    )


def _matrices(
    data: TrainingSet,
    spaces: Sequence[ClusterSpace],
    cutoffs: Sequence[Mapping[int, float | int]],
    site_basis: str | Sequence[Any],
) -> list[np.ndarray]:
    """Correlations of the smallest space that holds all, and of each the columns that it has."""
    widest = {order: max(c.get(order, 0.0) for c in cutoffs) for order in sorted(set().union(*cutoffs))}
    largest = ClusterSpace(data.prim, widest, site_basis)
    matrix = correlation_matrix(largest, data.mappings)
    table = largest.to_dataframe()
    order, diameter = table["order"].to_numpy(), table["diameter"].to_numpy()
    found = []
    for space, choice in zip(spaces, cutoffs, strict=True):
        limit = np.array([choice.get(int(k), -1.0) if k > 1 else np.inf for k in order])
        columns = np.flatnonzero(diameter <= limit + DISTANCE_TOLERANCE)
        if not np.array_equal(diameter[columns], space.to_dataframe()["diameter"]):
            raise AssertionError(f"the space of {dict(choice)} is no part of that of {widest}")
        found.append(matrix[:, columns])
    return found


def _scores(
    estimators: Sequence[Any], matrices: Sequence[np.ndarray], data: TrainingSet, folds: Any
) -> tuple[np.ndarray, np.ndarray]:
    """`[spaces]` cross-validated errors and their standard errors over the folds."""
    rmse, errors = [], []
    for estimator, matrix in zip(estimators, matrices, strict=True):
        arguments = (matrix, data.energies_per_prim, data.weights, data.num_prims)
        squares = (cross_validate_estimator(estimator, *arguments, folds)[0] - data.energies_per_prim) ** 2
        of_folds = np.array([squares[test].mean() for _, test in folds])
        rmse.append(np.sqrt(squares.mean()))
        # Of the mean square, brought to its root.
        errors.append(of_folds.std(ddof=1) / np.sqrt(len(of_folds)) / (2 * max(rmse[-1], np.finfo(float).tiny)))
    return np.array(rmse), np.array(errors)


def _choice(rmse: np.ndarray, errors: np.ndarray, sizes: np.ndarray, rule: str) -> int:
    best = int(np.argmin(rmse))
    if rule == "best":
        return best
    close = np.flatnonzero(rmse <= rmse[best] + errors[best])
    return int(close[np.argmin(sizes[close])])
