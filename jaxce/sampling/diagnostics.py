"""Statistics of Monte Carlo samples: equilibration, correlation, agreement of chains, errors of means and variances.

Samples are NumPy arrays `[chains, draws]` of chains of one condition: the same temperature and chemical potentials.
Effective sample sizes and R-hat are ArviZ's, after A. Vehtari et al., Bayesian Analysis 16, 667 (2021),
doi 10.1214/20-BA1221. All chains are halved first, so a chain that drifts disagrees with itself.

Every function raises `ValueError` for samples that are not of this shape, not finite, or none. Fewer than four draws
per chain give NaN. A series that is constant (within rounding) has no error and counts as uncorrelated and converged:
chains that are frozen in the same state cannot be told from chains that have nothing else to visit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import ase.units
import numpy as np
import pandas as pd

# ArviZ takes a second to import and xarray a third of one: functions import them where they need them.
if TYPE_CHECKING:
    import xarray

_FEWEST_DRAWS = 4  # of ArviZ
# A block is so many autocorrelation times long. Errors of correlated samples from blocks of that length are 5 % too
# small; longer ones are fewer, and scatter the error more than that.
_BLOCK_LENGTH = 5
# The relative scatter of an error from n blocks is 1 / sqrt(2 (n - 1)): 9 %.
_MOST_BLOCKS = 64
_NUM_STARTS = 33


class Estimate(NamedTuple):
    """A number and its standard error, in the same unit."""

    value: float
    error: float

    def __str__(self) -> str:
        """Value and error, both to two digits of the error."""
        if not (math.isfinite(self.error) and self.error > 0):
            return f"{self.value:g} +- {self.error:g}"
        decimals = max(0, 1 - math.floor(math.log10(self.error)))
        return f"{self.value:.{decimals}f} +- {self.error:.{decimals}f}"


def mean(values: Any) -> Estimate:
    """Mean of `[chains, draws]` samples with its Monte Carlo standard error, in the unit of the samples."""
    samples = _checked(values)
    # Less than the first sample, so the mean of equal samples is exactly that sample.
    first = samples[0, 0]
    return Estimate(float(first + np.mean(samples - first)), monte_carlo_standard_error(samples))


def effective_sample_size(values: Any) -> float:
    """Number of independent samples whose mean is as precise as that of `[chains, draws]` samples.

    Chains that disagree have a small one, however many draws they are. It is that of the mean (no ranks), as the
    standard error needs it (Vehtari et al. 2021, equation 10). The number of samples if the series is constant.
    """
    samples, scale = _scaled(_checked(values))
    if samples.shape[1] < _FEWEST_DRAWS:
        return math.nan
    if scale == 0:
        return float(samples.size)
    from arviz_stats.base import array_stats

    return float(array_stats.ess(samples, method="mean"))


def autocorrelation_time(values: Any) -> float:
    """Integrated autocorrelation time of `[chains, draws]` samples, in draws: number of samples / effective number.

    That is 1 + 2 * (sum of the autocorrelations at all positive lags): 1 for independent samples, and twice the
    time of those who start their sum from 1/2. It is never less than 1: antithetic samples count as independent.
    """
    samples = _checked(values)
    return float(np.maximum(1.0, samples.size / effective_sample_size(samples)))


def monte_carlo_standard_error(values: Any) -> float:
    """Standard error of the mean of correlated `[chains, draws]` samples, in their unit; 0 if they are constant.

    The standard deviation over the square root of the effective sample size.
    """
    samples, scale = _scaled(_checked(values))
    if samples.shape[1] < _FEWEST_DRAWS:
        return math.nan
    if scale == 0:
        return 0.0
    from arviz_stats.base import array_stats

    return scale * float(array_stats.mcse(samples, method="mean"))


def split_r_hat(values: Any) -> float:
    """Rank-normalised split R-hat of `[chains, draws]` samples: 1 where chains and their halves agree.

    The larger of those of the ranks and of the ranks of distances from the median (Vehtari et al. 2021, section 4);
    they recommend less than 1.01. Of a single chain the quarters are compared, which takes 8 draws, else it is NaN.
    Infinite if nothing moves within chains that differ.
    """
    samples, scale = _scaled(_checked(values))
    # ArviZ wants two chains, and halves each of them.
    chains = _halves(samples) if len(samples) == 1 else samples
    if chains.shape[1] < _FEWEST_DRAWS:
        return math.nan
    parts = _halves(chains)
    if scale == 0 or np.ptp(parts) == 0:
        return 1.0
    if np.all(np.ptp(parts, axis=1) == 0):
        return math.inf
    from arviz_stats.base import array_stats

    # All samples of two-valued series can be at the same distance from the median: then 0/0, and ArviZ goes by the
    # ranks alone.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(array_stats.rhat(chains, method="rank"))


def _halves(samples: np.ndarray) -> np.ndarray:
    """First and second halves as chains; without the draw in the middle of an odd number."""
    half = samples.shape[1] // 2
    return np.concatenate([samples[:, :half], samples[:, -half:]])


def find_equilibration(values: Any) -> int:
    """First draw of `[chains, draws]` samples from which they count as equilibrated, the same for all chains.

    The one that leaves the largest effective sample size, so what is lost by dropping draws is weighed against what a
    transient costs (J. D. Chodera, J. Chem. Theory Comput. 12, 1799 (2016), doi 10.1021/acs.jctc.5b00784), where a
    sample never counts for more than one. 33 starts from 0 to half the draws are tried. A result near half the
    draws says that the transient may be longer. 0 for fewer than four draws.
    """
    samples = _checked(values)
    num_draws = samples.shape[1]
    last = max(0, min(num_draws // 2, num_draws - _FEWEST_DRAWS))
    starts = np.unique(np.linspace(0, last, _NUM_STARTS).astype(int))
    sizes = [samples[:, start:].size / autocorrelation_time(samples[:, start:]) for start in starts]
    return int(starts[np.argmax(sizes)])


def heat_capacity(energies: Any, temperature: Any, num_prims: Any, work: Any = None) -> Estimate:
    """Heat capacity of the configurations, in kB per prim, from equilibrated samples.

    Var(E) / (kT)^2 at fixed composition; at fixed chemical potentials Var(E - sum mu N) / (kT)^2, which needs `work`.
    Correlation of the samples is in the value, which is not too small by the variance of the mean, and in the error:
    both are from a jackknife over blocks of five autocorrelation times or more, or over whole chains where those are
    shorter or are 64 or more.

    Args:
        energies: `[chains, draws]` energies, eV per supercell.
        temperature: kelvin.
        num_prims: prims in the supercell.
        work: `[chains, draws]` sum over species of chemical potential times number, eV per supercell.

    Returns:
        The estimate. Its error is NaN if a single chain is shorter than two blocks.

    Raises:
        ValueError: if samples are not finite or shapes disagree, or the temperature or number of prims is not positive.
    """
    samples = _checked(energies)
    if work is not None:
        terms = _checked(work)
        if terms.shape != samples.shape:
            raise ValueError(f"`work` has shape {terms.shape}, but the energies have shape {samples.shape}.")
        samples = samples - terms
    scale = 1 / (_thermal_energy(temperature) ** 2 * _checked_prims(num_prims))
    variance = _variance(samples)
    return Estimate(variance.value * scale, variance.error * scale)


def susceptibility(counts: Any, temperature: Any, num_prims: Any) -> Estimate:
    """Change of the number of a species with its chemical potential, dN/dmu = Var(N) / kT, per eV and prim.

    For samples at fixed chemical potentials. Value and error are made as those of `heat_capacity`.

    Args:
        counts: `[chains, draws]` numbers of sites with the species.
        temperature: kelvin.
        num_prims: prims in the supercell.

    Raises:
        ValueError: if samples are not finite, or the temperature or number of prims is not positive.
    """
    scale = 1 / (_thermal_energy(temperature) * _checked_prims(num_prims))
    variance = _variance(_checked(counts))
    return Estimate(variance.value * scale, variance.error * scale)


def _thermal_energy(temperature: Any) -> float:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be positive and finite, in kelvin, but is {temperature}.")
    return ase.units.kB * float(temperature)


def _checked_prims(num_prims: Any) -> Any:
    if not num_prims >= 1:
        raise ValueError(f"`num_prims` must be the number of prims in the supercell, but is {num_prims}.")
    return num_prims


def _variance(samples: np.ndarray) -> Estimate:
    """Variance and its error by the jackknife, which corrects its bias too (R. G. Miller, Biometrika 61, 1 (1974)).

    The plain variance of correlated samples is too small by the variance of their mean. That is of the order of one
    block in all, which is what the correction removes.
    """
    scaled, scale = _scaled(samples)
    if samples.shape[1] < _FEWEST_DRAWS:
        return Estimate(math.nan, math.nan)
    # Deviations from the mean: nothing cancels in their squares.
    deviations = scaled - np.mean(scaled)
    starts = _block_starts(deviations)
    sums = np.add.reduceat(deviations, starts, axis=1)
    squares = np.add.reduceat(deviations**2, starts, axis=1)
    num_blocks, plain = sums.size, float(np.mean(deviations**2))
    if num_blocks == 1:
        return Estimate(plain * scale**2, math.nan)
    num_left = deviations.size - np.diff(starts, append=deviations.shape[1])
    without = (np.sum(squares) - squares) / num_left - ((np.sum(sums) - sums) / num_left) ** 2
    value = num_blocks * plain - (num_blocks - 1) * float(np.mean(without))
    return Estimate(value * scale**2, math.sqrt((num_blocks - 1) * np.var(without)) * scale**2)


def _block_starts(deviations: np.ndarray) -> np.ndarray:
    """`[blocks]` first draw of each block of a chain; all chains have the same."""
    num_chains, num_draws = deviations.shape
    time = max(autocorrelation_time(deviations), autocorrelation_time(deviations**2))
    num_blocks = min(math.ceil(_MOST_BLOCKS / num_chains), int(num_draws / (_BLOCK_LENGTH * time)))
    return np.linspace(0, num_draws, max(1, num_blocks), endpoint=False).astype(int)


def summarize(quantities: Mapping[str, Any], conditions: Any = None) -> pd.DataFrame:
    """Table of means and diagnostics, one row per condition and component of a quantity.

    Nothing is dropped: cut off the equilibration first. A series that is not finite everywhere (an observable that some
    states do not have) gives NaN.

    Args:
        quantities: name -> `[chains, draws, ...]` samples.
        conditions: `[chains]` integer that is the same for chains of the same temperature and chemical potentials;
            None if all chains are of one condition. Only chains of one condition are compared.

    Returns:
        `mean`, `sd` and `mcse` in the unit of the quantity, `ess`, `r_hat`, `autocorrelation_time` (draws) and
        `num_chains`; the index is `condition` and `quantity`, with components as `name[0]`.

    Raises:
        ValueError: if shapes disagree.
    """
    rows = []
    for condition, _, label, values in _series(quantities, conditions):
        estimate = mean(values) if np.all(np.isfinite(values)) else Estimate(math.nan, math.nan)
        of = lambda statistic, values=values: statistic(values) if np.all(np.isfinite(values)) else math.nan
        rows.append(
            {
                "condition": condition,
                "quantity": label,
                "mean": estimate.value,
                "sd": of(_standard_deviation),
                "mcse": estimate.error,
                "ess": of(effective_sample_size),
                "r_hat": of(split_r_hat),
                "autocorrelation_time": of(autocorrelation_time),
                "num_chains": len(values),
            }
        )
    return pd.DataFrame(rows).set_index(["condition", "quantity"])


def _standard_deviation(values: np.ndarray) -> float:
    scaled, scale = _scaled(values)
    return scale * float(np.std(scaled, ddof=1)) if scaled.size > 1 else math.nan


def is_precise(
    quantities: Mapping[str, Any], targets: Mapping[str, Any], conditions: Any = None, *, max_r_hat: float = 1.05
) -> tuple[bool, pd.DataFrame]:
    """Whether all means are as precise as wanted, so that a run can stop, and the table this is read from.

    Equilibration is found and dropped for each series by itself. A mean is precise if its standard error is no larger
    than its target and R-hat is below `max_r_hat` (of a single chain, R-hat of its parts). What cannot be judged, for
    lack of draws or because it is not finite, is not precise.

    Args:
        quantities: name -> `[chains, draws, ...]` samples.
        targets: name -> largest standard error of the mean, in the unit of the quantity, of each of its components.
        conditions: `[chains]` integer of each chain's condition, as for `summarize`.
        max_r_hat: R-hat from which on chains count as different.

    Returns:
        Whether every row is precise; and a row per condition and component: `start` (first draw that counts), `mean`,
        `mcse`, `target`, `r_hat`, `is_precise`.

    Raises:
        ValueError: if a target is not positive or names no quantity, there is none, or samples are as in `summarize`.
    """
    _check_targets(quantities, targets)
    rows = []
    for condition, name, label, values in _series({name: quantities[name] for name in targets}, conditions):
        start, estimate, r_hat = 0, Estimate(math.nan, math.nan), math.nan
        if np.all(np.isfinite(values)):
            start = find_equilibration(values)
            estimate, r_hat = mean(values[:, start:]), split_r_hat(values[:, start:])
        rows.append(
            {
                "condition": condition,
                "quantity": label,
                "start": start,
                "mean": estimate.value,
                "mcse": estimate.error,
                "target": float(targets[name]),
                "r_hat": r_hat,
                "is_precise": estimate.error <= targets[name] and r_hat < max_r_hat,
            }
        )
    table = pd.DataFrame(rows).set_index(["condition", "quantity"])
    return bool(table["is_precise"].all()), table


def _check_targets(quantities: Mapping[str, Any], targets: Mapping[str, Any]) -> None:
    unknown = sorted(set(targets) - set(quantities))
    if unknown or not targets:
        raise ValueError(f"targets are given for {unknown or 'nothing'}, but the quantities are {sorted(quantities)}.")
    for name, target in targets.items():
        if not (math.isfinite(target) and target > 0):
            raise ValueError(f"the target of {name} must be a positive standard error, but is {target}.")


def _series(quantities: Mapping[str, Any], conditions: Any) -> Iterator[tuple[int, str, str, np.ndarray]]:
    """Condition, name, label of the component and `[chains, draws]` samples of every row of a table."""
    arrays = {name: np.asarray(values) for name, values in quantities.items()}
    num_chains = {name: array.shape[0] if array.ndim >= 2 else None for name, array in arrays.items()}
    if len(set(num_chains.values())) != 1 or None in num_chains.values():
        shapes = {name: array.shape for name, array in arrays.items()}
        raise ValueError(f"quantities must have shapes [chains, draws, ...] with as many chains each, not {shapes}.")
    groups = _checked_conditions(conditions, next(iter(arrays.values())).shape[0])
    for condition in np.unique(groups):
        for name, array in arrays.items():
            of_condition = array[groups == condition]
            for component in np.ndindex(array.shape[2:]):
                label = f"{name}[{', '.join(map(str, component))}]" if component else name
                yield int(condition), name, label, np.asarray(of_condition[(..., *component)], dtype=np.float64)


def _checked_conditions(conditions: Any, num_chains: int) -> np.ndarray:
    if conditions is None:
        return np.zeros(num_chains, dtype=int)
    groups = np.asarray(conditions)
    if groups.shape != (num_chains,) or not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(
            f"`conditions` must hold one integer for each of the {num_chains} chains, but has shape {groups.shape} and "
            f"dtype {groups.dtype}."
        )
    return groups


def to_datatree(
    groups: Mapping[str, Mapping[str, tuple[Sequence[str], Any]]], coords: Mapping[str, Any] | None = None
) -> "xarray.DataTree":
    """Samples as the tree of data sets that ArviZ, from version 1 on, reads.

    Args:
        groups: group -> variable -> (names of its axes, array). ArviZ reads `posterior` (quantities) and
            `sample_stats` (acceptance and the like), with axes `chain`, `draw` and any others.
        coords: axis -> labels along it, or name -> (axis, labels) for further ones; `chain` and `draw` are numbered
            where they are not given.

    Raises:
        ValueError: if axes and shapes disagree.
    """
    import xarray

    datasets = {}
    for group, variables in groups.items():
        dataset = xarray.Dataset({name: (list(dims), np.asarray(array)) for name, (dims, array) in variables.items()})
        numbered = {axis: np.arange(dataset.sizes[axis]) for axis in ("chain", "draw") if axis in dataset.sizes}
        axis_of = lambda name, labels: labels[0] if isinstance(labels, tuple) else name
        given = {name: v for name, v in (coords or {}).items() if axis_of(name, v) in dataset.sizes}
        datasets[group] = dataset.assign_coords(numbered | given)
    return xarray.DataTree.from_dict(datasets)


def _checked(values: Any) -> np.ndarray:
    """Samples in float64."""
    samples = np.asarray(values, dtype=np.float64)
    if samples.ndim != 2 or samples.size == 0:
        raise ValueError(
            f"samples must have shape [chains, draws] and be at least one, but their shape is {samples.shape}; those "
            "of a single chain are values[None]."
        )
    if not np.all(np.isfinite(samples)):
        raise ValueError("samples must be finite, but hold NaN or infinity.")
    return samples


def _scaled(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """Samples less the first over their range, and the range; zeros and 0 if they differ by rounding only.

    ArviZ's results depend on neither, but it compares ranges with absolute numbers, and large offsets cost digits.
    """
    scale = float(np.ptp(samples))
    # Equivalent states of a crystal have energies that differ by the order of their sums.
    if scale <= 8 * np.finfo(np.float64).eps * float(np.max(np.abs(samples))):
        return np.zeros_like(samples), 0.0
    return (samples - samples[0, 0]) / scale, scale
