"""Sequential Monte Carlo and its building blocks on the 16-site Cu-Au cell, where ln Z is known from all states."""

import dataclasses
import json
from types import SimpleNamespace

import ase.io
import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

import cuau
import jaxce
from jaxce.diffusion.annealed_particles import log_mean
from jaxce.diffusion.feynman_kac import log_mean_exp, steer
from jaxce.diffusion.guidance import relaxed_tilted_logits, tilted_logits
from jaxce.diffusion.smc import (
    adaptive_temperatures,
    annealed_importance_sampling,
    sequential_monte_carlo,
    temperature_path,
)
from jaxce.diffusion.uniform_start import uniform_setup
from small_crystals import oxide

EXACT = json.loads((cuau.DATA / "exact_2x2x4.json").read_text(encoding="utf-8"))
ROWS = {row["T_K"]: row for row in EXACT["semigrand_mu0_formation_energy"]}
# Energies of formation are those of the pure metals less.
MU = {"Cu": EXACT["E_pure_Cu_eV"] / 16, "Au": EXACT["E_pure_Au_eV"] / 16}
ENSEMBLE = jaxce.SemiGrand(MU)
# What `adaptive_temperatures` finds, through the temperatures of the references.
PATH = [4000.0, 2100.0, 1500.0, 1200.0, 1030.0, 910.0, 820.0, 740.0, 680.0, 600.0, 550.0, 500.0]


class Cell:
    def __init__(self):
        expansion = cuau.load_expansion()
        atoms = ase.io.read(cuau.DATA / "cuau_fcc_2x2x4_supercell.vasp")
        self.mapping = jaxce.map_structure(expansion.space.prim, atoms)
        self.hamiltonian = jaxce.build_hamiltonian(expansion, self.mapping.supercell)


@pytest.fixture(scope="module")
def cell():
    return Cell()


def anneal(sampler, cell, key, **keywords):
    occupancy = np.zeros(16, dtype=int)
    settings = {"temperatures": PATH, "num_particles": 64, "num_sweeps": 4, "method": "fields"} | keywords
    return sampler(jax.random.key(key), cell.hamiltonian, occupancy, ENSEMBLE, **settings)


@pytest.mark.parametrize("sampler", [sequential_monte_carlo, annealed_importance_sampling], ids=["smc", "ais"])
def test_partition_functions_and_means_are_exact(cell, sampler):
    result = anneal(sampler, cell, 0)
    np.testing.assert_allclose(result.temperatures, PATH)
    for kelvin in (1200, 680, 500):
        level = PATH.index(kelvin)
        assert abs(result.log_z[level] - ROWS[kelvin]["lnZ"]) < 3 * result.log_z_error[level]
        assert result.log_z_error[level] < 0.08
    energies = jax.jit(jaxce.energy)(cell.hamiltonian, result.occupancy)
    np.testing.assert_allclose(result.energy, energies, atol=1e-9)
    gold = result.counts[..., result.species.index("Au")]
    np.testing.assert_array_equal(gold, np.sum(result.occupancy, axis=-1))
    x_gold = result.mean(gold / 16)
    assert abs(x_gold.value - ROWS[500]["x_Au_mean"]) < 4 * x_gold.error < 0.06
    # The means are those of E, not of the energy of formation.
    formation = result.mean(result.energy - gold * MU["Au"] - (16 - gold) * MU["Cu"])
    assert abs(formation.value - ROWS[500]["E_mean_eV"]) < 4 * formation.error < 0.1
    is_resampled = sampler is sequential_monte_carlo
    assert (result.num_resampled.sum() > 0) == is_resampled
    assert (result.num_ancestors < 1024) == is_resampled


def test_paths_rise_by_equal_steps_in_inverse_temperature():
    np.testing.assert_allclose(1 / temperature_path(500.0, 4), np.array([1, 2, 3, 4]) / 2000)
    with pytest.raises(ValueError, match="positive temperature"):
        temperature_path(-1.0, 4)


