import pathlib
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import legend, saved
from jaxce import plotting


def test_energy_histogram_counts_all_structures():
    energies = np.random.default_rng(0).normal(-40, 0.1, size=500)
    (axes,) = plotting.energy_histogram(energies, "title").axes
    bins: Any = axes.patches
    assert sum(bin.get_height() for bin in bins) == 500
    assert legend(axes) == [f"lowest: {min(energies):.4f}"]
    assert (axes.get_xlabel(), axes.get_title()) == ("energy (eV per prim)", "title")


ONE = np.array([-40.0])
SAME = np.full(5, -40.0) + np.array([0, 0, 7e-15, 0, -7e-15])


@pytest.mark.parametrize(
    "make",
    [
        lambda: plotting.energy_histogram(ONE),
        lambda: plotting.energy_histogram(SAME),
    ],
)
def test_pictures_of_few_points_and_without_ranges_are_saved_without_a_warning(make, tmp_path: pathlib.Path):
    figure = make()
    assert isinstance(figure, Figure)
    assert saved(figure, tmp_path).startswith(b"\x89PNG")


def test_binned_counts_as_numpy_does_and_what_is_outside():
    edges = [0.0, 1.0, 3.0]
    np.testing.assert_allclose(plotting.binned([-1, 0, 0.5, 3, 5], edges), [0.2, 0.4, 0.2, 0.2])
    np.testing.assert_allclose(plotting.binned([-1, 0.5, 2], edges, [1, 2, 5]), [1 / 8, 2 / 8, 5 / 8, 0])


def steps(axes: Any, label: str) -> Any:
    return next(patch for patch in axes.patches if patch.get_label() == label)


def test_histogram_plot_draws_densities_and_the_reference_behind(tmp_path: pathlib.Path):
    edges = {"500 K": [0.0, 1.0, 3.0], "900 K": [0.0, 2.0]}
    panels = {
        "500 K": {"network": [0, 3, 1, 0], "right": [10, 10, 10, 10]},
        "900 K": {"right": [0, 1, 0], "guided": [1, 3, 0]},
    }
    figure = plotting.histogram_plot(panels, edges, "energy", "eV per prim", reference="right")
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["500 K", "900 K"]
    np.testing.assert_allclose(steps(first, "network").get_data().values, [0.75, 0.125])
    np.testing.assert_allclose(steps(first, "network").get_data().edges, [0, 1, 3])
    np.testing.assert_allclose(steps(second, "guided (25 % outside)").get_data().values, [0.375])
    assert legend(first) == ["right (50 % outside)", "network"]
    assert [patch.get_fill() for patch in first.patches] == [True, False]
    assert (first.get_xlabel(), first.get_ylabel()) == ("energy (eV per prim)", "density (1 / (eV per prim))")
    colours = {steps(first, "network").get_edgecolor(), steps(second, "guided (25 % outside)").get_edgecolor()}
    assert len(colours) == 2
    assert saved(figure, tmp_path)
    (alone,) = plotting.histogram_plot({"": {"a": [0, 1, 0]}}, [0, 1], "order parameter").axes
    assert (alone.get_xlabel(), alone.get_ylabel()) == ("order parameter", "density")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plotting.energy_histogram([np.nan]), "must be finite"),
        (lambda: plotting.binned([1.0], [1.0, 1.0]), "two or more increasing"),
        (lambda: plotting.binned([1.0, 2.0], [0.0, 1.0], [1.0]), "values and weights"),
        (lambda: plotting.binned([1.0, 2.0], [0.0, 1.0], [1.0, -1.0]), "must not be negative"),
        (lambda: plotting.binned([1.0], [0.0, 1.0], [0.0]), "all 0"),
        (lambda: plotting.histogram_plot({}, [0, 1], "energy"), "one panel at least"),
        (lambda: plotting.histogram_plot({"": {}}, [0, 1], "energy"), "one histogram"),
        (lambda: plotting.histogram_plot({"": {"a": [1.0]}}, [0, 1], "energy"), r"'a' must hold 3 weights"),
        (lambda: plotting.histogram_plot({"": {"a": [0, 0, 0]}}, [0, 1], "energy"), "not all 0"),
        (lambda: plotting.histogram_plot({"": {"a": [0, -1, 2]}}, [0, 1], "energy"), "not negative"),
    ],
)
def test_bad_data_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
