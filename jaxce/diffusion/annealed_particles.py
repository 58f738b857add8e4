"""Weighted particles at the end of an annealing, and averages over them with errors."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Array, Int
from scipy.special import logsumexp

from jaxce.sampling.diagnostics import Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnealedParticles:
    """Weighted particles of `sequential_monte_carlo` or `annealed_importance_sampling`; all but `occupancy` is NumPy.

    Attributes:
        occupancy: `[islands, particles, sites]` species codes at the last temperature.
        log_weights: `[islands, particles]` logarithms of weights, to be used in all averages. Their mean estimates Z.
        energy: `[islands, particles]` eV per supercell.
        counts: `[islands, particles, species]` sites with each species.
        species: names along the last axis of `counts`.
        temperatures: `[levels]` kelvin.
        log_z: `[levels]` estimate of ln Z at each: of the sum of all weights exp(-(E - sum mu N) / kT).
        log_z_error: `[levels]` its standard error, from the islands. The estimate of Z has no bias, but if it varies
            much that of ln Z is low: trust it if the error is well below 1.
        effective_sample_size: `[levels]` sum over the islands, after particles were weighed and before they were drawn
            anew. It knows nothing of modes that no particle is in, nor that copies of a particle are alike at first.
        num_resampled: `[levels]` islands whose particles were drawn anew.
        acceptance_rate: `[levels]` of the moves.
        num_ancestors: how many of the first particles have descendants among the last: few mean that errors are larger
            than the effective sample size suggests.
    """

    occupancy: Int[Array, "islands particles sites"]
    log_weights: np.ndarray
    energy: np.ndarray
    counts: np.ndarray
    species: tuple[str, ...]
    temperatures: np.ndarray
    log_z: np.ndarray
    log_z_error: np.ndarray
    effective_sample_size: np.ndarray
    num_resampled: np.ndarray
    acceptance_rate: np.ndarray
    num_ancestors: int

    def mean(self, values: Any) -> Estimate:
        """Weighted mean at the last temperature of one value for each particle, such as `energy`, with its error.

        Args:
            values: `[islands, particles]`.

        Raises:
            ValueError: if they have another shape.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != self.log_weights.shape:
            raise ValueError(f"`values` must have shape {self.log_weights.shape}, but have {values.shape}.")
        weights = np.exp(self.log_weights - self.log_weights.max())
        totals, norms = (weights * values).sum(axis=1), weights.sum(axis=1)
        without = (totals.sum() - totals) / (norms.sum() - norms)
        return Estimate(float(totals.sum() / norms.sum()), float(jackknife_error(without)))


def jackknife_error(without: np.ndarray) -> Any:
    """`[...]` standard errors from estimates `[..., islands]`, each of which leaves one island out."""
    return np.sqrt((without.shape[-1] - 1) * without.var(axis=-1))


def log_mean(log_values: np.ndarray) -> tuple[Any, Any]:
    """Logarithm of the mean of `[..., islands]` values that are given by their logarithms, and its standard error."""
    num_islands = log_values.shape[-1]
    others = np.where(np.eye(num_islands, dtype=bool), -np.inf, log_values[..., None, :])
    without = logsumexp(others, axis=-1) - np.log(num_islands - 1)
    return logsumexp(log_values, axis=-1) - np.log(num_islands), jackknife_error(without)
