"""The averages of a run: a row for each condition and quantity, as a table of pandas, JSON, or a table to look at."""

import math
from collections.abc import Iterator
from typing import Any

import ase.units
import numpy as np
import pandas as pd
from rich.table import Table

from jaxce.commands.run_inputs import Result, RunInputs
from jaxce.commands.run_settings import flat
from jaxce.sampling.diagnostics import Estimate
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult

_STATISTICS = ["mean", "error", "sd", "ess", "r_hat"]


def chains_of(result: Result) -> MonteCarloResult:
    """The chains of a run; those of tempering are its rungs."""
    return result.chains if isinstance(result, TemperingResult) else result


def equilibration(result: Result) -> int:
    """Samples to drop at the beginning: as many as the slowest condition needs."""
    return max(chains_of(result).equilibration().values())


def conditions_of(inputs: RunInputs, result: Result) -> pd.DataFrame:
    """Condition -> temperature and other parameters, in the order of the settings."""
    if isinstance(result, TemperingResult):
        return inputs.conditions
    rows = inputs.conditions.assign(condition=result.conditions)
    return rows.drop_duplicates("condition").set_index("condition")


def average(inputs: RunInputs, result: Result, drop: int) -> pd.DataFrame:
    """Averages at all conditions of a run at constant temperatures.

    Args:
        inputs: the run.
        result: its result.
        drop: samples at the beginning that do not count.

    Returns:
        Condition, its temperature and other parameters, `quantity`, `unit`, `mean`, `error` (standard error of the
        mean), `sd`, `ess`, `r_hat`. Quantities are those of `MonteCarloResult.summary`, with the same numbers, and
        heat capacity, susceptibilities, chemical potentials (vcsgc) and acceptance.
    """
    chains = chains_of(result)
    means = chains.summary(drop).rename(columns={"mcse": "error"})[_STATISTICS].reset_index()
    means["unit"] = [_unit(name, chains) for name in means["quantity"]]
    table = pd.concat([means, pd.DataFrame(_derived(inputs, result, means, drop))], ignore_index=True)
    conditions = conditions_of(inputs, result)
    table = conditions.join(table.set_index("condition"), how="left")
    table.index.name = "condition"
    return table.reset_index()[["condition", *conditions.columns, "quantity", "unit", *_STATISTICS]]


def _unit(quantity: str, chains: MonteCarloResult) -> str:
    return "eV per supercell" if quantity == "energy" else "sites" if quantity in chains.species else ""


def _derived(inputs: RunInputs, result: Result, means: pd.DataFrame, drop: int) -> Iterator[dict[str, Any]]:
    """Rows of what is no mean of samples."""
    row = lambda condition, name, unit, estimate: {
        "condition": condition, "quantity": name, "unit": unit, "mean": estimate.value, "error": estimate.error
    }  # fmt: skip
    chains, ensemble = chains_of(result), inputs.settings.ensemble
    if ensemble != "vcsgc":
        for condition, estimate in chains.heat_capacity(drop).items():
            yield row(condition, "heat_capacity", "kB per prim", estimate)
    varying = [name for name in chains.species if name in set(means["quantity"])]
    for name in varying if ensemble in ("semi-grand", "charge-neutral") else []:
        for condition, estimate in chains.susceptibility(name, drop).items():
            yield row(condition, f"susceptibility_{name}", "per eV and prim", estimate)
    for place in flat(inputs.settings.phi):
        for condition, estimate in _potentials(inputs, result, place, drop):
            yield row(condition, f"mu_{place[-1]}", "eV", estimate)
    for condition in np.unique(chains.conditions):
        rate = chains.acceptance_rate[chains.conditions == condition].mean()
        yield row(int(condition), "acceptance_rate", "", Estimate(float(rate), math.nan))


