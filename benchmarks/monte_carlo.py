"""Canonical Monte Carlo of the 160-site perovskite beside icet and smol: same Hamiltonian, same machine, one run.

Run: python benchmarks/monte_carlo.py [--out results.json]

Rates are swaps of unlike species per CPU second of one core (best of several), compilation apart. icet and smol are
measured where they are installed (`pip install icet smol`), and only after they gave the same energies.
"""

# First of all: it sets the number of threads.
import argparse
import importlib.util
import json
import pathlib
import resource
import tempfile
import time

import jax
import numpy as np
from evaluation import Problem, icet_expansion, machine, rounded, smol_processor

import jaxce

COMPOSITION = {"Sr": 24, "La": 8, "Ti": 24, "Fe": 8, "O": 88, "X": 8}
# About 40 % and 2 % of the swaps are accepted.
TEMPERATURES = {"hot": 6_000.0, "cold": 500.0}
SIZES = ((2, 4, 4), (8, 16, 10), (16, 32, 20), (50, 80, 50))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("monte_carlo.json"))
    arguments = parser.parse_args()
    problem = Problem()
    results = {"machine": machine(), "rates": {"jaxce": measure_jaxce(problem)}, "not measured": []}
    for name, measure in (("icet", measure_icet), ("smol", measure_smol)):
        if importlib.util.find_spec(name) is None:
            results["not measured"].append(f"{name} is not installed: pip install {name}")
            continue
        results["rates"][name] = measure(problem)
    results["sizes"] = [measure_size(problem, size) for size in SIZES]
    arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(as_markdown(results))


def measure_jaxce(problem):
    hamiltonian = jaxce.build_hamiltonian(problem.expansion, problem.supercell)
    rates = {}
    for chains in (1, 64, 1024):
        start = jaxce.random_occupancy(jax.random.key(0), problem.supercell, COMPOSITION, (chains,))
        for name, kelvin in TEMPERATURES.items():
            run = lambda sweeps, h=hamiltonian, s=start, k=kelvin: jaxce.run_monte_carlo(
                jax.random.key(1), h, s, temperature=k, num_sweeps=sweeps, sample_every=sweeps
            )
            seconds, first, result = time_of_sweep(run, 3200 // chains + 1)
            rates[f"{chains} chains, {name}"] = 160 * chains / seconds
            rates[f"{chains} chains, {name}: first call, s"] = first
            rates[f"{chains} chains, {name}: accepted"] = float(result.acceptance_rate.mean())
    return rates


def time_of_sweep(run, sweeps):
    """CPU seconds of a sweep, from two lengths; seconds of the first call; a result."""
    began = time.perf_counter()
    run(1)
    first = time.perf_counter() - began
    run(sweeps)
    rounds = []
    for _ in range(3):
        seconds = []
        for length in (1, 1 + sweeps):
            began = time.process_time()
            result = run(length)
            seconds.append(time.process_time() - began)
        rounds.append((seconds[1] - seconds[0]) / sweeps)
    return min(rounds), first, result


def measure_icet(problem):
    from mchammer.calculators import ClusterExpansionCalculator
    from mchammer.ensembles import CanonicalEnsemble

    expansion, _, _ = icet_expansion(problem)
    start = jaxce.random_occupancy(jax.random.key(0), problem.supercell, COMPOSITION)
    atoms = jaxce.occupancy_to_ase(problem.supercell, np.asarray(start), keep_vacancies=True)
    rates = {}
    for name, kelvin in TEMPERATURES.items():
        calculator = ClusterExpansionCalculator(atoms, expansion)
        with tempfile.TemporaryDirectory() as folder:
            ensemble = CanonicalEnsemble(
                atoms, calculator, kelvin, random_seed=1, dc_filename=f"{folder}/mc.dc",
                ensemble_data_write_interval=10**9, trajectory_write_interval=10**9,
            )  # fmt: skip
            rates[name] = 20_000 / best_of_three(lambda e=ensemble: e.run(20_000))
    return rates


def measure_smol(problem):
    from smol.moca import Ensemble, Sampler

    processor, occupancies, _ = smol_processor(problem)
    rates = {}
    for name, kelvin in TEMPERATURES.items():
        sampler = Sampler.from_ensemble(Ensemble(processor), step_type="swap", temperature=kelvin, seeds=[1])
        start = occupancies[0][None]
        rates[name] = 20_000 / best_of_three(lambda s=sampler, o=start: s.run(20_000, o, thin_by=20_000))
    return rates


def best_of_three(function):
    seconds = []
    for _ in range(3):
        began = time.process_time()
        function()
        seconds.append(time.process_time() - began)
    return min(seconds)


def measure_size(problem, size):
    """One chain in a larger cell: CPU time per step, and the largest memory of this process so far."""
    supercell = jaxce.Supercell(problem.space.prim, size)
    hamiltonian = jaxce.build_hamiltonian(problem.expansion, supercell)
    factor = supercell.num_prims // 32
    composition = {name: factor * number for name, number in COMPOSITION.items()}
    start = jaxce.random_occupancy(jax.random.key(0), supercell, composition, (1,))
    run = lambda sweeps: jaxce.run_monte_carlo(
        jax.random.key(1), hamiltonian, start, temperature=TEMPERATURES["hot"], num_sweeps=sweeps, sample_every=sweeps
    )
    seconds, _, _ = time_of_sweep(run, max(1, 200_000 // supercell.num_sites))
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"sites": supercell.num_sites, "step, us": 1e6 * seconds / supercell.num_sites, "memory, MiB": mebibytes}


def as_markdown(results):
    rates = results["rates"]
    peers = [name for name in ("icet", "smol") if name in rates]
    lines = [", ".join(f"{key} {value}" for key, value in results["machine"].items()), ""]
    lines += ["| swaps per second of one core | jaxce | " + " | ".join(f"{p} | jaxce / {p}" for p in peers) + " |"]
    lines += ["| --- " * (2 + 2 * len(peers)) + "|"]
    for name, value in rates["jaxce"].items():
        cells = [name, rounded(value)]
        for peer in peers:
            theirs = rates[peer].get(name.split(", ")[1])
            cells += ["-", "-"] if theirs is None else [rounded(theirs), rounded(value / theirs)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| sites | step of one chain, us | memory, MiB |", "| --- | --- | --- |"]
    lines += [f"| {r['sites']} | {r['step, us']:.2f} | {r['memory, MiB']:.0f} |" for r in results["sizes"]]
    return "\n".join([*lines, "", *(f"Not measured: {text}" for text in results["not measured"])])


if __name__ == "__main__":
    main()
