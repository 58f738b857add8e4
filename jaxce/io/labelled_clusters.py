"""Clusters with a site function on each point, and the correlations that they belong to."""

import numpy as np

from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.orbits import point_keys

# More site functions than a site has species.
_FUNCTION_RANGE = 2**10


class LabelledClusters:
    """All clusters of a space with all labelings, numbered.

    Attributes:
        correlation: `[labelled clusters]` correlation of which each is a part.
    """

    def __init__(self, space: ClusterSpace):
        self._number: dict[bytes, int] = {}
        correlation: list[int] = []
        for orbit in space.orbits:
            for labelings in orbit.functions:
                index = correlation[-1] + 1 if correlation else 0
                keys = _keys(orbit.clusters[:, None], labelings)
                for key in keys.reshape(orbit.multiplicity * len(labelings), orbit.order):
                    self._number[key.tobytes()] = len(correlation)
                    correlation.append(index)
        self.correlation = np.array(correlation)

    def numbers(self, points: np.ndarray, functions: np.ndarray) -> np.ndarray:
        """`[clusters]` number of each cluster with these points `[clusters, points, 4]` and site functions (from 1).

        -1 where the space lacks it; neither the order of points nor a common translation matters.
        """
        return np.array([self._number.get(key.tobytes(), -1) for key in _keys(points, functions)], dtype=np.int64)


def _keys(points: np.ndarray, functions: np.ndarray) -> np.ndarray:
    """`[..., points]` integers that are equal for labelled clusters that differ by a translation."""
    return np.sort(point_keys(points) * _FUNCTION_RANGE + functions, axis=-1)
