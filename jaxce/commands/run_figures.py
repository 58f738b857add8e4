"""The figures of a run: those that its kind, its conditions and its observables give something to draw for."""

import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from jaxce import plotting
from jaxce.atomic_files import replacing
from jaxce.commands.run_inputs import Result, RunInputs
from jaxce.sampling.tempering import TemperingResult, chains_of

_DOTS_PER_INCH = 150


def write_figures(inputs: RunInputs, result: Result, drop: int) -> list[pathlib.Path]:
    """Draw all figures of a run into `plots` in its folder; a figure with nothing in it is warned of and left out."""
    folder = pathlib.Path(inputs.settings.folder) / "plots"
    folder.mkdir(exist_ok=True)
    written = []
    for name, draw in _figures(inputs, result, drop):
        try:
            figure = draw()
        except ValueError as error:
            warnings.warn(f"{name}.png was not drawn: {error}", stacklevel=2)
            continue
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=_DOTS_PER_INCH)
        written.append(folder / f"{name}.png")
    return written


def _figures(inputs: RunInputs, result: Result, drop: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    varying = [name for name in inputs.conditions if inputs.conditions[name].nunique() > 1]
    potentials = [name for name in varying if name.startswith("mu_")]
    axis = {potentials[0].split("_")[-1]: inputs.conditions[potentials[0]].to_numpy()} if potentials else None
    yield "energy", lambda: plotting.energy_trace_plot(result, drop, chemical_potential=axis)
    if isinstance(result, TemperingResult):
        yield "round_trips", lambda: plotting.round_trip_plot(result)
    # Curves are against temperature and one chemical potential.
    if not varying or inputs.settings.kind == "annealing" or not set(varying) <= {"temperature", *potentials[:1]}:
        return
    if inputs.settings.ensemble != "vcsgc":
        yield "heat_capacity", lambda: plotting.heat_capacity_plot(result, drop, chemical_potential=axis)
    if not inputs.settings.ensemble.startswith("canonical"):
        yield "composition", lambda: plotting.composition_plot(result, drop, chemical_potential=axis)
    for name in chains_of(result).labels:
        yield (
            name,
            lambda name=name: plotting.short_range_order_plot(result, drop, observable=name, chemical_potential=axis),
        )
    if axis and "temperature" in varying:
        for quantity in (*axis, "heat_capacity"):
            name = f"map_{quantity}"
            yield name, lambda quantity=quantity: plotting.phase_map_plot(result, axis, quantity, drop)
