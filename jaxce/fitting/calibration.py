"""Whether predicted standard deviations are those of the errors."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import norm

from jaxce.fitting.predictions import Predictions

_LEVELS = np.arange(1, 20) / 20


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Coverage of the central intervals of predictions of structures that were not fitted.

    Attributes:
        z_score_std: standard deviation of (reference - predicted) / standard deviation; 1 if it is calibrated.
        levels: `[levels]` expected coverages.
        observed: `[levels]` part of the structures in the interval of each level.
        coverage_90: part of the structures in their 90 % interval.
        coverage_90_of: the same in groups of structures: name -> (coverage, structures).
    """

    z_score_std: float
    levels: np.ndarray
    observed: np.ndarray
    coverage_90: float
    coverage_90_of: Mapping[str, tuple[float, int]]

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists of Python, for JSON."""
        return {
            "z_score_std": self.z_score_std,
            "coverage_90": self.coverage_90,
            "coverage_90_of": {
                name: {"coverage": part, "structures": count} for name, (part, count) in self.coverage_90_of.items()
            },
            "levels": self.levels.tolist(),
            "observed": self.observed.tolist(),
        }

    def summary(self) -> str:
        """Both figures, and the groups of the lowest coverage."""
        worst = sorted(self.coverage_90_of.items(), key=lambda item: item[1][0])[:3]
        groups = "; ".join(f"{name}: {100 * part:.0f} % of {count}" for name, (part, count) in worst)
        return (
            f"held-out z-scores: standard deviation {self.z_score_std:.2f}; 90 % intervals hold "
            f"{100 * self.coverage_90:.0f} % of the structures (least in {groups})"
        )


def calibration_of(
    predictions: Predictions, concentrations: np.ndarray | None = None, names: tuple[str, ...] = ()
) -> Calibration:
    """Compare standard deviations with errors, in all, by cell size, and by thirds of each concentration.

    Args:
        predictions: of structures that were not fitted.
        concentrations: `[structures, components]` site fractions.
        names: what the components are.

    Raises:
        ValueError: if there are no standard deviations.
    """
    z_scores = predictions.z_scores
    distances = np.abs(z_scores)
    observed = np.array([np.mean(distances <= norm.ppf(0.5 + level / 2)) for level in _LEVELS])
    inside = distances <= norm.ppf(0.95)
    groups = {f"{size} prims": predictions.num_prims == size for size in np.unique(predictions.num_prims)}
    for column, name in zip(np.zeros((0, 0)) if concentrations is None else concentrations.T, names, strict=True):
        groups |= _thirds(column, name)
    coverage = {name: (float(inside[rows].mean()), int(rows.sum())) for name, rows in groups.items()}
    return Calibration(float(np.sqrt(np.mean(z_scores**2))), _LEVELS, observed, float(inside.mean()), coverage)


def _thirds(values: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Rows of the low, middle and high third of a concentration; equal values stay together, empty thirds go."""
    lower, upper = np.quantile(values, [1 / 3, 2 / 3])
    thirds = {
        f"{name} < {lower:.2f}": values < lower,
        f"{lower:.2f} <= {name} <= {upper:.2f}": (values >= lower) & (values <= upper),
        f"{name} > {upper:.2f}": values > upper,
    }
    filled = {label: rows for label, rows in thirds.items() if rows.any()}
    return filled if len(filled) > 1 else {}
