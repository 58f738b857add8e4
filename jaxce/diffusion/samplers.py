"""Reverse processes: from noise to clean occupancies, with a denoiser of any framework.

All are pure functions that the caller jits. Weights of a network are an argument of what is jitted, and the denoiser is
made inside of it, so that new weights cost no compilation:

    @jax.jit
    def sample(key, noise, weights, state):
        denoiser = lambda state, t: network(weights, state.occupancy, state.shuffled, t)
        return reverse_sample(key, noise, denoiser, reverse_times(64), state)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.diffusion.reverse_process import (
    Denoiser,
    Guide,
    Noise,
    as_state,
    as_times,
    denoised,
    guided,
    occupancy_of,
)


def reverse_sample(
    key: Any,
    noise: Noise,
    denoiser: Denoiser,
    times: Float[ArrayLike, " times"],
    state: Any,
    guide: Guide | None = None,
) -> Int[Array, "*batch sites"]:
    """Clean occupancies from noised ones.

    Sites that are freed of noise in the same step are drawn independently of each other (by `ShuffleNoise`: on
    condition of the exact composition, which is kept at every step). So more steps are better, up to one per site.

    Args:
        key: random key, consumed.
        noise: the noise.
        denoiser: `(state, t) -> logits` of the clean species; `host_denoiser` makes one of another framework.
        times: falling, from that of `state` to 0 (`reverse_times`).
        state: states at the first time, such as `noise.prior(...)`.
        guide: `(state, logits, t) -> logits`, applied at every step.

    Raises:
        ValueError: if the times do not fall to 0, or the logits do not have the shape of the states.
    """
    step, start, draws = _process(key, noise, denoiser, times, state, guide)
    end, _ = jax.lax.scan(lambda state, draw: (step(state, draw), None), start, draws)
    return occupancy_of(end)


def reverse_path(
    key: Any,
    noise: Noise,
    denoiser: Denoiser,
    times: Float[ArrayLike, " times"],
    state: Any,
    guide: Guide | None = None,
) -> Any:
    """The states of `reverse_sample` at all times, with a leading axis for these; arguments as there."""
    step, start, draws = _process(key, noise, denoiser, times, state, guide)
    _, path = jax.lax.scan(lambda state, draw: 2 * (step(state, draw),), start, draws)
    return jax.tree.map(lambda first, others: jnp.concatenate([first[None], others]), start, path)


def _process(
    key: Any, noise: Noise, denoiser: Denoiser, times: Any, state: Any, guide: Guide | None
) -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """A step of the process, its first state, and what each step takes: a key, and the times before and after."""
    times = as_times(times)

    def step(state: Any, draw: Any) -> Any:
        key, t, s = draw
        logits = denoised(denoiser, noise, state, t)
        return noise.reverse_step(key, state, guided(guide, noise, state, logits, t), t, s)

    return step, as_state(noise, state), (jax.random.split(key, len(times) - 1), times[:-1], times[1:])
