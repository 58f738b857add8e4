"""Weighted particles: resampling, and steering of any sampler towards a reward.

Sequential Monte Carlo after Doucet and Johansen (2009): particles move, gain weights, and are drawn anew from these
when few of them still count. Averages with the weights converge to those of the target, and the mean weight is an
unbiased estimate of its normaliser.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int


def log_mean_exp(log_weights: Float[ArrayLike, "*batch particles"]) -> Float[Array, "*batch"]:
    """Logarithm of the mean weight: of a normaliser, if the weights estimate it."""
    log_weights = jnp.asarray(log_weights)
    return jax.nn.logsumexp(log_weights, axis=-1) - math.log(log_weights.shape[-1])


def effective_sample_size(log_weights: Float[ArrayLike, "*batch particles"]) -> Float[Array, "*batch"]:
    """(sum w)^2 / sum w^2: the number of particles if all weights are alike, 0 if none is left.

    It knows only what the particles have found: a mode that none is in costs nothing.
    """
    log_weights = jnp.asarray(log_weights)
    size = jnp.exp(2 * jax.nn.logsumexp(log_weights, axis=-1) - jax.nn.logsumexp(2 * log_weights, axis=-1))
    return jnp.where(jnp.isfinite(jnp.max(log_weights, axis=-1)), size, jnp.zeros_like(size))


def resample(key: Any, log_weights: Float[ArrayLike, "*batch particles"]) -> Int[Array, "*batch particles"]:
    """Indices of the particles that take the places of all, drawn in proportion to their weights, ascending.

    Systematic: one random number for each set of particles, and a particle of weight w among n gets n w places rounded
    up or down. One without weight gets none.

    Args:
        key: random key, consumed.
        log_weights: logarithms of weights, up to a constant for each set.
    """
    log_weights = jnp.asarray(log_weights)
    num_particles = log_weights.shape[-1]
    cumulative = jnp.cumsum(jax.nn.softmax(log_weights, axis=-1), axis=-1)
    # The part that ends at the last particle with a weight is all, whatever the rounding.
    cumulative /= cumulative[..., -1:]
    # From (0, 1]: no mark is at 0, where particles without weight may stand.
    offset = 1 - jax.random.uniform(key, (*log_weights.shape[:-1], 1), cumulative.dtype)
    num_marks = jnp.clip(jnp.floor(num_particles * cumulative - offset) + 1, 0, num_particles).astype(jnp.int32)
    # A place is taken by the particle before which fewer marks stand, up to which more.
    ends = jax.vmap(lambda ends: jnp.zeros(num_particles + 1, jnp.int32).at[ends].add(1))
    taken = jnp.cumsum(ends(num_marks.reshape(-1, num_particles)), axis=-1)[:, :-1]
    return taken.reshape(log_weights.shape).astype(jnp.int32)


class SteeredParticles(NamedTuple):
    """Particles at the end of `steer`.

    Attributes:
        states: as they were given, with a leading axis of particles.
        log_weights: `[particles]` of each; all averages are to be taken with them.
        log_z: `[]` log of the mean of exp(reward) over the unsteered sampler.
        effective_sample_size: `[steps]` after each step, before particles were drawn anew.
        is_resampled: `[steps]` whether they were.
    """

    states: Any
    log_weights: Float[Array, " particles"]
    log_z: Float[Array, ""]
    effective_sample_size: Float[Array, " steps"]
    is_resampled: Array


def steer(
    key: Any,
    states: Any,
    move: Callable[[Any, Any, Any], tuple[Any, Any]],
    log_reward: Callable[[Any, Any], Any],
    num_steps: int,
    *,
    resample_below: float = 0.5,
) -> SteeredParticles:
    """Steer a sampler, such as a reverse diffusion, towards exp(reward) times its own distribution.

    A Feynman-Kac model: the weight of a path is exp(the reward at its end), spread over the steps as differences of
    rewards at intermediate states. These are free to choose, and only decide how well it works; at the last step the
    reward must be the exact one, such as -E / kT. If `move` draws from a guided proposal, its `log_ratio` corrects it.

    A pure function, to be jitted or mapped (over islands of particles) by the caller. Where all particles die, weights
    are NaN: called outside `jit` this raises; otherwise give `effective_sample_size` to `check_alive`.

    Args:
        key: random key, consumed.
        states: pytree of arrays `[particles, ...]` that the sampler starts from, drawn from its own start.
        move: `(key, states, step) -> (states, log_ratio [particles])`: one step of all particles, and the logarithm of
            the probability of this transition in the sampler over that in the proposal which it was drawn from: zeros
            if it was drawn from the sampler itself.
        log_reward: `(states, step) -> [particles]`: reward after so many steps, from 0 (the start) to `num_steps`.
        num_steps: number of steps.
        resample_below: particles are drawn anew if their effective size falls below this part of their number; 0 for
            never.

    Raises:
        ValueError: if all particles die, with the step.
    """

    def step(carry, index):
        states, log_weights, reward, log_z = carry
        move_key, resample_key = jax.random.split(jax.random.fold_in(key, index))
        states, log_ratio = move(move_key, states, index)
        new_reward = log_reward(states, index + 1)
        log_weights += log_ratio + new_reward - reward
        size = effective_sample_size(log_weights)
        # Never after the last step: weights tell more than copies do.
        is_due = (size < resample_below * log_weights.shape[-1]) & (index + 1 < num_steps)
        everyone = jnp.arange(log_weights.shape[-1], dtype=jnp.int32)
        chosen = jnp.where(is_due, resample(resample_key, log_weights), everyone)
        states = jax.tree.map(lambda leaf: leaf[chosen], states)
        log_z += jnp.where(is_due, log_mean_exp(log_weights), jnp.zeros_like(log_z))
        log_weights = jnp.where(is_due, jnp.zeros_like(log_weights), log_weights)
        return (states, log_weights, new_reward[chosen], log_z), (size, is_due)

    reward = log_reward(states, jnp.zeros((), jnp.int32))
    start = (states, reward, reward, jnp.zeros((), reward.dtype))
    end, (sizes, is_resampled) = jax.lax.scan(step, start, jnp.arange(num_steps, dtype=jnp.int32))
    states, log_weights, _, log_z = end
    if not isinstance(sizes, Tracer):
        check_alive(sizes)
    return SteeredParticles(states, log_weights, log_z + log_mean_exp(log_weights), sizes, is_resampled)


def check_alive(effective_sample_size: Any) -> None:
    """Raise `ValueError` if at some step no particle had a weight, with the first such step.

    Args:
        effective_sample_size: `[..., steps]` of `SteeredParticles`, on the host.
    """
    is_dead = ~(np.asarray(effective_sample_size) > 0)
    steps = np.flatnonzero(np.any(is_dead.reshape(-1, is_dead.shape[-1]), axis=0))
    if len(steps):
        raise ValueError(
            f"all particles are dead after step {steps[0] + 1} of {is_dead.shape[-1]}: every weight is 0 or NaN. Use "
            "more particles, rewards that rise more slowly over the steps, or less guidance; if rewards are NaN, look "
            "at the logits."
        )
