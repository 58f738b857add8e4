"""Predicted against reference energies, and the usual errors."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Energies of structures and what a model says of them; eV per prim.

    Attributes:
        reference: `[structures]` the energies.
        predicted: `[structures]` of the model.
        standard_deviations: `[structures]` of the predictions, noise included; None if the model gives none.
        num_prims: `[structures]` prims of each structure.
        num_atoms: `[structures]` atoms of each structure.
    """

    reference: np.ndarray
    predicted: np.ndarray
    standard_deviations: np.ndarray | None
    num_prims: np.ndarray
    num_atoms: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """`[structures]` predicted minus reference, eV per prim."""
        return self.predicted - self.reference

    @property
    def z_scores(self) -> np.ndarray:
        """`[structures]` (reference - predicted) / standard deviation.

        Raises:
            ValueError: if the model gives no standard deviations.
        """
        if self.standard_deviations is None:
            raise ValueError(
                "this estimator gives no standard deviations: use `physical_prior`, `bayesian_ridge` or `ard`."
            )
        return -self.errors / self.standard_deviations

    @property
    def rmse_per_prim(self) -> float:
        """Root mean square error, eV per prim."""
        return _rms(self.errors)

    def to_dict(self) -> dict[str, float]:
        """RMSE and MAE in meV per prim and per atom."""
        per_atom = self.errors * self.num_prims / np.maximum(self.num_atoms, 1)
        values: dict[str, Any] = {}
        for unit, errors in (("prim", self.errors), ("atom", per_atom)):
            values[f"rmse_meV_per_{unit}"] = 1e3 * _rms(errors)
            values[f"mae_meV_per_{unit}"] = 1e3 * float(np.mean(np.abs(errors)))
        return values


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))
