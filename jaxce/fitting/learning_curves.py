"""How errors fall with the number of structures."""

import dataclasses
from typing import Any

import numpy as np

from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.cross_validation import fit_estimator
from jaxce.fitting.estimators import physical_prior
from jaxce.fitting.training_set import TrainingSet


@dataclasses.dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors of fits to parts of the data; eV per prim.

    Attributes:
        sizes: `[sizes]` structures fitted.
        train_rmse: `[sizes, repeats]` errors of these.
        test_rmse: `[sizes, repeats]` errors of the structures kept apart.
    """

    sizes: np.ndarray
    train_rmse: np.ndarray
    test_rmse: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Lists of Python, for JSON."""
        return {
            "sizes": self.sizes.tolist(),
            "train_rmse_eV_per_prim": self.train_rmse.tolist(),
            "test_rmse_eV_per_prim": self.test_rmse.tolist(),
        }


def learning_curve(
    space: ClusterSpace,
    data: TrainingSet,
    estimator: Any = None,
    *,
    sizes: Any = None,
    num_repeats: int = 5,
    test_fraction: float | int = 0.2,
    seed: int = 0,
) -> LearningCurve:
    """Fit to more and more structures, and test on others that are kept apart in each repeat.

    None of the others is equivalent to one that may be fitted.

    Args:
        space: the cluster space.
        data: the structures.
        estimator: as for `fit`.
        sizes: `[sizes]` numbers of structures; by default seven, equally spaced in the logarithm.
        num_repeats: random choices of structures.
        test_fraction: part that is kept apart.
        seed: of the choices.

    Raises:
        ValueError: if a size is below 2 or above what is left to fit, or too many structures are equivalent.
    """
    largest = len(data) - max(1, round(test_fraction * len(data)))
    if sizes is None:
        sizes = np.unique(np.geomspace(min(10, max(2, largest)), max(2, largest), 7).round().astype(int))
    sizes = np.asarray(sizes, dtype=np.int64)
    if sizes.min() < 2 or sizes.max() > largest:
        raise ValueError(
            f"`sizes` must lie between 2 and {largest}, the structures left to fit, but are {sizes.tolist()}."
        )
    matrix = correlation_matrix(space, data.mappings)
    estimator = physical_prior(space) if estimator is None else estimator
    generator = np.random.default_rng(seed)
    errors = np.array(
        [_errors_of_repeat(estimator, matrix, data, sizes, largest, generator) for _ in range(num_repeats)]
    )
    return LearningCurve(sizes, errors[:, 0].T, errors[:, 1].T)


def _errors_of_repeat(
    estimator: Any, matrix: np.ndarray, data: TrainingSet, sizes: np.ndarray, largest: int, generator: Any
) -> np.ndarray:
    """`[2, sizes]` training and test errors for one random order of the structures."""
    different, classes = np.unique(data.equivalence_classes, return_inverse=True)
    # Equivalent structures follow each other, so that at most one class of them is cut in two; its rest is left out.
    order = np.argsort(generator.permutation(len(different))[classes], kind="stable")
    test, errors = order[largest:], np.zeros((2, len(sizes)))
    test = test[classes[test] != classes[order[largest - 1]]]
    if len(test) == 0:
        raise ValueError("too many structures are equivalent: none is left to test on; use a larger `test_fraction`.")
    for column, size in enumerate(sizes.tolist()):
        train = order[:size]
        weights = None if data.weights is None else data.weights[train]
        model = fit_estimator(estimator, matrix[train], data.energies_per_prim[train], weights, data.num_prims[train])
        for row, chosen in enumerate((train, test)):
            difference = np.ravel(model.predict(matrix[chosen])) - data.energies_per_prim[chosen]
            errors[row, column] = np.sqrt(np.mean(difference**2))
    return errors
