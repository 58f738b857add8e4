"""The averages of a run: a row for each condition and quantity, as a table of pandas, JSON, or a table to look at."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ase.units
import numpy as np
import pandas as pd
from rich.table import Table

from jaxce.commands.run_inputs import Result, RunInputs
from jaxce.commands.run_settings import flat
from jaxce.sampling.diagnostics import Estimate, mean, summarize
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult, chains_of

_STATISTICS = ["mean", "error", "sd", "ess", "r_hat"]


def samples_to_drop(result: Result, drop: int | None) -> dict[int, int]:
    """Condition -> samples at the beginning that do not count: as many as given, or as its equilibration took.

    Raises:
        ValueError: if none are left.
    """
    chains = chains_of(result)
    num_samples = chains.energy.shape[1]
    if drop is None:
        return chains.equilibration()
    if not 0 <= drop < num_samples:
        raise ValueError(f"--drop must leave some of the {num_samples} samples, but is {drop}.")
    return {int(condition): drop for condition in np.unique(chains.conditions)}


def conditions_of(inputs: RunInputs, result: Result) -> pd.DataFrame:
    """Condition -> temperature and other parameters, in the order of the settings."""
    if isinstance(result, TemperingResult):
        return inputs.conditions
    rows = inputs.conditions.assign(condition=result.conditions)
    return rows.drop_duplicates("condition").set_index("condition")


def average(inputs: RunInputs, result: Result, drops: Mapping[int, int]) -> pd.DataFrame:
    """Averages at all conditions of a run at constant temperatures.

    Args:
        inputs: the run.
        result: its result.
        drops: condition -> samples at the beginning that do not count.

    Returns:
        Condition, its temperature and other parameters, `dropped` (samples), `quantity`, `unit`, `mean`, `error`
        (standard error of the mean), `sd`, `ess`, `r_hat`. Quantities are those of `MonteCarloResult.summary`, with the
        same numbers, and heat capacity, susceptibilities, chemical potentials (vcsgc) and acceptance.
    """
    chains, conditions = chains_of(result), conditions_of(inputs, result)
    varying = [name for name, v in chains.quantities().items() if name in chains.species and np.ptp(v) > 0]
    tables = []
    for condition in conditions.index.tolist():
        drop, parameters = drops[condition], conditions.loc[condition]
        one = _of_condition(chains, condition)
        # What varies anywhere is in the rows of all conditions.
        kept = {n: v for n, v in one.quantities(drop).items() if n not in chains.species or n in varying}
        means = summarize(kept).droplevel("condition").rename(columns={"mcse": "error"})[_STATISTICS]
        means.insert(0, "unit", [_unit(name, chains) for name in means.index])
        derived = [
            {"quantity": name, "unit": unit, "mean": estimate.value, "error": estimate.error}
            for name, unit, estimate in _derived(inputs, one, parameters, varying, drop)
        ]
        table = pd.concat([means.reset_index(), pd.DataFrame(derived)], ignore_index=True)
        for place, (name, value) in enumerate([("condition", condition), *parameters.items(), ("dropped", drop)]):
            table.insert(place, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _of_condition(chains: MonteCarloResult, condition: int) -> MonteCarloResult:
    """The chains of one condition."""
    rows = chains.conditions == condition
    of_chains = ("energy", "counts", "temperature", "conditions", "acceptance_rate")
    fields = {name: getattr(chains, name)[rows] for name in of_chains}
    traces = {name: v[rows] for name, v in chains.observables.items() if isinstance(v, np.ndarray)}
    work = None if chains.work is None else chains.work[rows]
    return dataclasses.replace(chains, **fields, observables=traces, work=work)


def _unit(quantity: str, chains: MonteCarloResult) -> str:
    return "eV per supercell" if quantity == "energy" else "sites" if quantity in chains.species else ""


def _derived(
    inputs: RunInputs, chains: MonteCarloResult, parameters: pd.Series, varying: Sequence[str], drop: int
) -> Iterator[tuple[str, str, Estimate]]:
    """Name, unit and value of what is no mean of samples, at one condition."""
    ensemble = inputs.settings.ensemble
    only = lambda by_condition: next(iter(by_condition.values()))
    if ensemble != "vcsgc":
        yield "heat_capacity", "kB per prim", only(chains.heat_capacity(drop))
    for name in varying if ensemble in ("semi-grand", "charge-neutral") else []:
        yield f"susceptibility_{name}", "per eV and prim", only(chains.susceptibility(name, drop))
    for place in flat(inputs.settings.phi):
        estimate = _potential(inputs, chains, parameters, place, drop)
        if estimate is not None:
            yield f"mu_{place[-1]}", "eV", estimate
    yield "acceptance_rate", "", Estimate(float(chains.acceptance_rate.mean()), math.nan)


def _potential(
    inputs: RunInputs, chains: MonteCarloResult, parameters: pd.Series, place: tuple[str, ...], drop: int
) -> Estimate | None:
    """Chemical potential that the variance constraint balances, -2 kT kappa (c + phi / 2).

    Where the weight of the compositions is flat to first order; see `VCSGC`. Of species of one sublattice only.
    """
    prim = inputs.supercell.prim
    name = prim.canonical_species(place[-1])
    holding = [s for s in inputs.supercell.sublattices if name in s.species]
    if len(holding) != 1 or (name,) in [tuple(names) for names in prim.species]:
        return None
    num_sites = len(holding[0].sites)
    count = mean(chains.counts[:, drop:, chains.species.index(name)])
    stiffness = 2 * ase.units.kB * parameters["temperature"] * inputs.settings.kappa
    phi = parameters["_".join(("phi", *place))]
    return Estimate(float(-stiffness * (count.value / num_sites + phi / 2)), float(stiffness * count.error / num_sites))


def lowest_energies(chains: MonteCarloResult) -> pd.DataFrame:
    """The lowest energy of each chain."""
    energies = {"lowest_energy": chains.lowest_energy, "unit": "eV per supercell"}
    return pd.DataFrame({"chain": np.arange(len(chains.lowest_energy)), **energies})


def as_json(inputs: RunInputs, result: Result, averages: pd.DataFrame | None) -> dict[str, Any]:
    """The averages and facts of a run, as nested dictionaries and lists; None for what could not be found."""
    chains = chains_of(result)
    content = {
        "kind": inputs.settings.kind,
        "ensemble": inputs.settings.ensemble,
        "num_sweeps": chains.num_sweeps,
        "samples_per_chain": chains.energy.shape[1],
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
            {"dropped": int(rows["dropped"].iloc[0])}
            | {name: float(value) for name, value in parameters.items()}
            | {row["quantity"]: {name: _finite(row[name]) for name in _STATISTICS} for _, row in rows.iterrows()}
            for parameters, rows in _by_condition(averages)
        ]
    return content


def _by_condition(averages: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """The parameters of each condition, and its rows."""
    parameters = averages.columns[1 : list(averages.columns).index("dropped")]
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
    table.add_column("dropped", justify="right")
    for parameters, rows in _by_condition(averages):
        by_name = rows.set_index("quantity")
        cells = [_cell(by_name.loc[name], num_prims) if name in by_name.index else "" for name in shown]
        worst = [f"{rows['r_hat'].max():.2f}", f"{rows['ess'].min():.0f}", f"{rows['dropped'].iloc[0]}"]
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
    estimate = Estimate(row["mean"] / scale, row["error"] / scale)
    # Digits of rounding tell nothing.
    return str(estimate) if estimate.error >= 1e-6 else f"{estimate.value:.6f} +- {estimate.error:.1g}"
