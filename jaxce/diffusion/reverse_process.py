"""What reverse processes are made of: noises, denoisers, guides, and one step of them together.

A denoiser is a function `(state, t) -> logits [..., sites, species]` of the clean species. The state is what the noise
makes, an occupancy `[..., sites]` or a `ShuffleState`; t is the noise time of each sample, `[...]`. A guide is a
function `(state, logits, t) -> logits`, such as a call of `tilted_logits` or `relaxed_tilted_logits`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxce.diffusion.absorbing_noise import AbsorbingNoise
from jaxce.diffusion.shuffle_noise import ShuffleNoise, ShuffleState
from jaxce.diffusion.uniform_noise import UniformNoise
from jaxce.site_species import check_occupancy

Noise = UniformNoise | AbsorbingNoise | ShuffleNoise
Denoiser = Callable[[Any, Any], Any]
Guide = Callable[[Any, Any, Any], Any]


def reverse_times(num_steps: int) -> np.ndarray:
    """`[steps + 1]` falling noise times from infinity, where `noise.prior` is exact, to 0.

    In each step the same number of sites is freed of noise, on average.

    Raises:
        ValueError: if there is no step.
    """
    if num_steps < 1:
        raise ValueError(f"a reverse process needs a step at least, but `num_steps` is {num_steps}.")
    is_touched = np.arange(num_steps, -1, -1) / num_steps
    with np.errstate(divide="ignore"):
        return np.abs(np.log1p(-is_touched))


def occupancy_of(state: Any) -> Any:
    """The occupancy `[..., sites]` of a state of any noise."""
    return state.occupancy if isinstance(state, ShuffleState) else state


def known_occupancy(noise: Noise, state: Any) -> Any:
    """The species codes `[..., sites]` that a state shows of the clean occupancy; the mask code where it shows none.

    As `relaxed_tilted_logits` and `decode_conditional` take it; the mask code is the length of the species axis. None
    for uniform noise, where no site is sure.
    """
    if isinstance(noise, UniformNoise):
        return None
    if isinstance(noise, AbsorbingNoise):
        return state
    return jnp.where(
        state.shuffled, jnp.asarray(noise.species.labels.shape[-1], state.occupancy.dtype), state.occupancy
    )


def as_state(noise: Noise, state: Any) -> Any:
    """The state as arrays.

    Raises:
        ValueError: if it is no state of this noise.
    """
    if isinstance(state, ShuffleState) != isinstance(noise, ShuffleNoise):
        wanted = "a ShuffleState (noise.prior, noise.sample)" if isinstance(noise, ShuffleNoise) else "an occupancy"
        raise ValueError(f"the state of {type(noise).__name__} must be {wanted}, but is a {type(state).__name__}.")
    check_occupancy(len(noise.species.kind), occupancy_of(state))
    return jax.tree.map(jnp.asarray, state)


def as_times(times: Any) -> Float[Array, " times"]:
    """The times as an array.

    Raises:
        ValueError: if they are known here and do not fall to 0.
    """
    if not isinstance(times, Tracer):
        known = np.asarray(times, dtype=float)
        if known.ndim != 1 or len(known) < 2 or np.any(~(np.diff(known) < 0)) or known[-1] != 0:
            raise ValueError(f"`times` must fall, step by step, to 0, but are {known}; `reverse_times` makes such.")
    times = jnp.asarray(times)
    return times if jnp.issubdtype(times.dtype, jnp.floating) else times.astype(jnp.result_type(float))


def denoised(denoiser: Denoiser, noise: Noise, state: Any, t: Float[Array, ""]) -> Float[Array, "*batch sites species"]:
    """The denoiser's logits of a state at one time, in the dtype of the times.

    Raises:
        ValueError: if they have another shape.
    """
    batch = occupancy_of(state).shape[:-1]
    return _checked(noise, state, denoiser(state, jnp.broadcast_to(t, batch)), "denoiser").astype(t.dtype)


def guided(
    guide: Guide | None, noise: Noise, state: Any, logits: Float[Array, "*batch sites species"], t: Float[Array, ""]
) -> Float[Array, "*batch sites species"]:
    """The logits as a guide, if there is one, changes them.

    Raises:
        ValueError: if they have another shape then.
    """
    if guide is None:
        return logits
    batch = occupancy_of(state).shape[:-1]
    return _checked(noise, state, guide(state, logits, jnp.broadcast_to(t, batch)), "guide").astype(logits.dtype)


def _checked(noise: Noise, state: Any, logits: Any, source: str) -> Array:
    expected = (*occupancy_of(state).shape, noise.species.labels.shape[-1])
    shape, dtype = jnp.shape(logits), jnp.result_type(logits)
    if shape != expected or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"the {source} must return logits: floats of the shape {expected} (those of the state, species), but "
            f"returns {dtype} of shape {shape}. A mask class has no logit, and states have all leading axes."
        )
    return jnp.asarray(logits)
