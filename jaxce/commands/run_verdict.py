"""Whether the averages of a run can be trusted, in words."""

import math
import warnings

import pandas as pd

from jaxce.commands.run_averages import conditions_of
from jaxce.commands.run_inputs import Result, RunInputs
from jaxce.sampling.tempering import chains_of

# Averages with a larger R-hat, or of fewer effective samples, are warned of.
_LARGEST_R_HAT, _FEWEST_SAMPLES = 1.05, 100


def lack_of_precision(inputs: RunInputs, result: Result) -> str | None:
    """By how much a run misses the precision that was asked for, and what to do; None if it does not."""
    chains = chains_of(result)
    if chains.is_precise is not False or chains.precision is None:
        return None
    table = chains.precision[~chains.precision["is_precise"]].reset_index()
    ratios = (table["mcse"] / table["target"]).fillna(math.inf)
    worst = table.loc[ratios.idxmax()]
    where = ", ".join(f"{n} = {v:g}" for n, v in conditions_of(inputs, result).loc[worst["condition"]].items())
    text = (
        f"after {chains.num_sweeps} sweeps the error of {worst['quantity']} at {where} is {worst['mcse']:.3g}, wanted "
        f"{worst['target']:.3g}; R-hat is {worst['r_hat']:.3f}"
    )
    # Errors go with the inverse root of the length.
    factor = ratios.max() ** 2
    longer = max(2, math.ceil(factor)) if math.isfinite(factor) else 10
    return f"{text}. To go on: jaxce resume {inputs.settings.folder} --sweeps {longer * inputs.settings.sweeps}"


def warn_of_few_samples(averages: pd.DataFrame) -> None:
    """Warn where chains disagree, or samples are few."""
    worst, fewest = averages["r_hat"].max(), averages["ess"].min()
    found = []
    if not worst <= _LARGEST_R_HAT:
        found.append(f"chains disagree (R-hat up to {worst:.2f}, wanted {_LARGEST_R_HAT} at most)")
    if not fewest >= _FEWEST_SAMPLES:
        found.append(f"effective samples are few ({fewest:.0f}, wanted {_FEWEST_SAMPLES} at least)")
    if found:
        warnings.warn(f"{'; '.join(found)}: errors may be too small. Give more sweeps.", stacklevel=2)
