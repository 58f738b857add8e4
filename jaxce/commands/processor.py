"""How a command uses the processor. To be called before JAX is imported, which reads the environment once."""

import importlib.metadata
import os
import sys

_FLAG = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000"


def begin_process(
    cores: int | None, distributed: bool, coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Set up this process, and make it one of several if it is to be; these use one core each by default.

    Raises:
        ValueError: if the arguments of several processes make no sense, or there is no launcher that is known.
    """
    is_of_several = distributed or (coordinator, num_processes, process_id) != (None, None, None)
    use_cores(1 if is_of_several and cores is None else cores)
    if is_of_several:
        from jaxce.distributed import initialize_distributed

        initialize_distributed(coordinator, num_processes, process_id)


def use_cores(count: int | None) -> None:
    """Let JAX spread chains over so many cores, or all that the process may use; and compile chains to one function.

    What the user has set in the environment stays. Without effect if JAX is imported already, as in a notebook.
    """
    if "jax" in sys.modules:
        return
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count is not None or "JAX_NUM_CPU_DEVICES" not in os.environ:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(count or available)
    # See docs/monte_carlo.md: 0.12 needs no flag, and 0.7 crashes with it.
    version = tuple(int(part) for part in importlib.metadata.version("jax").split(".")[:2])
    flags = os.environ.get("XLA_FLAGS", "")
    if (0, 8) <= version < (0, 12) and "xla_cpu_small_while_loop_byte_threshold" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}".strip()
