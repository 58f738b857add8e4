"""What the processes of one job tell each other. With one process it all costs nothing.

All run the same program with the same arguments and hold the same arrays on the host; only what is on devices is spread
over them. Whatever depends on time or files the first process decides, since one that went another way than the others
would wait for them forever.
"""

import atexit
import contextlib
import functools
import io
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

# JAX raises errors of its runtime as `ValueError` where arrays are read.
_RUNTIME_STATUS = re.compile(r"(UNKNOWN|INTERNAL|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED): ")


def are_several() -> bool:
    """Whether this process is one of several."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that writes and prints: the only one, or number 0."""
    return jax.process_index() == 0


def gathered(tree: Any) -> Any:
    """The arrays with all their parts, on every process. What every process has anyway stays as it is."""
    is_spread = lambda leaf: isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
    spread = [leaf for leaf in jax.tree.leaves(tree) if is_spread(leaf)]
    if not spread:
        return tree
    whole = iter(_everywhere(spread, spread[0].sharding.mesh))
    return jax.tree.map(lambda leaf: jnp.asarray(own_part(next(whole))) if is_spread(leaf) else leaf, tree)


@functools.partial(jax.jit, static_argnames="mesh")
def _everywhere(arrays: list[jax.Array], mesh: Any) -> list[jax.Array]:
    return jax.lax.with_sharding_constraint(arrays, NamedSharding(mesh, PartitionSpec()))


def own_part(array: jax.Array) -> np.ndarray:
    """The part of an array that is on the devices of this process; no other process has a hand in it."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.concatenate([np.asarray(shard.data) for shard in array.addressable_shards])


def of_first(number: float) -> float:
    """A number of the first process, on all."""
    if not are_several():
        return number
    return float(_bytes_of_first(np.float64(number).tobytes(), 8).view(np.float64)[0])


def clock() -> float:
    """Seconds, the same on all processes."""
    return of_first(time.monotonic())


def arrays_of_first(read: Callable[[], Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """What a function gives that the first process calls, on all.

    Raises:
        ValueError: on all, if the function raises it, or an `OSError`. A process that is alone gets the `OSError`.
    """
    if not are_several():
        return dict(read())
    data = b""
    if is_first():
        try:
            arrays: dict[str, Any] = {f"array {name}": array for name, array in read().items()}
        except (ValueError, OSError) as error:
            arrays = {"error": str(error)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        data = buffer.getvalue()
    size = int(of_first(float(len(data))))
    with np.load(io.BytesIO(_bytes_of_first(data, size).tobytes()), allow_pickle=False) as archive:
        received = dict(archive)
    if "error" in received:
        raise ValueError(str(received["error"]))
    return {name.removeprefix("array "): array for name, array in received.items()}


def check_same(parts: Mapping[str, str]) -> None:
    """Raise an error if the processes do not do the same.

    Args:
        parts: digests of what must be the same.

    Raises:
        ValueError: on all processes, if some part differs.
    """
    if not are_several():
        return
    own = np.array([list(digest.encode()) for digest in parts.values()], dtype=np.uint8)
    digests = multihost_utils.process_allgather(own)
    differing = [name for index, name in enumerate(parts) if np.any(digests[:, index] != digests[0, index])]
    if differing:
        raise ValueError(
            f"the {jax.process_count()} processes must be given the same arguments, but differ in "
            f"{', '.join(differing)}: the clock and NumPy's random numbers, for example, are not the same everywhere."
        )


@contextlib.contextmanager
def ending_together(folder: str | os.PathLike | None = None) -> Generator[None]:
    """Work that all processes do together: an error in one of them ends all, at once.

    Args:
        folder: where the work is saved.

    Raises:
        RuntimeError: if another process is gone.
    """
    try:
        yield
    except BaseException as error:
        if not are_several():
            raise
        is_of_runtime = isinstance(error, jax.errors.JaxRuntimeError) or _RUNTIME_STATUS.match(str(error))
        # Every other `ValueError` all processes raise.
        if is_of_runtime or not isinstance(error, ValueError):
            atexit.register(leave_at_once)
        if is_of_runtime and "RESOURCE_EXHAUSTED" not in str(error):
            raise RuntimeError(_lost_process(folder)) from error
        raise


def leave_at_once() -> NoReturn:
    """End this process without the wait for the others that JAX ends with: they wait for this one."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _lost_process(folder: str | os.PathLike | None) -> str:
    advice = (
        "Nothing was saved: with a `folder` the run could go on from its last checkpoint."
        if folder is None
        else f"{os.fspath(folder)} holds the run up to its last checkpoint: start it again with the same arguments, on "
        "any number of processes, and it goes on from there."
    )
    return (
        f"process {jax.process_index()} of {jax.process_count()} stops, since another one is gone or was not heard of; "
        f"the output of that one says why. {advice}"
    )


def _bytes_of_first(data: bytes, size: int) -> np.ndarray:
    own = np.frombuffer(data, np.uint8) if is_first() else np.zeros(size, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(own))
