"""Particles along reverse processes of a denoiser that is wrong, against sums over all occupancies."""

import itertools
import math

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.diffusion.absorbing_noise import AbsorbingNoise
from jaxce.diffusion.reverse_process import reverse_times
from jaxce.diffusion.shuffle_noise import ShuffleNoise
from jaxce.diffusion.steered_samples import boltzmann_sample, energy_reward, steered_sample
from jaxce.diffusion.uniform_noise import UniformNoise
from noising import COUNTS, OCCUPANCIES, SMALL, arrangements

NOISES = {"uniform": UniformNoise(SMALL), "absorbing": AbsorbingNoise(SMALL), "shuffle": ShuffleNoise(SMALL)}
# Five steps for five active sites: many are drawn together, without regard to each other.
TIMES = reverse_times(5)
NUM_ISLANDS, NUM_PARTICLES = 60, 50


def log_target(codes, like):
    """Of clean occupancies `[..., sites]`: couplings that no denoiser here knows of."""
    codes = codes.astype(like.dtype)
    total = 0.7 * codes[..., 0] - 0.2 * codes[..., 4]
    for i, j, coupling in [(0, 3, 1.2), (3, 5, 0.8), (1, 4, -0.9), (0, 1, 0.9)]:
        total -= coupling * codes[..., i] * codes[..., j]
    return total


def reward(state, logits, t):
    """The target at time 0; before, what is no more than a hint."""
    codes = getattr(state, "occupancy", state)
    return jnp.where(t == 0, log_target(codes, t), 0.3 * jnp.cos(codes[..., 0].astype(t.dtype)))


def wrong_denoiser(state, t):
    codes = getattr(state, "occupancy", state).astype(t.dtype)
    table = jax.random.normal(jax.random.key(7), (2, 1, 6, 3), t.dtype)
    return 0.25 * (table[0] + table[1] * jnp.cos(jnp.sum(codes, axis=-1))[:, None, None])


def flat_denoiser(state, t):
    return jnp.zeros((*getattr(state, "occupancy", state).shape, 3), t.dtype)


def guide(state, logits, t):
    return logits + wrong_denoiser(state, t)


def islands(sampler, noise, denoiser, is_shuffled, guide=None):
    """Independent sets of particles, each of which is weighed and drawn anew by itself."""

    def one(key):
        start_key, key = jax.random.split(key)
        arguments = (COUNTS, (NUM_PARTICLES,)) if is_shuffled else ((NUM_PARTICLES,),)
        return sampler(
            key, noise, denoiser, TIMES, noise.prior(start_key, *arguments), reward, guide, resample_below=0.9
        )

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), NUM_ISLANDS))


def assert_estimates(found, codes, log_number):
    """Weights without bias: of every occupancy, and of their sum, within five standard errors."""
    exact = np.exp(np.asarray(log_target(codes, np.zeros(1))) - log_number)
    relative = np.asarray(jax.nn.softmax(found.log_weights, axis=-1))
    weights = np.exp(np.asarray(found.log_z))[:, None] * relative
    is_state = np.all(np.asarray(found.states)[:, :, None] == codes, axis=-1)
    estimates = np.concatenate([np.einsum("ip,ipx->ix", weights, is_state), np.exp(found.log_z)[:, None]], axis=1)
    often = np.append(exact, exact.sum()) * NUM_ISLANDS * NUM_PARTICLES / exact.sum() > 30
    assert often.sum() >= 6
    errors = estimates.std(axis=0, ddof=1)[often] / math.sqrt(NUM_ISLANDS)
    means = estimates.mean(axis=0)[often]
    assert np.max(np.abs(means - np.append(exact, exact.sum())[often]) / errors) < 5
    # The errors are small enough to tell the target from a uniform distribution.
    assert np.max(np.abs(means - exact.mean())[:-1] / errors[:-1]) > 6
    assert 0 < np.mean(found.is_resampled) < 1


def wrong_after_uniform_noise(state, t):
    """It knows at least that most sites still are as they were."""
    return wrong_denoiser(state, t) + jnp.log(NOISES["uniform"].site_marginals(state, t))


# Both kinds of noise, one of them in the slow tests.
@pytest.mark.parametrize("name", [pytest.param("uniform", marks=pytest.mark.slow), "shuffle"])
def test_boltzmann_samples_have_the_target_and_its_sum_whatever_the_denoiser(name):
    denoiser = wrong_after_uniform_noise if name == "uniform" else wrong_denoiser
    found = islands(boltzmann_sample, NOISES[name], denoiser, name == "shuffle", guide)
    assert_estimates(found, np.array(arrangements()) if name == "shuffle" else OCCUPANCIES, 0.0)


def test_steered_samples_have_the_unguided_model_times_the_reward():
    # The model is uniform: what the guide adds must not show.
    found = islands(steered_sample, NOISES["absorbing"], flat_denoiser, False, guide)
    assert_estimates(found, OCCUPANCIES, math.log(len(OCCUPANCIES)))
    assert np.all(np.asarray(islands(steered_sample, NOISES["absorbing"], flat_denoiser, False).states) < 3)


def test_the_reward_of_an_energy_is_a_mean_over_what_is_hidden_less_what_is_known_of_it():
    model = jaxce.datasets.load_cuau_model()
    supercell = jaxce.Supercell(model.space.prim, (1, 1, 2))
    hamiltonian, noise = jaxce.build_hamiltonian(model, supercell), AbsorbingNoise(supercell)
    states, kelvin, mu = np.array([[2, 2], [0, 2], [2, 1], [1, 0]], np.int8), np.array([500.0, 600, 700, 800]), 0.1
    probabilities = np.array([[0.3, 0.7], [0.6, 0.4]])
    logits = jnp.asarray(np.broadcast_to(np.log(probabilities), (4, 2, 2)))
    found = jax.jit(energy_reward(noise, hamiltonian, kelvin, {"Au": mu}))(states, logits, jnp.ones(4))
    codes = np.array(list(itertools.product(range(2), repeat=2)))
    energies = np.asarray(jax.jit(jaxce.energy)(hamiltonian, codes)) - mu * codes.sum(axis=1)
    entropies = np.sum(probabilities * np.log(2 * probabilities), axis=1)
    for state, value, temperature in zip(states, found, kelvin, strict=True):
        of_site = [np.eye(2)[s] if s < 2 else p for s, p in zip(state, probabilities, strict=True)]
        mean = sum(of_site[0][a] * of_site[1][b] * energy for (a, b), energy in zip(codes, energies, strict=True))
        known = sum(entropy for s, entropy in zip(state, entropies, strict=True) if s == 2)
        assert value == pytest.approx(float(-mean / (ase.units.kB * temperature) - known), abs=1e-10)
    # Uniform noise hides everything, but at time 0 nothing.
    clean = jax.jit(energy_reward(UniformNoise(supercell), hamiltonian, 500.0))(codes, logits, jnp.zeros(4))
    expected = -(energies + mu * codes.sum(axis=1)) / (ase.units.kB * 500.0)
    np.testing.assert_allclose(clean, expected, atol=1e-10)


def test_particles_without_weight_are_refused():
    impossible = lambda state, logits, t: jnp.full(t.shape, -jnp.inf)
    noise = NOISES["absorbing"]
    state = jnp.broadcast_to(jnp.array([3, 3, 0, 3, 3, 3], jnp.int8), (5, 6))
    with pytest.raises(ValueError, match="all particles are dead after step 1 of 5"):
        boltzmann_sample(jax.random.key(0), noise, flat_denoiser, TIMES, state, impossible)
