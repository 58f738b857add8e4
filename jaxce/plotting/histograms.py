"""Pictures of distributions."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxce.plotting.style import BLUE, ORANGE, finite_numbers, one_panel


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
