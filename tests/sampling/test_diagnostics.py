"""Statistics of samples against series whose correlations, means and variances are known."""

import math

import ase.units
import numpy as np
import pytest
from scipy.signal import lfilter

from jaxce.sampling.diagnostics import (
    Estimate,
    autocorrelation_time,
    effective_sample_size,
    find_equilibration,
    heat_capacity,
    is_precise,
    mean,
    monte_carlo_standard_error,
    split_r_hat,
    summarize,
    susceptibility,
    to_datatree,
)

NUM_REPEATS = 200
TEMPERATURE = 600.0
THERMAL_ENERGY = ase.units.kB * TEMPERATURE


def autoregressive(rng, num_chains, num_draws, factor):
    """`[chains, draws]` stationary series of mean 0 and variance 1 with autocorrelation factor**lag."""
    noise = rng.normal(size=(num_chains, num_draws))
    noise[:, 0] /= math.sqrt(1 - factor**2)
    return lfilter([1], [1, -factor], noise) * math.sqrt(1 - factor**2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9])
def test_autocorrelation_time_and_effective_sample_size_are_those_of_an_autoregressive_series(rng, factor):
    series = [autoregressive(rng, 4, 5000, factor) for _ in range(20)]
    # Sum of factor**|lag| over all lags. One estimate scatters by 10 % or so, for the noise of the lags it sums over.
    expected = (1 + factor) / (1 - factor)
    assert np.mean([autocorrelation_time(values) for values in series]) == pytest.approx(expected, rel=0.1)
    assert np.mean([effective_sample_size(values) for values in series]) == pytest.approx(20_000 / expected, rel=0.1)


def test_antithetic_samples_have_an_autocorrelation_time_of_one(rng):
    values = autoregressive(rng, 4, 1000, -0.5)
    assert effective_sample_size(values) > values.size
    assert autocorrelation_time(values) == 1


@pytest.mark.parametrize("num_chains", [1, 4])
def test_errors_of_means_are_calibrated(rng, num_chains):
    estimates = [mean(3 + autoregressive(rng, num_chains, 2000, 0.8)) for _ in range(NUM_REPEATS)]
    scores = [(estimate.value - 3) / estimate.error for estimate in estimates]
    assert 0.85 < np.std(scores) < 1.15
    assert abs(np.mean(scores)) < 4 / math.sqrt(NUM_REPEATS)


def test_offset_and_unit_change_no_statistic(rng):
    values = autoregressive(rng, 4, 500, 0.5)
    # A millionth of an eV upon the energy of a large supercell: the offset costs six digits of sixteen.
    moved = -1e5 + 1e-6 * values
    for statistic in (effective_sample_size, autocorrelation_time, split_r_hat):
        assert statistic(moved) == pytest.approx(statistic(values), rel=1e-3)
    assert monte_carlo_standard_error(moved) == pytest.approx(1e-6 * monte_carlo_standard_error(values), rel=1e-3)
    assert monte_carlo_standard_error(1e-20 * values) == pytest.approx(1e-20 * monte_carlo_standard_error(values))


@pytest.mark.parametrize("num_chains", [1, 4])
def test_split_r_hat_of_stationary_chains_is_one(rng, num_chains):
    assert 0.999 < split_r_hat(autoregressive(rng, num_chains, 4000, 0.5)) < 1.01


def test_split_r_hat_flags_a_shifted_chain(rng):
    values = autoregressive(rng, 4, 1000, 0.5)
    values[2] += 1
    assert split_r_hat(values) > 1.05


def test_split_r_hat_flags_chains_of_unlike_spread(rng):
    values = autoregressive(rng, 4, 1000, 0.5)
    values[2] *= 3
    assert split_r_hat(values) > 1.05


def test_split_r_hat_flags_a_drift_of_a_single_chain(rng):
    values = autoregressive(rng, 1, 1000, 0.5) + np.linspace(0, 2, 1000)
    assert split_r_hat(values) > 1.05


def test_split_r_hat_of_two_valued_series_is_a_number(rng):
    # All samples are at one distance from the median.
    values = np.tile([0.0, 1.0], (4, 50))
    # R-hat of equal halves of n draws is the square root of (n - 1) / n.
    assert split_r_hat(values) == pytest.approx(math.sqrt(49 / 50))


def test_frozen_chains_in_unlike_states_have_infinite_r_hat_and_few_effective_samples():
    values = np.repeat([[0.0], [1.0], [3.0]], 100, axis=1)
    assert split_r_hat(values) == math.inf
    assert effective_sample_size(values) < 6
    assert monte_carlo_standard_error(values) > 0.4


