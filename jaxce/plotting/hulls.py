"""Pictures of ground states: energies and convex hulls."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxce.fitting.convex_hull import GroundStates
from jaxce.plotting.style import BLUE, GREEN, GREY_LINE, ORANGE, PURPLE, VERMILION, finite_numbers, one_panel, ring


def hull_plot(
    concentration: Any,
    reference: Any,
    predicted: Any,
    ground_states: GroundStates,
    label: str = "concentration",
    title: str = "",
) -> Figure:
    """Reference and predicted energies against one concentration, with the ground states of both marked.

    In a binary, energies are those of formation, relative to the line between the lowest reference structures at the
    two ends of the axis, and the hulls are drawn. With more independent concentrations hulls are no lines in this
    picture: energies are relative to the reference hull at the same composition, and ground states are points;
    `above_hull_plot` shows these data without an axis to choose.

    Args:
        concentration: `[structures]` the horizontal axis, such as the fraction of a species.
        reference: `[structures]` eV per prim.
        predicted: `[structures]` eV per prim.
        ground_states: `ground_state_check` of the same energies.
        label: what the concentration is.
        title: title of the picture.
    """
    x, reference, predicted = finite_numbers("concentration and energies", concentration, reference, predicted)
    _check_same_structures(ground_states, len(x))
    is_binary = ground_states.reference.num_dimensions <= 1
    line = _tie_line(x, reference) if is_binary else reference - ground_states.reference.energies_above_hull
    shown = {"reference": 1e3 * (reference - line), "predicted": 1e3 * (predicted - line)}
    figure, axes = one_panel(5.5, 4.2)
    axes.axhline(0, **GREY_LINE)
    for (name, energies), colour, marker, dashes, hull in zip(
        shown.items(),
        (BLUE, ORANGE),
        ("o", "x"),
        ("-", "--"),
        (ground_states.reference, ground_states.predicted),
        strict=True,
    ):
        axes.scatter(x, energies, s=14, color=colour, marker=marker, alpha=0.5, linewidths=0.8, label=name)
        corners = hull.vertices[np.argsort(x[hull.vertices], kind="stable")]
        look: dict[str, Any] = {"linestyle": dashes if is_binary else "none", "marker": marker, "color": colour}
        axes.plot(x[corners], energies[corners], markersize=6, label=f"{name} hull", **look)
    ring(axes, x, shown["reference"], ground_states.missed, VERMILION, "missed")
    ring(axes, x, shown["predicted"], ground_states.invented, PURPLE, "invented")
    quantity = "energy of formation" if is_binary else "energy above the reference hull"
    axes.set(xlabel=label, ylabel=f"{quantity} (meV per prim)", title=title)
    axes.legend(frameon=False, fontsize="small")
    return figure


def above_hull_plot(ground_states: GroundStates, title: str = "") -> Figure:
    """Predicted against reference energies above hull, meV per prim, for any number of concentrations.

    Ground states that are missed stand on the vertical axis, those that are invented on the horizontal one.
    """
    x = 1e3 * ground_states.reference.energies_above_hull
    y = 1e3 * ground_states.predicted.energies_above_hull
    figure, axes = one_panel(5, 4.6)
    limits = (0.0, max(x.max(), y.max()))
    axes.plot(limits, limits, **GREY_LINE)
    axes.scatter(x, y, s=12, color=BLUE, alpha=0.5, linewidths=0)
    kept = ground_states.kept
    axes.scatter(x[kept], y[kept], s=60, color=GREEN, marker="*", zorder=4, label=f"{len(kept)} kept")
    ring(axes, x, y, ground_states.missed, VERMILION, f"{len(ground_states.missed)} missed")
    ring(axes, x, y, ground_states.invented, PURPLE, f"{len(ground_states.invented)} invented")
    axes.set(xlabel="reference above hull (meV per prim)", ylabel="predicted above hull (meV per prim)", title=title)
    axes.legend(frameon=False, title="ground states")
    return figure


def _tie_line(x: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """`[structures]` energies of mixtures of the lowest structures at both ends; at one composition, the lowest."""
    ends = [np.flatnonzero(np.isclose(x, end, rtol=0, atol=1e-5)) for end in (x.min(), x.max())]
    first, last = (rows[np.argmin(energies[rows])] for rows in ends)
    if x[last] - x[first] <= 1e-5:
        return np.full(len(x), energies.min())
    return energies[first] + (x - x[first]) / (x[last] - x[first]) * (energies[last] - energies[first])


def _check_same_structures(ground_states: GroundStates, count: int) -> None:
    checked = len(ground_states.reference.energies_above_hull)
    if checked != count:
        raise ValueError(
            f"`ground_states` is of {checked} structures, but {count} are drawn: make it of the same ones."
        )
