"""Runs that stop when averages are precise; whether they are as precise as they say."""

import ase.units
import jax
import numpy as np
import pytest

import jaxce
from jaxce.sampling import chunks

FCC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
KELVIN = 1000.0


@pytest.fixture(scope="module")
def alloy():
    space = jaxce.ClusterSpace(FCC, {2: 3.0})
    return jaxce.build_hamiltonian(jaxce.ClusterExpansion(space, [0.0, 0.01, 0.03]), jaxce.Supercell(FCC, 2))


def run(hamiltonian, until, seed=1, num_chains=4, num_sweeps=4000, temperature=KELVIN, **keywords):
    start = np.tile(np.array([0, 1, 0, 1, 0, 1, 0, 1], dtype=np.int8), (num_chains, 1))
    return jaxce.run_monte_carlo(
        jax.random.key(seed), hamiltonian, start, jaxce.SemiGrand({"Au": 0.02}), temperature=temperature,
        num_sweeps=num_sweeps, sample_every=2, until=until, **keywords,
    )  # fmt: skip


def num_gold(occupancy):
    return occupancy.astype(float).sum(axis=1)


WANTED = {"energy": 0.0015, "Au": 0.06}


@pytest.fixture(scope="module")
def stopped(alloy):
    return run(alloy, WANTED)


