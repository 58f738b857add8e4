"""Evaluation of samples of the 16-site Cu-Au cell, all states of which are known."""

import json
import math

import ase.units
import numpy as np
import pytest

import cuau
import jaxce
from jaxce.diffusion import Yardstick, evaluate, log_importance_weights, ordered_variants

KELVIN = 500.0


class Cell:
    """The cell, its states, their formation energies and Boltzmann probabilities."""

    def __init__(self):
        self.supercell, self.states, bare, _ = cuau.all_states()
        copper = 1 - self.states.mean(axis=1)
        self.energies = bare - copper * bare[-1] - (1 - copper) * bare[0]
        logs = -self.energies / (ase.units.kB * KELVIN)
        self.log_z = float(np.logaddexp.reduce(logs))
        self.log_p = logs - self.log_z
        self.ground_state = self.states[np.argmin(bare)]
        self.tables = jaxce.build_tables(jaxce.datasets.load_cuau_model().space, self.supercell)

    def draw(self, seed, probabilities, number=2000):
        return np.random.default_rng(seed).choice(2**16, number, p=probabilities)


@pytest.fixture(scope="module")
def cell():
    return Cell()


@pytest.fixture(scope="module")
def yardstick(cell):
    edges = np.linspace(cell.energies.min() - 1e-3, 0.2, 64) / 16
    return Yardstick(cell.supercell, edges, cell.tables, cell.ground_state)


@pytest.fixture(scope="module")
def reference(cell, yardstick):
    drawn = cell.draw(0, np.exp(cell.log_p), 4000)
    return yardstick.reference(cell.states[drawn], cell.energies[drawn])


def test_log_z_of_the_cell_is_the_known_one(cell):
    rows = json.loads((cuau.DATA / "exact_2x2x4.json").read_text(encoding="utf-8"))["semigrand_mu0_formation_energy"]
    assert cell.log_z == pytest.approx(next(row["lnZ"] for row in rows if row["T_K"] == KELVIN), abs=1e-9)


def test_ground_state_has_six_variants_all_of_its_energy(cell):
    variants = ordered_variants(cell.supercell, cell.ground_state)
    lowest = np.flatnonzero(cell.energies < cell.energies.min() + 1e-9)
    assert {tuple(row) for row in variants.tolist()} == {tuple(row) for row in cell.states[lowest].tolist()}
    assert len(variants) == 6


def test_statistics_of_all_states_with_weights_are_the_exact_averages(cell, yardstick):
    kept = np.argsort(-cell.log_p)[:2000]
    weights = np.exp(cell.log_p[kept])
    weights /= weights.sum()
    found = yardstick.statistics(cell.states[kept], cell.energies[kept], 123.0 + cell.log_p[kept])
    gold = cell.states[kept].sum(axis=1)
    np.testing.assert_allclose(found["mean_energy"], weights @ cell.energies[kept] / 16, rtol=1e-12)
    np.testing.assert_allclose(found["mean_composition"], weights @ gold / 16, rtol=1e-12)
    np.testing.assert_allclose(found["composition"], [np.bincount(gold, weights, 17)], atol=1e-15)
    histogram = np.histogram(cell.energies[kept] / 16, yardstick.energy_edges, weights=weights)[0]
    np.testing.assert_allclose(found["energy"][1:-1], histogram, atol=1e-15)
    vectors = np.asarray(jaxce.correlations(cell.tables, cell.states[kept]))
    np.testing.assert_allclose(found["correlations"], weights @ vectors, atol=1e-13)
    # By symmetry the variants have equal weights.
    assert np.ptp(found["modes"][:6]) < 0.1 * found["modes"][0]
    assert found["modes"].sum() == pytest.approx(1)


def test_samples_that_are_right_are_as_near_as_the_halves(cell, yardstick, reference):
    drawn = cell.draw(1, np.exp(cell.log_p))
    log_q = cell.log_p[drawn]
    found = evaluate(
        yardstick, reference, cell.states[drawn], cell.energies[drawn], log_probability=log_q, temperature=KELVIN
    )
    assert found.effective_sample_fraction == pytest.approx(1)
    assert found.log_z.value == pytest.approx(cell.log_z)
    assert found.elbo.value == pytest.approx(cell.log_z)
    assert found.reverse_kl.value == pytest.approx(0, abs=1e-9)
    assert set(found.distances) == {
        "energy", "composition", "modes", "mean_energy", "mean_composition", "short_range_order", "correlations"
    }  # fmt: skip
    assert all(distance.value < 2.5 * distance.floor for distance in found.distances.values())
    assert found.energy_coverage.value > 0.98
    assert found.mode_coverage.value == pytest.approx(1)
    assert found.entropic_mode_coverage > 0.99
    table = str(found).splitlines()
    assert len(table) == 1 + 1 + 4 + 1 + 2 + 7
    assert all(len(line) < 100 for line in table)


