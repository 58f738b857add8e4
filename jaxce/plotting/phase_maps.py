"""Maps of an average over temperature and chemical potential."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxce.plotting.conditions import mean_by_condition
from jaxce.plotting.curves import checked_chains, points_of
from jaxce.plotting.style import COLOUR_MAP, one_panel
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult


def phase_map_plot(
    result: MonteCarloResult | TemperingResult,
    chemical_potential: Mapping[str, Any],
    quantity: str,
    drop: int = 0,
    *,
    title: str = "",
) -> Figure:
    """An average, as colour, over chemical potential and temperature; each point of the grid has a dot and a tile.

    Points that were not run are left white. In the map of a species, phases are plateaus, and coexistence is where
    colours jump.

    Args:
        result: a run at temperatures and chemical potentials of a grid, several chains at each point if you like.
        chemical_potential: `{species: [chains]}`, eV per atom, as the ensemble was given it.
        quantity: a species (its sites per prim), "energy" (eV per prim), "heat_capacity" (kB per prim) or an
            observable with one number for each sample.
        drop: samples at the beginning that do not count.
        title: title of the picture.

    Raises:
        ValueError: if there is no such quantity, fewer than two temperatures or chemical potentials, two conditions at
            one point, or no estimate.
    """
    chains = checked_chains(result, drop)
    points = points_of(chains, chemical_potential)
    potential = np.asarray(points.potential)
    mu, kelvin = np.unique(potential), np.unique(points.temperature)
    _check_grid(potential, points.temperature, mu, kelvin)
    label, estimates = _quantity(chains, quantity, drop)
    grid = np.full((len(kelvin), len(mu)), np.nan)
    rows, columns = np.searchsorted(kelvin, points.temperature), np.searchsorted(mu, potential)
    grid[rows, columns] = [estimates[condition].value for condition in points.conditions.tolist()]
    if np.all(np.isnan(grid)):
        raise ValueError(f"there is nothing to draw: no condition has an estimate of {quantity!r}. Run longer.")
    figure, axes = one_panel(6, 4.4)
    tiles = axes.pcolormesh(_borders(mu), _borders(kelvin), np.ma.masked_invalid(grid), cmap=COLOUR_MAP)
    axes.plot(potential, points.temperature, ".", color="white", markeredgecolor="black", markeredgewidth=0.4)
    axes.set(xlabel=f"chemical potential of {points.species} (eV per atom)", ylabel="temperature (K)", title=title)
    figure.colorbar(tiles, ax=axes, label=label)
    return figure


def _check_grid(potential: np.ndarray, temperature: np.ndarray, mu: np.ndarray, kelvin: np.ndarray) -> None:
    if len(mu) < 2 or len(kelvin) < 2:
        raise ValueError(
            f"a map needs two temperatures and two chemical potentials at least, but has {len(kelvin)} and {len(mu)}; "
            "`composition_plot` and `heat_capacity_plot` draw curves."
        )
    if len(set(zip(potential, temperature, strict=True))) < len(potential):
        raise ValueError(
            "several conditions have the same temperature and chemical potential, so they differ in something else: "
            "run one map for each."
        )


def _quantity(chains: MonteCarloResult, quantity: str, drop: int) -> tuple[str, Mapping[int, Any]]:
    """The label of the colours, and condition -> estimate."""
    if quantity == "heat_capacity":
        return "heat capacity (kB per prim)", chains.heat_capacity(drop)
    known = chains.quantities()
    scalars = [name for name, values in known.items() if values.ndim == 2]
    if quantity not in scalars:
        raise ValueError(f"`quantity` must be one of {['heat_capacity', *scalars]}, but is {quantity!r}.")
    values, label = known[quantity], quantity
    if quantity == "energy":
        values, label = values / chains.num_prims, "energy (eV per prim)"
    elif quantity in chains.species:
        values, label = values / chains.num_prims, f"{quantity} (sites per prim)"
    return label, mean_by_condition(chains, values, drop)


def _borders(centres: np.ndarray) -> np.ndarray:
    """Borders of tiles around ascending centres: half way between them, and as far beyond the ends."""
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])
