"""What importance weights tell of a sampler: effective samples, ln Z, and its bounds from both sides. NumPy, float64.

The log weight of a sample is `-(E - work)/kT - ln q`. Samples of q give the lower bound ELBO <= ln Z, samples of the
target the upper bound EUBO >= ln Z; what lies between each and ln Z are the reverse and the forward divergence of
Kullback and Leibler. Only quantities from samples of the target see what q never visits: a q that is exact in one of
two equal modes has equal weights, an effective sample fraction of 1 and a reverse divergence of only ln 2 (0, if ln Z
is estimated from the same weights), while its EUBO is infinite (D. Blessing et al., ICML 2024, arXiv:2406.07423).
"""

import math
from typing import Any

import ase.units
import numpy as np

from jaxce.sampling.diagnostics import Estimate


def log_importance_weights(log_probability: Any, energy: Any, temperature: Any, work: Any = 0.0) -> np.ndarray:
    """`[...]` log weights of samples towards exp(-(E - work)/kT), not normalised: their mean weight estimates Z.

    Args:
        log_probability: `[...]` ln q of each sample, summed over all sites.
        energy: `[...]` eV per supercell.
        temperature: kelvin; a number or one per sample.
        work: `[...]` sum over species of chemical potential times number, eV per supercell.

    Raises:
        ValueError: if shapes do not broadcast, a temperature is not positive, or a number is NaN.
    """
    kelvin = np.asarray(temperature, dtype=np.float64)
    if not np.all((kelvin > 0) & np.isfinite(kelvin)):
        raise ValueError(f"temperatures must be positive and finite, in kelvin, but are {temperature!r}.")
    log_q, energies, work = (np.asarray(values, dtype=np.float64) for values in (log_probability, energy, work))
    try:
        weights = -(energies - work) / (ase.units.kB * kelvin) - log_q
    except ValueError as error:
        raise ValueError(
            f"log-probabilities {log_q.shape}, energies {energies.shape}, temperatures {kelvin.shape} and work "
            f"{work.shape} must have shapes that broadcast."
        ) from error
    if np.any(np.isnan(weights)):
        raise ValueError(f"{np.sum(np.isnan(weights))} of {weights.size} log weights are NaN: look at ln q and E.")
    return weights


def effective_sample_fraction(log_weights: Any) -> float:
    """Effective sample size over number of samples, (mean w)^2 / mean w^2: 1 if all weights are alike.

    It is that of the modes that were found, and says nothing of others.
    """
    weights = _relative(_checked(log_weights))
    return float(np.mean(weights) ** 2 / np.mean(weights**2))


def log_z_estimate(log_weights: Any) -> Estimate:
    """Logarithm of the mean weight of independent samples: ln Z, too low on average, and more so if few of them count.

    The error is the first order of the relative error of the mean weight: trust it where it is below 0.3 or so.
    """
    values = _checked(log_weights)
    weights = _relative(values)
    # Weights are relative to the largest.
    mean = float(np.mean(weights))
    return Estimate(float(np.max(values)) + math.log(mean), _standard_error(weights) / mean)


def elbo(log_weights: Any) -> Estimate:
    """Mean log weight of samples of q: at most ln Z. Minus infinity if q visits what the target excludes."""
    return _mean(log_weights)


def eubo(reference_log_weights: Any) -> Estimate:
    """Mean log weight of samples of the target: at least ln Z. Infinite if q cannot produce one of them.

    Args:
        reference_log_weights: `log_importance_weights` of reference samples, with ln q of these. The error takes them
            as independent: thin Monte Carlo samples.
    """
    return _mean(reference_log_weights)


def reverse_kl(log_weights: Any, log_z: Estimate | float) -> Estimate:
    """KL(q || target) = ln Z - ELBO, nats. With ln Z from the same weights it does not see modes that are lost."""
    return _difference(_as_estimate(log_z), elbo(log_weights))


def forward_kl(reference_log_weights: Any, log_z: Estimate | float) -> Estimate:
    """KL(target || q) = EUBO - ln Z, nats. It grows without bound as q loses a mode."""
    return _difference(eubo(reference_log_weights), _as_estimate(log_z))


def _checked(log_weights: Any) -> np.ndarray:
    values = np.asarray(log_weights, dtype=np.float64).ravel()
    if values.size == 0 or np.any(np.isnan(values)) or not np.any(np.isfinite(values)) or np.any(values == np.inf):
        raise ValueError(
            "log weights must be numbers or -inf, and not all -inf, but of "
            f"{values.size} {np.sum(np.isnan(values))} are NaN, {np.sum(values == np.inf)} +inf and "
            f"{np.sum(values == -np.inf)} -inf."
        )
    return values


def _relative(log_weights: np.ndarray) -> np.ndarray:
    return np.exp(log_weights - np.max(log_weights))


def _mean(values: Any) -> Estimate:
    values = np.asarray(values, dtype=np.float64).ravel()
    if values.size == 0 or np.any(np.isnan(values)):
        raise ValueError(f"log weights must be numbers, but {np.sum(np.isnan(values))} of {values.size} are NaN.")
    mean = float(np.mean(values))
    return Estimate(mean, _standard_error(values) if math.isfinite(mean) else math.nan)


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _as_estimate(value: Estimate | float) -> Estimate:
    return value if isinstance(value, Estimate) else Estimate(float(value), 0.0)


def _difference(first: Estimate, second: Estimate) -> Estimate:
    return Estimate(first.value - second.value, math.hypot(first.error, second.error))
