import numpy as np
import pytest

from figures import legend_of_figure, saved
from jaxce import plotting
from jaxce.sampling.diagnostics import mean
from runs import NUM_PRIMS, monte_carlo_result, tempering_result

# Two chains of each temperature, numbered from the hot end, as runs do.
LINE = monte_carlo_result([400, 400, 800, 800, 1200, 1200], [2, 2, 1, 1, 0, 0])
# Two temperatures and three chemical potentials, one chain each.
KELVIN, MU = (values.ravel() for values in np.meshgrid([400.0, 800.0], [-0.2, 0.0, 0.3], indexing="ij"))
GRID = monte_carlo_result(KELVIN, [3, 4, 5, 0, 1, 2])


def drawn(axes):
    """`[lines]` of `[points, (x, y, lower end, upper end)]`."""
    found = []
    for container in axes.containers:
        ends = np.array(container[2][0].get_segments())[:, :, 1]
        found.append(np.column_stack([container[0].get_xydata(), ends]))
    return found


def expected(x, estimates):
    return [[x, e.value, e.value - e.error, e.value + e.error] for x, e in zip(x, estimates, strict=True)]


def test_heat_capacity_is_drawn_with_errors_from_cold_to_hot(tmp_path):
    figure = plotting.heat_capacity_plot(LINE, 10, title="title")
    (axes,) = figure.axes
    (line,) = drawn(axes)
    found = LINE.heat_capacity(10)
    np.testing.assert_allclose(line, expected([400, 800, 1200], [found[2], found[1], found[0]]))
    assert np.all(line[:, 3] > line[:, 2])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("temperature (K)", "heat capacity (kB per prim)")
    assert (axes.get_title(), figure.legends) == ("title", [])
    assert saved(figure, tmp_path)


def test_composition_of_species_that_vary_is_drawn_per_prim():
    figure = plotting.composition_plot(LINE, 10)
    (axes,) = figure.axes
    assert legend_of_figure(figure) == ["Cu", "Au"]
    gold = LINE.counts[2:4, 10:, 1] / NUM_PRIMS
    np.testing.assert_allclose(drawn(axes)[1][1], expected([800], [mean(gold)])[0])
    assert axes.get_ylabel() == "composition (sites per prim)"


def test_against_chemical_potential_each_temperature_has_a_curve_and_each_species_a_panel(tmp_path):
    figure = plotting.composition_plot(GRID, chemical_potential={"Au": MU}, title="Cu-Au")
    upper, lower = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["Cu-Au: Cu", "Cu-Au: Au"]
    assert legend_of_figure(figure) == ["400 K", "800 K"]
    np.testing.assert_allclose(
        drawn(lower)[1], expected([-0.2, 0, 0.3], [mean(c) for c in GRID.counts[3:, None, :, 1] / 4])
    )
    assert lower.get_xlabel() == "chemical potential of Au (eV per atom)"
    looks = {(c[0].get_color(), c[0].get_marker()) for c in upper.containers}
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 2
    assert saved(figure, tmp_path)


def test_against_temperature_each_chemical_potential_has_a_curve():
    figure = plotting.heat_capacity_plot(GRID, chemical_potential={"Au": MU}, against="temperature")
    assert legend_of_figure(figure) == ["μ(Au) = -0.2 eV", "μ(Au) = 0 eV", "μ(Au) = 0.3 eV"]
    found = GRID.heat_capacity()
    np.testing.assert_allclose(drawn(figure.axes[0])[2], expected([400, 800], [found[5], found[2]]))


def test_curves_that_look_alike_in_the_legend_are_all_drawn():
    run = monte_carlo_result([500, 500.0001, 800, 800.0001], [0, 1, 2, 3])
    figure = plotting.heat_capacity_plot(run, chemical_potential={"Au": [0.0, 0.0, 0.1, 0.1]})
    assert len(figure.axes[0].containers) == 4


def test_short_range_order_has_a_curve_for_each_shell_of_unlike_species():
    figure = plotting.short_range_order_plot(LINE, 5)
    (axes,) = figure.axes
    assert legend_of_figure(figure) == ["Cu-Au, 2.70 Å", "Cu-Au, 3.80 Å"]
    values = LINE.observables["short_range_order"][:2, 5:, 1, 1]
    np.testing.assert_allclose(drawn(axes)[1][0], expected([400], [mean(values)])[0])
    assert axes.get_ylabel() == "Warren-Cowley parameter"
    named = plotting.short_range_order_plot(LINE, pairs=["Au-Au"])
    assert legend_of_figure(named) == ["Au-Au, 2.70 Å", "Au-Au, 3.80 Å"]


def test_conditions_whose_trace_is_not_finite_are_left_out(tmp_path):
    trace = LINE.energy.copy()
    trace[0, 3] = np.nan
    figure = plotting.mean_plot(LINE, {"mine": trace}, "mine (eV)")
    (container,) = figure.axes[0].containers
    assert np.isnan(container[0].get_ydata()).tolist() == [True, False, False]
    assert saved(figure, tmp_path)


def test_a_trace_without_value_in_some_samples_of_each_condition_is_refused_with_the_reason():
    trace = LINE.energy.copy()
    trace[::2, 3] = np.nan
    with pytest.raises(ValueError, match=r"no condition has a value in all its samples \(1\.25% have none\)"):
        plotting.mean_plot(LINE, {"mine": trace}, "mine (eV)")


def test_tempering_takes_a_chemical_potential_for_each_rung():
    result = tempering_result([300, 600, 900], 2)
    figure = plotting.heat_capacity_plot(result, chemical_potential={"Au": [0.1, 0.2, 0.3]}, against="temperature")
    assert legend_of_figure(figure) == ["μ(Au) = 0.1 eV", "μ(Au) = 0.2 eV", "μ(Au) = 0.3 eV"]
    (axes,) = plotting.heat_capacity_plot(result).axes
    np.testing.assert_allclose(drawn(axes)[0], expected([300, 600, 900], result.heat_capacity()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plotting.heat_capacity_plot(LINE, 40), "be 0 to 39, not 40"),
        (lambda: plotting.heat_capacity_plot(LINE, -1), "`drop` must leave"),
        (lambda: plotting.heat_capacity_plot(LINE, 38), "no condition has an estimate of the heat capacity"),
        (lambda: plotting.heat_capacity_plot(LINE, against="pressure"), "`against` must be one of"),
        (lambda: plotting.heat_capacity_plot(LINE, against="chemical_potential"), "`against` must be one of"),
        (lambda: plotting.heat_capacity_plot(GRID), r"conditions have the same temperature .*'Au': mu"),
        (lambda: plotting.heat_capacity_plot(GRID, chemical_potential={"Au": MU, "Cu": MU}), "of one species"),
        (lambda: plotting.heat_capacity_plot(GRID, chemical_potential={"Au": MU[:4]}), r"has shape \(4,\)"),
        (lambda: plotting.heat_capacity_plot(LINE, chemical_potential={"Au": MU}), "have unlike chemical potentials"),
        (lambda: plotting.composition_plot(LINE, species=["Ag"]), r"but are \['Ag'\]"),
        (lambda: plotting.short_range_order_plot(LINE, observable="size"), "no trace of short-range order"),
        (lambda: plotting.short_range_order_plot(LINE, pairs=["Cu-Ag"]), "`pairs` must be some of"),
        (lambda: plotting.mean_plot(LINE, {"mine": LINE.energy[:2]}, "mine"), r"must be \[chains, samples\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