# With a tenth, sums of equal numbers are not exact; the last are equal within rounding.
@pytest.mark.parametrize("values", [np.zeros((3, 100)), np.full((3, 101), 0.1), -3e4 + np.tile([0, 4e-12], (3, 50))])
def test_constant_series_have_no_error_and_have_converged(values):
    assert effective_sample_size(values) == values.size
    assert split_r_hat(values) == 1
    assert autocorrelation_time(values) == 1
    assert mean(values) == (values[0, 0], 0)
    assert find_equilibration(values) == 0
    assert heat_capacity(values, TEMPERATURE, 1) == (0, 0)
    assert summarize({"energy": values})["sd"].item() == 0


def test_series_whose_halves_are_constant_give_numbers():
    # The draw in the middle of an odd number belongs to no half.
    values = np.array([[0.0, 0, 1, 0, 0], [0, 0, 2, 0, 0]])
    assert split_r_hat(values) == 1
    assert np.isfinite([*mean(values), effective_sample_size(values)]).all()


@pytest.mark.parametrize("num_draws", [1, 3])
def test_fewer_than_four_draws_give_nan(rng, num_draws):
    values = rng.normal(size=(4, num_draws))
    for statistic in (effective_sample_size, autocorrelation_time, split_r_hat, monte_carlo_standard_error):
        assert math.isnan(statistic(values))
        assert math.isnan(statistic(np.zeros_like(values)))
    assert find_equilibration(values) == 0
    assert np.isnan(heat_capacity(values, TEMPERATURE, 1)).all()
    assert mean(values).value == pytest.approx(np.mean(values))
    assert len(summarize({"energy": values})) == 1
    assert not is_precise({"energy": values}, {"energy": 1e9})[0]


def test_few_draws_give_numbers_from_four_on(rng):
    for num_draws in range(4, 12):
        values = rng.normal(size=(2, num_draws))
        assert np.isfinite([*mean(values), split_r_hat(values), *heat_capacity(values, TEMPERATURE, 1)]).all()
        assert find_equilibration(values) <= num_draws // 2
        assert math.isnan(split_r_hat(values[:1])) == (num_draws < 8)


@pytest.mark.parametrize(
    "statistic",
    [
        effective_sample_size,
        autocorrelation_time,
        split_r_hat,
        monte_carlo_standard_error,
        mean,
        find_equilibration,
        lambda values: heat_capacity(values, TEMPERATURE, 1),
        lambda values: susceptibility(values, TEMPERATURE, 1),
    ],
)
def test_samples_that_are_not_finite_or_have_no_chains_are_refused(statistic):
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            statistic(np.array([[0, 1, number, 2, 3]]))
    with pytest.raises(ValueError, match=r"\[chains, draws"):
        statistic(np.arange(5))
    with pytest.raises(ValueError, match=r"shape is \(2, 0\)"):
        statistic(np.zeros((2, 0)))


@pytest.mark.parametrize("num_chains", [1, 4])
def test_equilibration_of_an_exponential_transient_is_found(rng, num_chains):
    draws = np.arange(2000)
    values = autoregressive(rng, num_chains, 2000, 0.5) + 20 * np.exp(-draws / 60)
    # What is left of the transient is 1.0 after 180 draws and as small as the noise of the mean, 0.02, after 410.
    start = find_equilibration(values)
    assert 180 <= start <= 600
    assert abs(mean(values[:, start:]).value) < 4 * mean(values[:, start:]).error


def test_of_stationary_chains_little_is_dropped(rng):
    starts = [find_equilibration(autoregressive(rng, 4, 500, 0.5)) for _ in range(20)]
    assert np.mean(starts) < 50


def test_of_chains_that_never_equilibrate_about_half_is_dropped():
    assert 45 <= find_equilibration(np.tile(np.linspace(1, 0, 100), (2, 1))) <= 50


def correlated_energies(rng, num_chains, num_draws):
    """Energies with the heat capacity of 0.5 kB per prim in 8 prims, about an energy that is large."""
    spread = THERMAL_ENERGY * math.sqrt(0.5 * 8)
    return -1000 + spread * autoregressive(rng, num_chains, num_draws, 0.8)


# Blocks of one chain, of several, and chains as blocks.
@pytest.mark.parametrize(("num_chains", "num_draws"), [(1, 4000), (4, 2000), (64, 100)])
def test_heat_capacity_and_its_error_are_right_for_correlated_samples(rng, num_chains, num_draws):
    estimates = [
        heat_capacity(correlated_energies(rng, num_chains, num_draws), TEMPERATURE, 8) for _ in range(NUM_REPEATS)
    ]
    found, errors = np.array(estimates).T
    assert abs(found[0] - 0.5) < 4 * errors[0]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / math.sqrt(NUM_REPEATS))
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.std(found), rel=0.3)


