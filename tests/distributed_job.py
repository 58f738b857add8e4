"""What several processes do together in `test_distributed.py`; as a program, one of these processes.

`distributed_job.py SETTINGS [HOST:PORT NUM_PROCESSES PROCESS_ID]`, where the settings are JSON: "work", names of
functions here with their arguments; "out", a folder for what they give; "dying", a process that kills itself in the
sixth call of its chains.
"""

import json
import os
import pathlib
import signal
import sys

import jax
import numpy as np

import jaxce
from jaxce import diffusion
from jaxce.sampling import chunks, shared_folder


def alloy():
    """A Hamiltonian and eight occupancies of 27 sites."""
    prim = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
    space = jaxce.ClusterSpace(prim, {2: 3.0})
    expansion = jaxce.ClusterExpansion(space, [0.0, 0.01, 0.03])
    start = np.random.default_rng(0).permuted(np.tile(np.arange(27, dtype=np.int8) % 2, (8, 1)), axis=1)
    return jaxce.build_hamiltonian(expansion, jaxce.Supercell(prim, 3)), start


def chains(folder=None, num_sweeps=60, **keywords):
    """Eight chains at two temperatures, of which samples and moments are kept."""
    hamiltonian, start = alloy()
    # One method compiles faster than both.
    settings = {"temperature": np.repeat([700.0, 1100.0], 4), "sample_every": 3, "method": "environment"} | keywords
    observables = {"first": lambda o: o[:, :2], "moments": jaxce.Moments(lambda o: o.sum(axis=1))}
    result = jaxce.run_monte_carlo(
        jax.random.key(1), hamiltonian, start, num_sweeps=num_sweeps, observables=observables, folder=folder, **settings
    )
    return {
        "energy": result.energy,
        "counts": result.counts,
        "first": result.observables["first"],
        "occupancy": result.occupancy,
        "acceptance_rate": result.acceptance_rate,
        "lowest_energy": result.lowest_energy,
        "mean": result.observables["moments"].mean,
    }


def ladders():
    hamiltonian, start = alloy()
    result = jaxce.run_tempering(
        jax.random.key(2),
        hamiltonian,
        start[:4],
        temperatures=[700.0, 900.0, 1200.0],
        num_sweeps=30,
        sample_every=3,
        method="environment",
    )
    names = ("energy", "occupancy", "exchange_rate", "round_trips")
    return {name: getattr(result, name) for name in names}


def batches():
    """Five structures, which neither two nor four processes divide."""
    hamiltonian, start = alloy()
    spread = jax.jit(jaxce.over_devices(jaxce.energy))
    return {
        "energy": spread(hamiltonian, start[:5]),
        "by supercell": jaxce.by_supercell(spread)([(hamiltonian, one) for one in start[:3]]),
    }


def particles():
    hamiltonian, start = alloy()
    result = diffusion.sequential_monte_carlo(
        jax.random.key(3), hamiltonian, start[0], temperatures=[2000.0, 1000.0, 700.0], num_particles=8, num_islands=2
    )
    return {name: getattr(result, name) for name in ("occupancy", "log_weights", "energy", "log_z")}


def refused():
    """Messages about what processes cannot do together."""
    hamiltonian, start = alloy()
    settings = {"temperature": 700.0, "num_sweeps": 3}
    own_key = jax.random.key(jax.process_index())
    return {
        "key": refusal(lambda: jaxce.run_monte_carlo(own_key, hamiltonian, start, **settings)),
        "chains": refusal(lambda: jaxce.run_monte_carlo(jax.random.key(0), hamiltonian, start[:7], **settings)),
        # A file of this name is there.
        "folder": refusal(
            lambda: jaxce.run_monte_carlo(jax.random.key(0), hamiltonian, start, **settings, folder=__file__)
        ),
    }


def refusal(function):
    try:
        function()
    except ValueError as error:
        return str(error)
    return ""


def die_in_sixth_call():
    calls, call = [], chunks._call

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)

    chunks._call = dying


def main():
    settings = json.loads(sys.argv[1])
    jax.config.update("jax_enable_x64", True)
    if len(sys.argv) == 2:
        jaxce.initialize_distributed()
    else:
        jaxce.initialize_distributed(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    shared_folder.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    for name, arguments in settings["work"].items():
        if name == "chains" and settings.get("dying") == jax.process_index():
            die_in_sixth_call()
        arrays = globals()[name](**arguments)
        np.savez(pathlib.Path(settings["out"]) / f"{name}.{jax.process_index()}.npz", **arrays)


if __name__ == "__main__":
    main()
