"""From structures and energies to a cluster expansion with cross-validated errors."""

import dataclasses
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.utils import resample

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.expansion_samples import ExpansionSamples
from jaxce.fitting.calibration import Calibration, calibration_of
from jaxce.fitting.convex_hull import concentrations_of
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.cross_validation import cross_validate_estimator, fit_estimator, predict_with_std, shuffled_splits
from jaxce.fitting.estimators import physical_prior
from jaxce.fitting.learning_curves import LearningCurve
from jaxce.fitting.linear_models import from_sklearn
from jaxce.fitting.posterior import Posterior, final_estimator, posterior_of
from jaxce.fitting.predictions import Predictions
from jaxce.fitting.report import fit_report
from jaxce.fitting.training_set import EnergyUnit, TrainingSet, map_training_data
from jaxce.lattice.structures import Failure, Mapping, map_structures


@dataclasses.dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted expansion and how well it does; all energies eV per prim.

    Attributes:
        expansion: the cluster expansion.
        estimator: the fitted scikit-learn estimator.
        training_set: the structures that were fitted.
        matrix: `[structures, correlations]` their correlation vectors.
        train: predictions of the final model.
        cross_validation: prediction of each structure by the model fitted without its fold.
        num_folds: folds of the cross-validation.
        test: predictions of structures that were kept apart, or None.
        posterior: of the coefficients; None if the estimator has none.
    """

    expansion: ClusterExpansion
    estimator: Any
    training_set: TrainingSet
    matrix: np.ndarray
    train: Predictions
    cross_validation: Predictions
    num_folds: int
    test: Predictions | None
    posterior: Posterior | None

    @property
    def energies_per_prim(self) -> np.ndarray:
        """`[structures]` targets of the structures that were used."""
        return self.training_set.energies_per_prim

    @property
    def train_predictions(self) -> np.ndarray:
        """`[structures]` predictions of the final model."""
        return self.train.predicted

    @property
    def cv_predictions(self) -> np.ndarray:
        """`[structures]` predictions by the models fitted without the structure's fold."""
        return self.cross_validation.predicted

    @property
    def cv_standard_deviations(self) -> np.ndarray | None:
        """`[structures]` standard deviations of `cv_predictions`; None if the estimator gives none."""
        return self.cross_validation.standard_deviations

    @property
    def train_rmse_per_prim(self) -> float:
        """Root mean square error of `train_predictions`."""
        return self.train.rmse_per_prim

    @property
    def cv_rmse_per_prim(self) -> float:
        """Root mean square error of `cv_predictions`."""
        return self.cross_validation.rmse_per_prim

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """How each used structure lies on the lattice."""
        return self.training_set.mappings

    @property
    def used(self) -> np.ndarray:
        """`[structures]` index of each used structure in the caller's list."""
        return self.training_set.indices

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Structures that could not be used, with the reason."""
        return self.training_set.failures

    @property
    def calibration(self) -> Calibration | None:
        """Whether the standard deviations of held-out predictions are those of their errors; None without any."""
        if self.cv_standard_deviations is None:
            return None
        return calibration_of(self.cross_validation, *concentrations_of(self.mappings))

    def predict(self, structures: Sequence[Any]) -> tuple[np.ndarray, np.ndarray | None]:
        """Energies of structures, eV per structure, and their standard deviations (None if there is no posterior).

        Args:
            structures: `ase.Atoms`.

        Raises:
            ValueError: if a structure does not fit the prim.
        """
        mapped = map_structures(self.training_set.prim, structures)
        if mapped.failures:
            failure = mapped.failures[0]
            raise ValueError(f"structure {failure.index} ({failure.name}) cannot be mapped: {failure.reason}")
        mappings = [mapping for mapping in mapped.mappings if mapping is not None]
        sizes = np.array([mapping.supercell.num_prims for mapping in mappings], dtype=np.int64)
        mean, deviation = predict_with_std(self.estimator, correlation_matrix(self.expansion.space, mappings), sizes)
        return mean * sizes, None if deviation is None else deviation * sizes

    def report(self, folder: str | pathlib.Path | None = None, learning_curve: LearningCurve | None = None) -> str:
        """Print errors, calibration, what the data determine, ground states, mapping and rejects; the text is returned.

        Args:
            folder: if given, report.txt, report.json, model.json and figures (parity, ECI, hull, calibration, learning
                curve) are written there.
            learning_curve: from `learning_curve`, for its figure.
        """
        return fit_report(self, folder, learning_curve)

    def sample_posterior(self, key: Any, num_samples: int) -> ExpansionSamples:
        """Expansions drawn from the posterior of the coefficients.

        Args:
            key: typed key (`jax.random.key`).
            num_samples: number of draws.

        Raises:
            ValueError: if the estimator is not Bayesian.
        """
        if self.posterior is None:
            raise ValueError(
                f"{type(final_estimator(self.estimator)).__name__} has no posterior: fit with `physical_prior`, "
                "`bayesian_ridge` or `ard`, or take `bootstrap` for an ensemble of any estimator."
            )
        return ExpansionSamples(self.expansion.space, self.posterior.sample(key, num_samples))

    def bootstrap(self, num_samples: int, seed: int = 0) -> ExpansionSamples:
        """Expansions fitted to structures drawn with replacement; for any estimator (Efron, Ann. Stat. 7, 1 (1979)).

        Args:
            num_samples: number of fits.
            seed: of the draws.
        """
        data, generator = self.training_set, np.random.RandomState(seed)
        coefficients = []
        for _ in range(num_samples):
            rows = resample(np.arange(len(data)), random_state=generator)
            weights = None if data.weights is None else data.weights[rows]
            model = fit_estimator(
                self.estimator, self.matrix[rows], data.energies_per_prim[rows], weights, data.num_prims[rows]
            )
            coefficients.append(from_sklearn(self.expansion.space, model).coefficients)
        return ExpansionSamples(self.expansion.space, np.array(coefficients))


def fit(
    space: ClusterSpace,
    structures: Sequence[Any],
    energies: Any,
    estimator: Any = None,
    weights: Any = None,
    cv: int = 10,
    *,
    energies_per: EnergyUnit = "structure",
    test_fraction: float | int = 0.0,
    seed: int = 0,
) -> FitResult:
    """Fit a cluster expansion to energies of structures.

    Structures that cannot be mapped are left out, with a warning, and listed in the result.

    Args:
        space: the cluster space.
        structures: `ase.Atoms`, ideal or relaxed.
        energies: `[structures]` eV, by default of the whole structure.
        estimator: scikit-learn estimator that is linear in the correlation vector (a pipeline may scale it first), such
            as those of `jaxce.estimators`. By default `physical_prior(space)`.
        weights: `[structures]` sample weights.
        cv: folds of the cross-validation, shuffled; equivalent structures stay in one fold. Everything the estimator
            chooses, it chooses anew in each fold.
        energies_per: "structure", "atom" or "prim": what an energy is of.
        test_fraction: part of the structures that is kept apart, for `FitResult.test`.
        seed: of the folds and of the test structures.

    Raises:
        ValueError: if lengths disagree, energies are not finite, too few structures are left, or the estimator is not
            linear.
    """
    data = map_training_data(space.prim, structures, energies, energies_per=energies_per, weights=weights)
    return fit_training_set(space, data, estimator, cv, test_fraction=test_fraction, seed=seed)


def fit_training_set(
    space: ClusterSpace,
    data: TrainingSet,
    estimator: Any = None,
    cv: int = 10,
    *,
    test_fraction: float | int = 0.0,
    seed: int = 0,
) -> FitResult:
    """`fit` for structures that are mapped already (`map_training_data`)."""
    if space.prim != data.prim:
        raise ValueError(f"the structures are mapped to {data.prim}, but the cluster space is on {space.prim}.")
    data, test_data = _split(data, test_fraction, seed)
    folds = shuffled_splits(data.equivalence_classes, cv, seed)
    estimator = physical_prior(space) if estimator is None else clone(estimator)
    matrix = correlation_matrix(space, data.mappings)
    _check_determined(estimator, matrix, space)
    arguments = (matrix, data.energies_per_prim, data.weights, data.num_prims)
    model = fit_estimator(estimator, *arguments)
    # Before the work of the folds: it says whether the estimator is linear.
    expansion = from_sklearn(space, model)
    held_out = cross_validate_estimator(estimator, *arguments, folds)
    test = None
    if test_data is not None:
        test_matrix = correlation_matrix(space, test_data.mappings)
        test = _predictions(test_data, *predict_with_std(model, test_matrix, test_data.num_prims))
    return FitResult(
        expansion=expansion,
        estimator=model,
        training_set=data,
        matrix=matrix,
        train=_predictions(data, *predict_with_std(model, matrix, data.num_prims)),
        cross_validation=_predictions(data, *held_out),
        num_folds=cv,
        test=test,
        posterior=posterior_of(model),
    )


def _split(data: TrainingSet, test_fraction: float | int, seed: int) -> tuple[TrainingSet, TrainingSet | None]:
    if not 0 <= test_fraction < 1:
        raise ValueError(f"`test_fraction` must be at least 0 and below 1, but is {test_fraction}.")
    if test_fraction == 0:
        return data, None
    num_test = max(1, round(test_fraction * len(data)))
    # Whole classes of equivalent structures, as many as come nearest.
    classes = np.random.default_rng(seed).permutation(np.unique(data.equivalence_classes))
    sizes = np.array([np.sum(data.equivalence_classes == number) for number in classes])
    num_classes = int(np.argmin(np.abs(np.cumsum(sizes) - num_test))) + 1
    is_test = np.isin(data.equivalence_classes, classes[:num_classes])
    return dataclasses.replace(data.rows(~is_test), failures=data.failures), data.rows(is_test)


def _check_determined(estimator: Any, matrix: np.ndarray, space: ClusterSpace) -> None:
    """Refuse what has no unique answer, and say what the data cannot tell."""
    if isinstance(final_estimator(estimator), LinearRegression):
        rank = np.linalg.matrix_rank(matrix)
        if rank < matrix.shape[1]:
            raise ValueError(
                f"least squares has no unique answer: {len(matrix)} structures determine {rank} of "
                f"{matrix.shape[1]} coefficients. Use a regularised estimator such as `physical_prior` or `ridge`, "
                "fewer clusters, or more structures; `design_diagnostics` says which coefficients are undetermined."
            )
    orders = np.array([orbit.order for orbit in space.orbits])[space.orbit_of_correlation]
    points = matrix[:, orders == 1]
    if points.shape[1] and np.all(np.ptp(points, axis=0) < 1e-10):
        warnings.warn(
            f"all {len(matrix)} structures have one composition: the {points.shape[1]} point coefficients are not "
            "determined (chemical potentials, energies of formation, hulls), nor anything that depends on "
            "composition; energy differences at this composition are.",
            stacklevel=4,
        )


def _predictions(data: TrainingSet, mean: np.ndarray, deviation: np.ndarray | None) -> Predictions:
    return Predictions(data.energies_per_prim, mean, deviation, data.num_prims, data.num_atoms)
