import pathlib
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from jaxce import plotting
from jaxce.fitting.convex_hull import ground_state_check

# A binary with a ground state that is missed (3) and one that is invented (4).
X = np.array([0.0, 1.0, 0.5, 0.25, 0.75, 0.5])
REFERENCE = np.array([-40.0, -42.0, -41.1, -40.56, -41.52, -41.08])
PREDICTED = np.array([-40.0, -42.0, -41.1, -40.54, -41.555, -41.08])
CHECK = ground_state_check(X[:, None], REFERENCE, PREDICTED)


def points(axes, label):
    """Positions of the scattered points or line with this label."""
    for artist in axes.get_children():
        if artist.get_label() == label:
            return artist.get_xydata() if hasattr(artist, "get_xydata") else offsets(artist)
    raise AssertionError(f"nothing is labelled {label}")


def offsets(collection: Any) -> np.ndarray:
    return np.asarray(collection.get_offsets())


def outline(collection: Any) -> np.ndarray:
    return np.asarray(collection.get_paths()[0].vertices)


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def bars(axes):
    """`[bars, (lower, upper)]` ends of all error bars."""
    segments = [segment for container in axes.containers for segment in container[2][0].get_segments()]
    return np.array(segments)[:, :, 1]


def saved(figure, folder):
    figure.savefig(folder / "figure.png", dpi=60)
    return (folder / "figure.png").read_bytes()


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
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("reference (eV per prim)", "difference (meV)")
    assert not plotting.parity_plot(REFERENCE, PREDICTED, 0.0164).axes[0].containers


def test_energy_histogram_counts_all_structures():
    energies = np.random.default_rng(0).normal(-40, 0.1, size=500)
    (axes,) = plotting.energy_histogram(energies, "title").axes
    bins: Any = axes.patches
    assert sum(bin.get_height() for bin in bins) == 500
    assert legend(axes) == [f"lowest: {min(energies):.4f}"]
    assert (axes.get_xlabel(), axes.get_title()) == ("energy (eV per prim)", "title")


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


def test_hull_plot_of_a_binary_shows_energies_of_formation_and_hulls():
    (axes,) = plotting.hull_plot(X, REFERENCE, PREDICTED, CHECK, "fraction of Au", "title").axes
    line = -40 - 2 * X
    np.testing.assert_allclose(points(axes, "reference"), np.column_stack([X, 1e3 * (REFERENCE - line)]), atol=1e-9)
    np.testing.assert_allclose(points(axes, "predicted"), np.column_stack([X, 1e3 * (PREDICTED - line)]), atol=1e-9)
    np.testing.assert_allclose(points(axes, "reference hull"), [[0, 0], [0.25, -60], [0.5, -100], [1, 0]], atol=1e-9)
    np.testing.assert_allclose(points(axes, "predicted hull"), [[0, 0], [0.5, -100], [0.75, -55], [1, 0]], atol=1e-9)
    np.testing.assert_allclose(points(axes, "missed"), [[0.25, -60]], atol=1e-9)
    np.testing.assert_allclose(points(axes, "invented"), [[0.75, -55]], atol=1e-9)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("fraction of Au", "energy of formation (meV per prim)")
    with pytest.raises(ValueError, match="of 6 structures, but 5 are drawn"):
        plotting.hull_plot(X[:5], REFERENCE[:5], PREDICTED[:5], CHECK)


def test_formation_counts_from_the_lowest_structures_at_the_ends_of_the_axis():
    x, energies = np.array([0.2, 0.2, 0.6, 0.4, 0.6]), np.array([-1.0, -2.0, -3.0, -3.5, -4.0])
    check = ground_state_check(x[:, None], energies, energies)
    (axes,) = plotting.hull_plot(x, energies, energies, check).axes
    np.testing.assert_allclose(points(axes, "reference")[:, 1], [1000, 0, 1000, -500, 0], atol=1e-9)


def test_hull_plot_of_more_dimensions_counts_from_the_reference_hull():
    rng = np.random.default_rng(0)
    fractions = np.vstack([np.eye(3), rng.dirichlet(np.ones(3), size=20)])
    reference = rng.normal(size=23)
    predicted = reference + 0.1
    check = ground_state_check(fractions, reference, predicted)
    (axes,) = plotting.hull_plot(fractions[:, 0], reference, predicted, check).axes
    above = 1e3 * check.reference.energies_above_hull
    np.testing.assert_allclose(points(axes, "reference"), np.column_stack([fractions[:, 0], above]))
    np.testing.assert_allclose(points(axes, "predicted")[:, 1], above + 100)
    np.testing.assert_allclose(points(axes, "reference hull")[:, 1], 0, atol=1e-9)
    assert {line.get_linestyle() for line in axes.lines if "hull" in str(line.get_label())} == {"None"}
    assert axes.get_ylabel() == "energy above the reference hull (meV per prim)"


def test_above_hull_plot_marks_what_is_kept_missed_and_invented():
    (axes,) = plotting.above_hull_plot(CHECK, "title").axes
    # Structure 5 is 20 meV above both hulls.
    everything = offsets(axes.collections[0])
    np.testing.assert_allclose(everything, [[0, 0], [0, 0], [0, 0], [0, 10], [30, 0], [20, 20]], atol=1e-9)
    np.testing.assert_allclose(points(axes, "3 kept"), np.zeros((3, 2)), atol=1e-9)
    np.testing.assert_allclose(points(axes, "1 missed"), [[0, 10]], atol=1e-9)
    np.testing.assert_allclose(points(axes, "1 invented"), [[30, 0]], atol=1e-9)
    assert axes.get_ylabel() == "predicted above hull (meV per prim)"


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
ONE_CHECK = ground_state_check([[0.5]], ONE, ONE)
SAME_CHECK = ground_state_check(np.full((5, 1), 0.5), SAME, SAME)


@pytest.mark.parametrize(
    "make",
    [
        lambda: plotting.parity_plot(ONE, ONE, 0.0, "", [0.0]),
        lambda: plotting.parity_plot(SAME, SAME, 0.0),
        lambda: plotting.energy_histogram(ONE),
        lambda: plotting.energy_histogram(SAME),
        lambda: plotting.eci_plot([0, 1], [0, 0], [1.0, 2.0]),
        lambda: plotting.eci_plot([2], [3.0], [0.0], [0.0]),
        lambda: plotting.eci_plot(range(2, 12), [3.0] * 10, [0.1] * 10),
        lambda: plotting.learning_curve_plot([10], [[0.0]], [[0.0]]),
        lambda: plotting.learning_curve_plot([10, 20], [[0.0], [1e-16]], [[9.0], [0.1]]),
        lambda: plotting.hull_plot([0.5], ONE, ONE, ONE_CHECK),
        lambda: plotting.hull_plot([0.5] * 5, SAME, SAME, SAME_CHECK),
        lambda: plotting.hull_plot(X, REFERENCE, PREDICTED, CHECK),
        lambda: plotting.above_hull_plot(ONE_CHECK),
        lambda: plotting.above_hull_plot(SAME_CHECK),
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
        (lambda: plotting.energy_histogram([np.nan]), "must be finite"),
        (lambda: plotting.learning_curve_plot([10], [0.1], [[0.1]]), r"`train_rmse` needs .* errors\[:, None\]"),
        (lambda: plotting.learning_curve_plot([10], [[0.1]], [[0.1], [0.2]]), "`test_rmse` needs"),
    ],
)
def test_bad_data_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
