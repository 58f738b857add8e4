"""Pictures: each function returns a matplotlib Figure; see docs/monte_carlo.md and docs/fitting.md."""

from jaxce.plotting.conditions import (
    composition_plot as composition_plot,
    heat_capacity_plot as heat_capacity_plot,
    mean_plot as mean_plot,
    short_range_order_plot as short_range_order_plot,
)
from jaxce.plotting.fits import (
    calibration_plot as calibration_plot,
    eci_plot as eci_plot,
    learning_curve_plot as learning_curve_plot,
    parity_plot as parity_plot,
    selection_plot as selection_plot,
)
from jaxce.plotting.histograms import (
    binned as binned,
    energy_histogram as energy_histogram,
    histogram_plot as histogram_plot,
)
from jaxce.plotting.hulls import above_hull_plot as above_hull_plot, hull_plot as hull_plot
from jaxce.plotting.occupancies import occupancy_slice_plot as occupancy_slice_plot
from jaxce.plotting.phase_maps import phase_map_plot as phase_map_plot
from jaxce.plotting.runs import energy_trace_plot as energy_trace_plot, round_trip_plot as round_trip_plot