def test_a_sampler_of_half_the_variants_has_all_effective_samples_and_half_the_coverage(cell, yardstick, reference):
    """Exact in three of the six ordered variants and nowhere else."""
    labels = np.argmax(np.stack([(cell.states == variant).mean(axis=1) for variant in yardstick.variants]), axis=0)
    is_reached = labels < 3
    log_mass = float(np.logaddexp.reduce(cell.log_p[is_reached]))
    log_q = np.where(is_reached, cell.log_p - log_mass, -np.inf)
    drawn, right = cell.draw(2, np.exp(log_q)), cell.draw(3, np.exp(cell.log_p))
    found = evaluate(
        yardstick,
        reference,
        cell.states[drawn],
        cell.energies[drawn],
        log_probability=log_q[drawn],
        temperature=KELVIN,
        log_z=cell.log_z,
        reference_log_weights=log_importance_weights(log_q[right], cell.energies[right], KELVIN),
    )
    assert found.effective_sample_fraction == pytest.approx(1)
    assert found.log_z.value == pytest.approx(cell.log_z + log_mass)
    assert found.reverse_kl.value == pytest.approx(-log_mass)
    assert found.eubo.value == math.inf
    assert found.forward_kl.value == math.inf
    # The variants hold most of the weight, but not all.
    assert 0.4 < found.mode_coverage.value < 0.65
    assert found.mode_coverage.floor == pytest.approx(1)
    assert found.distances["modes"].value > 20 * found.distances["modes"].floor


def test_weights_repair_samples_of_another_temperature(cell, yardstick, reference):
    hot = -cell.energies / (ase.units.kB * 1.3 * KELVIN)
    hot -= np.logaddexp.reduce(hot)
    drawn = cell.draw(4, np.exp(hot))
    samples = cell.states[drawn], cell.energies[drawn]
    weights = log_importance_weights(hot[drawn], cell.energies[drawn], KELVIN)
    raw = evaluate(yardstick, reference, *samples)
    repaired = evaluate(yardstick, reference, *samples, log_weights=weights)
    assert raw.effective_sample_fraction is None
    assert 0.2 < repaired.effective_sample_fraction < 0.9
    assert raw.distances["energy"].value > 5 * raw.distances["energy"].floor
    assert repaired.distances["energy"].value < 2 * raw.distances["energy"].floor
    assert repaired.log_z is None


def test_further_observables_are_compared(cell, reference):
    del reference
    order = jaxce.observables.long_range_order(cell.supercell, cell.ground_state)
    edges = [-0.05, 0.0, 0.05]
    plain = Yardstick(cell.supercell, edges, num_shells=0, observables=[order])
    states = np.concatenate([cell.ground_state[None]] * 2 + [1 - cell.ground_state[None]] * 2)
    halves = plain.reference(states, np.zeros(4))
    np.testing.assert_allclose(halves["long_range_order"][:, 0, 0], [1, -1])
    found = evaluate(plain, halves, states[:2], np.zeros(2))
    # The whole has an order parameter of 0 and an overlap of a half.
    assert found.distances["long_range_order"] == (1.0, 2.0)
    assert found.mode_coverage is None


def test_sublattices_are_compared_each_for_itself():
    prim = jaxce.Prim(
        np.diag([4.0, 4.0, 5.0]),
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.1]],
        [["Sr", "La"], ["Ti"], ["O", "X", "F"]],
    )
    supercell = jaxce.Supercell(prim, (2, 1, 1))
    ordered = np.array([0, 1, 0, 0, 0, 2])
    yardstick = Yardstick(supercell, [-1.0, 0.0, 1.0], ordered_state=ordered, num_shells=0)
    # Shifts and mirrors exchange the sites of each sublattice.
    assert yardstick.variants.tolist() == [[*a, 0, 0, *o] for a in ([0, 1], [1, 0]) for o in ([0, 2], [2, 0])]
    samples = np.array([[0, 1, 0, 0, 0, 2], [1, 0, 0, 0, 2, 1], [0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 2, 2]])
    found = yardstick.statistics(samples, [-3.0, -0.4, 0.4, 9.0], np.log([0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(found["energy"], [0.1, 0.2, 0.3, 0.4])
    # La on A, then X and F on B: how many sites hold each.
    np.testing.assert_allclose(found["composition"], [[0.3, 0.3, 0.4], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4]])
    np.testing.assert_allclose(found["mean_composition"], [0.55, 0.4, 0.55])
    # By chance a half of the sites agree: near is more than three quarters.
    np.testing.assert_allclose(found["modes"], [0.1, 0.0, 0.0, 0.0, 0.9])


def test_what_does_not_fit_is_refused(cell, yardstick, reference):
    states, energies = cell.states[:2000], cell.energies[:2000]
    with pytest.raises(ValueError, match="shapes"):
        yardstick.statistics(states, energies[:2])
    with pytest.raises(ValueError, match="shapes"):
        yardstick.statistics(states[:0], energies[:0])
    with pytest.raises(ValueError, match="finite"):
        yardstick.statistics(states, energies * np.nan)
    with pytest.raises(ValueError, match=r"\[..., 16\]"):
        yardstick.statistics(states[:, :4], energies)
    with pytest.raises(ValueError, match="same yardstick"):
        evaluate(yardstick, {"energy": reference["energy"]}, states, energies)
    with pytest.raises(ValueError, match="temperature"):
        evaluate(yardstick, reference, states, energies, log_probability=energies)
    with pytest.raises(ValueError, match="increasing"):
        Yardstick(cell.supercell, [0.1, 0.1])
    with pytest.raises(ValueError, match=r"16"):
        ordered_variants(cell.supercell, [0, 1])