def test_adaptive_paths_keep_the_effective_sample_size(cell):
    path = anneal(
        lambda key, hamiltonian, occupancy, ensemble, *, temperatures, **rest: adaptive_temperatures(
            key, hamiltonian, occupancy, ensemble, temperature=temperatures[-1], kept=0.8, **rest
        ),
        cell,
        1,
        num_particles=1024,
    )
    assert path[-1] == pytest.approx(500.0)
    assert np.all(np.diff(path) < 0)
    result = anneal(sequential_monte_carlo, cell, 2, temperatures=path, resample_below=1.0)
    np.testing.assert_allclose(result.effective_sample_size[:-1] / 1024, 0.8, atol=0.06)


@pytest.mark.parametrize(
    ("ensemble", "number"),
    [(jaxce.Canonical(), 2 * 2), (jaxce.SemiGrand(), 9 * 4), (jaxce.Hybrid({"A": jaxce.SemiGrand(), "B": None}), 9)],
    ids=["canonical", "semi-grand", "hybrid"],
)
def test_particles_start_uniformly_from_all_occupancies_of_the_ensemble(ensemble, number):
    crystal = oxide()
    start = crystal.states[crystal.place_of([0, 2, 1, 0, 0, 0])]
    setup, log_number = uniform_setup(jax.random.key(0), crystal.hamiltonian, start, ensemble, 5000, None, "fields")
    assert log_number == pytest.approx(np.log(number))
    counts = np.bincount(crystal.place_of(setup.occupancy), minlength=36)
    assert np.sum(counts > 0) == number
    assert chisquare(counts[counts > 0]).pvalue > 0.001


def test_frozen_sites_keep_their_species():
    crystal = oxide()
    moves = jaxce.Moves(frozen_sites=[1, 2])
    start = crystal.states[crystal.place_of([0, 2, 1, 0, 0, 0])]
    ensemble = jaxce.SemiGrand()
    setup, log_number = uniform_setup(jax.random.key(0), crystal.hamiltonian, start, ensemble, 100, moves, "fields")
    assert log_number == pytest.approx(np.log(3 * 2))
    assert np.all(setup.occupancy[:, [1, 2]] == [2, 1])
    assert len(np.unique(setup.occupancy, axis=0)) == 6


def test_guided_unmasking_is_biased_without_its_weights(cell):
    """All sites are unmasked one after the other from tilted logits; the network knows nothing."""
    kelvin, hamiltonian = 1200.0, cell.hamiltonian
    mu = jnp.array([MU["Cu"], MU["Au"]])

    def log_reward(states, step):
        del step
        probabilities = jnp.where((states == 2)[..., None], 0.5, jax.nn.one_hot(states, 2))
        work = jaxce.relaxed_energy(hamiltonian, probabilities) - jnp.einsum("bis,s->b", probabilities, mu)
        return -work / (ase.units.kB * kelvin)

    def move(key, states, step):
        logits = relaxed_tilted_logits(hamiltonian, states, jnp.zeros((*states.shape, 2)), kelvin, MU)
        log_probabilities = jax.nn.log_softmax(logits[:, step], axis=-1)
        code = jax.random.categorical(key, log_probabilities)
        log_proposal = jnp.take_along_axis(log_probabilities, code[:, None], axis=1)[:, 0]
        return states.at[:, step].set(code), jnp.log(0.5) - log_proposal

    run = jax.jit(lambda key: steer(key, jnp.full((4096, 16), 2), move, log_reward, 16, resample_below=0.0))
    particles = run(jax.random.key(0))
    # In islands, for errors.
    log_z, error = log_mean(np.asarray(log_mean_exp(particles.log_weights.reshape(16, -1))))
    assert abs(log_z - (ROWS[1200]["lnZ"] - 16 * np.log(2))) < 3 * error < 0.1
    work = -np.asarray(log_reward(particles.states, 16)) * ase.units.kB * kelvin
    exact = ROWS[1200]["E_mean_eV"]
    error = work.std() / np.sqrt(len(work))
    assert abs(work.mean() - exact) > 8 * error
    weights = np.exp(particles.log_weights - log_z)
    mean = np.average(work, weights=weights)
    error = np.sqrt(np.sum((weights * (work - mean)) ** 2)) / weights.sum()
    assert abs(mean - exact) < 3 * error


