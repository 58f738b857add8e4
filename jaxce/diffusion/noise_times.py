"""Noise times. A time t means that a site kept its species with probability exp(-t); another schedule is t(step)."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num


def with_times(occupancy: Any, *times: Num[ArrayLike, "..."], batch: tuple[int, ...] = ()) -> tuple[Array, ...]:
    """An array `[..., sites]` and noise times `[...]`, all with the same leading axes; times are floats.

    Args:
        occupancy: the array.
        *times: a time, or a later and an earlier one.
        batch: leading axes that these have to broadcast with.

    Raises:
        ValueError: if times that are known here are negative or not numbers, or ascend: the later one comes first.
    """
    occupancy = jnp.asarray(occupancy)
    _check_times(times)
    dtypes = [jnp.result_type(time) for time in times if hasattr(time, "dtype") and not isinstance(time, float)]
    dtype = next((dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)), jnp.result_type(float))
    floats = [jnp.asarray(time, dtype) for time in times]
    batch = jnp.broadcast_shapes(batch, occupancy.shape[:-1], *(time.shape for time in floats))
    return jnp.broadcast_to(occupancy, (*batch, occupancy.shape[-1])), *(jnp.broadcast_to(t, batch) for t in floats)


def kept(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """Probability that a site is as yet untouched."""
    return jnp.exp(-t)


def touched(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """Probability that a site is touched: `1 - kept(t)` with all its digits."""
    return -jnp.expm1(-t)


def touched_before(t: Float[Array, "..."], s: Float[Array, "..."]) -> Float[Array, "..."]:
    """Probability that a site which is touched by `t` was so by `s`; at s = t = 0 it is 1."""
    is_start = t == 0
    return jnp.where(is_start, 1, touched(s) / jnp.where(is_start, 1, touched(t)))


def count_times_log(count: Array, log_probability: Float[Array, "..."]) -> Float[Array, "..."]:
    """`count * log_probability`, 0 where nothing is counted, whatever the probability."""
    is_counted = count > 0
    return jnp.where(is_counted, count.astype(log_probability.dtype) * jnp.where(is_counted, log_probability, 0), 0)


def _check_times(times: tuple[Any, ...]) -> None:
    if any(isinstance(time, Tracer) for time in times):
        return
    known = [np.asarray(time, dtype=float) for time in times]
    for time in known:
        if not np.all(time >= 0):
            raise ValueError(f"noise times must be numbers from 0 on, but are {time}.")
    if len(known) == 2 and np.any(known[0] < known[1]):
        raise ValueError(f"`s` must not be later than `t`, but t = {known[0]} and s = {known[1]}.")
