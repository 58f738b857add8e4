"""Weights, bounds and coverage on distributions that can be written down."""

import math

import ase.units
import numpy as np
import pytest

from jaxce.diffusion import (
    coverage,
    effective_sample_fraction,
    elbo,
    entropic_mode_coverage,
    eubo,
    forward_kl,
    jensen_shannon,
    log_importance_weights,
    log_z_estimate,
    reverse_kl,
)

# Four states: energies in eV, a temperature of 1 eV, the probabilities of a sampler.
ENERGIES = np.array([-0.7, 0.0, 0.4, 1.1])
KELVIN = 1 / ase.units.kB
PROPOSAL = np.array([0.4, 0.3, 0.2, 0.1])
LOG_Z = math.log(np.sum(np.exp(-ENERGIES)))
TARGET = np.exp(-ENERGIES - LOG_Z)


def weights_of(states):
    return log_importance_weights(np.log(PROPOSAL[states]), ENERGIES[states], KELVIN)


def test_bounds_and_log_z_are_those_of_the_sums():
    rng = np.random.default_rng(0)
    drawn, right = rng.choice(4, 40_000, p=PROPOSAL), rng.choice(4, 40_000, p=TARGET)
    own, reference = weights_of(drawn), weights_of(right)
    reverse, forward = (np.sum(p * np.log(p / q)) for p, q in ((PROPOSAL, TARGET), (TARGET, PROPOSAL)))
    for estimate, expected in (
        (log_z_estimate(own), LOG_Z),
        (elbo(own), LOG_Z - reverse),
        (eubo(reference), LOG_Z + forward),
        (reverse_kl(own, LOG_Z), reverse),
        (forward_kl(reference, LOG_Z), forward),
    ):
        assert 0 < estimate.error < 0.01
        assert abs(estimate.value - expected) < 4 * estimate.error
    ratio = TARGET / PROPOSAL
    assert effective_sample_fraction(own) == pytest.approx(1 / np.sum(PROPOSAL * ratio**2), rel=0.01)


def test_errors_of_log_z_are_as_large_as_they_say():
    rng = np.random.default_rng(1)
    estimates = [log_z_estimate(weights_of(rng.choice(4, 500, p=PROPOSAL))) for _ in range(400)]
    scatter = np.std([estimate.value for estimate in estimates], ddof=1)
    assert np.mean([estimate.error for estimate in estimates]) == pytest.approx(scatter, rel=0.15)


def test_large_weights_do_not_overflow():
    logs = np.array([-1e5, -1e5 + math.log(3)])
    assert log_z_estimate(logs).value == pytest.approx(-1e5 + math.log(2), abs=1e-9)
    assert effective_sample_fraction(logs) == pytest.approx(16 / 20)
    assert effective_sample_fraction([0.0, -np.inf]) == 0.5


def test_chemical_potentials_and_temperatures_are_one_per_sample():
    kelvin, work = np.array([500.0, 1000.0]), np.array([0.1, 0.3])
    found = log_importance_weights([-1.0, -2.0], [0.5, 0.25], kelvin, work)
    expected = [1 - 0.4 / (ase.units.kB * 500), 2 + 0.05 / (ase.units.kB * 1000)]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_lost_mode_shows_in_coverage_and_forward_divergence_but_not_in_effective_samples():
    # Two equal modes of two states each; the sampler is exact in the first and never reaches the second.
    energies, q = np.array([0.0, 0.5, 0.0, 0.5]), np.exp([0.0, -0.5, -np.inf, -np.inf])
    q /= q.sum()
    rng = np.random.default_rng(2)
    drawn = rng.choice(4, 1000, p=q)
    own = log_importance_weights(np.log(q[drawn]), energies[drawn], KELVIN)
    assert effective_sample_fraction(own) == pytest.approx(1)
    log_z = math.log(np.sum(np.exp(-energies)))
    assert log_z_estimate(own).value == pytest.approx(log_z - math.log(2))
    assert reverse_kl(own, log_z_estimate(own)).value == pytest.approx(0, abs=1e-12)
    assert reverse_kl(own, log_z).value == pytest.approx(math.log(2))
    with np.errstate(divide="ignore"):
        reference = log_importance_weights(np.log(q), energies, KELVIN)
    assert eubo(reference).value == np.inf
    assert forward_kl(reference, log_z).value == np.inf
    in_modes = np.bincount(drawn // 2, minlength=2)
    assert coverage(in_modes, [1, 1]) == 0.5
    assert entropic_mode_coverage(in_modes) == 0


def test_coverage_counts_modes_with_half_of_their_weight_by_their_weight():
    assert coverage([10, 20, 70], [10, 20, 70]) == pytest.approx(1)
    assert coverage([0.06, 0.09, 0.85], [0.1, 0.2, 0.7]) == pytest.approx(0.8)
    assert coverage([0.06, 0.09, 0.85], [0.1, 0.2, 0.7], share=0.4) == pytest.approx(1)
    assert entropic_mode_coverage([3, 3, 3]) == pytest.approx(1)
    assert entropic_mode_coverage([1, 1, 0, 0]) == pytest.approx(0.5)
    assert math.isnan(entropic_mode_coverage([5]))


def test_jensen_shannon_divergence_is_0_for_equal_and_ln_2_for_disjoint_histograms():
    assert jensen_shannon([1, 2, 3], [10, 20, 30]) == pytest.approx(0, abs=1e-15)
    assert jensen_shannon([1, 0, 0], [0, 2, 3]) == pytest.approx(math.log(2), abs=1e-15)
    # 0.5 ln(1 / 0.75) + 0.5 (0.5 ln(0.5 / 0.75) + 0.5 ln(0.5 / 0.25))
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(0.21576155433883565, abs=1e-15)
    assert jensen_shannon([1, 1], [1, 0]) == pytest.approx(0.21576155433883565, abs=1e-15)


def test_jensen_shannon_divergence_of_samples_falls_to_its_known_bias():
    # Of n samples each from one distribution, 8 n JSD is distributed as 2 chi-square with bins - 1 degrees of freedom.
    rng = np.random.default_rng(3)
    found = [jensen_shannon(*rng.multinomial(2000, np.full(20, 0.05), 2)) for _ in range(200)]
    assert np.mean(found) == pytest.approx(2 * 19 / (8 * 2000), rel=0.08)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_sample_fraction([0.0, np.nan]), "1 are NaN"),
        (lambda: log_z_estimate([-np.inf, -np.inf]), "not all -inf"),
        (lambda: elbo([]), "must be numbers"),
        (lambda: log_importance_weights([0.0], [1.0], 0.0), "must be positive"),
        (lambda: log_importance_weights([0.0, 1.0], [1.0, 2.0, 3.0], 300.0), "broadcast"),
        (lambda: log_importance_weights([np.nan], [1.0], 300.0), "are NaN"),
        (lambda: jensen_shannon([1, 2], [1, 2, 3]), "same bins"),
        (lambda: jensen_shannon([0, 0], [1, 2]), "not all 0"),
        (lambda: coverage([1, -1], [1, 2]), "not negative"),
        (lambda: coverage([1, 1], [1, 2, 3]), "same modes"),
    ],
    ids=["NaN weight", "all dead", "no sample", "0 K", "shapes", "NaN", "bins", "empty", "negative", "modes"],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