def test_all_tilted_conditionals_follow_from_the_table_of_energies(cell):
    energies, bit_of_site = np.load(cuau.DATA / "energies_2x2x4_all.npy"), np.argsort(cell.mapping.site_of_atom)
    numbers = np.arange(0, 2**16, 97)
    # A bit that is set is copper, which has code 0.
    states = 1 - ((numbers[:, None] >> bit_of_site) & 1)
    logits = np.random.default_rng(0).normal(size=(len(numbers), 16, 2))
    result = jax.jit(tilted_logits)(cell.hamiltonian, jnp.asarray(states), jnp.asarray(logits), 680.0)
    with_copper, with_gold = numbers[:, None] | (1 << bit_of_site), numbers[:, None] & ~(1 << bit_of_site)
    change = (energies[with_gold] - energies[with_copper]) / (ase.units.kB * 680)
    np.testing.assert_allclose(np.diff(result)[..., 0], np.diff(logits)[..., 0] - change, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": [500.0, 680.0]}, "fall from level to level"),
        ({"temperatures": []}, "fall from level to level"),
        ({"num_islands": 1}, "2 islands"),
        ({"ensemble": jaxce.VCSGC({"Au": -1.0})}, "starts from uniform occupancies"),
        ({"ensemble": jaxce.Canonical("global")}, "starts from uniform occupancies"),
        ({"ensemble": jaxce.SemiGrand({"Au": [0.0, 0.1]})}, "must be a finite number"),
    ],
    ids=["rising", "empty", "one island", "vcsgc", "global", "several potentials"],
)
def test_wrong_annealings_are_refused(cell, changes, message):
    arguments = {"ensemble": ENSEMBLE, "temperatures": [680.0, 500.0], "num_particles": 4} | changes
    with pytest.raises(ValueError, match=message):
        sequential_monte_carlo(jax.random.key(0), cell.hamiltonian, np.repeat([0, 1], 8), **arguments)


def test_dead_particles_are_reported_with_their_level(cell):
    hamiltonian = dataclasses.replace(cell.hamiltonian, terms=jax.tree.map(_without_numbers, cell.hamiltonian.terms))
    with pytest.raises(ValueError, match="dead at level 0"):
        anneal(sequential_monte_carlo, SimpleNamespace(hamiltonian=hamiltonian), 0)


def _without_numbers(leaf):
    return jnp.full_like(leaf, jnp.nan) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@pytest.mark.slow
def test_canonical_partition_function_counts_arrangements(cell):
    result = sequential_monte_carlo(
        jax.random.key(0), cell.hamiltonian, np.repeat([0, 1], 8), temperatures=PATH, num_particles=128, num_sweeps=4
    )
    expected = {row["T_K"]: row["lnZ"] for row in EXACT["canonical_nCu8"]}[500]
    assert abs(result.log_z[-1] - expected) < 3 * result.log_z_error[-1] < 0.2
    assert np.all(np.sum(result.occupancy, axis=-1) == 8)


@pytest.mark.slow
def test_correlations_of_the_ising_torus_at_its_critical_point():
    prim = jaxce.Prim(np.diag([1.0, 1.0, 9.0]), [[0, 0, 0]], [["down", "up"]])
    expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(prim, {2: 1.1}), [0.0, 0.0, -2.0])
    hamiltonian = jaxce.build_hamiltonian(expansion, jaxce.Supercell(prim, [16, 16, 1]))
    betas = np.linspace(0.0, 0.4407, 31)[1:]
    result = sequential_monte_carlo(
        jax.random.key(0),
        hamiltonian,
        np.zeros(256, dtype=int),
        jaxce.SemiGrand(),
        temperatures=1 / (ase.units.kB * betas),
        num_particles=16,
        num_sweeps=5,
    )
    correlation = result.mean(-result.energy / 512)
    # Kaufman's exact solution on the torus.
    assert abs(correlation.value - 0.72658) < 4 * correlation.error < 0.03
