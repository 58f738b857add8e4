"""Pictures of fits: parity, effective cluster interactions, learning curves, calibration, choice of a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxce.plotting.style import (
    BLUE,
    GREY_LINE,
    MARKERS,
    ORANGE,
    PALETTE,
    error_bars,
    finite_numbers,
    one_panel,
)

_NAMES_OF_ORDER = {2: "pairs", 3: "triplets", 4: "quadruplets"}
# Labels of more points than this would cover each other.
_MOST_LABELS = 12


def parity_plot(
    reference: Any, predicted: Any, rmse_per_prim: float | int, title: str = "", standard_deviations: Any = None
) -> Figure:
    """Predicted against reference energies, eV per prim, with the residuals below.

    Args:
        reference: `[structures]` eV per prim.
        predicted: `[structures]` eV per prim.
        rmse_per_prim: error written into the picture, eV per prim.
        title: title of the picture.
        standard_deviations: `[structures]` of the predictions, eV per prim, drawn as error bars.
    """
    reference, predicted = finite_numbers("reference and predicted energies", reference, predicted)
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    limits = (min(reference.min(), predicted.min()), max(reference.max(), predicted.max()))
    upper.plot(limits, limits, color="0.6", linewidth=1)
    upper.scatter(reference, predicted, s=10, color=BLUE, alpha=0.6, linewidths=0)
    upper.text(0.04, 0.92, f"RMSE {1e3 * rmse_per_prim:.3g} meV per prim", transform=upper.transAxes)
    upper.set(ylabel="predicted (eV per prim)", title=title)
    lower.axhline(0, color="0.6", linewidth=1)
    lower.scatter(reference, 1e3 * (predicted - reference), s=10, color=BLUE, alpha=0.6, linewidths=0)
    lower.set(xlabel="reference (eV per prim)", ylabel="difference\n(meV per prim)")
    if standard_deviations is not None:
        _, deviations = finite_numbers("energies and standard deviations", reference, standard_deviations)
        error_bars(upper, reference, predicted, deviations)
        error_bars(lower, reference, 1e3 * (predicted - reference), 1e3 * deviations)
    return figure


def eci_plot(orders: Any, diameters: Any, ecis: Any, standard_deviations: Any = None, title: str = "") -> Figure:
    """Effective cluster interactions, meV per cluster, against the diameters of their clusters.

    The empty cluster and points have no diameter and are left out.

    Args:
        orders: `[correlations]` sites of the cluster.
        diameters: `[correlations]` angstrom.
        ecis: `[correlations]` eV per cluster: coefficients over multiplicities.
        standard_deviations: `[correlations]` of the ECI, eV per cluster, drawn as error bars.
        title: title of the picture.
    """
    orders, diameters, ecis = finite_numbers("orders, diameters and ECI", orders, diameters, ecis)
    figure, axes = one_panel(5.5, 4)
    axes.axhline(0, **GREY_LINE)
    drawn = np.unique(orders[orders >= 2]).astype(int).tolist()
    for order in drawn:
        rows, style = orders == order, (order - 2) % len(PALETTE)
        label = _NAMES_OF_ORDER.get(order, f"{order} sites")
        look: dict[str, Any] = {"color": PALETTE[style], "marker": MARKERS[style]}
        axes.scatter(diameters[rows], 1e3 * ecis[rows], s=26, alpha=0.85, linewidths=0, label=label, **look)
        if standard_deviations is not None:
            _, deviations = finite_numbers("ECI and standard deviations", ecis, standard_deviations)
            error_bars(axes, diameters[rows], 1e3 * ecis[rows], 1e3 * deviations[rows], look["color"])
    axes.set(xlabel="cluster diameter (Å)", ylabel="ECI (meV per cluster)", title=title)
    if drawn:
        axes.legend(frameon=False)
    return figure


def learning_curve_plot(
    sizes: Any, train_rmse: Any, test_rmse: Any, unit: str = "eV per prim", title: str = ""
) -> Figure:
    """Errors against the number of structures that were fitted: means over repeats, and their standard deviations.

    The scale is logarithmic where mean test errors differ by more than a factor of ten.

    Args:
        sizes: `[sizes]` numbers of structures.
        train_rmse: `[sizes, repeats]` errors of the structures that were fitted.
        test_rmse: `[sizes, repeats]` errors of others.
        unit: of the errors as they come.
        title: title of the picture.
    """
    (sizes,) = finite_numbers("sizes", sizes)
    figure, axes = one_panel(5, 3.8)
    tested = _repeats(test_rmse, len(sizes), "test_rmse")
    trained = _repeats(train_rmse, len(sizes), "train_rmse")
    for errors, colour, marker, name in ((tested, BLUE, "o", "test"), (trained, ORANGE, "s", "training")):
        means, spreads = errors.mean(axis=1), errors.std(axis=1)
        axes.plot(sizes, means, color=colour, marker=marker, markersize=5, label=name)
        axes.fill_between(sizes, np.maximum(means - spreads, 0), means + spreads, color=colour, alpha=0.2, linewidth=0)
    means = tested.mean(axis=1)
    if means.min() > 0 and means.max() > 10 * means.min():
        # Training errors of fits with more coefficients than structures are rounding, far below.
        bottom = max(0.8 * trained.mean(axis=1).min(), means.min() / 20)
        axes.set(yscale="log", ylim=(bottom, 1.5 * tested.max()))
        if trained.mean(axis=1).max() < bottom:
            axes.lines[1].set_label(f"training: below {bottom:.2g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlabel="structures fitted", ylabel=f"RMSE ({unit})", title=title)
    axes.legend(frameon=False)
    return figure


def calibration_plot(levels: Any, observed: Any, num_structures: int | None = None, title: str = "") -> Figure:
    """Observed against expected coverage of the central intervals of predictions.

    Below the diagonal, predictions are more certain than they should be.

    Args:
        levels: `[levels]` expected coverage, the probability that an interval claims, 0 to 1.
        observed: `[levels]` part of the structures whose reference lies in that interval.
        num_structures: with it, a band of two standard errors is drawn: what independent structures scatter by.
        title: title of the picture.
    """
    levels, observed = finite_numbers("levels and observed coverage", levels, observed)
    figure, axes = one_panel(4.6, 4.4)
    axes.plot((0, 1), (0, 1), **GREY_LINE)
    if num_structures is not None:
        grid = np.linspace(0, 1, 101)
        width = 2 * np.sqrt(grid * (1 - grid) / num_structures)
        label = f"±2 standard errors, {num_structures} structures"
        axes.fill_between(grid, grid - width, grid + width, color="0.6", alpha=0.25, linewidth=0, label=label)
    axes.plot(levels, observed, color=BLUE, marker="o", markersize=4, label="observed")
    axes.set(xlabel="expected coverage", ylabel="observed coverage", title=title, xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper left")
    return figure


def selection_plot(
    num_functions: Any,
    cv_rmse: Any,
    labels: Sequence[str],
    chosen: int,
    standard_errors: Any = None,
    unit: str = "eV per prim",
    title: str = "",
) -> Figure:
    """Cross-validated errors of models against their numbers of cluster functions, with the chosen one marked.

    Up to twelve models are labelled; of more only the chosen one and those that no smaller model betters.

    Args:
        num_functions: `[models]` cluster functions of each.
        cv_rmse: `[models]` cross-validated errors.
        labels: of the models, such as their cutoffs.
        chosen: which model is used.
        standard_errors: `[models]` of the errors, drawn as error bars.
        unit: of the errors as they come.
        title: title of the picture.
    """
    sizes, errors = finite_numbers("num_functions and cv_rmse", num_functions, cv_rmse)
    if len(labels) != len(sizes) or not 0 <= chosen < len(sizes):
        raise ValueError(
            f"{len(sizes)} models need as many labels and a `chosen` one from 0 to {len(sizes) - 1}, but there are "
            f"{len(labels)} labels and `chosen` is {chosen}."
        )
    figure, axes = one_panel(6, 4.2)
    if standard_errors is not None:
        _, bars = finite_numbers("cv_rmse and standard errors", errors, standard_errors)
        error_bars(axes, sizes, errors, bars)
    axes.scatter(sizes, errors, s=24, color=BLUE, linewidths=0)
    axes.scatter(sizes[[chosen]], errors[[chosen]], s=110, color=ORANGE, marker="*", label=f"chosen: {labels[chosen]}")
    look: dict[str, Any] = {"fontsize": 7, "rotation": 35, "rotation_mode": "anchor"}
    for index in _labelled(sizes, errors, chosen):
        axes.annotate(labels[index], (sizes[index], errors[index]), (2, 4), textcoords="offset points", **look)
    axes.set(xlabel="cluster functions", ylabel=f"cross-validation RMSE ({unit})", title=title)
    axes.margins(x=0.12, y=0.12)
    axes.legend(frameon=False)
    return figure


def _labelled(sizes: np.ndarray, errors: np.ndarray, chosen: int) -> list[int]:
    if len(sizes) <= _MOST_LABELS:
        return list(range(len(sizes)))
    order = np.lexsort((errors, sizes))
    is_best = np.append(np.inf, np.minimum.accumulate(errors[order])[:-1]) > errors[order]
    return sorted({*order[is_best].tolist(), chosen})


def _repeats(errors: Any, count: int, name: str) -> np.ndarray:
    array = np.asarray(errors, dtype=np.float64)
    if array.ndim != 2 or len(array) != count or array.shape[1] == 0 or not np.all(np.isfinite(array)):
        raise ValueError(
            f"`{name}` needs finite errors `[sizes, repeats]` for {count} sizes, but has shape {array.shape}; a single "
            "repeat is a column, errors[:, None]."
        )
    return array
