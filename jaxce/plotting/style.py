"""What all pictures share: colours, lines, error bars, and the check of the numbers that are drawn.

A picture is a `Figure` of its own. Nothing here goes through pyplot or changes matplotlib's settings, so pictures come
out alike from scripts, notebooks and threads, and disturb nobody's own.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# M. Okabe and K. Ito's colours (2008), told apart by colour-blind readers.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
MARKERS = "os^Dvp"
# For maps, and for more lines than the palette has colours: its lightness alone tells values apart.
COLOUR_MAP = "viridis"
GREY_LINE: dict[str, Any] = {"color": "0.6", "linewidth": 1, "zorder": 0}


def one_panel(width: float | int, height: float | int) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def colours(count: int) -> list[Any]:
    """So many colours: those of the palette, or, of more than these, steps of the colour map without its lightest."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return list(matplotlib.colormaps[COLOUR_MAP](np.linspace(0, 0.92, count)))


def ring(axes: Axes, x: np.ndarray, y: np.ndarray, rows: np.ndarray, colour: str, label: str) -> None:
    """Circles around some of the points, if there are any."""
    if len(rows):
        axes.scatter(
            x[rows], y[rows], s=90, facecolors="none", edgecolors=colour, linewidths=1.5, label=label, zorder=3
        )


def error_bars(axes: Axes, x: np.ndarray, y: np.ndarray, sizes: np.ndarray, colour: str = BLUE) -> None:
    """Vertical error bars, thin, behind the points; `sizes` are standard errors."""
    if np.any(sizes < 0):
        raise ValueError(f"error bars must not be negative, but one is {sizes.min()}.")
    axes.errorbar(x, y, yerr=sizes, fmt="none", ecolor=colour, alpha=0.4, elinewidth=0.8, zorder=1)


def finite_numbers(what: str, *arrays: Any) -> list[np.ndarray]:
    """The arrays in double precision, all `[n]` with the same n, at least one, all finite."""
    checked = [np.asarray(array, dtype=np.float64) for array in arrays]
    shapes = [array.shape for array in checked]
    if len(set(shapes)) != 1 or len(shapes[0]) != 1 or shapes[0] == (0,):
        raise ValueError(f"{what} must be flat arrays of one length, at least 1, but have shapes {shapes}.")
    if not all(np.all(np.isfinite(array)) for array in checked):
        raise ValueError(f"{what} must be finite to be drawn: leave out structures that have none.")
    return checked
