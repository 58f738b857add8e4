"""Several processes as one job, on one machine or many."""

import atexit
import signal
import sys
import threading

import jax

from jaxce.processes import leave_at_once


def initialize_distributed(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat_timeout_seconds: int = 100,
) -> None:
    """Make this process one of several that work together.

    Every process calls it before anything else that uses JAX, then runs the same program with the same arguments:
    `run_monte_carlo`, `run_tempering`, `anneal`, `over_devices` and sequential Monte Carlo spread their chains,
    ladders, batches and particles over the devices of all processes, and give the whole result on each.

    Under Slurm (`srun`) and Open MPI (`mpirun`) no argument is needed. Elsewhere the first three are. Each process gets
    one GPU under Slurm and Open MPI, else all that it sees (`CUDA_VISIBLE_DEVICES`); or one CPU device.

    When a process dies, the others end with an error and an exit code that is not 0: at once if its connections break,
    else (a machine that is gone) after the timeout.

    Args:
        coordinator: "host:port" of the first process, which all can reach; the port must be free.
        num_processes: number of processes.
        process_id: number of this process, from 0.
        heartbeat_timeout_seconds: seconds without a sign of life after which a process counts as dead.

    Raises:
        ValueError: if only some of the first three arguments are given or they make no sense; or if none is, and there
            is no launcher that is known.
        RuntimeError: if JAX has been used before, or this was called before, or the others do not come.
    """
    _check_arguments(coordinator, num_processes, process_id, heartbeat_timeout_seconds)
    on_termination = signal.getsignal(signal.SIGTERM)
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process_id, heartbeat_timeout_seconds=heartbeat_timeout_seconds
        )
    except ValueError as error:
        raise ValueError(
            f"no launcher of several processes was found ({error}). Start the program with `srun` or Open MPI's "
            "`mpirun`, or give `coordinator`, `num_processes` and `process_id`."
        ) from error
    # JAX makes SIGTERM a mere notice, so that a process could not be stopped.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)
    atexit.register(_leave_after_an_error)


def _check_arguments(coordinator: str | None, num_processes: int | None, process_id: int | None, timeout: int) -> None:
    if coordinator is None or num_processes is None or process_id is None:
        if (coordinator, num_processes, process_id) != (None, None, None):
            raise ValueError(
                "`coordinator`, `num_processes` and `process_id` must be given together, or none of them under Slurm "
                f"or Open MPI, but they are {coordinator!r}, {num_processes} and {process_id}."
            )
    else:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(
                f"`coordinator` must be the host and a free port of the first process, such as node1:12345, but is "
                f"{coordinator!r}."
            )
        if not 0 <= process_id < num_processes:
            raise ValueError(
                f"`process_id` must be from 0 to `num_processes` - 1, but is {process_id} of {num_processes}."
            )
    if timeout < 1:
        raise ValueError(f"`heartbeat_timeout_seconds` must be 1 at least, but is {timeout}.")


def _leave_after_an_error() -> None:
    """After an error that nobody caught, this process does not wait for the others, which may wait for it."""
    if hasattr(sys, "last_value"):
        leave_at_once()