def test_heat_capacity_of_few_correlated_samples_is_not_too_small(rng):
    # Sixteen effective samples: the plain variance is too small by a sixteenth or so.
    series = [correlated_energies(rng, 4, 36) for _ in range(1000)]
    found = np.mean([heat_capacity(values, TEMPERATURE, 8).value for values in series])
    plain = np.mean([np.var(values) for values in series]) / (8 * THERMAL_ENERGY**2)
    assert plain < 0.48
    assert found == pytest.approx(0.5, abs=0.015)


def test_heat_capacity_at_fixed_chemical_potentials_leaves_out_the_work(rng):
    energies = correlated_energies(rng, 4, 1000)
    work = 0.3 * rng.integers(0, 3, size=energies.shape)
    fixed = heat_capacity(energies + work, TEMPERATURE, 8, work)
    assert fixed == pytest.approx(heat_capacity(energies, TEMPERATURE, 8))
    assert heat_capacity(energies + work, TEMPERATURE, 8).value > 2 * fixed.value


def test_heat_capacity_of_a_single_short_chain_has_no_error(rng):
    estimate = heat_capacity(autoregressive(rng, 1, 40, 0.95), TEMPERATURE, 8)
    assert estimate.value > 0
    assert math.isnan(estimate.error)


def test_susceptibility_is_the_derivative_of_independent_sites(rng):
    # Sites that are independent hold the species with probability x, so dx/dmu = x (1 - x) / kT.
    counts = rng.binomial(40, 0.3, size=(8, 1000))
    estimate = susceptibility(counts, TEMPERATURE, 20)
    assert abs(estimate.value - 2 * 0.3 * 0.7 / THERMAL_ENERGY) < 4 * estimate.error
    assert estimate.error < 0.05 * estimate.value


def test_wrong_temperatures_prims_and_shapes_are_refused(rng):
    values = rng.normal(size=(2, 10))
    for temperature in (0, -1, math.nan):
        with pytest.raises(ValueError, match="temperature must be positive"):
            heat_capacity(values, temperature, 1)
    with pytest.raises(ValueError, match="number of prims"):
        susceptibility(values, TEMPERATURE, 0)
    with pytest.raises(ValueError, match=r"`work` has shape \(2, 9\)"):
        heat_capacity(values, TEMPERATURE, 1, values[:, 1:])


def test_estimate_reads_as_value_and_error():
    assert str(Estimate(-3200.12345, 0.00234)) == "-3200.1235 +- 0.0023"
    assert str(Estimate(1234.5, 67.8)) == "1234 +- 68"
    assert str(Estimate(2.5, 0.0)) == "2.5 +- 0"
    assert str(Estimate(2.5, math.nan)) == "2.5 +- nan"


def test_summary_compares_only_chains_of_one_condition(rng):
    energy = autoregressive(rng, 5, 2000, 0.5)
    energy[[1, 3]] += 10
    counts = np.stack([energy, 7 - energy], axis=-1)
    table = summarize({"energy": energy, "counts": counts}, [7, 2, 7, 2, 7])
    assert list(table.index) == [(at, name) for at in (2, 7) for name in ("energy", "counts[0]", "counts[1]")]
    assert list(table.columns) == ["mean", "sd", "mcse", "ess", "r_hat", "autocorrelation_time", "num_chains"]
    assert list(table["num_chains"]) == [2, 2, 2, 3, 3, 3]
    assert (table["r_hat"] < 1.02).all()
    row = table.loc[(7, "counts[1]")]
    assert (row["mean"], row["mcse"]) == mean(counts[[0, 2, 4], :, 1])
    assert row["sd"] == pytest.approx(np.std(energy[[0, 2, 4]], ddof=1))
    assert row["ess"] == effective_sample_size(counts[[0, 2, 4], :, 1])
    # As if of one condition, the chains disagree.
    assert (summarize({"energy": energy})["r_hat"] > 1.5).all()


def test_summary_refuses_shapes_that_disagree(rng):
    values = rng.normal(size=(3, 10))
    with pytest.raises(ValueError, match="as many chains"):
        summarize({"energy": values, "counts": values[:2]})
    with pytest.raises(ValueError, match="one integer for each of the 3 chains"):
        summarize({"energy": values}, [0, 1])
    with pytest.raises(ValueError, match="one integer for each of the 3 chains"):
        summarize({"energy": values}, [300.0, 300.0, 600.0])


