"""jaxce beside icet, smol and CASM: the same expansions, one machine, one run.

Run: python benchmarks/run.py [--out results_folder] [--only NAME ...] [--quick]

NAME is fcc, perovskite, ternary, quaternary or scaling; all of them without --only, and with --quick those that show
whether everything works. Writes results.json, results.md and plots. Peers that are not installed are named and left
out; those whose energies are not ours are not timed.
"""

import os

# One thread for every library; must be set before any of them is imported. XLA ignores whatever follows a word that is
# no flag of its own.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import datetime
import importlib.metadata
import json
import pathlib
import platform
import time

import measure
import peers
import report
import scaling
import systems

# Several sublattices, a vacancy, more than two species, quadruplets.
QUICK_NAMES = ("perovskite", "quaternary", "scaling")
PACKAGES = ("jaxce", "jax", "numpy", "icet", "smol", "libcasm-clexmonte")


def main():
    known = systems.all_systems()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmark_results"))
    parser.add_argument("--only", nargs="+", choices=[*known, "scaling"])
    parser.add_argument("--quick", action="store_true", help="small cells and short runs: does everything work?")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    missing = peers.missing_peers()
    results = {
        "machine": machine(),
        "quick": arguments.quick,
        "systems": {},
        "not measured": [f"{name} is not installed: {command}" for name, command in missing.items()],
    }
    for name in arguments.only or (QUICK_NAMES if arguments.quick else (*known, "scaling")):
        began = time.perf_counter()
        if name == "scaling":
            results["scaling"] = scaling.measure_scaling(hot_temperatures(known, results), arguments.quick)
        else:
            measure_system(known[name], results, arguments.quick)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        write(results, arguments.out)
    print(report.as_markdown(results))


def measure_system(system, results, is_quick):
    """Everything about one system, put into `results`."""
    effort = measure.QUICK if is_quick else measure.Effort()
    problem = systems.Problem(systems.smaller(system) if is_quick else system)
    regimes = measure.find_regimes(problem, effort)
    record = {
        "description": problem.system.describe(),
        "sites": problem.supercell.num_sites,
        "functions": problem.space.num_correlations,
        "clusters per prim": problem.space.num_clusters_per_prim,
        "temperatures": {regime.name: regime.kelvin for regime in regimes},
        "build": {"jaxce": problem.seconds},
        "monte carlo": measure.monte_carlo_of_jaxce(problem, regimes, effort),
        "evaluation": measure.evaluation_of_jaxce(problem, effort),
        "largest energy difference, eV": {},
    }
    results["systems"][system.name] = record
    for name in [name for name in peers.PEERS if name not in peers.missing_peers()]:
        try:
            peer, error = peers.fitted_peer(name, problem)
        except (ValueError, RuntimeError) as fault:
            results["not measured"].append(f"{name}, {system.name}: {fault}")
            continue
        record["largest energy difference, eV"][name] = error
        record["build"][name] = peer.seconds
        record["monte carlo"] += measure.monte_carlo_of_peer(name, peer, problem, regimes, effort)
        record["evaluation"] += measure.evaluation_of_peer(name, peer, problem)


def hot_temperatures(known, results):
    """Name -> hot temperature, found now where a system was not measured."""
    if results["quick"]:
        return {"fcc": 2000.0, "perovskite": 2000.0}
    kelvins = {}
    for name in ("fcc", "perovskite"):
        if name in results["systems"]:
            kelvins[name] = results["systems"][name]["temperatures"]["hot"]
        else:
            kelvins[name] = measure.find_regimes(systems.Problem(known[name]), measure.QUICK)[0].kelvin
    return kelvins


def write(results, folder):
    """What there is so far."""
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (folder / "results.md").write_text(report.as_markdown(results), encoding="utf-8")
    report.plot_all(results, folder)


def machine():
    """Date, processor and versions."""
    information = pathlib.Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES if version(package)},
    }


def version(package):
    """The version that is installed; None if it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
