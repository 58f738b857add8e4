"""The figures of a report; apart from its text, since matplotlib takes long to import."""

from typing import Any

import numpy as np

from jaxce import plotting
from jaxce.fitting.learning_curves import LearningCurve


def report_figures(parts: Any, learning_curve: LearningCurve | None) -> dict[str, Any]:
    """Name -> figure, of the parts of a report."""
    result, space = parts.result, parts.result.expansion.space
    table = space.to_dataframe()
    deviations = None if result.posterior is None else result.posterior.standard_deviations / space.multiplicities
    cv = result.cross_validation
    figures = {
        "parity": plotting.parity_plot(
            cv.reference, cv.predicted, cv.rmse_per_prim, "cross-validated", cv.standard_deviations
        ),
        "ecis": plotting.eci_plot(table["order"], table["diameter"], result.expansion.ecis, deviations),
    }
    if parts.ground_states is not None:
        figures["hull"] = _hull_figure(parts)
    if parts.calibration is not None:
        levels, observed = parts.calibration.levels, parts.calibration.observed
        figures["calibration"] = plotting.calibration_plot(levels, observed, len(result.used))
    if learning_curve is not None:
        curve = (learning_curve.sizes, 1e3 * learning_curve.train_rmse, 1e3 * learning_curve.test_rmse)
        figures["learning_curve"] = plotting.learning_curve_plot(*curve, unit="meV per prim")
    return figures


def _hull_figure(parts: Any) -> Any:
    if parts.ground_states.reference.num_dimensions != 1:
        return plotting.above_hull_plot(parts.ground_states)
    axis = int(np.argmax(np.ptp(parts.concentrations, axis=0)))
    reference, predicted = parts.result.energies_per_prim, parts.result.train_predictions
    label = f"fraction of {parts.names[axis]}"
    return plotting.hull_plot(parts.concentrations[:, axis], reference, predicted, parts.ground_states, label)
