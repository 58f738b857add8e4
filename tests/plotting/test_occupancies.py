import numpy as np
import pytest
from matplotlib.colors import to_hex

import jaxce
from figures import legend, offsets, saved
from jaxce import plotting

# Cubes of edge 3 and 4 angstrom; the second site is half way up.
PRIM = jaxce.Prim(np.diag([3.0, 3.0, 4.0]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Cu", "Au"], ["O", "X"]])
CELL = jaxce.Supercell(PRIM, (2, 3, 2))
OCCUPANCY = np.zeros(24, dtype=int)
# One gold atom at (3, 6, 0) and one vacancy at (1.5, 1.5, 6) angstrom.
OCCUPANCY[[CELL.site_index(0, np.array([1, 2, 0])), CELL.site_index(1, np.array([0, 0, 1]))]] = 1


def circles(axes):
    return {c.get_label(): offsets(c) for c in axes.collections}


def test_slice_shows_the_species_of_a_plane_where_they_are(tmp_path):
    figure = plotting.occupancy_slice_plot(CELL, OCCUPANCY)
    (axes,) = figure.axes
    found = circles(axes)
    assert {name: len(places) for name, places in found.items()} == {"Cu": 5, "Au": 1}
    np.testing.assert_allclose(found["Au"], [[3, 6]], atol=1e-9)
    np.testing.assert_allclose(sorted(map(tuple, found["Cu"])), [(0, 0), (0, 3), (0, 6), (3, 0), (3, 3)], atol=1e-9)
    assert legend(axes) == ["Cu", "Au"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("along supercell vector 1 (Å)", "at right angles to it (Å)")
    assert axes.get_title() == "plane at 0 of supercell vector 3"
    np.testing.assert_allclose(axes.patches[0].get_xy()[:4], [[0, 0], [6, 0], [6, 9], [0, 9]])
    assert saved(figure, tmp_path)


def test_vacancies_are_white_and_named():
    (axes,) = plotting.occupancy_slice_plot(CELL, OCCUPANCY, 2, 0.75, title="oxygen").axes
    np.testing.assert_allclose(circles(axes)["X"], [[1.5, 1.5]], atol=1e-9)
    assert legend(axes) == ["O", "X (vacancy)"]
    colours = {c.get_label(): to_hex(c.get_facecolor()[0]) for c in axes.collections}
    assert colours["X"] == "#ffffff" != colours["O"]
    assert axes.get_title() == "oxygen"


def test_positions_are_periodic_and_other_axes_can_be_cut():
    (axes,) = plotting.occupancy_slice_plot(CELL, OCCUPANCY, 0, 1.5).axes
    # At 3 angstrom along the first vector; horizontal is the second.
    np.testing.assert_allclose(circles(axes)["Au"], [[6, 0]], atol=1e-9)
    assert axes.get_xlabel() == "along supercell vector 2 (Å)"


def test_planes_of_oblique_cells_are_drawn_true_to_scale():
    fcc = jaxce.Prim([[0, 2, 2], [2, 0, 2], [2, 2, 0]], [[0, 0, 0]], [["Cu", "Au"]])
    cell = jaxce.Supercell(fcc, [[2, 0, 0], [0, 2, 0], [1, 1, 3]])
    (axes,) = plotting.occupancy_slice_plot(cell, np.zeros(cell.num_sites, int)).axes
    places = circles(axes)["Cu"]
    assert len(places) == 4
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    # A plane (111): every atom touches its neighbours, at the distance of fcc.
    assert apart[apart > 0].min() == pytest.approx(np.sqrt(8))


def test_more_species_than_colours_are_hatched(tmp_path):
    names = ["Cu", "Au", "Ag", "Pd", "Pt", "Ni", "Fe", "Co", "Rh", "Ir"]
    cell = jaxce.Supercell(jaxce.Prim(np.eye(3), [[0, 0, 0]], [names]), (5, 2, 1))
    figure = plotting.occupancy_slice_plot(cell, np.arange(10))
    looks = {(to_hex(c.get_facecolor()[0]), c.get_hatch()) for c in figure.axes[0].collections}
    assert len(looks) == 10
    assert saved(figure, tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plotting.occupancy_slice_plot(CELL, OCCUPANCY[None]), "one occupancy of 24 integers"),
        (lambda: plotting.occupancy_slice_plot(CELL, OCCUPANCY + 2), "species codes"),
        (lambda: plotting.occupancy_slice_plot(CELL, OCCUPANCY, 3), "`axis` must be 0, 1 or 2"),
        (lambda: plotting.occupancy_slice_plot(CELL, OCCUPANCY, 2, 0.1), r"sites are at \[0.0, 0.25, 0.5, 0.75\]"),
        (lambda: plotting.occupancy_slice_plot(CELL, OCCUPANCY, 2, np.nan), "`position` and `tolerance`"),
    ],
)
def test_bad_planes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
