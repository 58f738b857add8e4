"""Locally balanced moves: proposals and transitions of every state of a six-site crystal, exactly and by counting."""

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from helpers import substituted
from jaxce.diffusion.locally_balanced import (
    flip_log_weights,
    locally_balanced_flips,
    locally_balanced_swaps,
    partner_log_weights,
)
from small_crystals import oxide

KELVIN = 2500.0
MU = {"Mg": 0.07, "X": -0.05}
REPEATS = 500


@pytest.fixture(scope="module")
def crystal():
    return oxide()


def substitutions(crystal):
    """`[states, states]` whether two states differ on one site, by a loop."""
    return np.sum(crystal.states[:, None] != crystal.states[None, :], axis=2) == 1


def swaps_with(crystal, site):
    """`[states, states]` whether the second is the first with a site exchanged with another of its sublattice."""
    allowed = np.zeros((len(crystal.states),) * 2, dtype=bool)
    for row, state in enumerate(crystal.states):
        for other in range(6):
            if crystal.supercell.species[other] == crystal.supercell.species[site] and state[other] != state[site]:
                exchanged = substituted(substituted(state, site, state[other]), other, state[site])
                allowed[row, crystal.place_of(exchanged)] = True
    return allowed


def transitions(allowed, energies):
    """`[states, states]` probabilities of one step: proposals by root weights, acceptance by normalisers."""
    roots = np.exp(-(energies[None, :] - energies[:, None]) / (2 * ase.units.kB * KELVIN)) * allowed
    norms = roots.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.where(norms > 0, roots / norms, 0.0) * np.minimum(1, norms / norms.T)
    matrix = np.where(allowed, matrix, 0.0)
    return matrix + np.diag(1 - matrix.sum(axis=1))


def check_counts(crystal, occupancy, matrix):
    """Transitions of `REPEATS` copies of each state are as often as they should be."""
    counts = np.zeros(matrix.shape)
    np.add.at(counts, (np.repeat(np.arange(len(matrix)), REPEATS), crystal.place_of(occupancy)), 1)
    assert np.all(counts[matrix < 1e-12] == 0)
    p_values = []
    for row, of_row in zip(matrix, counts, strict=True):
        is_frequent = row * REPEATS > 5
        expected = np.append(row[is_frequent], row[~is_frequent].sum()) * REPEATS
        found = np.append(of_row[is_frequent], of_row[~is_frequent].sum())
        if expected[-1] < 5:
            # Too rare for the test: the probability goes to the last frequent one.
            expected[-2:], found[-2:] = [expected[-2:].sum(), 0], [found[-2:].sum(), 0]
            expected, found = expected[:-1], found[:-1]
        if len(expected) > 1:
            p_values.append(chisquare(found, expected).pvalue)
    assert len(p_values) > 20
    assert min(p_values) > 0.001 / len(p_values)


def test_flips_leave_the_boltzmann_distribution_as_it_is_and_happen_as_often_as_they_should(crystal):
    energies = crystal.grand_energies(MU)
    matrix = transitions(substitutions(crystal), energies)
    boltzmann = crystal.boltzmann(KELVIN, MU)
    np.testing.assert_allclose(boltzmann @ matrix, boltzmann, atol=1e-14)
    np.testing.assert_allclose(boltzmann[:, None] * matrix, (boltzmann[:, None] * matrix).T, atol=1e-14)
    start = jnp.asarray(np.repeat(crystal.states, REPEATS, axis=0))
    run = jax.jit(locally_balanced_flips, static_argnums=4)
    moved = run(jax.random.key(0), crystal.hamiltonian, start, KELVIN, 1, MU)
    check_counts(crystal, moved.occupancy, matrix)
    moves = 1 - matrix.diagonal()
    assert moved.acceptance_rate.mean() == pytest.approx(moves.mean(), abs=0.01)


def test_swaps_leave_the_canonical_distribution_as_it_is_and_happen_as_often_as_they_should(crystal):
    by_site = [transitions(swaps_with(crystal, site), crystal.energies) for site in range(6)]
    boltzmann = crystal.boltzmann(KELVIN)
    for matrix in by_site:
        np.testing.assert_allclose(boltzmann[:, None] * matrix, (boltzmann[:, None] * matrix).T, atol=1e-14)
    start = jnp.asarray(np.repeat(crystal.states, REPEATS, axis=0))
    run = jax.jit(locally_balanced_swaps, static_argnums=4)
    moved = run(jax.random.key(0), crystal.hamiltonian, start, KELVIN, 1)
    check_counts(crystal, moved.occupancy, np.mean(by_site, axis=0))


def test_proposals_of_flips_are_those_of_brute_force_for_each_temperature(crystal):
    kelvins = np.linspace(800.0, 3000.0, 36)
    energies = crystal.grand_energies(MU)
    weights = np.asarray(jax.jit(flip_log_weights)(crystal.hamiltonian, jnp.asarray(crystal.states), kelvins, MU))
    for row, state in enumerate(crystal.states):
        for site in range(6):
            for code in range(3):
                expected = -np.inf
                if code < len(crystal.supercell.species[site]) and code != state[site]:
                    change = energies[crystal.place_of(substituted(state, site, code))] - energies[row]
                    expected = -change / (2 * ase.units.kB * kelvins[row])
                np.testing.assert_allclose(weights[row, site, code], expected, atol=1e-10)


def test_proposals_of_swaps_are_those_of_brute_force(crystal):
    sites = np.arange(36) % 6
    weights = np.asarray(jax.jit(partner_log_weights)(crystal.hamiltonian, jnp.asarray(crystal.states), sites, KELVIN))
    for row, (state, site) in enumerate(zip(crystal.states, sites, strict=True)):
        for other in range(6):
            expected = -np.inf
            if crystal.supercell.species[other] == crystal.supercell.species[site] and state[other] != state[site]:
                exchanged = substituted(substituted(state, site, state[other]), other, state[site])
                change = crystal.energies[crystal.place_of(exchanged)] - crystal.energies[row]
                expected = -change / (2 * ase.units.kB * KELVIN)
            np.testing.assert_allclose(weights[row, other], expected, atol=1e-10)
