"""The scikit-learn transformer from structures to correlation vectors."""

from collections.abc import Sequence
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

    def fit(self, X: Sequence[Any], y: Any = None) -> "CorrelationTransformer":
        """Nothing is learnt."""
        del X, y
        return self

    def transform(self, X: Sequence[Any]) -> np.ndarray:
        """Correlation vectors of structures, ideal or relaxed.

        Raises:
            ValueError: if structures do not fit the prim; every one of them is named with its reason.
        """
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
