"""How jaxce grows with sites, clusters, chains, structures and cores; whether chains of small cells should be mapped.

What needs its own process is run in one.
`python benchmarks/scaling.py NAME ARGUMENTS` prints one measurement as JSON; `run.py` calls it.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest.mock

import jax
import numpy as np
from measure import LEAST_SWEEPS, Effort, Regime, best, run, time_chains, time_of_sweep
from systems import Problem, all_systems

import jaxce
from jaxce.sampling import run_setup

SIZES = ((2, 4, 4), (5, 5, 8), (8, 16, 10), (16, 32, 20), (50, 80, 50))
CUTOFFS = ((5.01, 4.01), (6.01, 5.01), (8.01, 6.01), (10.01, 7.01))
CHAINS = (1, 4, 16, 64, 256, 1024, 4096)
STRUCTURES = (1, 10_000, 1_000_000)
# Hot and cold, around the number of sites up to which chains are mapped.
SMALL_CELLS = {"fcc": ((2, 2, 2), (2, 2, 4), (3, 3, 4), (4, 4, 4)), "perovskite": ((1, 2, 2), (2, 2, 2))}
CHAINS_OF_SMALL_CELLS = (16, 64, 256)


def measure_scaling(kelvins, is_quick):
    """Name -> rows. `kelvins` has the hot temperatures of "fcc" and "perovskite"."""
    sizes, cutoffs, chains, structures = SIZES, CUTOFFS, CHAINS, STRUCTURES
    small_cells, chains_of_small_cells = SMALL_CELLS, CHAINS_OF_SMALL_CELLS
    steps, chains_on_cores = 600_000, 1024
    if is_quick:
        sizes, cutoffs, chains, structures = sizes[:2], cutoffs[:1], chains[1:3], structures[:1]
        small_cells, chains_of_small_cells = {"fcc": SMALL_CELLS["fcc"][:1]}, CHAINS_OF_SMALL_CELLS[:1]
        steps, chains_on_cores = 20_000, 64
    kelvin = kelvins["perovskite"]
    return {
        "sites": [in_process("sites", size=size, kelvin=kelvin, steps=steps) for size in sizes],
        "clusters": [of_clusters(pair, kelvins["fcc"], steps) for pair in cutoffs],
        "chains": [of_chains(number, kelvin, steps) for number in chains],
        "small cells": [
            of_small_cell(name, size, number, kelvin, steps)
            for name, cells in small_cells.items()
            for size in cells
            for number in chains_of_small_cells
            for kelvin in (kelvins[name], kelvins[name] / 5)
        ],
        "structures": [in_process("structures", count=count) for count in structures],
        "cores": [
            in_process("cores", {"JAX_NUM_CPU_DEVICES": str(cores)}, chains=chains_on_cores, kelvin=kelvin, steps=steps)
            for cores in (1, 2)
        ],
    }


def of_clusters(cutoffs, kelvin, steps):
    """64 chains of the fcc alloy with these cutoffs for pairs and triplets."""
    system = dataclasses.replace(all_systems()["fcc"], cutoffs=dict(enumerate(cutoffs, 2)))
    problem = Problem(system)
    orders = [(orbit.order, orbit.multiplicity) for orbit in problem.space.orbits]
    touching = sum(order * count for order, count in orders)
    return {"clusters touching a site": touching, **rate(problem, 64, kelvin, steps)}


def of_chains(chains, kelvin, steps):
    """So many chains of the perovskite."""
    return rate(Problem(all_systems()["perovskite"]), chains, kelvin, steps)


def of_small_cell(name, size, chains, kelvin, steps):
    """Swaps per second of chains that take their steps one after the other, and together."""
    problem = Problem(dataclasses.replace(all_systems()[name], size=size))
    rates = {}
    for way, is_mapped in (("one after the other", False), ("together", True)):
        with unittest.mock.patch.object(run_setup, "_are_chains_mapped", return_value=is_mapped):
            row = rate(problem, chains, kelvin, steps)
        rates[way] = row["swaps per second"]
    ratio = rates["together"] / rates["one after the other"]
    words = {"system": name, "sites": problem.supercell.num_sites, "chains": chains, "accepted": row["accepted"]}
    return {**words, **rates, "ratio": ratio}


def rate(problem, chains, kelvin, steps):
    """Swaps per second and acceptance."""
    regime = random_regime(problem, chains, kelvin)
    row = time_chains(problem, regime, chains, "auto", Effort(steps=steps))
    return {key: row[key] for key in ("chains", "swaps per second", "accepted")}


def random_regime(problem, chains, kelvin):
    """Chains that had ten sweeps at a high temperature; enough there."""
    sites = problem.supercell.num_sites
    sweeps = 10 if sites * chains < 1_000_000 else 2
    result = run(problem, jax.random.key(1), problem.random_start(chains), kelvin, sweeps)
    occupancies = np.asarray(result.occupancy)
    return Regime(name="hot", kelvin=kelvin, occupancies=occupancies, acceptance=result.acceptance_rate)


def of_sites(size, kelvin, steps):
    """One chain of the perovskite in a cell of so many prims: seconds and peak memory."""
    before = peak_mebibytes()
    began = time.perf_counter()
    problem = Problem(dataclasses.replace(all_systems()["perovskite"], size=tuple(size)))
    build = time.perf_counter() - began
    energy = jax.jit(jaxce.energy)
    start = problem.random_start(1)
    one_energy = best(lambda: energy(problem.hamiltonian, start).block_until_ready())
    return {
        "sites": problem.supercell.num_sites,
        "build, s": build,
        "one energy, s": one_energy,
        **rate(problem, 1, kelvin, steps),
        "peak memory, MiB": peak_mebibytes(),
        "before, MiB": before,
    }


def of_structures(count):
    """Energies of so many structures of the perovskite in one call: rate and peak memory."""
    problem = Problem(all_systems()["perovskite"])
    sites = problem.supercell.num_sites
    occupancies = np.random.default_rng(0).integers(0, 2, size=(count, sites), dtype=np.int8)
    before = peak_mebibytes()
    energy = jax.jit(jaxce.energy)
    seconds = best(lambda: energy(problem.hamiltonian, occupancies).block_until_ready())
    row = {"structures": count, "seconds": seconds, "per second": count / seconds}
    return {**row, "peak memory, MiB": peak_mebibytes(), "before, MiB": before}


def of_cores(chains, kelvin, steps):
    """Wall-clock rates of chains over all devices that JAX has."""
    # The process that started this one may be bound to one core.
    os.sched_setaffinity(0, range(os.cpu_count()))
    problem = Problem(all_systems()["perovskite"])
    sites = problem.supercell.num_sites
    start = random_regime(problem, chains, kelvin).start(chains)
    go = lambda sweeps: run(problem, jax.random.key(3), start, kelvin, sweeps)
    seconds, _, _ = time_of_sweep(go, max(LEAST_SWEEPS, 2 * steps // (chains * sites)), clock=time.perf_counter)
    return {"devices": len(jax.devices()), "chains": chains, "swaps per second": chains * sites / seconds}


def in_process(name, variables=None, **arguments):
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, name, json.dumps(arguments)]
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak_mebibytes():
    """Largest memory of this process; unlike getrusage it starts anew in a child process."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    measure = {"sites": of_sites, "structures": of_structures, "cores": of_cores}[sys.argv[1]]
    print(json.dumps(measure(**json.loads(sys.argv[2]))))
