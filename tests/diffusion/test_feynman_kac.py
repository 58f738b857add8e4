"""Resampling and steering, on numbers by hand and on a crystal of two sites."""

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from jaxce.diffusion.feynman_kac import check_alive, effective_sample_size, log_mean_exp, resample, steer
from jaxce.diffusion.guidance import relaxed_tilted_logits
from jaxce.diffusion.locally_balanced import locally_balanced_flips
from jaxce.energies import energy
from small_crystals import alloy

KELVIN = 1500.0
BETA = 1 / (ase.units.kB * KELVIN)
COUNT = 20_000


def test_effective_sample_sizes_and_mean_weights_of_known_weights():
    log_weights = jnp.log(jnp.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0]])) - 800.0
    np.testing.assert_allclose(effective_sample_size(log_weights), [4.0, 1.0, 1.6], rtol=1e-10)
    np.testing.assert_allclose(log_mean_exp(log_weights), np.log([1.0, 0.25, 1.0]) - 800.0, rtol=1e-12)
    dead = jnp.array([[-jnp.inf, -jnp.inf], [jnp.nan, 0.0]])
    np.testing.assert_array_equal(effective_sample_size(dead), [0.0, 0.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_particles_get_as_many_places_as_their_weights_say_rounded_up_or_down(dtype):
    weights = np.random.default_rng(0).exponential(size=(50, 2, 40)) * (np.arange(40) > 2) * (np.arange(40) < 37)
    with np.errstate(divide="ignore"):
        log_weights = jnp.asarray(np.log(weights) + 50, dtype)
    chosen = np.asarray(jax.jit(resample)(jax.random.key(0), log_weights))
    assert np.all(np.diff(chosen, axis=-1) >= 0)
    counts = np.sum(chosen[..., None] == np.arange(40), axis=-2)
    expected = 40 * weights / weights.sum(axis=-1, keepdims=True)
    assert np.all(np.abs(counts - expected) < 1 + 1e-4)
    assert np.all(counts[weights == 0] == 0)
    # Each number is right in the mean.
    residuals = (counts - expected).mean(axis=(0, 1))
    assert np.all(np.abs(residuals) < 4 * 0.5 / np.sqrt(100))


@pytest.fixture(scope="module")
def two_sites():
    """The crystal, and the distribution of both sites when each is drawn at once from its tilted logits."""
    crystal = alloy(2)
    logits = jax.jit(relaxed_tilted_logits)(crystal.hamiltonian, None, jnp.zeros((2, 2)), KELVIN)
    return crystal, jax.nn.log_softmax(logits, axis=-1)


def frequencies(crystal, occupancy, weights=None):
    return np.bincount(crystal.place_of(occupancy), weights=weights, minlength=4)


def drawn_at_once(crystal, log_probabilities):
    """All particles of one guided step from the masked state, with the weights of `steer`."""

    def move(key, states, step):
        del step
        occupancy = jax.random.categorical(key, log_probabilities, shape=states.shape)
        of_sites = jnp.where(occupancy == 0, log_probabilities[None, :, 0], log_probabilities[None, :, 1])
        log_proposal = jnp.sum(of_sites, axis=-1)
        # The sampler itself draws uniformly.
        return occupancy, 2 * jnp.log(0.5) - log_proposal

    def log_reward(states, step):
        return jnp.where(step == 0, 0.0, -BETA * energy(crystal.hamiltonian, states % 2))

    start = jnp.full((COUNT, 2), 2)
    return jax.jit(lambda key: steer(key, start, move, log_reward, 1))(jax.random.key(0))


def test_the_bias_of_a_tilted_sampler_is_seen_and_removed_by_weights(two_sites):
    crystal, log_probabilities = two_sites
    boltzmann = crystal.boltzmann(KELVIN)
    first, second = np.exp(log_probabilities)
    product = np.outer(first, second).ravel()
    assert 0.5 * np.abs(product - boltzmann).sum() > 0.03
    particles = drawn_at_once(crystal, log_probabilities)
    counts = frequencies(crystal, particles.states)
    assert chisquare(counts, COUNT * product).pvalue > 0.001
    assert chisquare(counts, COUNT * boltzmann).pvalue < 1e-12
    weights = np.exp(particles.log_weights - np.max(particles.log_weights))
    found = frequencies(crystal, particles.states, weights) / weights.sum()
    # Of the ratio of two sums.
    is_state = crystal.place_of(particles.states)[:, None] == np.arange(4)
    errors = np.sqrt(np.sum((weights[:, None] * (is_state - boltzmann)) ** 2, axis=0)) / weights.sum()
    assert np.all(np.abs(found - boltzmann) < 4 * errors)
    # Over the two sites' uniform distribution.
    log_z = np.log(np.mean(np.exp(-BETA * crystal.energies)))
    error = weights.std() / weights.mean() / np.sqrt(COUNT)
    assert particles.log_z == pytest.approx(log_z, abs=4 * error)
    assert particles.effective_sample_size[0] == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=1e-9)


def test_the_bias_of_a_tilted_sampler_is_removed_by_a_corrector(two_sites):
    crystal, log_probabilities = two_sites
    start = jax.random.categorical(jax.random.key(1), log_probabilities, shape=(COUNT, 2))
    run = jax.jit(locally_balanced_flips, static_argnums=4)
    moved = run(jax.random.key(2), crystal.hamiltonian, start, KELVIN, 30)
    assert chisquare(frequencies(crystal, moved.occupancy), COUNT * crystal.boltzmann(KELVIN)).pvalue > 0.001


def walk(key, states, step):
    """A step to the left or right; states are positions."""
    del step
    return states + 2 * jax.random.bernoulli(key, 0.5, states.shape).astype(states.dtype) - 1, jnp.zeros(len(states))


def test_steering_is_unbiased_with_particles_drawn_anew():
    # E[exp(x / 2)] of twelve steps is cosh(1/2)^12.
    run = jax.jit(jax.vmap(lambda key: steer(key, jnp.zeros(64), walk, lambda x, step: 0.5 * x, 12)))
    particles = run(jax.random.split(jax.random.key(0), 400))
    ratios = np.exp(np.asarray(particles.log_z) - 12 * np.log(np.cosh(0.5)))
    assert abs(ratios.mean() - 1) < 4 * ratios.std() / 20
    assert ratios.std() < 0.5
    assert np.asarray(particles.is_resampled).sum(axis=1).min() >= 1
    # The steered walk drifts by tanh(1/2) in each step.
    shares = np.asarray(jax.nn.softmax(particles.log_weights, axis=-1)) * ratios[:, None]
    mean = np.sum(shares * particles.states) / shares.sum()
    assert abs(mean - 12 * np.tanh(0.5)) < 0.1


def test_dead_particles_are_reported_with_the_step():
    reward = lambda states, step: jnp.where(step < 3, jnp.zeros(len(states)), -jnp.inf)
    with pytest.raises(ValueError, match="dead after step 3 of 5"):
        steer(jax.random.key(0), jnp.zeros(8), walk, reward, 5)
    # Under jit it is left to the caller.
    with pytest.raises(ValueError, match="dead after step 2 of 3"):
        check_alive(jnp.array([[3.0, 2.0, 1.0], [3.0, 0.0, np.nan]]))
