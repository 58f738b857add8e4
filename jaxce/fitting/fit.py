"""From structures and energies to a cluster expansion with cross-validated errors."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.linear_models import from_sklearn
from jaxce.lattice.structures import Failure, Mapping, map_structures


@dataclasses.dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted expansion and how well it does; all energies eV per prim.

    Attributes:
        expansion: the cluster expansion.
        energies_per_prim: `[structures]` targets of the structures that were used.
        train_predictions: `[structures]` predictions of the final model.
        cv_predictions: `[structures]` prediction of each structure by the model fitted without its fold.
        train_rmse_per_prim: root mean square error of `train_predictions`.
        cv_rmse_per_prim: root mean square error of `cv_predictions`.
        num_folds: folds of the cross-validation.
        mappings: how each used structure lies on the lattice.
        used: `[structures]` index of each in the caller's list.
        failures: structures that could not be used, with the reason.
    """

    expansion: ClusterExpansion
    energies_per_prim: np.ndarray
    train_predictions: np.ndarray
    cv_predictions: np.ndarray
    train_rmse_per_prim: float
    cv_rmse_per_prim: float
    num_folds: int
    mappings: tuple[Mapping, ...]
    used: np.ndarray
    failures: tuple[Failure, ...]

    def report(self) -> str:
        """Errors in meV per prim and per site, the data they are of, and what was left out."""
        num_sites = self.expansion.space.prim.num_sites
        lines = [
            f"{len(self.used)} structures, {self.expansion.space.num_correlations} coefficients, "
            f"energies of standard deviation {1e3 * np.std(self.energies_per_prim):.2f} meV per prim",
            f"{'':24}{'meV/prim':>12}{'meV/site':>12}",
        ]
        for name, rmse in (
            ("training RMSE", self.train_rmse_per_prim),
            (f"{self.num_folds}-fold CV RMSE", self.cv_rmse_per_prim),
        ):
            lines.append(f"{name:24}{1e3 * rmse:12.3f}{1e3 * rmse / num_sites:12.3f}")
        lines += [f"left out: structure {f.index} ({f.name}): {f.reason}" for f in self.failures]
        return "\n".join(lines)


def fit(
    space: ClusterSpace,
    structures: Sequence[Any],
    energies: Any,
    estimator: Any = None,
    weights: Any = None,
    cv: int = 10,
) -> FitResult:
    """Fit a cluster expansion to energies of structures.

    Structures that cannot be mapped are left out, with a warning, and listed in the result.

    Args:
        space: the cluster space.
        structures: `ase.Atoms`, ideal or relaxed.
        energies: `[structures]` eV per structure (not per atom).
        estimator: scikit-learn estimator that is linear in the correlation vector (a pipeline may scale it first).
            By default ridge regression on standardised correlations, its strength chosen by leave-one-out.
        weights: `[structures]` sample weights.
        cv: folds of the cross-validation (shuffled with a fixed seed); everything the estimator chooses, it chooses
            anew in each fold.

    Raises:
        ValueError: if lengths disagree, energies are not finite, too few structures are left, or the estimator is not
            linear.
    """
    targets = _checked_numbers(energies, len(structures), "energies")
    mapped = map_structures(space.prim, structures)
    if mapped.failures:
        warnings.warn(f"{len(mapped.failures)} structures could not be mapped; see `failures`.", stacklevel=2)
    used = np.array([i for i, mapping in enumerate(mapped.mappings) if mapping is not None], dtype=int)
    if not 2 <= cv <= len(used):
        raise ValueError(f"`cv` must lie between 2 and the number of usable structures ({len(used)}), but is {cv}.")
    mappings = [mapped.mappings[i] for i in used]
    matrix = correlation_matrix(space, mappings)
    per_prim = targets[used] / np.array([mapping.supercell.num_prims for mapping in mappings])
    model = clone(_default_estimator() if estimator is None else estimator)
    fit_parameters = {}
    if weights is not None:
        fit_parameters = _weight_parameter(model, _checked_numbers(weights, len(structures), "weights")[used])
    folds = KFold(cv, shuffle=True, random_state=0)
    cv_predictions = cross_val_predict(model, matrix, per_prim, cv=folds, params=fit_parameters)
    model.fit(matrix, per_prim, **fit_parameters)
    expansion = from_sklearn(space, model)
    train_predictions = matrix @ expansion.coefficients
    return FitResult(
        expansion=expansion,
        energies_per_prim=per_prim,
        train_predictions=train_predictions,
        cv_predictions=cv_predictions,
        train_rmse_per_prim=_rmse(train_predictions - per_prim),
        cv_rmse_per_prim=_rmse(cv_predictions - per_prim),
        num_folds=cv,
        mappings=tuple(mappings),
        used=used,
        failures=tuple(mapped.failures),
    )


def _default_estimator() -> Pipeline:
    return make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-6, 3, 37)))


def _weight_parameter(model: Any, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The name under which the estimator's last step takes sample weights."""
    if isinstance(model, Pipeline):
        return {f"{model.steps[-1][0]}__sample_weight": weights}
    return {"sample_weight": weights}


def _checked_numbers(values: Any, count: int, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise ValueError(f"`{name}` needs one number for each of the {count} structures, but has shape {array.shape}.")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise ValueError(f"`{name}` must be finite, but those of structures {wrong[:10].tolist()} are not.")
    return array


def _rmse(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))
