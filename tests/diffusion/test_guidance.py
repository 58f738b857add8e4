"""Tilted logits against brute force: every state of a small crystal, and of the 16-site Cu-Au cell."""

import itertools

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import substituted
from jaxce.diffusion.guidance import relaxed_tilted_logits, swap_log_weights, tilted_logits
from small_crystals import oxide

KELVIN, BETA = 1500.0, 1 / (ase.units.kB * 1500.0)
MU = {"Mg": 0.07, "B": {"X": -0.05}}
# The same by species, for the reference: X is on one sublattice only.
MU_OF_SPECIES = {"Mg": 0.07, "X": -0.05}
WIDTH = 3

KELVINS = np.linspace(500.0, 3000.0, 36)
ONES = np.ones(36)
LOGITS = np.random.default_rng(0).normal(size=(36, 6, WIDTH))


@pytest.fixture(scope="module")
def crystal():
    return oxide()


# All tests call it with all states, so that it is compiled once.
@jax.jit
def tilted_and_gradient(hamiltonian, occupancy, logits, kelvins, mu, strength):
    """Tilted logits, and derivatives of their normalisers with respect to temperatures."""
    of_kelvins = lambda kelvins: tilted_logits(hamiltonian, occupancy, logits, kelvins, mu, strength)
    slopes = jax.grad(lambda kelvins: jnp.sum(jax.nn.logsumexp(of_kelvins(kelvins), axis=-1)))(kelvins)
    return of_kelvins(kelvins), slopes


def tilted(crystal, logits=LOGITS, kelvins=KELVINS, mu=ONES * 0.07, strength=ONES):
    arrays = (jnp.asarray(array) for array in (crystal.states, logits, kelvins))
    potentials = {"Mg": jnp.asarray(mu), "B": {"X": -0.05}}
    return jax.tree.map(
        np.asarray, tilted_and_gradient(crystal.hamiltonian, *arrays, potentials, jnp.asarray(strength))
    )


relaxed = jax.jit(relaxed_tilted_logits)


def conditional(crystal, energies, logits, state, site, beta):
    """The network's distribution of one site times the Boltzmann factor of each species, by a loop."""
    weights = np.zeros(WIDTH)
    for code in range(len(crystal.supercell.species[site])):
        energy = energies[crystal.place_of(substituted(state, site, code))]
        weights[code] = np.exp(logits[site, code] - beta * energy)
    return weights / weights.sum()


def test_every_tilted_conditional_is_that_of_brute_force(crystal):
    mu = np.linspace(0.0, 0.2, 36)
    result = np.asarray(jax.nn.softmax(tilted(crystal, mu=mu)[0], axis=-1))
    for row, state in enumerate(crystal.states):
        energies = crystal.grand_energies({"Mg": mu[row], "X": -0.05})
        for site in range(6):
            expected = conditional(crystal, energies, LOGITS[row], state, site, 1 / (ase.units.kB * KELVINS[row]))
            np.testing.assert_allclose(result[row, site], expected, rtol=1e-10)


def test_the_present_species_and_inactive_sites_keep_their_logits(crystal):
    result, _ = tilted(crystal)
    present = crystal.states.astype(int)[..., None]
    kept, given = (np.take_along_axis(array, present, 2) for array in (result, LOGITS))
    np.testing.assert_array_equal(kept, given)
    assert np.all(result[:, 4:, 1:] == -np.inf)
    np.testing.assert_array_equal(result[:, 4:, 0], LOGITS[:, 4:, 0])


def test_strength_is_one_per_sample_and_none_of_it_leaves_the_logits(crystal):
    full, _ = tilted(crystal)
    mixed, _ = tilted(crystal, strength=np.where(np.arange(36) < 18, 0.0, 0.5))
    is_real = np.isfinite(full)
    np.testing.assert_array_equal(np.isfinite(mixed), is_real)
    np.testing.assert_array_equal(mixed[:18][is_real[:18]], LOGITS[:18][is_real[:18]])
    np.testing.assert_allclose(2 * mixed[18:][is_real[18:]], (full + LOGITS)[18:][is_real[18:]], rtol=1e-10)


def test_gradients_with_respect_to_temperatures(crystal):
    normaliser = lambda kelvins: np.log(np.exp(tilted(crystal, kelvins=kelvins)[0]).sum(axis=-1)).sum(axis=-1)
    slopes = (normaliser(KELVINS + 1e-2) - normaliser(KELVINS - 1e-2)) / 2e-2
    np.testing.assert_allclose(tilted(crystal)[1], slopes, rtol=1e-5)