def _potentials(inputs: RunInputs, result: Result, place: tuple[str, ...], drop: int) -> Iterator[tuple[int, Estimate]]:
    """Chemical potential that the variance constraint balances, -2 kT kappa (c + phi / 2).

    Where the weight of the compositions is flat to first order; see `VCSGC`. Of species of one sublattice only.
    """
    name = inputs.supercell.prim.canonical_species(place[-1])
    holding = [s for s in inputs.supercell.sublattices if name in s.species]
    if len(holding) != 1 or [name] in [list(names) for names in inputs.supercell.prim.species]:
        return
    summary, num_sites = chains_of(result).summary(drop), len(holding[0].sites)
    column = "_".join(("phi", *place))
    conditions = conditions_of(inputs, result)
    for condition in conditions.index.tolist():
        row = conditions.loc[condition]
        if (condition, name) in summary.index:
            stiffness = 2 * ase.units.kB * row["temperature"] * inputs.settings.kappa
            count = summary.loc[(condition, name)]
            value = -stiffness * (count["mean"] / num_sites + row[column] / 2)
            yield condition, Estimate(float(value), float(stiffness * count["mcse"] / num_sites))


def lowest_energies(chains: MonteCarloResult) -> pd.DataFrame:
    """The lowest energy of each chain."""
    energies = {"lowest_energy": chains.lowest_energy, "unit": "eV per supercell"}
    return pd.DataFrame({"chain": np.arange(len(chains.lowest_energy)), **energies})


def as_json(inputs: RunInputs, result: Result, averages: pd.DataFrame | None, drop: int) -> dict[str, Any]:
    """The averages and facts of a run, as nested dictionaries and lists; None for what could not be found."""
    chains = chains_of(result)
    content = {
        "kind": inputs.settings.kind,
        "ensemble": inputs.settings.ensemble,
        "num_sweeps": chains.num_sweeps,
        "samples_per_chain": chains.energy.shape[1],
        "dropped_samples": drop,
        "num_prims": chains.num_prims,
        "num_sites": inputs.supercell.num_sites,
        "is_precise": chains.is_precise,
        "lowest_energy": float(chains.lowest_energy.min()),
        "lowest_energies": chains.lowest_energy.tolist(),
        "units": {"energy": "eV per supercell", "temperature": "K", "heat_capacity": "kB per prim"},
    }
    if isinstance(result, TemperingResult):
        content["exchange_rate"] = list(map(_finite, result.exchange_rate.tolist()))
        content["round_trips"] = result.round_trips.tolist()
    if averages is not None:
        content["conditions"] = [
            {name: float(value) for name, value in parameters.items()}
            | {row["quantity"]: {name: _finite(row[name]) for name in _STATISTICS} for _, row in rows.iterrows()}
            for parameters, rows in _by_condition(averages)
        ]
    return content


def _by_condition(averages: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """The parameters of each condition, and its rows."""
    parameters = averages.columns[1 : list(averages.columns).index("quantity")]
    for _, rows in averages.groupby("condition", sort=False):
        yield rows.iloc[0][parameters], rows


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def as_table(averages: pd.DataFrame, num_prims: int) -> Table:
    """A table for a terminal: a row for each condition; energies and numbers of sites per prim."""
    shown = [name for name in averages["quantity"].unique() if "[" not in name]
    units = averages.drop_duplicates("quantity").set_index("quantity")["unit"]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in next(_by_condition(averages))[0].index:
        table.add_column("T (K)" if name == "temperature" else f"{name} (eV)" if name[:2] == "mu" else name)
    for name in shown:
        table.add_column(_heading(name, units[name]), justify="right")
    table.add_column("R-hat", justify="right")
    table.add_column("ESS", justify="right")
    for parameters, rows in _by_condition(averages):
        by_name = rows.set_index("quantity")
        cells = [_cell(by_name.loc[name], num_prims) if name in by_name.index else "" for name in shown]
        worst = [f"{rows['r_hat'].max():.2f}", f"{rows['ess'].min():.0f}"]
        table.add_row(*[f"{value:g}" for value in parameters], *cells, *worst)
    return table


def _heading(name: str, unit: str) -> str:
    if name == "acceptance_rate":
        return "accepted"
    short = {"eV per supercell": "eV/prim", "sites": "per prim", "kB per prim": "kB/prim", "per eV and prim": "1/eV"}
    name = {"heat_capacity": "C"}.get(name, name.replace("susceptibility_", "chi_"))
    return f"{name} ({short.get(unit, unit)})" if unit else name


def _cell(row: pd.Series, num_prims: int) -> str:
    if row.name == "acceptance_rate":
        return f"{100 * row['mean']:.1f} %"
    scale = num_prims if row["unit"] in ("eV per supercell", "sites") else 1
    return str(Estimate(row["mean"] / scale, row["error"] / scale))
