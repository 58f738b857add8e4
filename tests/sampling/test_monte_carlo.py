"""Chains against full enumeration: histograms of states, not means only."""

import json
import pathlib

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

import jaxce
from helpers import random_occupancies
from jaxce.sampling.run_setup import check_integers
from test_conformance import expansion_in_order, icet_order, icet_space, read

DATA = pathlib.Path(__file__).parents[1] / "data"
FCC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
# Two sublattices of unlike sizes and numbers of species, in a cell in which clusters meet their own images.
OXIDE = jaxce.Prim(
    np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]]),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]],
    [["Ni", "Mg", "Co"], ["O", "X"], ["O", "X"]],
)
NUM_CHAINS = 20_000


def hamiltonian_of(prim, cutoffs, transformation, scale):
    space = jaxce.ClusterSpace(prim, cutoffs)
    ecis = np.random.default_rng(0).normal(scale=scale, size=space.num_correlations)
    supercell = jaxce.Supercell(prim, transformation)
    return supercell, jaxce.build_hamiltonian(jaxce.ClusterExpansion(space, ecis * space.multiplicities), supercell)


@pytest.fixture(scope="module")
def alloy():
    """Eight fcc sites."""
    return hamiltonian_of(FCC, {2: 4.1, 3: 3.0}, 2, 0.01)


@pytest.fixture(scope="module")
def oxide():
    """Six sites: two of three species, four of two."""
    return hamiltonian_of(OXIDE, {2: 3.0}, [2, 1, 1], 0.005)


def all_states(supercell):
    numbers = supercell.prim.num_species[supercell.prim_sites]
    return np.stack(np.unravel_index(np.arange(np.prod(numbers)), numbers), axis=1)


