"""Pictures of averages against temperature or chemical potential, with their errors."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxce.plotting.curves import Curve, checked_chains, curves_of, points_of
from jaxce.plotting.style import GREY_LINE, MARKERS, colours
from jaxce.sampling.diagnostics import Estimate, mean
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult


def heat_capacity_plot(
    result: MonteCarloResult | TemperingResult,
    drop: int = 0,
    *,
    chemical_potential: Mapping[str, Any] | None = None,
    against: str | None = None,
    title: str = "",
) -> Figure:
    """Heat capacity of the configurations, kB per prim, against temperature or chemical potential.

    Args:
        result: the run.
        drop: samples at the beginning that do not count.
        chemical_potential: `{species: values}`, eV per atom, as the ensemble was given them: a number, or one for each
            chain (rung).
        against: "temperature", with one curve for each chemical potential, or "chemical_potential", with one for each
            temperature. The default is the second if `chemical_potential` is given.
        title: title of the picture.

    Raises:
        ValueError: if no estimate is left, or conditions cannot be told apart by temperature and chemical potential.
    """
    chains = checked_chains(result, drop)
    estimates = {"": chains.heat_capacity(drop)}
    return _figure(chains, estimates, "heat capacity (kB per prim)", chemical_potential, against, title)


def composition_plot(
    result: MonteCarloResult | TemperingResult,
    drop: int = 0,
    *,
    species: Sequence[str] | None = None,
    chemical_potential: Mapping[str, Any] | None = None,
    against: str | None = None,
    title: str = "",
) -> Figure:
    """Mean numbers of sites with each species, per prim, against temperature or chemical potential.

    Args:
        result: the run.
        drop: as in `heat_capacity_plot`.
        species: whose numbers are drawn; without them those that vary.
        chemical_potential: as in `heat_capacity_plot`.
        against: as in `heat_capacity_plot`.
        title: title of the picture.

    Raises:
        ValueError: as `heat_capacity_plot`; or if there is no such species, or none varies.
    """
    chains = checked_chains(result, drop)
    varies = np.ptp(chains.counts[:, drop:], axis=(0, 1)) > 0
    names = [name for name, does in zip(chains.species, varies, strict=True) if does] if species is None else species
    if not names or not set(names) <= set(chains.species):
        raise ValueError(
            f"`species` must be some of {chains.species}, but are {list(names)}; without `species`, those are drawn "
            "whose numbers vary."
        )
    traces = {name: chains.counts[..., chains.species.index(name)] / chains.num_prims for name in names}
    return _means_figure(chains, traces, drop, "composition (sites per prim)", chemical_potential, against, title)


def short_range_order_plot(
    result: MonteCarloResult | TemperingResult,
    drop: int = 0,
    *,
    observable: str = "short_range_order",
    pairs: Sequence[str] | None = None,
    chemical_potential: Mapping[str, Any] | None = None,
    against: str | None = None,
    title: str = "",
) -> Figure:
    """Mean Warren-Cowley parameters of each shell and pair of species against temperature or chemical potential.

    Args:
        result: a run with `jaxce.observables.short_range_order` among its observables.
        drop: as in `heat_capacity_plot`.
        observable: the name under which it was observed.
        pairs: such as "Cu-Au"; without them those of unlike species.
        chemical_potential: as in `heat_capacity_plot`.
        against: as in `heat_capacity_plot`.
        title: title of the picture.

    Raises:
        ValueError: as `heat_capacity_plot`; or if there is no trace of the observable, or no such pair.
    """
    chains = checked_chains(result, drop)
    values = chains.observables.get(observable)
    dims, labels = chains.labels.get(observable) or ((), {})
    if not isinstance(values, np.ndarray) or tuple(dims) != ("shell", "species_pair"):
        raise ValueError(f"there is no trace of short-range order named {observable!r}; traces: {_traced(chains)}.")
    known = labels["species_pair"]
    chosen = [pair for pair in known if len(set(pair.split("-"))) > 1] if pairs is None else pairs
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(f"`pairs` must be some of {known}, but are {list(chosen)}.")
    traces = {
        f"{pair}, {distance:.2f} Å": values[..., shell, known.index(pair)]
        for pair in chosen
        for shell, distance in enumerate(labels["shell"])
    }
    return _means_figure(
        chains, traces, drop, "Warren-Cowley parameter", chemical_potential, against, title, has_zero=True
    )


def mean_plot(
    result: MonteCarloResult | TemperingResult,
    traces: Mapping[str, Any],
    ylabel: str,
    drop: int = 0,
    *,
    chemical_potential: Mapping[str, Any] | None = None,
    against: str | None = None,
    title: str = "",
) -> Figure:
    """Means of any traces against temperature or chemical potential, with standard errors.

    Args:
        result: the run.
        traces: label -> `[chains, samples]`, such as parts of `result.observables` (of `result.chains.observables` if
            it is tempering).
        ylabel: what they are, with the unit in brackets.
        drop: as in `heat_capacity_plot`.
        chemical_potential: as in `heat_capacity_plot`.
        against: as in `heat_capacity_plot`.
        title: title of the picture.

    Raises:
        ValueError: as `heat_capacity_plot`; or if a trace has another shape than the energies.
    """
    chains = checked_chains(result, drop)
    return _means_figure(chains, traces, drop, ylabel, chemical_potential, against, title)


def mean_by_condition(chains: MonteCarloResult, trace: Any, drop: int) -> dict[int, Estimate]:
    """Condition -> mean of `[chains, samples]` with its error; NaN where the trace is not finite.

    Raises:
        ValueError: if the trace has another shape than the energies.
    """
    values = np.asarray(trace, dtype=np.float64)
    if values.shape != chains.energy.shape:
        raise ValueError(f"a trace must be [chains, samples], {chains.energy.shape}, but has shape {values.shape}.")
    estimates = {}
    for condition in np.unique(chains.conditions).tolist():
        samples = values[chains.conditions == condition, drop:]
        estimates[condition] = mean(samples) if np.all(np.isfinite(samples)) else Estimate(np.nan, np.nan)
    return estimates


def _means_figure(chains: MonteCarloResult, traces: Mapping[str, Any], drop: int, *rest: Any, **more: Any) -> Figure:
    estimates = {label: mean_by_condition(chains, trace, drop) for label, trace in traces.items()}
    undefined = np.mean([~np.isfinite(trace) for trace in traces.values()])
    if undefined > 0 and not _is_anything_known(estimates):
        raise ValueError(
            f"there is nothing to draw: no condition has a value in all its samples ({undefined:.2%} have none), as "
            "short-range order has none where a species is absent. Take a larger cell, or conditions that keep all of "
            "them."
        )
    return _figure(chains, estimates, *rest, **more)


def _is_anything_known(estimates: Mapping[str, Mapping[int, Estimate]]) -> bool:
    return any(np.isfinite(estimate.value) for found in estimates.values() for estimate in found.values())


def _figure(
    chains: MonteCarloResult,
    estimates: Mapping[str, Mapping[int, Estimate]],
    ylabel: str,
    chemical_potential: Mapping[str, Any] | None,
    against: str | None,
    title: str,
    has_zero: bool = False,
) -> Figure:
    """Of several curves, each quantity has a panel. Of one, all quantities share a panel, and colours tell them."""
    xlabel, curves = curves_of(points_of(chains, chemical_potential), against)
    if not _is_anything_known(estimates):
        raise ValueError(f"there is nothing to draw: no condition has an estimate of the {ylabel}. Run longer.")
    panels = {name: [(curve.label, curve, found) for curve in curves] for name, found in estimates.items()}
    if len(curves) == 1:
        panels = {"": [(name, curves[0], found) for name, found in estimates.items()]}
    figure = Figure(figsize=(6.4, 1 + 3 * len(panels)), layout="constrained")
    column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, lines) in zip(column, panels.items(), strict=True):
        if has_zero:
            axes.axhline(0, **GREY_LINE)
        _draw_lines(axes, lines)
        axes.set(ylabel=ylabel, title=": ".join(part for part in (title, name) if part))
    column[-1].set_xlabel(xlabel)
    handles, labels = column[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _draw_lines(axes: Axes, lines: Sequence[tuple[str, Curve, Mapping[int, Estimate]]]) -> None:
    looks = zip(lines, colours(len(lines)), itertools.cycle(MARKERS), strict=False)
    for (label, curve, estimates), colour, marker in looks:
        values, errors = np.array([estimates[condition] for condition in curve.conditions.tolist()]).T
        look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.2, "capsize": 2.5}
        # A label that is None makes no entry in the legend.
        axes.errorbar(curve.x, values, yerr=errors, label=label or None, **look)


def _traced(chains: MonteCarloResult) -> list[str]:
    return [name for name, values in chains.observables.items() if isinstance(values, np.ndarray)]