def test_a_run_stops_as_soon_as_it_is_precise(alloy, stopped):
    assert stopped.is_precise is True
    assert stopped.num_sweeps < 4000
    assert stopped.energy.shape == (4, stopped.num_sweeps // 2)
    # The numbers of samples at which averages are judged.
    times = [100]
    while times[-1] < 2000:
        times.append(int(np.ceil(1.25 * times[-1])))
    assert stopped.energy.shape[1] in times
    table = stopped.precision
    assert table.index.get_level_values("quantity").tolist() == ["energy", "Au"]
    assert np.all(table["mcse"] <= list(WANTED.values()))
    assert np.all(table["r_hat"] < 1.05)
    # At the time before, it was not precise.
    assert stopped.energy.shape[1] > 100
    before = times[times.index(stopped.energy.shape[1]) - 1]
    with pytest.warns(UserWarning, match="not reached"):
        assert run(alloy, WANTED, num_sweeps=2 * before).is_precise is False


@pytest.mark.parametrize(("seconds", "most_samples"), [(0.0, 256), (0.0, 8), (1e9, 64)])
def test_where_a_run_stops_does_not_depend_on_how_it_is_cut(alloy, stopped, monkeypatch, seconds, most_samples):
    monkeypatch.setattr(chunks, "_CALL_SECONDS", seconds)
    monkeypatch.setattr(chunks, "_MOST_SAMPLES", most_samples)
    again = run(alloy, WANTED)
    np.testing.assert_array_equal(again.energy, stopped.energy)
    np.testing.assert_array_equal(again.occupancy, stopped.occupancy)


def test_an_error_that_is_not_reached_is_said(alloy):
    with pytest.warns(UserWarning, match=r"error of Au \(condition 0\).*wanted 1e-06"):
        result = run(alloy, {"energy": 10.0, "Au": 1e-6}, num_sweeps=300)
    assert result.is_precise is False
    assert result.num_sweeps == 300
    assert result.precision["is_precise"].tolist() == [True, False]
    # All samples are judged at the end, not those of the last judgement on the way.
    mcse = result.precision.loc[(0, "Au"), "mcse"]
    start = int(result.precision.loc[(0, "Au"), "start"])
    row = result.summary(drop=start).loc[(0, "Au")]
    assert mcse == pytest.approx(row["mcse"], rel=1e-12)


def test_a_run_that_becomes_precise_at_its_very_end_says_so(alloy):
    """150 samples are at no time at which averages are judged on the way."""
    result = run(alloy, jaxce.Precision({"energy": 10.0}, min_samples=140), num_sweeps=300)
    assert result.is_precise is True
    assert result.num_sweeps == 280
    result = run(alloy, jaxce.Precision({"energy": 10.0}, min_samples=151), num_sweeps=300)
    assert result.is_precise is True
    assert result.num_sweeps == 300


def test_without_a_wanted_precision_nothing_is_judged(alloy):
    result = run(alloy, None, num_sweeps=20)
    assert result.is_precise is None
    assert result.precision is None


def test_a_run_that_stopped_early_is_read_back(alloy, stopped, tmp_path, monkeypatch):
    first = run(alloy, WANTED, folder=tmp_path)
    np.testing.assert_array_equal(first.energy, stopped.energy)

    def fail(*arguments):
        raise AssertionError("the run went on")

    monkeypatch.setattr(chunks, "_call", fail)
    again = run(alloy, WANTED, folder=tmp_path)
    np.testing.assert_array_equal(again.energy, first.energy)
    assert again.is_precise is True
    assert again.num_sweeps == first.num_sweeps


def test_a_run_that_stopped_early_goes_on_for_a_smaller_error(alloy, tmp_path):
    first = run(alloy, WANTED, folder=tmp_path)
    smaller = {"energy": 0.001, "Au": 0.04}
    longer = run(alloy, smaller, folder=tmp_path)
    assert longer.num_sweeps > first.num_sweeps
    np.testing.assert_array_equal(longer.energy, run(alloy, smaller).energy)


def test_chains_in_unlike_conditions_are_judged_apart(alloy):
    """All chains together would disagree, and hot ones are precise before cold ones."""
    kelvin = np.repeat([5000.0, 600.0], 4)
    result = run(alloy, {"energy": 0.002}, num_chains=8, temperature=kelvin)
    assert result.is_precise is True
    assert sorted(result.precision.index.get_level_values("condition")) == [0, 1]
    assert np.ptp(result.precision["mean"]) > 0.015
    assert np.all(result.precision["mcse"] <= 0.002)


def test_rungs_are_judged_apart(alloy):
    start = np.tile(np.array([0, 1, 0, 1, 0, 1, 0, 1], dtype=np.int8), (2, 1))
    result = jaxce.run_tempering(
        jax.random.key(0), alloy, start, jaxce.SemiGrand(), temperatures=[600.0, 1200.0, 5000.0], num_sweeps=4000,
        until={"energy": 0.01},
    )  # fmt: skip
    assert result.is_precise is True
    assert result.energy.shape[2] < 4000
    assert result.chains.precision.index.get_level_values("condition").tolist() == [0, 1, 2]


def test_observables_are_judged_too(alloy):
    result = run(alloy, {"num_gold": 0.1}, observables=[num_gold])
    np.testing.assert_array_equal(result.observables["num_gold"], result.counts[..., 1])
    assert result.is_precise is True
    assert result.precision.index.get_level_values("quantity").tolist() == ["num_gold"]


@pytest.mark.slow
def test_reported_errors_are_honest(alloy):
    """Over many runs the deviation from the exact mean is as large as the error says."""
    states = (np.arange(256)[:, None] >> np.arange(8)) & 1
    energies, gold = np.asarray(jaxce.energy(alloy, states)), states.sum(axis=1)
    weights = np.exp(-(energies - 0.02 * gold) / (ase.units.kB * KELVIN))
    exact = {"energy": np.average(energies, weights=weights), "Au": np.average(gold, weights=weights)}
    runs = [run(alloy, WANTED, seed=seed) for seed in range(24)]
    for name, mean in exact.items():
        rows = [result.precision.loc[(0, name)] for result in runs]
        scores = np.array([(row["mean"] - mean) / row["mcse"] for row in rows])
        # A chi-square of 24 numbers: within this range in 999 of 1000 cases. Stopping early when the error looks small
        # makes it a little too small.
        assert 0.55 < np.sqrt(np.mean(scores**2)) < 1.6
        assert abs(scores.mean()) < 4 / np.sqrt(24)


def test_what_cannot_be_wanted_is_refused(alloy):
    for errors in ({}, {"energy": 0.0}, {"energy": -1.0}, {"energy": np.nan}, {"energy": np.inf}):
        with pytest.raises(ValueError, match="positive standard errors"):
            jaxce.Precision(errors)
    with pytest.raises(ValueError, match="min_samples"):
        jaxce.Precision({"energy": 1.0}, min_samples=7)
    with pytest.raises(ValueError, match=r"\['Ag'\].*\['energy', 'Cu', 'Au', 'num_gold'\]"):
        run(alloy, {"Ag": 0.1}, observables=[num_gold])
    # What is accumulated leaves no trace to judge.
    with pytest.raises(ValueError, match="num_gold"):
        run(alloy, {"num_gold": 0.1}, observables=[jaxce.Moments(num_gold)])
