"""Pictures of distributions: of energies, and of samples beside what they should be."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxce.plotting.style import BLUE, ORANGE, colours, finite_numbers, one_panel

_DASHES = ("-", "--", "-.", ":")
# A smaller part outside the edges does not show in an area.
_LEAST_SAID = 1e-3


def energy_histogram(energies: Any, title: str = "") -> Figure:
    """Distribution of energies, eV per prim, with the lowest one marked."""
    (energies,) = finite_numbers("energies", energies)
    figure, axes = one_panel(5, 3.5)
    # Bins narrower than rounding cannot be made.
    widening = 0.0 if np.ptp(energies) > 1e-6 else 1e-6
    limits = (energies.min() - widening, energies.max() + widening)
    axes.hist(energies, bins=60, range=limits, color=BLUE, alpha=0.8)
    axes.axvline(energies.min(), color=ORANGE, linewidth=2, label=f"lowest: {energies.min():.4f}")
    axes.set(xlabel="energy (eV per prim)", ylabel="structures", title=title)
    axes.legend(frameon=False)
    return figure


def binned(values: Any, edges: Any, weights: Any = None) -> np.ndarray:
    """`[bins + 2]` parts of the samples below the edges, in each bin, and above, as `histogram_plot` takes them.

    A bin holds its lower edge; the last one holds both, as in NumPy.

    Args:
        values: `[samples]`.
        edges: `[bins + 1]` increasing.
        weights: `[samples]`; without them all samples count alike.

    Raises:
        ValueError: if shapes disagree, numbers are not finite or none, or weights are negative or all 0.
    """
    (values,) = finite_numbers("values", values)
    given = np.ones_like(values) if weights is None else weights
    _, shares = finite_numbers("values and weights", values, given)
    if np.any(shares < 0) or shares.sum() == 0:
        raise ValueError(f"weights must not be negative or all 0, but are from {shares.min()} to {shares.max()}.")
    borders = _checked_edges(edges)
    places = np.searchsorted(borders, values, side="right")
    places[values == borders[-1]] = len(borders) - 1
    return np.bincount(places, shares, len(borders) + 1) / shares.sum()


def histogram_plot(
    panels: Mapping[str, Mapping[str, Any]],
    edges: Any,
    quantity: str,
    unit: str = "",
    *,
    reference: str | None = None,
) -> Figure:
    """Densities of several sets of samples in one panel, or in several with a title each.

    Args:
        panels: title -> name -> `[bins + 2]` counts, weights or probabilities in the bins, those below and above the
            edges first and last: from `binned`, `jaxce.Histogram` or the "energy" of a `Yardstick`. Each is divided by
            its sum; what lies outside the edges is not drawn, but said in the legend if it is 0.1 % or more.
        edges: `[bins + 1]` increasing, or title -> such edges.
        quantity: what the horizontal axis is.
        unit: of the edges.
        reference: the name of what is right, which is drawn as an area behind the others.

    Raises:
        ValueError: if a histogram does not fit the edges, has negative entries or none, or nothing is given.
    """
    if not panels or not all(panels.values()):
        raise ValueError("`panels` must have one panel at least, and each panel one histogram.")
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel if name != reference))
    looks = {
        name: {"color": colour, "linestyle": _DASHES[place % len(_DASHES)], "linewidth": 1.4}
        for place, (name, colour) in enumerate(zip(names, colours(len(names)), strict=True))
    }
    looks[str(reference)] = {"color": "0.8", "fill": True}
    figure = Figure(figsize=(0.8 + 4.2 * len(panels), 3.6), layout="constrained")
    for axes, (title, histograms) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        of_panel = edges[title] if isinstance(edges, Mapping) else edges
        for name in sorted(histograms, key=lambda name: name != reference):
            _draw_density(axes, histograms[name], of_panel, name, looks[name])
        axes.set(title=title, xlabel=quantity, ylabel="density")
        if unit:
            axes.set(xlabel=f"{quantity} ({unit})", ylabel=f"density (1 / ({unit}))")
        axes.locator_params(axis="x", nbins=5)
        axes.legend(frameon=False, fontsize="small")
    return figure


def _draw_density(axes: Axes, histogram: Any, edges: Any, name: str, look: Mapping[str, Any]) -> None:
    borders = _checked_edges(edges)
    weights = np.asarray(histogram, dtype=np.float64)
    if weights.shape != (len(borders) + 1,) or not np.all(weights >= 0) or not 0 < weights.sum() < np.inf:
        raise ValueError(
            f"the histogram of {name!r} must hold {len(borders) + 1} weights (bins, and what lies below and above), "
            f"not negative and not all 0, but has shape {weights.shape} and sum {weights.sum():g}."
        )
    parts = weights / weights.sum()
    outside = parts[0] + parts[-1]
    label = name if outside < _LEAST_SAID else f"{name} ({100 * outside:.2g} % outside)"
    axes.stairs(parts[1:-1] / np.diff(borders), borders, label=label, **look)


def _checked_edges(edges: Any) -> np.ndarray:
    borders = np.asarray(edges, dtype=np.float64)
    if borders.ndim != 1 or len(borders) < 2 or not np.all(np.diff(borders) > 0):
        raise ValueError(f"`edges` must be two or more increasing numbers, but is {edges!r}.")
    return borders
