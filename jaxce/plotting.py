"""Pictures: each function returns a matplotlib Figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxce.fitting.convex_hull import GroundStates

# Okabe and Ito's colours, told apart by colour-blind readers.
_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
# Of pairs, triplets, ...; higher orders begin again.
_COLOURS_OF_ORDER = (_BLUE, _ORANGE, _GREEN, _PURPLE, _VERMILION, _SKY)
_MARKERS_OF_ORDER = "os^Dvp"
_NAMES_OF_ORDER = {2: "pairs", 3: "triplets", 4: "quadruplets"}
_GREY_LINE: dict[str, Any] = {"color": "0.6", "linewidth": 1, "zorder": 0}
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
    reference, predicted = _numbers("reference and predicted energies", reference, predicted)
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
    if standard_deviations is not None:
        _, deviations = _numbers("energies and standard deviations", reference, standard_deviations)
        _error_bars(upper, reference, predicted, deviations)
        _error_bars(lower, reference, 1e3 * (predicted - reference), 1e3 * deviations)
    return figure


def energy_histogram(energies: Any, title: str = "") -> Figure:
    """Distribution of energies, eV per prim, with the lowest one marked."""
    (energies,) = _numbers("energies", energies)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    # Bins narrower than rounding cannot be made.
    widening = 0.0 if np.ptp(energies) > 1e-6 else 1e-6
    limits = (energies.min() - widening, energies.max() + widening)
    axes.hist(energies, bins=60, range=limits, color=_BLUE, alpha=0.8)
    axes.axvline(energies.min(), color=_ORANGE, linewidth=2, label=f"lowest: {energies.min():.4f}")
    axes.set(xlabel="energy (eV per prim)", ylabel="structures", title=title)
    axes.legend(frameon=False)
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
    orders, diameters, ecis = _numbers("orders, diameters and ECI", orders, diameters, ecis)
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, **_GREY_LINE)
    drawn = np.unique(orders[orders >= 2]).astype(int).tolist()
    for order in drawn:
        rows, style = orders == order, (order - 2) % len(_COLOURS_OF_ORDER)
        label = _NAMES_OF_ORDER.get(order, f"{order} sites")
        look: dict[str, Any] = {"color": _COLOURS_OF_ORDER[style], "marker": _MARKERS_OF_ORDER[style]}
        axes.scatter(diameters[rows], 1e3 * ecis[rows], s=26, alpha=0.85, linewidths=0, label=label, **look)
        if standard_deviations is not None:
            _, deviations = _numbers("ECI and standard deviations", ecis, standard_deviations)
            _error_bars(axes, diameters[rows], 1e3 * ecis[rows], 1e3 * deviations[rows], look["color"])
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
    (sizes,) = _numbers("sizes", sizes)
    figure = Figure(figsize=(5, 3.8), layout="constrained")
    axes = figure.subplots()
    tested = _repeats(test_rmse, len(sizes), "test_rmse")
    trained = _repeats(train_rmse, len(sizes), "train_rmse")
    for errors, colour, marker, name in ((tested, _BLUE, "o", "test"), (trained, _ORANGE, "s", "training")):
        means, spreads = errors.mean(axis=1), errors.std(axis=1)
        axes.plot(sizes, means, color=colour, marker=marker, markersize=5, label=name)
        axes.fill_between(sizes, np.maximum(means - spreads, 0), means + spreads, color=colour, alpha=0.2, linewidth=0)
    means = tested.mean(axis=1)
    if means.min() > 0 and means.max() > 10 * means.min():
        # Training errors of fits with more coefficients than structures are rounding, far below.
        axes.set(yscale="log", ylim=(max(0.8 * trained.mean(axis=1).min(), means.min() / 20), 1.5 * tested.max()))
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlabel="structures fitted", ylabel=f"RMSE ({unit})", title=title)
    axes.legend(frameon=False)
    return figure


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
    x, reference, predicted = _numbers("concentration and energies", concentration, reference, predicted)
    _check_same_structures(ground_states, len(x))
    is_binary = ground_states.reference.num_dimensions <= 1
    line = _tie_line(x, reference) if is_binary else reference - ground_states.reference.energies_above_hull
    shown = {"reference": 1e3 * (reference - line), "predicted": 1e3 * (predicted - line)}
    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, **_GREY_LINE)
    for (name, energies), colour, marker, dashes, hull in zip(
        shown.items(),
        (_BLUE, _ORANGE),
        ("o", "x"),
        ("-", "--"),
        (ground_states.reference, ground_states.predicted),
        strict=True,
    ):
        axes.scatter(x, energies, s=14, color=colour, marker=marker, alpha=0.5, linewidths=0.8, label=name)
        corners = hull.vertices[np.argsort(x[hull.vertices], kind="stable")]
        look: dict[str, Any] = {"linestyle": dashes if is_binary else "none", "marker": marker, "color": colour}
        axes.plot(x[corners], energies[corners], markersize=6, label=f"{name} hull", **look)
    _ring(axes, x, shown["reference"], ground_states.missed, _VERMILION, "missed")
    _ring(axes, x, shown["predicted"], ground_states.invented, _PURPLE, "invented")
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
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    limits = (0.0, max(x.max(), y.max()))
    axes.plot(limits, limits, **_GREY_LINE)
    axes.scatter(x, y, s=12, color=_BLUE, alpha=0.5, linewidths=0)
    kept = ground_states.kept
    axes.scatter(x[kept], y[kept], s=60, color=_GREEN, marker="*", zorder=4, label=f"{len(kept)} kept")
    _ring(axes, x, y, ground_states.missed, _VERMILION, f"{len(ground_states.missed)} missed")
    _ring(axes, x, y, ground_states.invented, _PURPLE, f"{len(ground_states.invented)} invented")
    axes.set(xlabel="reference above hull (meV per prim)", ylabel="predicted above hull (meV per prim)", title=title)
    axes.legend(frameon=False, title="ground states")
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
    levels, observed = _numbers("levels and observed coverage", levels, observed)
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), **_GREY_LINE)
    if num_structures is not None:
        grid = np.linspace(0, 1, 101)
        width = 2 * np.sqrt(grid * (1 - grid) / num_structures)
        label = f"±2 standard errors, {num_structures} structures"
        axes.fill_between(grid, grid - width, grid + width, color="0.6", alpha=0.25, linewidth=0, label=label)
    axes.plot(levels, observed, color=_BLUE, marker="o", markersize=4, label="observed")
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
    sizes, errors = _numbers("num_functions and cv_rmse", num_functions, cv_rmse)
    if len(labels) != len(sizes) or not 0 <= chosen < len(sizes):
        raise ValueError(
            f"{len(sizes)} models need as many labels and a `chosen` one from 0 to {len(sizes) - 1}, but there are "
            f"{len(labels)} labels and `chosen` is {chosen}."
        )
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    if standard_errors is not None:
        _, bars = _numbers("cv_rmse and standard errors", errors, standard_errors)
        _error_bars(axes, sizes, errors, bars)
    axes.scatter(sizes, errors, s=24, color=_BLUE, linewidths=0)
    axes.scatter(sizes[[chosen]], errors[[chosen]], s=110, color=_ORANGE, marker="*", label=f"chosen: {labels[chosen]}")
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


def _ring(axes: Axes, x: np.ndarray, y: np.ndarray, rows: np.ndarray, colour: str, label: str) -> None:
    if len(rows):
        axes.scatter(
            x[rows], y[rows], s=90, facecolors="none", edgecolors=colour, linewidths=1.5, label=label, zorder=3
        )


def _error_bars(axes: Axes, x: np.ndarray, y: np.ndarray, sizes: np.ndarray, colour: str = _BLUE) -> None:
    if np.any(sizes < 0):
        raise ValueError(f"error bars must not be negative, but one is {sizes.min()}.")
    axes.errorbar(x, y, yerr=sizes, fmt="none", ecolor=colour, alpha=0.4, elinewidth=0.8, zorder=1)


def _numbers(what: str, *arrays: Any) -> list[np.ndarray]:
    """The arrays in double precision, all `[n]` with the same n, at least one, all finite."""
    checked = [np.asarray(array, dtype=np.float64) for array in arrays]
    shapes = [array.shape for array in checked]
    if len(set(shapes)) != 1 or len(shapes[0]) != 1 or shapes[0] == (0,):
        raise ValueError(f"{what} must be flat arrays of one length, at least 1, but have shapes {shapes}.")
    if not all(np.all(np.isfinite(array)) for array in checked):
        raise ValueError(f"{what} must be finite to be drawn: leave out structures that have none.")
    return checked


def _repeats(errors: Any, count: int, name: str) -> np.ndarray:
    array = np.asarray(errors, dtype=np.float64)
    if array.ndim != 2 or len(array) != count or array.shape[1] == 0 or not np.all(np.isfinite(array)):
        raise ValueError(
            f"`{name}` needs finite errors `[sizes, repeats]` for {count} sizes, but has shape {array.shape}; a single "
            "repeat is a column, errors[:, None]."
        )
    return array