def test_precision_is_reached_below_the_target_in_every_condition(rng):
    values = autoregressive(rng, 4, 1000, 0.5)
    values[2:] *= 3
    largest = max(monte_carlo_standard_error(values[:2]), monte_carlo_standard_error(values[2:]))
    precise, table = is_precise({"energy": values, "other": values}, {"energy": 1.3 * largest}, [0, 0, 1, 1])
    assert precise
    assert list(table.index) == [(0, "energy"), (1, "energy")]
    precise, table = is_precise({"energy": values}, {"energy": 0.7 * largest}, [0, 0, 1, 1])
    assert not precise
    assert list(table["is_precise"]) == [True, False]


def test_precision_is_judged_after_equilibration(rng):
    values = autoregressive(rng, 4, 2000, 0.5) + 50 * np.exp(-np.arange(2000) / 60)
    assert not monte_carlo_standard_error(values) < 0.1
    precise, table = is_precise({"energy": values}, {"energy": 0.1})
    assert precise
    assert table["start"].item() > 180


def test_chains_that_disagree_are_not_precise(rng):
    values = autoregressive(rng, 4, 1000, 0.5)
    values[3] += 1
    precise, table = is_precise({"energy": values}, {"energy": 100})
    assert not precise
    assert table["r_hat"].item() > 1.05
    assert is_precise({"energy": values}, {"energy": 100}, max_r_hat=2.0)[0]
    # Each its own condition, they have nothing to agree on.
    assert is_precise({"energy": values}, {"energy": 100}, [0, 1, 2, 3])[0]


def test_every_component_has_to_be_precise(rng):
    values = autoregressive(rng, 2, 1000, 0.5)[..., None] * np.array([1, 100])
    precise, table = is_precise({"counts": values}, {"counts": 1})
    assert not precise
    assert list(table["is_precise"]) == [True, False]


def test_targets_without_quantity_or_not_positive_are_refused(rng):
    values = rng.normal(size=(2, 10))
    with pytest.raises(ValueError, match=r"\['enegry'\], but the quantities are \['counts', 'energy'\]"):
        is_precise({"energy": values, "counts": values}, {"enegry": 1})
    with pytest.raises(ValueError, match="targets are given for nothing"):
        is_precise({"energy": values}, {})
    for target in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="target of energy must be a positive"):
            is_precise({"energy": values}, {"energy": target})


def tree_of(rng):
    energy, counts = rng.normal(size=(4, 100)), rng.normal(size=(4, 100, 2))
    groups = {
        "posterior": {"energy": (("chain", "draw"), energy), "counts": (("chain", "draw", "species"), counts)},
        "sample_stats": {"acceptance_rate": (("chain", "draw"), rng.uniform(size=(4, 100)))},
    }
    return to_datatree(groups, {"species": ["Cu", "Au"]}), energy, counts


def test_tree_holds_the_samples_with_labels(rng):
    tree, energy, counts = tree_of(rng)
    assert set(tree.children) == {"posterior", "sample_stats"}
    np.testing.assert_array_equal(tree["posterior"]["energy"], energy)
    np.testing.assert_array_equal(tree["posterior"]["counts"].sel(species="Au"), counts[..., 1])
    assert list(tree["posterior"]["draw"]) == list(range(100))
    assert "species" not in tree["sample_stats"].coords


def test_arviz_reads_the_tree(rng):
    pytest.importorskip("arviz_base", reason="ArviZ reads trees where its package arviz-base is installed")
    import arviz_stats

    tree, energy, counts = tree_of(rng)
    sizes = arviz_stats.ess(tree, method="mean")
    assert float(sizes["energy"]) == pytest.approx(effective_sample_size(energy))
    # Rounding decides on the order of samples that are equally far from the median, and so on ranks.
    r_hat = float(arviz_stats.rhat(tree)["counts"].sel(species="Au"))
    assert r_hat == pytest.approx(split_r_hat(counts[..., 1]), abs=1e-3)
    assert set(arviz_stats.summary(tree).index) == {"energy", "counts[Cu]", "counts[Au]"}


def test_a_series_that_is_not_finite_gives_nan_and_is_not_precise():
    samples = np.random.default_rng(0).normal(size=(4, 50))
    partly = np.where(samples > 2, np.nan, samples)
    table = summarize({"energy": samples, "order": partly})
    assert np.isfinite(table.loc[(0, "energy")]).all()
    assert np.isnan(table.loc[(0, "order"), ["mean", "mcse", "ess", "r_hat"]]).all()
    reached, table = is_precise({"energy": samples, "order": partly}, {"energy": 1.0, "order": 1.0})
    assert not reached
    assert table["is_precise"].tolist() == [True, False]
    for statistic in (summarize, lambda quantities: is_precise(quantities, {"energy": 1.0})):
        with pytest.raises(ValueError, match=r"\[chains, draws"):
            statistic({"energy": np.arange(5)})
        with pytest.raises(ValueError, match=r"shape is \(2, 0\)"):
            statistic({"energy": np.zeros((2, 0))})
