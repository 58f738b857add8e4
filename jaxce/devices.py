"""Work spread over devices: several GPUs, or several CPU devices, one for each core; of one process or of several.

JAX starts with one CPU device; `jax.config.update("jax_num_cpu_devices", 2)` before its first use gives two. With
several processes (`initialize_distributed`) the devices are those of all.
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
    """A function of a batch whose parts are computed on all devices at once, those of all processes.

    `jaxce.over_devices(jaxce.energy)(hamiltonian, occupancies)`, for example; jit it as you would the function. Several
    processes call it with the same arguments, and each gets the whole result.

    Args:
        function: `(tables, *arrays) -> arrays`, all with a leading batch axis but the tables, such as `energy`,
            `correlations` and `substitution_energies`.
    """

    def everywhere(tables: Any, *arrays: Any) -> Any:
        gather = lambda leaf: jax.lax.all_gather(leaf, BATCH, tiled=True)
        return jax.tree.map(gather, function(tables, *arrays))

    def spread(tables: Any, *arrays: Any) -> Any:
        are_several = jax.process_count() > 1
        arrays = tuple(jnp.asarray(array) for array in arrays)
        size = len(arrays[0])
        # Every process takes part, be it with nothing but copies.
        devices = jax.devices() if are_several else jax.local_devices()[: max(1, size)]
        # The last part is filled up with copies, which are evaluated and dropped.
        filled = jax.tree.map(lambda array: filled_up(array, -(-size // len(devices)) * len(devices)), arrays)
        mapped = jax.shard_map(
            everywhere if are_several else function,
            mesh=Mesh(np.array(devices), (BATCH,)),
            in_specs=(PartitionSpec(), *(PartitionSpec(BATCH) for _ in arrays)),
            out_specs=PartitionSpec() if are_several else PartitionSpec(BATCH),
            check_vma=False,
        )
        return jax.tree.map(lambda leaf: leaf[:size], mapped(tables, *filled))

    return spread


def even_mesh(count: int, parts: str = "chains") -> Mesh | None:
    """The devices over which so many equal parts are spread evenly; None if it is only one.

    As many devices as divide the number; of several processes the same number of each.

    Args:
        count: number of parts.
        parts: what they are.

    Raises:
        ValueError: if the parts cannot be divided among the processes.
    """
    processes = jax.process_count()
    if count % processes:
        below, above = count // processes * processes, -(-count // processes) * processes
        raise ValueError(
            f"{count} {parts} cannot be divided evenly among {processes} processes: take "
            f"{f'{below} or {above}' if below else above} {parts}, or another number of processes."
        )
    each = most_even_parts(count // processes, jax.local_device_count())
    devices = [device for process in range(processes) for device in jax.local_devices(process)[:each]]
    return None if len(devices) == 1 else Mesh(np.array(devices), (BATCH,))


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
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), leading_axis_specs(tree))
    return jax.device_put(tree, shardings) if jax.process_count() == 1 else jax.tree.map(_own_parts, tree, shardings)


def _own_parts(array: Any, sharding: NamedSharding) -> jax.Array:
    """An array of which each process, all of which have the whole, brings its parts."""
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])


def filled_up(array: Any, size: int) -> Any:
    """The array with copies of its first entry behind it, up to a size."""
    missing = size - len(array)
    return jnp.concatenate([array, jnp.repeat(array[:1], missing, axis=0)]) if missing else array
