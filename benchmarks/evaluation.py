"""Batched evaluation of the 160-site perovskite beside icet and smol: same Hamiltonian, same machine, one run.

Run: python benchmarks/evaluation.py [--out results.json]

Rates are per CPU second of one core (best of several), compilation apart. icet and smol are measured where they are
installed (`pip install icet smol`), and only after they gave the same energies.
"""

import os

# One core for every library; must be set before any of them is imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import pathlib
import platform
import subprocess
import sys
import time
import warnings

import jax
import numpy as np

import jaxce

A = 3.905
COORDS = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
CUTOFFS = {2: 7.0, 3: 5.0}
TRANSFORMATION = (2, 4, 4)
SIZES = ((2, 4, 4), (8, 8, 4), (16, 16, 8), (32, 32, 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("evaluation.json"))
    parser.add_argument("--sizes", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sizes:
        print(json.dumps(measure_build(tuple(json.loads(arguments.sizes)))))
        return
    results = {"machine": machine(), "rates": {}, "not measured": []}
    problem = Problem()
    results["rates"]["jaxce"] = measure_jaxce(problem)
    for name, measure in (("icet", measure_icet), ("smol", measure_smol)):
        if importlib.util.find_spec(name) is None:
            results["not measured"].append(f"{name} is not installed: pip install {name}")
            continue
        results["rates"][name] = measure(problem)
    results["build"] = [run_build(size) for size in SIZES]
    arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(as_markdown(results))


def random_expansion():
    prim = jaxce.Prim(A * np.eye(3), COORDS, [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3])
    space = jaxce.ClusterSpace(prim, CUTOFFS)
    return jaxce.ClusterExpansion(space, np.random.default_rng(0).normal(scale=0.1, size=space.num_correlations))


class Problem:
    """The Hamiltonian and the occupancies that everybody evaluates."""

    def __init__(self):
        start = time.process_time()
        self.expansion = random_expansion()
        self.build_seconds = time.process_time() - start
        self.space = self.expansion.space
        self.supercell = jaxce.Supercell(self.space.prim, TRANSFORMATION)
        rng = np.random.default_rng(1)
        self.occupancies = rng.integers(0, 2, size=(1024, self.supercell.num_sites)).astype(np.int8)
        with jax.enable_x64(True):
            few = self.occupancies[:24]
            self.vectors = np.asarray(jaxce.correlations(jaxce.build_tables(self.space, self.supercell), few))
            self.energies = np.asarray(jaxce.energy(jaxce.build_hamiltonian(self.expansion, self.supercell), few))

    def coefficients_for(self, vectors):
        """Our coefficients in a peer's order; its functions may have the opposite sign."""
        coefficients = np.zeros(vectors.shape[1])
        for column, theirs in enumerate(vectors.T):
            for sign in (1, -1):
                match = np.flatnonzero(np.abs(self.vectors - sign * theirs[:, None]).max(axis=0) < 1e-9)
                if len(match) == 1:
                    coefficients[column] = sign * self.expansion.coefficients[match[0]]
        if np.count_nonzero(coefficients) != len(coefficients):
            raise SystemExit("the correlations of the peer are not ours: nothing is timed")
        return coefficients

    def check(self, name, energies):
        """Refuse to time a peer that computes something else."""
        if not np.allclose(energies, self.energies[: len(energies)], rtol=0, atol=1e-6):
            raise SystemExit(f"{name} gives other energies: {energies[:3]} instead of {self.energies[:3]}")


def measure_jaxce(problem):
    tables = jaxce.build_tables(problem.space, problem.supercell)
    hamiltonian = jaxce.build_hamiltonian(problem.expansion, problem.supercell)
    result = {"cluster space, s": problem.build_seconds}
    for batch in (64, 1024):
        occupancies = jax.numpy.asarray(problem.occupancies[:batch])
        for name, function, first in (
            ("vectors", jaxce.correlations, tables),
            ("energies", jaxce.energy, hamiltonian),
            ("all substitution energies", jaxce.substitution_energies, hamiltonian),
        ):
            jitted = jax.jit(function)
            start = time.perf_counter()
            jax.block_until_ready(jitted(first, occupancies))
            result[f"{name}, batch {batch}: compile, s"] = time.perf_counter() - start
            seconds = best(lambda f=jitted, a=first, o=occupancies: jax.block_until_ready(f(a, o)), 3200 // batch)
            result[f"{name}, batch {batch}"] = batch / seconds
    return result


def icet_expansion(problem):
    """The same expansion in icet, a few structures, and the CPU seconds that its cluster space took."""
    import ase
    from icet import ClusterExpansion, ClusterSpace

    prim = ase.Atoms("SrTiO3", scaled_positions=COORDS, cell=[A] * 3, pbc=True)
    start = time.process_time()
    space = ClusterSpace(prim, list(CUTOFFS.values()), [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3])
    build_seconds = time.process_time() - start
    structures = [jaxce.occupancy_to_ase(problem.supercell, o, keep_vacancies=True) for o in problem.occupancies[:24]]
    vectors = np.array([space.get_cluster_vector(atoms) for atoms in structures])
    # icet's parameters are energies per site.
    expansion = ClusterExpansion(space, problem.coefficients_for(vectors) / len(COORDS))
    problem.check("icet", [len(atoms) * expansion.predict(atoms) for atoms in structures[:4]])
    return expansion, structures, build_seconds


def measure_icet(problem):
    from mchammer.calculators import ClusterExpansionCalculator

    expansion, structures, build_seconds = icet_expansion(problem)
    space = expansion.get_cluster_space_copy()
    calculator = ClusterExpansionCalculator(structures[0], expansion)
    numbers = [atoms.numbers for atoms in structures]
    problem.check("icet's calculator", [calculator.calculate_total(occupations=n) for n in numbers[:4]])
    return {
        "cluster space, s": build_seconds,
        "vectors": 24 / best(lambda: [calculator.cpp_calc.get_cluster_vector(n) for n in numbers], 4),
        "vectors through get_cluster_vector": 24 / best(lambda: [space.get_cluster_vector(s) for s in structures], 1),
        "energies": 24 / best(lambda: [calculator.calculate_total(occupations=n) for n in numbers], 4),
    }


def smol_processor(problem):
    """The same expansion in smol, a few occupancies, and the CPU seconds that its subspace took."""
    warnings.filterwarnings("ignore")
    from pymatgen.core import Lattice, Structure
    from smol.cofe import ClusterExpansion, ClusterSubspace
    from smol.moca import ClusterExpansionProcessor

    species = [{"Sr": 0.5, "La": 0.5}, {"Ti": 0.5, "Fe": 0.5}, *[{"O": 0.5}] * 3]
    start = time.process_time()
    subspace = ClusterSubspace.from_cutoffs(Structure(Lattice.cubic(A), species, COORDS), CUTOFFS, basis="sinusoid")
    build_seconds = time.process_time() - start
    matrix = np.diag(TRANSFORMATION)
    processor = ClusterExpansionProcessor(subspace, matrix, np.ones(subspace.num_corr_functions))
    occupancies = smol_occupancies(problem, processor)
    vectors = [processor.compute_feature_vector(o) / problem.supercell.num_prims for o in occupancies]
    coefficients = problem.coefficients_for(np.array(vectors))
    processor = ClusterExpansionProcessor(subspace, matrix, ClusterExpansion(subspace, coefficients).coefs)
    problem.check("smol", [processor.compute_property(o) for o in occupancies])
    return processor, occupancies, build_seconds


def measure_smol(problem):
    processor, occupancies, build_seconds = smol_processor(problem)
    return {
        "cluster space, s": build_seconds,
        "vectors": 24 / best(lambda: [processor.compute_feature_vector(o) for o in occupancies], 10),
        "energies": 24 / best(lambda: [processor.compute_property(o) for o in occupancies], 10),
    }


def smol_occupancies(problem, processor):
    """The same structures in smol's site order and species codes (which here are ours)."""
    inverse = np.linalg.inv(problem.supercell.lattice)
    apart = (processor.structure.cart_coords @ inverse)[:, None] - problem.supercell.cart_coords @ inverse
    site = np.linalg.norm(apart - np.round(apart), axis=-1).argmin(axis=1)
    return [problem.occupancies[row][site].astype(np.int32) for row in range(24)]


def best(function, repeats):
    """Least CPU seconds of one call, over seven rounds of `repeats` calls."""
    function()
    rounds = []
    for _ in range(7):
        start = time.process_time()
        for _ in range(repeats):
            function()
        rounds.append((time.process_time() - start) / repeats)
    return min(rounds)


def run_build(size):
    command = [sys.executable, __file__, "--sizes", json.dumps(size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def measure_build(size):
    """Seconds and peak memory to build everything for one supercell, in a process of its own."""
    expansion = random_expansion()
    before = peak_mebibytes()
    start = time.perf_counter()
    supercell = jaxce.Supercell(expansion.space.prim, size)
    tables = jaxce.build_tables(expansion.space, supercell)
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    jax.block_until_ready((tables, hamiltonian))
    seconds = time.perf_counter() - start
    mebibytes = peak_mebibytes() - before
    occupancy = np.zeros(supercell.num_sites, np.int8)
    energy = jax.jit(jaxce.energy)
    one_energy = best(lambda: energy(hamiltonian, occupancy).block_until_ready(), 1)
    return {"sites": supercell.num_sites, "build, s": seconds, "memory, MiB": mebibytes, "one energy, s": one_energy}


def peak_mebibytes():
    """Largest memory of this process; unlike getrusage it starts anew in a child process."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def machine():
    information = pathlib.Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    packages = ("jax", "numpy", "icet", "smol")
    found = {p: importlib.metadata.version(p) for p in packages if importlib.util.find_spec(p) is not None}
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jaxce": jaxce.__version__,
        **found,
    }


def rounded(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def as_markdown(results):
    rates = results["rates"]
    lines = [", ".join(f"{key} {value}" for key, value in results["machine"].items()), ""]
    peers = [name for name in ("icet", "smol") if name in rates]
    lines += ["| per second of one core | jaxce | " + " | ".join(f"{p} | jaxce / {p}" for p in peers) + " |"]
    lines += ["| --- " * (2 + 2 * len(peers)) + "|"]
    for name, value in rates["jaxce"].items():
        cells = [name, rounded(value)]
        for peer in peers:
            theirs = rates[peer].get(name.split(", batch")[0] if "compile" not in name else name)
            cells += ["-", "-"] if theirs is None else [rounded(theirs), rounded(value / theirs)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| sites | build, s | memory, MiB | one energy, ms |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row['sites']} | {row['build, s']:.2f} | {row['memory, MiB']:.0f} | {1e3 * row['one energy, s']:.2f} |"
        for row in results["build"]
    ]
    return "\n".join([*lines, "", *(f"Not measured: {text}" for text in results["not measured"])])


if __name__ == "__main__":
    main()
