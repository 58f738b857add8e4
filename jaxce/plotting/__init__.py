"""Pictures: each function returns a matplotlib Figure; see docs/monte_carlo.md and docs/fitting.md."""

from jaxce.plotting.fits import (
    calibration_plot as calibration_plot,
    eci_plot as eci_plot,
    learning_curve_plot as learning_curve_plot,
    parity_plot as parity_plot,
    selection_plot as selection_plot,
)
from jaxce.plotting.histograms import energy_histogram as energy_histogram
from jaxce.plotting.hulls import above_hull_plot as above_hull_plot, hull_plot as hull_plot
