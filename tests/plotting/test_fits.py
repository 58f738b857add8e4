import pathlib
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from figures import bars, legend, offsets, outline, points, saved
from jaxce import plotting

REFERENCE = np.array([-40.0, -42.0, -41.1, -40.56, -41.52, -41.08])
PREDICTED = np.array([-40.0, -42.0, -41.1, -40.54, -41.555, -41.08])


def test_parity_plot_shows_energies_residuals_and_error_bars():
    figure = plotting.parity_plot(REFERENCE, PREDICTED, 0.0164, "title", np.full(6, 0.01))
    upper, lower = figure.axes
    np.testing.assert_allclose(offsets(upper.collections[0]), np.column_stack([REFERENCE, PREDICTED]))
    residuals = 1e3 * (PREDICTED - REFERENCE)
    np.testing.assert_allclose(offsets(lower.collections[0]), np.column_stack([REFERENCE, residuals]))
    np.testing.assert_allclose(bars(upper), np.column_stack([PREDICTED - 0.01, PREDICTED + 0.01]))
    np.testing.assert_allclose(bars(lower), np.column_stack([residuals - 10, residuals + 10]))
    assert [text.get_text() for text in upper.texts] == ["RMSE 16.4 meV per prim"]
    assert (upper.get_title(), upper.get_ylabel()) == ("title", "predicted (eV per prim)")
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("reference (eV per prim)", "difference\n(meV per prim)")
    assert not plotting.parity_plot(REFERENCE, PREDICTED, 0.0164).axes[0].containers


