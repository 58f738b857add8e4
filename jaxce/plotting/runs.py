"""Pictures of how a run went: traces of the energy, exchanges between temperatures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxce.plotting.curves import checked_chains, condition_labels, points_of
from jaxce.plotting.style import BLUE, ORANGE, colours, one_panel
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult

# Of more conditions some are named, from the first to the last.
_MOST_NAMES = 8


def energy_trace_plot(
    result: MonteCarloResult | TemperingResult,
    drop: int = 0,
    *,
    chemical_potential: Mapping[str, Any] | None = None,
    title: str = "",
) -> Figure:
    """Energy of every chain, eV per prim, against the sweeps; each condition has a colour.

    Chains of one condition that do not meet, or go on drifting, have not been run long enough.

    Args:
        result: the run; of tempering, a line is what passed a rung of a ladder.
        drop: samples at the beginning that are shaded, since they are to be dropped.
        chemical_potential: `{species: values}`, eV per atom, as the ensemble was given them, for the legend.
        title: title of the picture.

    Raises:
        ValueError: if `drop` leaves no sample.
    """
    chains = checked_chains(result, drop)
    points = points_of(chains, chemical_potential)
    names = condition_labels(points)
    named = set(np.linspace(0, len(names) - 1, min(_MOST_NAMES, len(names))).round().astype(int).tolist())
    energies = chains.energy / chains.num_prims
    sweeps = chains.sample_every * np.arange(1, energies.shape[1] + 1)
    figure, axes = one_panel(6.4, 4)
    if drop:
        axes.axvspan(0, sweeps[drop - 1], color="0.9", zorder=0, label="dropped")
    for place, colour in enumerate(colours(len(names))):
        lines = axes.plot(
            sweeps, energies[chains.conditions == points.conditions[place]].T, color=colour, linewidth=0.8, alpha=0.7
        )
        if place in named:
            lines[0].set_label(names[place])
    axes.set(xlabel="sweeps", ylabel="energy (eV per prim)", title=title)
    axes.margins(x=0)
    axes.ticklabel_format(axis="y", useOffset=False)
    legend = figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    for line in legend.get_lines():
        line.set(linewidth=2, alpha=1)
    return figure


def round_trip_plot(result: TemperingResult, title: str = "") -> Figure:
    """How tempering mixes: exchanges accepted between neighbouring rungs, and round trips of the replicas.

    A ladder works if exchanges are accepted about equally often and every replica goes from end to end several times;
    where few are accepted, `jaxce.tune_temperatures` puts rungs closer. Exchanges that were never tried are left out.

    Args:
        result: the run.
        title: title of the picture.
    """
    num_ladders, num_rungs = result.round_trips.shape
    rungs = np.arange(1, num_rungs + 1)
    figure = Figure(figsize=(6, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(rungs[:-1] + 0.5, result.exchange_rate, color=BLUE, marker="o", markersize=4.5)
    upper.set(ylim=(0, 1), ylabel="accepted exchanges (fraction)", title=title)
    scale = upper.secondary_xaxis("top")
    _label_temperatures(scale, rungs, result.temperatures)
    means = result.round_trips.mean(axis=0)
    lower.bar(rungs, means, width=0.7, color="0.8", label="mean of ladders")
    # Ladders beside each other, so that equal numbers do not hide each other.
    shifts = np.linspace(-0.25, 0.25, num_ladders) if num_ladders > 1 else np.zeros(1)
    lower.plot(
        np.add.outer(shifts, rungs).ravel(),
        result.round_trips.ravel(),
        ".",
        color=ORANGE,
        label="each ladder",
        clip_on=False,
    )
    sweeps = result.chains.num_sweeps
    lower.set(xlabel="rung (of a replica: where it started)", ylabel=f"round trips in {sweeps} sweeps")
    lower.yaxis.set_major_locator(MaxNLocator(integer=True))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.set_ylim(0, max(1, 1.1 * result.round_trips.max()))
    figure.legend(*lower.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _label_temperatures(scale: Any, rungs: np.ndarray, temperatures: np.ndarray) -> None:
    shown = np.unique(np.linspace(0, len(rungs) - 1, min(_MOST_NAMES, len(rungs))).round().astype(int))
    scale.set_xticks(rungs[shown], [f"{temperatures[rung]:.0f}" for rung in shown])
    scale.set_xlabel("temperature (K)")
