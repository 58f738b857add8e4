"""The scikit-learn transformer from structures to correlation vectors."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.lattice.structures import map_structures


class CorrelationTransformer(TransformerMixin, BaseEstimator):
    """Transforms a list of `ase.Atoms` into `[structures, correlations]`, for scikit-learn pipelines.

    Args:
        space: the cluster space.
    """

    def __init__(self, space: ClusterSpace):
        self.space = space

    def fit(self, X: Any, y: Any = None) -> "CorrelationTransformer":
        """Nothing is learnt; what is no list of structures is refused."""
        del y
        _check_structures(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Correlation vectors of structures, ideal or relaxed.

        Raises:
            ValueError: if structures do not fit the prim; every one of them is named with its reason.
        """
        _check_structures(X)
        mapped = map_structures(self.space.prim, X)
        if mapped.failures:
            reasons = "\n".join(f"  structure {f.index} ({f.name}): {f.reason}" for f in mapped.failures)
            raise ValueError(f"{len(mapped.failures)} of {len(X)} structures could not be mapped:\n{reasons}")
        return correlation_matrix(self.space, [mapping for mapping in mapped.mappings if mapping is not None])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`correlation_0`, `correlation_1`, ..."""
        del input_features
        return np.array([f"correlation_{i}" for i in range(self.space.num_correlations)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        # Structures, not numbers.
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags


def _check_structures(structures: Any) -> None:
    is_sequence = hasattr(structures, "__len__") and hasattr(structures, "__getitem__")
    wrong = (
        [i for i, atoms in enumerate(structures) if not hasattr(atoms, "get_scaled_positions")] if is_sequence else []
    )
    if not is_sequence or len(structures) == 0 or wrong or hasattr(structures, "get_scaled_positions"):
        raise ValueError(
            "a list of at least one `ase.Atoms` is needed, but "
            + (f"entries {wrong[:10]} are something else." if wrong else f"{type(structures).__name__} came.")
        )
