import numpy as np
import pytest

from figures import saved
from jaxce import plotting
from runs import monte_carlo_result

KELVIN, MU = (values.ravel() for values in np.meshgrid([300.0, 400.0, 600.0], [-0.2, 0.0, 0.1], indexing="ij"))
ALL = monte_carlo_result(KELVIN, np.arange(9))
# Without the point in the corner.
MOST = monte_carlo_result(KELVIN[1:], np.arange(8))


def tiles(figure):
    mesh = figure.axes[0].collections[0]
    return mesh.get_array(), mesh.get_coordinates()


def test_map_shows_the_mean_of_a_species_at_every_point(tmp_path):
    figure = plotting.phase_map_plot(ALL, {"Au": MU}, "Au", 4, title="title")
    axes, scale = figure.axes
    values, corners = tiles(figure)
    np.testing.assert_allclose(values.ravel(), ALL.counts[:, 4:, 1].mean(axis=1) / 4)
    # Half way between the points, and as far beyond the last ones.
    np.testing.assert_allclose(corners[0, :, 0], [-0.3, -0.1, 0.05, 0.15])
    np.testing.assert_allclose(corners[:, 0, 1], [250, 350, 500, 700])
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.column_stack([MU, KELVIN]))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("chemical potential of Au (eV per atom)", "temperature (K)")
    assert (scale.get_ylabel(), axes.get_title()) == ("Au (sites per prim)", "title")
    assert saved(figure, tmp_path)


def test_points_that_were_not_run_are_left_out(tmp_path):
    figure = plotting.phase_map_plot(MOST, {"Au": MU[1:]}, "energy")
    values, _ = tiles(figure)
    assert np.ma.getmaskarray(values).ravel().tolist() == [True] + 8 * [False]
    np.testing.assert_allclose(values.compressed(), MOST.energy.mean(axis=1) / 4)
    assert figure.axes[1].get_ylabel() == "energy (eV per prim)"
    assert saved(figure, tmp_path)


@pytest.mark.parametrize(("quantity", "label"), [("heat_capacity", "heat capacity (kB per prim)"), ("size", "size")])
def test_heat_capacities_and_observables_have_maps(quantity, label):
    figure = plotting.phase_map_plot(ALL, {"Au": MU}, quantity)
    of_size = ALL.observables["size"].mean(axis=1)
    wanted = of_size if quantity == "size" else [found.value for found in ALL.heat_capacity().values()]
    np.testing.assert_allclose(tiles(figure)[0].ravel(), wanted)
    assert figure.axes[1].get_ylabel() == label


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plotting.phase_map_plot(ALL, {"Au": MU}, "pressure"), "`quantity` must be one of"),
        (lambda: plotting.phase_map_plot(ALL, {"Au": MU}, "short_range_order"), "`quantity` must be one of"),
        (lambda: plotting.phase_map_plot(ALL, {"Au": 0.0}, "Au"), "two chemical potentials at least, but has 3 and 1"),
        (lambda: plotting.phase_map_plot(ALL, {"Au": np.repeat([0, 1], [4, 5])}, "Au"), "differ in something else"),
        (lambda: plotting.phase_map_plot(ALL, {"Au": MU}, "heat_capacity", 38), "no condition has an estimate"),
    ],
)
def test_what_is_no_map_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
