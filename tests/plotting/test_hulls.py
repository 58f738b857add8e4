import pathlib

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import offsets, points, saved
from jaxce import plotting
from jaxce.fitting.convex_hull import ground_state_check

# A binary with a ground state that is missed (3) and one that is invented (4).
X = np.array([0.0, 1.0, 0.5, 0.25, 0.75, 0.5])
REFERENCE = np.array([-40.0, -42.0, -41.1, -40.56, -41.52, -41.08])
PREDICTED = np.array([-40.0, -42.0, -41.1, -40.54, -41.555, -41.08])
CHECK = ground_state_check(X[:, None], REFERENCE, PREDICTED)


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


ONE = np.array([-40.0])
SAME = np.full(5, -40.0) + np.array([0, 0, 7e-15, 0, -7e-15])
ONE_CHECK = ground_state_check([[0.5]], ONE, ONE)
SAME_CHECK = ground_state_check(np.full((5, 1), 0.5), SAME, SAME)


@pytest.mark.parametrize(
    "make",
    [
        lambda: plotting.hull_plot([0.5], ONE, ONE, ONE_CHECK),
        lambda: plotting.hull_plot([0.5] * 5, SAME, SAME, SAME_CHECK),
        lambda: plotting.hull_plot(X, REFERENCE, PREDICTED, CHECK),
        lambda: plotting.above_hull_plot(ONE_CHECK),
        lambda: plotting.above_hull_plot(SAME_CHECK),
    ],
)
def test_pictures_of_few_points_and_without_ranges_are_saved_without_a_warning(make, tmp_path: pathlib.Path):
    figure = make()
    assert isinstance(figure, Figure)
    assert saved(figure, tmp_path).startswith(b"\x89PNG")