def test_eci_plot_has_each_order_apart_and_no_points():
    orders, diameters = np.array([0, 1, 2, 2, 3, 5]), np.array([0.0, 0.0, 2.8, 4.0, 2.8, 5.0])
    ecis = np.array([-3.0, 0.4, 0.012, -0.004, 0.002, 0.001])
    (axes,) = plotting.eci_plot(orders, diameters, ecis, np.full(6, 0.001), "title").axes
    assert legend(axes) == ["pairs", "triplets", "5 sites"]
    np.testing.assert_allclose(points(axes, "pairs"), [[2.8, 12], [4, -4]])
    np.testing.assert_allclose(points(axes, "triplets"), [[2.8, 2]])
    np.testing.assert_allclose(points(axes, "5 sites"), [[5, 1]])
    np.testing.assert_allclose(bars(axes), [[11, 13], [-5, -3], [1, 3], [0, 2]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("cluster diameter (Å)", "ECI (meV per cluster)")
    drawn: list[Any] = [artist for artist in axes.collections if artist.get_label() in legend(axes)]
    assert len({to_hex(artist.get_facecolor()[0]) for artist in drawn}) == 3


def test_learning_curve_plot_shows_means_and_spreads():
    sizes = [50, 100, 200]
    train, test = np.array([[0.5, 0.7], [0.8, 0.8], [0.9, 0.9]]), np.array([[4.0, 6.0], [2.0, 3.0], [1.5, 1.5]])
    (axes,) = plotting.learning_curve_plot(sizes, train, test, "meV per prim", "title").axes
    np.testing.assert_allclose(points(axes, "training"), [[50, 0.6], [100, 0.8], [200, 0.9]])
    np.testing.assert_allclose(points(axes, "test"), [[50, 5], [100, 2.5], [200, 1.5]])
    band = outline(axes.collections[0])
    assert {tuple(row) for row in [[50, 4], [50, 6], [100, 2], [100, 3]]} <= {tuple(row) for row in band.tolist()}
    assert (axes.get_ylabel(), axes.get_yscale()) == ("RMSE (meV per prim)", "linear")
    assert axes.get_ylim()[0] == 0
    test[0] = 100.0
    assert plotting.learning_curve_plot(sizes, train, test).axes[0].get_yscale() == "log"
    (axes,) = plotting.learning_curve_plot(sizes, 1e-9 * train, test).axes
    assert legend(axes) == ["test", "training: below 0.075"]


def test_calibration_plot_shows_coverage_and_its_band():
    (axes,) = plotting.calibration_plot([0.5, 0.9], [0.4, 0.85], 100, "title").axes
    np.testing.assert_allclose(points(axes, "observed"), [[0.5, 0.4], [0.9, 0.85]])
    band = outline(axes.collections[0])
    # Two standard errors of a half, of 100 structures.
    assert np.abs(band[np.isclose(band[:, 0], 0.5), 1] - 0.5) == pytest.approx(0.1)
    assert legend(axes) == ["±2 standard errors, 100 structures", "observed"]
    assert not plotting.calibration_plot([0.5], [0.4]).axes[0].collections


def test_selection_plot_labels_models_and_marks_the_chosen_one():
    sizes, errors, labels = [5, 20, 60], [0.02, 0.01, 0.012], ["4.0", "6.0", "6.0 / 5.0"]
    (axes,) = plotting.selection_plot(sizes, errors, labels, 1, [0.001] * 3, "eV per site", "title").axes
    np.testing.assert_allclose(points(axes, "chosen: 6.0"), [[20, 0.01]])
    scatter = next(artist for artist in axes.collections if len(offsets(artist)) == 3)
    np.testing.assert_allclose(offsets(scatter), np.column_stack([sizes, errors]))
    np.testing.assert_allclose(bars(axes), [[0.019, 0.021], [0.009, 0.011], [0.011, 0.013]])
    assert [text.get_text() for text in axes.texts] == labels
    assert axes.get_ylabel() == "cross-validation RMSE (eV per site)"
    with pytest.raises(ValueError, match="`chosen` is 3"):
        plotting.selection_plot(sizes, errors, labels, 3)


def test_selection_plot_of_many_models_labels_the_best_of_each_size():
    sizes = np.repeat(np.arange(1, 9), 2)
    errors = np.array([9, 8, 7, 9, 6, 7, 7, 8, 6, 5, 5, 6, 5, 6, 4, 7], dtype=float)
    (axes,) = plotting.selection_plot(sizes, errors, [str(i) for i in range(16)], 12).axes
    assert [text.get_text() for text in axes.texts] == ["1", "2", "4", "9", "12", "14"]


ONE = np.array([-40.0])
SAME = np.full(5, -40.0) + np.array([0, 0, 7e-15, 0, -7e-15])


@pytest.mark.parametrize(
    "make",
    [
        lambda: plotting.parity_plot(ONE, ONE, 0.0, "", [0.0]),
        lambda: plotting.parity_plot(SAME, SAME, 0.0),
        lambda: plotting.eci_plot([0, 1], [0, 0], [1.0, 2.0]),
        lambda: plotting.eci_plot([2], [3.0], [0.0], [0.0]),
        lambda: plotting.eci_plot(range(2, 12), [3.0] * 10, [0.1] * 10),
        lambda: plotting.learning_curve_plot([10], [[0.0]], [[0.0]]),
        lambda: plotting.learning_curve_plot([10, 20], [[0.0], [1e-16]], [[9.0], [0.1]]),
        lambda: plotting.calibration_plot([0.5], [1.0], 1),
        lambda: plotting.selection_plot([3], [0.0], ["only"], 0, [0.0]),
        lambda: plotting.selection_plot([3, 3], [0.1, 0.1], ["a", "b"], 1),
    ],
)
def test_pictures_of_few_points_and_without_ranges_are_saved_without_a_warning(make, tmp_path: pathlib.Path):
    figure = make()
    assert isinstance(figure, Figure)
    assert saved(figure, tmp_path).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plotting.parity_plot([], [], 0.0), "at least 1"),
        (lambda: plotting.parity_plot([1.0, 2.0], [1.0], 0.0), r"shapes \[\(2,\), \(1,\)\]"),
        (lambda: plotting.parity_plot([1.0], [1.0], 0.0, "", [-0.1]), "must not be negative"),
        (lambda: plotting.learning_curve_plot([10], [0.1], [[0.1]]), r"`train_rmse` needs .* errors\[:, None\]"),
        (lambda: plotting.learning_curve_plot([10], [[0.1]], [[0.1], [0.2]]), "`test_rmse` needs"),
    ],
)
def test_bad_data_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
