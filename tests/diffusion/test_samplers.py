"""Reverse processes with the ideal denoiser of a target that can be enumerated."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxce.diffusion.absorbing_noise import AbsorbingNoise
from jaxce.diffusion.denoisers import check_denoiser, host_denoiser
from jaxce.diffusion.reverse_process import known_occupancy, occupancy_of, reverse_times
from jaxce.diffusion.samplers import reverse_path, reverse_sample
from jaxce.diffusion.shuffle_noise import ShuffleNoise, ShuffleState
from jaxce.diffusion.uniform_noise import UniformNoise
from noising import COUNTS, OCCUPANCIES, SMALL, arrangements, assert_distributed, rows

NOISES = {"uniform": UniformNoise(SMALL), "absorbing": AbsorbingNoise(SMALL), "shuffle": ShuffleNoise(SMALL)}
every_noise = pytest.mark.parametrize("name", list(NOISES))
NUM_SAMPLES = 800
TIMES = reverse_times(48)


def support(name):
    return np.array(arrangements()) if name == "shuffle" else OCCUPANCIES


def target(name):
    """Probability of each clean occupancy: sites of one sublattice like to differ, and so do some of different ones."""
    codes = support(name).astype(float)
    pairs = [(0, 3, 1.0), (3, 5, 0.8), (1, 4, -0.7), (0, 1, 0.9), (4, 5, 0.6)]
    log_weight = sum(-c * codes[:, i] * codes[:, j] for i, j, c in pairs) + 0.5 * codes[:, 0] - 0.3 * codes[:, 4]
    weights = np.exp(log_weight)
    return weights / weights.sum()


def start(name):
    noise, key = NOISES[name], jax.random.key(0)
    return noise.prior(key, COUNTS, (NUM_SAMPLES,)) if name == "shuffle" else noise.prior(key, (NUM_SAMPLES,))


def some_codes(number):
    return OCCUPANCIES[:number].astype(np.int8)


def ideal_denoiser(noise, codes, probabilities):
    """Logits whose independent sites, on condition of the counts, have the exact marginals of the clean occupancy."""

    def denoiser(state, t):
        apart = jax.tree.map(lambda leaf: leaf[:, None], state)
        log_joint = noise.log_probability(apart, codes, t[:, None]) + jnp.log(probabilities)[None]
        present = jax.nn.one_hot(codes, noise.species.labels.shape[-1], dtype=t.dtype)
        marginals = lambda log_weights: jnp.log(
            jnp.einsum("bx,xsa->bsa", jax.nn.softmax(log_weights, axis=1), present, precision="highest") + 1e-30
        )
        exact = marginals(log_joint)
        if not isinstance(noise, ShuffleNoise):
            return exact
        # Logits of independent sites on condition of the counts, from their marginals (Chen, Dempster and Liu 1994).
        possible = jnp.where(jnp.isfinite(log_joint), 0, -jnp.inf)
        conditional = lambda logits: marginals(
            possible + jnp.einsum("bsa,xsa->bx", logits, present, precision="highest")
        )
        return jax.lax.fori_loop(0, 20, lambda _, logits: logits + (exact - conditional(logits)) / 2, exact)

    return denoiser


@jax.jit
def jitted_path(key, noise, codes, probabilities, times, state):
    return reverse_path(key, noise, ideal_denoiser(noise, codes, probabilities), times, state)


@functools.cache
def ideal_path(name):
    return jitted_path(jax.random.key(1), NOISES[name], support(name), target(name), TIMES, start(name))


@every_noise
def test_the_ideal_denoiser_leads_to_the_target(name):
    clean = np.asarray(occupancy_of(ideal_path(name)))[-1]
    assert_distributed(rows(clean), dict(zip(rows(support(name)), target(name).tolist(), strict=True)))


def test_the_composition_is_exact_at_every_step():
    path = ideal_path("shuffle")
    assert path.occupancy.shape == (len(TIMES), NUM_SAMPLES, 6)
    assert set(rows(np.asarray(path.occupancy).reshape(-1, 6))) == set(arrangements())
    num_shuffled = np.asarray(path.shuffled).sum(axis=2)
    assert np.all(np.diff(num_shuffled, axis=0) <= 0)
    np.testing.assert_allclose(num_shuffled.mean(axis=1), 5 * np.linspace(1, 0, len(TIMES)), atol=0.2)


def simple_logits(numbers, occupancy, t):
    """A denoiser that NumPy and JAX both can be; it sees the whole occupancy and the time."""
    table = np.random.default_rng(0).normal(size=(2, 1, 6, 3))
    seen = numbers.sum(occupancy.astype(t.dtype) * numbers.exp(-t)[:, None], axis=-1)
    return table[0] + table[1] * seen[:, None, None]


def test_a_denoiser_on_the_host_gives_the_same_as_one_of_jax():
    noise, times, state = NOISES["uniform"], reverse_times(5), some_codes(50)
    on_device = lambda state, t: simple_logits(jnp, state, t)
    on_host = host_denoiser(noise, lambda state, t: simple_logits(np, state, t))
    first, second = (
        jax.jit(lambda state, d=d: reverse_sample(jax.random.key(2), noise, d, times, state))(state)
        for d in (on_device, on_host)
    )
    np.testing.assert_array_equal(first, second)


def test_a_guide_changes_the_logits_of_every_step():
    noise, times = NOISES["absorbing"], reverse_times(3)
    state = np.broadcast_to(np.array([3, 3, 0, 3, 3, 3], np.int8), (40, 6))
    flat = lambda state, t: jnp.zeros((*state.shape, 3))

    def guide(state, logits, t):
        # Only code 0, but code 1 where site 0 shows that it is 0 already.
        favoured = jnp.where((state[:, :1] == 0)[..., None], jnp.array([[[0.0, 1, 0]]]), jnp.array([[[1.0, 0, 0]]]))
        return logits + jnp.where(favoured > 0, 0, -jnp.inf)

    codes = jax.jit(lambda state: reverse_path(jax.random.key(3), noise, flat, times, state, guide))(state)
    path = np.asarray(codes)
    for before, after in itertools.pairwise(path):
        drawn = (before == noise.mask_code) & (after != noise.mask_code)
        assert np.all(after[drawn] == np.broadcast_to(before[:, :1] == 0, drawn.shape)[drawn])
    assert np.all(path[-1] < 2)
    assert np.any(path[-1] == 1)


def test_known_occupancy_marks_what_is_hidden():
    state = ShuffleState(np.array([0, 2, 0, 1, 0, 1], np.int8), np.array([True, False, False, False, True, True]))
    np.testing.assert_array_equal(known_occupancy(NOISES["shuffle"], state), [3, 2, 0, 1, 3, 3])
    assert known_occupancy(NOISES["uniform"], state.occupancy) is None
    np.testing.assert_array_equal(known_occupancy(NOISES["absorbing"], state.occupancy), state.occupancy)


def test_times_and_states_that_do_not_fit_are_refused():
    noise, flat = NOISES["uniform"], lambda state, t: jnp.zeros((*state.shape, 3))
    for times in ([1.0, 0.5], [0.5, 1.0, 0.0], [0.0], [np.nan, 0.0], [1.0, 1.0, 0.0]):
        with pytest.raises(ValueError, match="must fall, step by step, to 0"):
            reverse_sample(jax.random.key(0), noise, flat, np.array(times), some_codes(4))
    with pytest.raises(ValueError, match="state of UniformNoise must be an occupancy, but is a ShuffleState"):
        reverse_sample(
            jax.random.key(0), noise, flat, reverse_times(2), ShuffleState(some_codes(4), np.ones((4, 6), bool))
        )
    with pytest.raises(ValueError, match="state of ShuffleNoise must be a ShuffleState"):
        reverse_sample(jax.random.key(0), NOISES["shuffle"], flat, reverse_times(2), some_codes(4))
    with pytest.raises(ValueError, match="needs a step at least"):
        reverse_times(0)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.broadcast_to(np.array([0.3, 0.7, 0.0]), (4, 6, 3)), "seems to return probabilities"),
        (np.where(np.arange(3) == 1, np.nan, np.zeros((4, 6, 3))), "NaN"),
        (np.zeros((4, 6, 4)), r"the denoiser must return logits: floats of the shape \(4, 6, 3\)"),
        (np.zeros((6, 3)), "states have all leading axes"),
        (np.zeros((4, 6, 3), int), "but returns int64"),
    ],
    ids=["probabilities", "NaN", "mask class", "no batch", "integers"],
)
def test_what_is_no_logits_is_refused(logits, message):
    with pytest.raises(ValueError, match=message):
        check_denoiser(NOISES["uniform"], lambda state, t: logits, reverse_times(2), some_codes(4))


def test_a_host_denoiser_that_returns_no_logits_is_refused_while_it_runs():
    noise, state = NOISES["uniform"], some_codes(4)
    denoiser = host_denoiser(noise, lambda state, t: np.full((*state.shape, 3), np.nan))
    with pytest.raises(jax.errors.JaxRuntimeError, match="must return logits"):
        jax.block_until_ready(reverse_sample(jax.random.key(0), noise, denoiser, reverse_times(2), state))
