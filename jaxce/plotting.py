"""Pictures: each function returns a matplotlib Figure."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers.
_BLUE, _ORANGE = "#0072B2", "#E69F00"


def parity_plot(reference: Any, predicted: Any, rmse_per_prim: float, title: str = "") -> Figure:
    """Predicted against reference energies, eV per prim, with the residuals below.

    Args:
        reference: `[structures]` eV per prim.
        predicted: `[structures]` eV per prim.
        rmse_per_prim: error written into the picture, eV per prim.
        title: title of the picture.
    """
    reference, predicted = np.asarray(reference), np.asarray(predicted)
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    limits = (min(reference.min(), predicted.min()), max(reference.max(), predicted.max()))
    upper.plot(limits, limits, color="0.6", linewidth=1)
    upper.scatter(reference, predicted, s=10, color=_BLUE, alpha=0.6, linewidths=0)
    upper.text(0.04, 0.92, f"RMSE {1e3 * rmse_per_prim:.1f} meV per prim", transform=upper.transAxes)
    upper.set(ylabel="predicted (eV per prim)", title=title)
    lower.axhline(0, color="0.6", linewidth=1)
    lower.scatter(reference, 1e3 * (predicted - reference), s=10, color=_BLUE, alpha=0.6, linewidths=0)
    lower.set(xlabel="reference (eV per prim)", ylabel="difference (meV)")
    return figure


def energy_histogram(energies: Any, title: str = "") -> Figure:
    """Distribution of energies, eV per prim, with the lowest one marked."""
    energies = np.asarray(energies)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.hist(energies, bins=60, color=_BLUE, alpha=0.8)
    axes.axvline(energies.min(), color=_ORANGE, linewidth=2, label=f"lowest: {energies.min():.4f}")
    axes.set(xlabel="energy (eV per prim)", ylabel="structures", title=title)
    axes.legend(frameon=False)
    return figure
