"""Noise that depends on composition and cell size, from leave-one-out residuals.

What no coefficient can describe differs between compositions (where charge states change, for example) and between
cells (small ones may not hold a distortion). The variance of the noise is a product of its mean, a factor that varies
smoothly with composition (a kernel mean: Nadaraya, Theory Probab. Appl. 9, 141 (1964); Watson, Sankhya A 26, 359
(1964)), and a factor for each cell size. The two factors are fitted in turns (backfitting: Buja, Hastie and Tibshirani,
Ann. Stat. 17, 453 (1989)).
"""

import dataclasses
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

# Width of the kernel, in standard deviations of each concentration.
_WIDTH = 0.5
# Structures of average noise that count beside those nearby, and beside those of the same size.
_NEARBY_PRIOR, _SIZE_PRIOR = 3.0, 1.0
_TURNS = 4
# The kernel is taken over at most this many structures, evenly chosen, and for as many at a time.
_MOST_STRUCTURES = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class NoiseModel:
    """Variances of noise.

    Attributes:
        variance: mean variance.
        columns: `[concentrations]` features that are concentrations.
        compositions: `[structures, concentrations]` of the data, in standard deviations.
        scales: `[concentrations]` these.
        excesses: `[structures]` squared residuals over their expected size, the factors of size taken off.
        size_factors: dict from each cell size to its factor.
    """

    variance: float
    columns: np.ndarray
    compositions: np.ndarray
    scales: np.ndarray
    excesses: np.ndarray
    size_factors: dict[Any, float]

    def variances(self, features: np.ndarray, sizes: Any = None) -> np.ndarray:
        """`[structures]` variances; far from all data, and for sizes that it lacks, the factors are 1.

        Args:
            features: `[structures, features]`, of which `columns` are concentrations.
            sizes: `[structures]` cell sizes, or None.
        """
        points = features[:, self.columns] / self.scales
        blocks = np.array_split(points, max(1, -(-len(points) // _MOST_STRUCTURES)))
        factors = np.concatenate([_smoothed(_kernel(block, self.compositions), self.excesses) for block in blocks])
        if sizes is not None:
            factors = factors * [self.size_factors.get(size, 1.0) for size in np.asarray(sizes).tolist()]
        return self.variance * factors

    def scaled(self, factor: float) -> "NoiseModel":
        """The same in another unit of energy: variances times `factor`."""
        return dataclasses.replace(self, variance=self.variance * factor)

    def without_composition(self) -> "NoiseModel":
        """The same for features in which concentrations are not known: only sizes count."""
        none = np.zeros(0, dtype=np.int64)
        return dataclasses.replace(
            self, columns=none, compositions=self.compositions[:, none], scales=self.scales[none]
        )


def constant_noise(variance: float) -> NoiseModel:
    """The same noise for all structures."""
    none = np.zeros(0, dtype=np.int64)
    return NoiseModel(variance, none, np.zeros((0, 0)), np.zeros(0), np.zeros(0), {})


def fit_noise(
    squares: np.ndarray,
    variances: np.ndarray,
    mean_noise: float,
    features: np.ndarray,
    columns: np.ndarray,
    sizes: Any = None,
) -> NoiseModel:
    """Fit to leave-one-out residuals.

    Args:
        squares: `[structures]` squared residuals times weights.
        variances: `[structures]` of the predictions without the structure, noise not included, times weights.
        mean_noise: mean variance of the noise.
        features: `[structures, features]`.
        columns: those that are concentrations; without any, nothing depends on composition.
        sizes: `[structures]` labels of cell sizes, or None.
    """
    kept = np.unique(np.linspace(0, len(squares) - 1, min(len(squares), _MOST_STRUCTURES)).astype(int))
    squares, variances, compositions = squares[kept], variances[kept], features[np.ix_(kept, columns)]
    spreads = compositions.std(axis=0)
    scales = np.where(spreads > 1e-9, spreads, 1.0)
    scaled = compositions / scales
    labels = np.zeros(len(squares)) if sizes is None else np.asarray(sizes)[kept]
    kernel = _kernel(scaled, scaled)
    by_composition, by_size, excesses = np.ones(len(squares)), np.ones(len(squares)), np.ones(len(squares))
    for _ in range(_TURNS):
        excesses = by_composition * squares / (mean_noise * by_size * by_composition + variances)
        by_composition = _smoothed(kernel, excesses)
        if sizes is not None:
            by_size = _size_means(labels, by_size * squares / (mean_noise * by_size * by_composition + variances))
    factors = {} if sizes is None else dict(zip(labels.tolist(), by_size.tolist(), strict=True))
    return NoiseModel(mean_noise, columns, scaled, scales, excesses, factors)


def _kernel(points: np.ndarray, data: np.ndarray) -> np.ndarray:
    """`[points, data]` weights; without concentrations none, so that all factors are 1."""
    if data.shape[1] == 0:
        return np.zeros((len(points), len(data)))
    return np.exp(-0.5 * cdist(points, data, "sqeuclidean") / _WIDTH**2)


def _smoothed(kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    return (_NEARBY_PRIOR + kernel @ values) / (_NEARBY_PRIOR + kernel.sum(axis=1))


def _size_means(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`[structures]` mean of the values of each one's size."""
    _, inverse = np.unique(labels, return_inverse=True)
    counts, sums = np.bincount(inverse), np.bincount(inverse, values)
    return ((_SIZE_PRIOR + sums) / (_SIZE_PRIOR + counts))[inverse]
