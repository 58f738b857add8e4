import numpy as np
import pytest

from figures import legend_of_figure, saved
from jaxce import plotting
from runs import monte_carlo_result, tempering_result

RUN = monte_carlo_result([400, 400, 800], [1, 1, 0])


def test_energy_trace_shows_every_chain_by_condition_and_what_is_dropped(tmp_path):
    figure = plotting.energy_trace_plot(RUN, 8, title="title")
    (axes,) = figure.axes
    assert legend_of_figure(figure) == ["dropped", "400 K", "800 K"]
    np.testing.assert_allclose(np.array([line.get_ydata() for line in axes.lines]), RUN.energy / 4)
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.arange(5, 205, 5))
    first, second, hot = (line.get_color() for line in axes.lines)
    assert first == second != hot
    # The eighth sample is after sweep 40.
    assert axes.patches[0].get_extents().transformed(axes.transData.inverted()).x1 == pytest.approx(40)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sweeps", "energy (eV per prim)")
    assert saved(figure, tmp_path)


def test_of_many_conditions_eight_are_named_from_cold_to_hot():
    kelvin = np.linspace(1200, 100, 23)
    figure = plotting.energy_trace_plot(monte_carlo_result(kelvin, np.arange(23)))
    names = legend_of_figure(figure)
    assert (len(names), names[0], names[-1]) == (8, "100 K", "1200 K")
    assert len({tuple(line.get_color()) for line in figure.axes[0].lines}) == 23


def test_conditions_of_one_temperature_are_told_apart():
    run = monte_carlo_result([500, 500], [0, 1])
    assert legend_of_figure(plotting.energy_trace_plot(run)) == ["condition 0, 500 K", "condition 1, 500 K"]
    known = plotting.energy_trace_plot(run, chemical_potential={"Au": [0.1, -0.2]})
    assert legend_of_figure(known) == ["500 K, μ(Au) = -0.2 eV", "500 K, μ(Au) = 0.1 eV"]
    with pytest.raises(ValueError, match="`drop` must leave"):
        plotting.energy_trace_plot(run, 40)


def test_round_trips_and_exchanges_are_drawn_by_rung(tmp_path):
    result = tempering_result([300, 500, 900], 2, exchange_rate=np.array([0.25, np.nan]))
    figure = plotting.round_trip_plot(result, "title")
    upper, lower = figure.axes
    np.testing.assert_allclose(upper.lines[0].get_xydata(), [[1.5, 0.25], [2.5, np.nan]])
    np.testing.assert_allclose([bar.get_height() for bar in lower.patches], result.round_trips.mean(axis=0))
    places, trips = lower.lines[0].get_xydata().T
    np.testing.assert_allclose(places.round(), [1, 2, 3, 1, 2, 3])
    np.testing.assert_array_equal(trips, result.round_trips.ravel())
    assert lower.get_ylabel() == "round trips in 200 sweeps"
    (scale,) = upper.child_axes
    assert [text.get_text() for text in scale.get_xticklabels()] == ["300", "500", "900"]
    assert (scale.get_xlabel(), upper.get_ylabel()) == ("temperature (K)", "accepted exchanges (fraction)")
    assert legend_of_figure(figure) == ["each ladder", "mean of ladders"]
    assert saved(figure, tmp_path)


def test_one_ladder_without_round_trips_is_drawn(tmp_path):
    result = tempering_result(np.linspace(300, 900, 12), 1, round_trips=np.zeros((1, 12), int))
    assert saved(plotting.round_trip_plot(result), tmp_path)
