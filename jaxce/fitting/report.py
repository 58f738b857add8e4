"""The report of a fit: text, JSON and figures."""

import json
import pathlib
from typing import Any

import numpy as np
from rich.console import Console

from jaxce.atomic_files import replacing, write_text
from jaxce.fitting.calibration import Calibration
from jaxce.fitting.convex_hull import GroundStates, concentrations_of, ground_state_check
from jaxce.fitting.design import DesignDiagnostics, design_diagnostics
from jaxce.fitting.learning_curves import LearningCurve
from jaxce.fitting.posterior import final_estimator
from jaxce.fitting.predictions import Predictions

# With 300 structures a hull takes 9 seconds in this many independent concentrations, and minutes to hours in more.
_MOST_DIMENSIONS = 5


def fit_report(result: Any, folder: str | pathlib.Path | None, learning_curve: LearningCurve | None) -> str:
    """Print the report of a `FitResult`; with `folder`, write it there as text and JSON, with model and figures."""
    parts = _Parts(result)
    text = parts.text()
    # Not wrapped, and neither brackets nor colons taken for markup.
    Console().print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if folder is not None:
        _write(pathlib.Path(folder), result, parts, text, learning_curve)
    return text


class _Parts:
    """What the text, the JSON and the figures are made of."""

    def __init__(self, result: Any):
        self.result = result
        self.concentrations, self.names = concentrations_of(result.mappings)
        reference, predicted = result.energies_per_prim, result.train_predictions
        self.ground_states: GroundStates | None = None
        if np.linalg.matrix_rank(self.concentrations - self.concentrations.mean(axis=0), tol=1e-6) <= _MOST_DIMENSIONS:
            classes = result.training_set.equivalence_classes
            self.ground_states = ground_state_check(self.concentrations, reference, predicted, classes=classes)
        self.design: DesignDiagnostics = design_diagnostics(result.expansion.space, result.matrix)
        self.calibration: Calibration | None = result.calibration

    def errors(self) -> dict[str, Predictions]:
        result = self.result
        named = {"training": result.train, f"{result.num_folds}-fold CV": result.cross_validation}
        return named if result.test is None else named | {"test": result.test}

    def text(self) -> str:
        result = self.result
        lines = [
            f"{len(result.used)} structures, {result.expansion.space.num_correlations} coefficients, "
            f"{type(final_estimator(result.estimator)).__name__}; "
            f"energies of standard deviation {1e3 * np.std(result.energies_per_prim):.2f} meV per prim",
            f"{'':24}{'RMSE':>12}{'MAE':>12}{'RMSE':>12}{'MAE':>12}",
            f"{'':24}{'meV/prim':>12}{'meV/prim':>12}{'meV/atom':>12}{'meV/atom':>12}",
        ]
        for name, predictions in self.errors().items():
            values = predictions.to_dict()
            columns = [values[f"{kind}_meV_per_{unit}"] for unit in ("prim", "atom") for kind in ("rmse", "mae")]
            lines.append(f"{name:24}" + "".join(f"{value:12.3f}" for value in columns))
        if self.calibration is not None:
            lines.append(self.calibration.summary())
        hull = "ground states: not looked for, since there are too many independent concentrations for a hull"
        if self.ground_states is not None:
            hull = self.ground_states.summary(result.training_set.names)
        lines += [self.design.summary(), hull, result.training_set.summary()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        result = self.result
        table = result.expansion.to_dataframe()
        if result.posterior is not None:
            table["coefficient_std"] = result.posterior.standard_deviations
        data = result.training_set
        structures = data.to_dataframe().assign(
            train_prediction_per_prim=result.train_predictions, cv_prediction_per_prim=result.cv_predictions
        )
        if result.cv_standard_deviations is not None:
            structures["cv_standard_deviation_per_prim"] = result.cv_standard_deviations
        return {
            "num_structures": len(data),
            "num_coefficients": result.expansion.space.num_correlations,
            "estimator": type(final_estimator(result.estimator)).__name__,
            "num_folds": result.num_folds,
            "errors": {name: predictions.to_dict() for name, predictions in self.errors().items()},
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "design": self.design.to_dict(),
            "ground_states": None if self.ground_states is None else self.ground_states.to_dict(),
            "duplicates": [data.name_of(rows) for rows in data.duplicates()],
            "conflicts": [data.name_of(rows) for rows in data.conflicts()],
            "left_out": [{"index": f.index, "name": f.name, "reason": f.reason} for f in data.failures],
            "coefficients": table.to_dict(orient="records"),
            "structures": structures.to_dict(orient="records"),
        }


def _write(folder: pathlib.Path, result: Any, parts: _Parts, text: str, learning_curve: LearningCurve | None) -> None:
    # Matplotlib takes half a second to import: only who wants figures waits for it.
    from jaxce.fitting.report_figures import report_figures

    folder.mkdir(parents=True, exist_ok=True)
    content, figures = parts.to_dict(), report_figures(parts, learning_curve)
    if learning_curve is not None:
        content["learning_curve"] = learning_curve.to_dict()
    # First what took long to get.
    result.expansion.save(folder / "model.json")
    for name, figure in figures.items():
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=200)
    write_text(folder / "report.txt", text + "\n")
    write_text(
        folder / "report.json", json.dumps(content, indent=1, allow_nan=False, default=lambda number: number.item())
    )