def mean_energies(crystal, energies, occupancy, probabilities):
    """`[sites, species]` expected energy with one site held and the others independent, by all states."""
    means = np.zeros((6, WIDTH))
    factors = np.ones((len(crystal.states), 6))
    for row, state in enumerate(crystal.states):
        for site, code in enumerate(state):
            is_known = occupancy[site] < WIDTH
            factors[row, site] = float(code == occupancy[site]) if is_known else probabilities[site, code]
    for site, code in itertools.product(range(6), range(WIDTH)):
        others = np.prod(np.delete(factors, site, axis=1), axis=1) * (crystal.states[:, site] == code)
        means[site, code] = others @ energies
    return means


def test_masked_states_are_tilted_by_mean_energies_of_the_network(crystal):
    states = crystal.states.copy()
    masked = [[0], [1, 3], [0, 1, 2, 3, 4]]
    for row, sites in enumerate(masked):
        states[row, sites] = WIDTH
    arguments = (jnp.asarray(states), jnp.asarray(LOGITS), KELVIN, {"Mg": 0.07, "B": {"X": -0.05}})
    result = np.asarray(relaxed(crystal.hamiltonian, *arguments))
    energies = crystal.grand_energies({"Mg": 0.07, "X": -0.05})
    num_species = np.array([len(names) for names in crystal.supercell.species])
    for row in range(len(masked)):
        weights = np.where(np.arange(WIDTH) < num_species[:, None], np.exp(LOGITS[row]), 0.0)
        means = mean_energies(crystal, energies, states[row], weights / weights.sum(axis=1, keepdims=True))
        for site, number in enumerate(num_species):
            expected = LOGITS[row, site, :number] - BETA * means[site, :number]
            np.testing.assert_allclose(np.diff(result[row, site, :number]), np.diff(expected), atol=1e-10)
            assert np.all(result[row, site, number:] == -np.inf)
    # The other states have no masks: their tilt is the exact one.
    exact, _ = tilted(crystal, kelvins=np.full(36, KELVIN))
    np.testing.assert_allclose(result[3:], exact[3:], atol=1e-10)


def test_swap_weights_are_those_of_all_states(crystal):
    sites = np.array([3, 0, 1, 2, 5])
    states = jnp.asarray(crystal.states)
    result = np.asarray(jax.jit(swap_log_weights)(crystal.hamiltonian, states, sites, KELVIN))
    for row, state in enumerate(crystal.states):
        for (a, i), (b, j) in itertools.product(enumerate(sites), repeat=2):
            expected = -np.inf
            if crystal.supercell.species[i] == crystal.supercell.species[j] and state[i] != state[j]:
                exchanged = substituted(substituted(state, i, state[j]), j, state[i])
                expected = -BETA * (crystal.energies[crystal.place_of(exchanged)] - crystal.energies[row])
            np.testing.assert_allclose(result[row, a, b], expected, atol=1e-10)


def test_padded_batches_are_mapped_over_and_logits_keep_their_dtype(crystal):
    batch = jaxce.pad_batch([(crystal.hamiltonian, state) for state in crystal.states[[5, 9]]], pad_to=8)
    logits = np.zeros((2, 8, batch.hamiltonian.species.labels.shape[-1]), np.float32)
    logits[:, :6, :WIDTH] = LOGITS[[5, 9]]
    kelvins = jnp.asarray(KELVINS[[5, 9]])
    result = jax.jit(jax.vmap(tilted_logits))(batch.hamiltonian, batch.occupancy, jnp.asarray(logits), kelvins)
    assert result.dtype == jnp.float32
    alone, _ = tilted(crystal, mu=np.zeros(36))
    # Of the sublattice without chemical potentials.
    np.testing.assert_allclose(result[:, :2, :WIDTH], alone[[5, 9], :2], rtol=1e-5)


@pytest.mark.parametrize(
    ("mu", "message"),
    [({"Na": 0.1}, "'Na', but the species"), ({"C": {"O": 0.1}}, "'C' and 'O'"), ({"A": {"Fe": 0.1}}, "'A' and 'Fe'")],
    ids=["species", "sublattice", "species of a sublattice"],
)
def test_unknown_names_are_refused(crystal, mu, message):
    with pytest.raises(ValueError, match=message):
        tilted_logits(crystal.hamiltonian, crystal.states[0], np.zeros((6, WIDTH)), KELVIN, mu)


def test_shapes_that_do_not_fit_are_refused(crystal):
    with pytest.raises(ValueError, match="leave out a mask class"):
        tilted_logits(crystal.hamiltonian, crystal.states[0], np.zeros((6, WIDTH + 1)), KELVIN)
    with pytest.raises(ValueError, match=r"shape \(2, 6\) of the logits"):
        relaxed_tilted_logits(crystal.hamiltonian, crystal.states[:3], np.zeros((2, 6, WIDTH)), KELVIN)
