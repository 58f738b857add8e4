"""The demonstration: a perovskite expansion from relaxed structures to thousands of energies, with a report."""

import json
import pathlib
import time
from typing import Any

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaxce.atomic_files import replacing, write_text
from jaxce.build import build_hamiltonian
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.datasets import PerovskiteData, load_perovskite
from jaxce.energies import energy
from jaxce.fitting.fit import FitResult, fit
from jaxce.lattice.structures import occupancy_to_ase
from jaxce.lattice.supercell import Supercell
from jaxce.plotting import energy_histogram, parity_plot
from jaxce.sampling.random_occupancies import random_occupancy

CUTOFFS = {2: 7.0, 3: 5.0}
# (n_La - n_Fe + 2 n_vacancies) per formula unit; larger values need Ti3+ and lie high in energy.
LARGEST_CHARGE_EXCESS = 0.26
COMPOSITION = {"La": 8, "Sr": 24, "Fe": 8, "Ti": 24, "O": 92, "X": 4}


def run_demo(folder: str | pathlib.Path, num_structures: int = 4096, seed: int = 0) -> dict[str, Any]:
    """Fit the perovskite data, evaluate random 160-site structures, and write a report into `folder`.

    Writes model.json, parity.png, energies.png, lowest.vasp and report.json, and the report of the fit into `fit/`.
    Returns the content of report.json.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    started = time.perf_counter()
    with console.status("reading 662 relaxed structures"):
        data = demo_subset(load_perovskite())
    with console.status(f"mapping and fitting {len(data.structures)} structures, cutoffs {CUTOFFS}"):
        result = fit_perovskite(data)
    result.report(folder / "fit")
    with console.status(f"evaluating {num_structures} random structures"):
        supercell, occupancies, energies, timing = _evaluate(result.expansion, num_structures, seed)
    report = _report(data, result, supercell, energies, timing)
    report["seconds_in_all"] = time.perf_counter() - started
    _write(folder, result, supercell, occupancies, energies, report)
    console.print(
        f"{num_structures} random {supercell.num_sites}-site structures: "
        f"{energies.mean():.3f} +- {energies.std():.3f} eV, lowest {energies.min():.3f} eV; "
        f"{report['structures_per_second']:.0f} structures per second once compiled ({report['compile_seconds']:.1f} s)"
    )
    console.print(f"report in {folder} ({report['seconds_in_all']:.0f} s in all)")
    return report


def demo_subset(data: PerovskiteData) -> PerovskiteData:
    """The structures whose atoms stayed on their sites and whose charges balance without reduced titanium."""
    kept = data.info["on_lattice"] & (data.info["charge_excess"] <= LARGEST_CHARGE_EXCESS)
    return data._replace(
        structures=[atoms for atoms, keep in zip(data.structures, kept, strict=True) if keep],
        energies=data.energies[kept.to_numpy()],
        info=data.info[kept].reset_index(drop=True),
    )


def fit_perovskite(data: PerovskiteData) -> FitResult:
    """Pairs to 7 A and triplets to 5 A, ridge with a physical prior, 10-fold cross-validation."""
    return fit(ClusterSpace(data.prim, CUTOFFS), data.structures, data.energies)


def _evaluate(
    expansion: ClusterExpansion, num_structures: int, seed: int
) -> tuple[Supercell, np.ndarray, np.ndarray, dict[str, float]]:
    supercell = Supercell(expansion.space.prim, (2, 4, 4))
    hamiltonian = build_hamiltonian(expansion, supercell)
    occupancies = random_occupancy(jax.random.key(seed), supercell, COMPOSITION, (num_structures,))
    energies_of = jax.jit(energy)
    first = time.perf_counter()
    energies_of(hamiltonian, occupancies).block_until_ready()
    second = time.perf_counter()
    energies = energies_of(hamiltonian, occupancies).block_until_ready()
    third = time.perf_counter()
    timing = {
        "compile_seconds": (second - first) - (third - second),
        "structures_per_second": num_structures / (third - second),
    }
    return supercell, np.asarray(occupancies), np.asarray(energies, dtype=float), timing


def _report(
    data: PerovskiteData, result: FitResult, supercell: Supercell, energies: np.ndarray, timing: dict[str, float]
) -> dict[str, Any]:
    num_sites = data.prim.num_sites
    rmse = {"train": result.train_rmse_per_prim, "cv": result.cv_rmse_per_prim}
    return {
        "data": "(Sr,La)(Ti,Fe)(O,vacancy)3, CHGNet relaxed energies",
        "subset": "every atom nearest its own site (on_lattice) and charge_excess at most "
        f"{LARGEST_CHARGE_EXCESS} per formula unit; other frames dropped",
        "num_structures": len(result.used),
        "cutoffs_angstrom": {str(order): cutoff for order, cutoff in CUTOFFS.items()},
        "num_coefficients": result.expansion.space.num_correlations,
        "folds": result.num_folds,
        **{f"{name}_rmse_meV_per_formula_unit": 1e3 * value for name, value in rmse.items()},
        **{f"{name}_rmse_meV_per_site": 1e3 * value / num_sites for name, value in rmse.items()},
        "reference_energies_eV_per_prim": result.energies_per_prim.tolist(),
        "cv_predictions_eV_per_prim": result.cv_predictions.tolist(),
        "sampled_composition": COMPOSITION,
        "sampled_supercell": supercell.transformation.tolist(),
        "sampled_energies_eV": energies.tolist(),
        "lowest_energy_eV": float(energies.min()),
        "device": str(jax.devices()[0]),
        **timing,
    }


def _write(
    folder: pathlib.Path,
    result: FitResult,
    supercell: Supercell,
    occupancies: np.ndarray,
    energies: np.ndarray,
    report: dict[str, Any],
) -> None:
    expansion = result.expansion
    facts = {name: report[name] for name in ("data", "subset", "num_structures", "cv_rmse_meV_per_formula_unit")}
    ClusterExpansion(expansion.space, expansion.coefficients, facts).save(folder / "model.json")
    parity = parity_plot(
        result.energies_per_prim, result.cv_predictions, result.cv_rmse_per_prim, "perovskite, cross-validated"
    )
    histogram = energy_histogram(energies / supercell.num_prims, "random structures at fixed composition")
    for name, figure in (("parity", parity), ("energies", histogram)):
        with replacing(folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=150)
    lowest = occupancy_to_ase(supercell, jnp.asarray(occupancies[int(np.argmin(energies))]))
    with replacing(folder / "lowest.vasp") as temporary:
        ase.io.write(temporary, lowest, format="vasp", direct=True, sort=True)
    write_text(folder / "report.json", json.dumps(report, indent=1, allow_nan=False))
