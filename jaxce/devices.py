"""Work spread over the devices of a host: several GPUs, or several CPU devices, one for each core.

JAX starts with one CPU device; `jax.config.update("jax_num_cpu_devices", 2)` before its first use gives two.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# Name of the axis of every mesh: structures, chains, or ladders.
BATCH = "batch"


def over_devices(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a batch whose parts are computed on all devices of this host at once.

    `jaxce.over_devices(jaxce.energy)(hamiltonian, occupancies)`, for example; jit it as you would the function.

    Args:
        function: `(tables, *arrays) -> arrays`, all with a leading batch axis but the tables, such as `energy`,
            `correlations` and `substitution_energies`.
    """

    def spread(tables: Any, *arrays: Any) -> Any:
        arrays = tuple(jnp.asarray(array) for array in arrays)
        size = len(arrays[0])
        devices = jax.local_devices()[: max(1, size)]
        # The last part is filled up with copies, which are evaluated and dropped.
        filled = jax.tree.map(lambda array: filled_up(array, -(-size // len(devices)) * len(devices)), arrays)
        mapped = jax.shard_map(
            function,
            mesh=Mesh(np.array(devices), (BATCH,)),
            in_specs=(PartitionSpec(), *(PartitionSpec(BATCH) for _ in arrays)),
            out_specs=PartitionSpec(BATCH),
            check_vma=False,
        )
        return jax.tree.map(lambda leaf: leaf[:size], mapped(tables, *filled))

    return spread


def even_mesh(count: int) -> Mesh | None:
    """The devices over which so many equal parts are spread evenly; None if it is only one.

    As many of the host's devices as divide the number.
    """
    devices = jax.local_devices()
    num_devices = most_even_parts(count, len(devices))
    return None if num_devices == 1 else Mesh(np.array(devices[:num_devices]), (BATCH,))


def most_even_parts(count: int, largest: int) -> int:
    """The largest number, up to a limit, that divides `count`."""
    return max(parts for parts in range(1, largest + 1) if count % parts == 0)


def leading_axis_specs(tree: Any) -> Any:
    """How arrays are spread by their first axis; numbers are everywhere."""
    return jax.tree.map(lambda leaf: PartitionSpec(BATCH) if leaf.ndim else PartitionSpec(), tree)


def spread_out(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays, brought to the devices of the mesh."""
    if mesh is None:
        return tree
    return jax.device_put(tree, jax.tree.map(lambda spec: NamedSharding(mesh, spec), leading_axis_specs(tree)))


def filled_up(array: Any, size: int) -> Any:
    """The array with copies of its first entry behind it, up to a size."""
    missing = size - len(array)
    return jnp.concatenate([array, jnp.repeat(array[:1], missing, axis=0)]) if missing else array