def assert_distribution(occupancies, states, log_weights):
    """Chi-square test of independent occupancies against weights of the listed states."""
    row_of = {state.tobytes(): row for row, state in enumerate(states.astype(np.int8))}
    rows = [row_of[occupancy.tobytes()] for occupancy in np.asarray(occupancies, dtype=np.int8)]
    probabilities = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    expected, found = len(rows) * probabilities, np.bincount(rows, minlength=len(states))
    rare = expected < 10
    expected = np.append(expected[~rare], expected[rare].sum())
    found = np.append(found[~rare], found[rare].sum())
    assert len(expected) > 15
    assert chisquare(found[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_canonical_chains_visit_states_with_their_weights(alloy):
    supercell, hamiltonian = alloy
    start = jnp.tile(jnp.asarray([0, 0, 0, 0, 0, 1, 1, 1], jnp.int8), (NUM_CHAINS // 4, 1))
    result = jaxce.run_monte_carlo(
        jax.random.key(1), hamiltonian, start, temperature=900.0, num_sweeps=12, sample_every=12
    )
    states = all_states(supercell)
    states = states[states.sum(axis=1) == 3]
    energies = np.asarray(jax.jit(jaxce.energy)(hamiltonian, jnp.asarray(states)))
    assert 0.2 < result.acceptance_rate.mean() < 0.9
    assert_distribution(result.occupancy, states, -energies / (ase.units.kB * 900))


@pytest.mark.slow
def test_canonical_chains_on_two_sublattices(oxide):
    supercell, hamiltonian = oxide
    start = np.zeros((NUM_CHAINS, 6), dtype=np.int8)
    start[:, [1, 3]] = 1
    start[: NUM_CHAINS // 2, 0] = 2
    result = jaxce.run_monte_carlo(
        jax.random.key(2), hamiltonian, start, temperature=1500.0, num_sweeps=150, sample_every=150
    )
    states = all_states(supercell)
    energies = np.asarray(jax.jit(jaxce.energy)(hamiltonian, jnp.asarray(states)))
    # Both halves keep their own composition, although they share the class of each step.
    for half, metals in ((slice(0, NUM_CHAINS // 2), [1, 2]), (slice(NUM_CHAINS // 2, None), [0, 1])):
        kept = (np.sort(states[:, :2], axis=1) == metals).all(axis=1) & (states[:, 2:].sum(axis=1) == 1)
        rows = [row.tobytes() for row in states[kept].astype(np.int8)]
        found = np.array([rows.index(o.tobytes()) for o in np.asarray(result.occupancy[half], dtype=np.int8)])
        weights = np.exp(-energies[kept] / (ase.units.kB * 1500))
        expected = len(found) * weights / weights.sum()
        assert chisquare(np.bincount(found, minlength=len(rows)), expected).pvalue > 1e-3


@pytest.mark.slow
def test_semi_grand_chains_visit_states_with_their_weights(oxide):
    supercell, hamiltonian = oxide
    start = np.zeros((NUM_CHAINS, 6), dtype=np.int8)
    potentials = {"Mg": 0.05, "Co": -0.03, "X": 0.04}
    result = jaxce.run_monte_carlo(
        jax.random.key(3),
        hamiltonian,
        start,
        jaxce.SemiGrand(potentials),
        temperature=1200.0,
        num_sweeps=150,
        sample_every=150,
    )
    states = all_states(supercell)
    names = np.array([[supercell.species[s][c] for s, c in enumerate(state)] for state in states])
    work = sum(mu * np.sum(names == name, axis=1) for name, mu in potentials.items())
    energies = np.asarray(jax.jit(jaxce.energy)(hamiltonian, jnp.asarray(states)))
    assert_distribution(result.occupancy, states, -(energies - work) / (ase.units.kB * 1200))
    counted = [[np.sum(row == name) for name in result.species] for row in names]
    by_state = {state.tobytes(): counts for state, counts in zip(states.astype(np.int8), counted, strict=True)}
    final = [by_state[o.tobytes()] for o in np.asarray(result.occupancy[:50], dtype=np.int8)]
    np.testing.assert_array_equal(result.counts[:50, -1], final)


@pytest.mark.slow
def test_means_of_icet_cells_are_the_exact_ones():
    content = json.loads((DATA / "icet_mc" / "fcc_binary_mc.json").read_text(encoding="utf-8"))
    case = read("icet", "fcc_binary")
    space = icet_space(case)
    expansion = expansion_in_order(space, icet_order(space, case), content["parameters"])
    copper = space.prim.species[0].index("Cu")
    for block in content["exact"]:
        supercell = jaxce.Supercell(space.prim, block["supercell_matrix"])
        hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
        is_canonical = block["ensemble"] == "canonical"
        ensemble = jaxce.Canonical() if is_canonical else jaxce.SemiGrand(content["chemical_potentials"])
        is_copper = np.arange(supercell.num_sites) < block.get("n_Cu", 0)
        start = np.tile(np.where(is_copper, copper, 1 - copper), (1024, 1))
        # At 500 K the pure cell is left too rarely for a short test.
        for exact in (result for result in block["results"] if result["temperature"] >= 800):
            result = jaxce.run_monte_carlo(
                jax.random.key(4),
                hamiltonian,
                start,
                ensemble,
                temperature=exact["temperature"],
                num_sweeps=200,
                sample_every=200,
            )
            energies = result.energy[:, -1] / supercell.num_sites
            error = energies.std() / np.sqrt(len(energies))
            assert abs(energies.mean() - exact["mean_energy_per_site"]) < 4 * error


def test_running_energies_do_not_drift(alloy):
    _, hamiltonian = alloy
    start = random_occupancies(jaxce.Supercell(FCC, 2), 4, seed=5)
    result = jaxce.run_monte_carlo(
        jax.random.key(5), hamiltonian, start, jaxce.SemiGrand(), temperature=2000.0, num_sweeps=3000, sample_every=1500
    )
    assert result.energy_drift.max() < 1e-11
    final = jax.jit(jaxce.energy)(hamiltonian, result.occupancy)
    np.testing.assert_allclose(result.energy[:, -1], final, atol=1e-12)
    np.testing.assert_allclose(jaxce.energy(hamiltonian, result.lowest_occupancy), result.lowest_energy, atol=1e-12)
    assert np.all(result.lowest_energy <= result.energy.min(axis=1))


def test_a_chain_depends_neither_on_its_neighbours_nor_on_the_sampling(alloy):
    supercell, hamiltonian = alloy
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 4, "Au": 4}, (6,))
    keywords = {"temperature": 1000.0, "num_sweeps": 24}
    many = jaxce.run_monte_carlo(jax.random.key(6), hamiltonian, start, sample_every=1, **keywords)
    few = jaxce.run_monte_carlo(jax.random.key(6), hamiltonian, start[:2], sample_every=8, **keywords)
    np.testing.assert_array_equal(many.occupancy[:2], few.occupancy)
    np.testing.assert_allclose(many.energy[:2, 7::8], few.energy, atol=1e-12)
    other = jaxce.run_monte_carlo(jax.random.key(7), hamiltonian, start, sample_every=1, **keywords)
    assert not np.array_equal(other.energy, many.energy)


@pytest.mark.slow
def test_temperatures_may_differ_between_chains_and_sweeps(alloy):
    supercell, hamiltonian = alloy
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 4, "Au": 4}, (2000,))
    by_chain = np.where(np.arange(2000) < 1000, 300.0, 3000.0)
    result = jaxce.run_monte_carlo(
        jax.random.key(8), hamiltonian, start, temperature=by_chain, num_sweeps=20, sample_every=20
    )
    assert result.energy[:1000].mean() < result.energy[1000:].mean() - 0.005
    cooling = np.repeat(np.geomspace(3000, 30, 40)[:, None], 2000, axis=1)
    result = jaxce.run_monte_carlo(
        jax.random.key(9), hamiltonian, start, temperature=cooling, num_sweeps=40, sample_every=40
    )
    states = all_states(supercell)
    states = states[states.sum(axis=1) == 4]
    ground = float(jnp.min(jaxce.energy(hamiltonian, jnp.asarray(states))))
    assert result.lowest_energy.min() == pytest.approx(ground, abs=1e-12)
    assert np.mean(result.energy[:, -1] < ground + 1e-9) > 0.5


def test_bad_input_is_refused(alloy):
    _, hamiltonian = alloy
    start = np.array([[0, 1, 0, 1, 0, 1, 0, 1]], dtype=np.int8)

    def run(start=start, ensemble=None, temperature=500.0, sample_every=1):
        return jaxce.run_monte_carlo(
            jax.random.key(0),
            hamiltonian,
            start,
            ensemble or jaxce.Canonical(),
            temperature=temperature,
            num_sweeps=4,
            sample_every=sample_every,
        )

    for keywords, message in (
        ({"start": start[0]}, r"occupancy\[None\]"),
        ({"start": start + 1}, "do not allow"),
        ({"start": np.zeros_like(start)}, "frozen"),
        ({"temperature": 0.0}, "positive"),
        ({"temperature": np.nan}, "positive"),
        ({"temperature": [1.0, 2.0]}, r"\[1\] \(chains\)"),
        ({"sample_every": 3}, "multiple"),
        ({"ensemble": jaxce.SemiGrand({"Ag": 0.1})}, "Ag"),
        ({"ensemble": jaxce.SemiGrand({"Au": [0.1, 0.2]})}, "one per chain"),
    ):
        with pytest.raises(ValueError, match=message):
            run(**keywords)
    for number in (1e2, True, "3", None):
        with pytest.raises(ValueError, match="`num_sweeps` must be an integer, but is"):
            check_integers(sample_every=np.int64(1), num_sweeps=number)
