"""Large batches in blocks: bounded memory, and working sets that stay in the processor's cache."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def over_batch(function: Callable[..., Any], block: int | None, *arrays: tuple[Any, int]) -> Any:
    """`function` applied to arrays with any common leading axes, a block of structures at a time.

    Args:
        function: takes the arrays with one leading batch axis and returns arrays with the same.
        block: largest batch that it is given; None if it takes any and blocks for itself.
        *arrays: pairs of an array and the number of its trailing axes that are not batch axes. The leading axes are
            broadcast against each other.
    """
    arrays = tuple((jnp.asarray(array), trailing) for array, trailing in arrays)
    shapes = [array.shape[: array.ndim - trailing] for array, trailing in arrays]
    batch_shape = jnp.broadcast_shapes(*shapes)
    size = math.prod(batch_shape)
    flat = [
        jnp.broadcast_to(array, batch_shape + array.shape[array.ndim - trailing :]).reshape(
            (size, *array.shape[array.ndim - trailing :])
        )
        for array, trailing in arrays
    ]
    result = _mapped(function, block, size, flat)
    return jax.tree.map(lambda leaf: leaf.reshape(batch_shape + leaf.shape[1:]), result)


def _mapped(function: Callable[..., Any], block: int | None, size: int, arrays: list[Any]) -> Any:
    if size == 0:
        # Blocks of no structures have no size.
        one = [jax.ShapeDtypeStruct((1, *array.shape[1:]), array.dtype) for array in arrays]
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), jax.eval_shape(function, *one))
    if block is None or size <= block:
        return function(*arrays)
    num_blocks = -(-size // block)
    # The last block is filled up with zeros, which are evaluated and dropped.
    missing = num_blocks * block - size
    padded = [jnp.pad(array, ((0, missing), *((0, 0),) * (array.ndim - 1))) for array in arrays]
    blocks = [array.reshape((num_blocks, block, *array.shape[1:])) for array in padded]
    result = jax.lax.map(lambda args: function(*args), tuple(blocks))
    return jax.tree.map(lambda leaf: leaf.reshape((num_blocks * block, *leaf.shape[2:]))[:size], result)


def block_size(entries_per_structure: int, largest: int = 64) -> int:
    """The power of two of structures whose work fits into a second-level cache, at most `largest`."""
    # About 2 MiB of float32.
    fitting = max(1, 2**19 // max(1, entries_per_structure))
    return min(largest, 2 ** int(math.log2(fitting)))
