"""Errors, calibration and times of fits: the tables of docs/fitting.md. `python benchmarks/fitting.py [--quick]`.

Ag-Pd (tests/data) and the perovskite (jaxce.datasets); 10-fold cross-validation, everything chosen inside the folds,
means and standard deviations over fold seeds.
"""

import dataclasses
import pathlib
import sys
import time

import numpy as np

import jaxce
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.cross_validation import cross_validate_estimator, shuffled_splits

DATA = pathlib.Path(__file__).parents[1] / "tests" / "data"
AGPD_CUTOFFS = ({2: 13.5, 3: 6.5, 4: 6.0}, {2: 13.5, 3: 8.0, 4: 6.5})


def main(quick):
    seeds = range(2 if quick else 10)
    sets = data_sets()
    for name, data, cutoffs, unit, scale in sets:
        space = jaxce.ClusterSpace(data.prim, cutoffs)
        matrix = correlation_matrix(space, data.mappings)
        for label, estimator in estimators(space, quick).items():
            print(f"{name}, {space.num_correlations} functions, {label:15}", end=" ")
            print(errors(estimator, matrix, data, seeds, scale, unit), flush=True)
    print(many_structures(sets[2][1], 10_000 if quick else 100_000))


def data_sets():
    """Name, training set, cutoffs, unit of errors, and what turns eV per prim into it."""
    half = 4.09 / 2
    prim = jaxce.Prim([[0, half, half], [half, 0, half], [half, half, 0]], [[0, 0, 0]], [["Ag", "Pd"]])
    read = jaxce.read_training_data(DATA / "agpd" / "agpd.extxyz.gz", energy="mixing_energy")
    agpd = jaxce.map_training_data(prim, read.structures, read.energies, energies_per="atom")
    perovskite = jaxce.datasets.load_perovskite()
    started = time.perf_counter()
    everything = jaxce.map_training_data(perovskite.prim, perovskite.structures, perovskite.energies)
    mapped = time.perf_counter()
    jaxce.fit_training_set(jaxce.ClusterSpace(perovskite.prim, {2: 7.0, 3: 5.0}), everything)
    print(f"perovskite: mapping {mapped - started:.1f} s, fit and CV {time.perf_counter() - mapped:.1f} s, wall clock")
    info = perovskite.info
    physical = (info.charge_excess <= 0.26).to_numpy()
    clean = physical & (info.tilts == "full").to_numpy() & info.converged.to_numpy() & info.on_lattice.to_numpy()
    parts = (("all", everything), ("physical", everything.rows(physical)), ("clean", everything.rows(clean)))
    return [
        *(("Ag-Pd", agpd, cutoffs, "meV/atom", 1e3) for cutoffs in AGPD_CUTOFFS),
        *((f"perovskite, {name}", data, {2: 7.0, 3: 5.0}, "meV/site", 200.0) for name, data in parts),
    ]


def estimators(space, quick):
    chosen = {"ridge": jaxce.estimators.ridge(), "physical prior": jaxce.estimators.physical_prior(space)}
    return chosen if quick else chosen | {"lasso": jaxce.estimators.lasso(), "ard": jaxce.estimators.ard()}


def errors(estimator, matrix, data, seeds, scale, unit):
    found, z_scores, started = [], [], time.process_time()
    for seed in seeds:
        folds = shuffled_splits(data.equivalence_classes, 10, seed)
        arguments = (matrix, data.energies_per_prim, data.weights, data.num_prims)
        mean, deviation = cross_validate_estimator(estimator, *arguments, folds)
        found.append(scale * np.sqrt(np.mean((mean - data.energies_per_prim) ** 2)))
        if deviation is not None:
            z_scores.append((data.energies_per_prim - mean) / deviation)
    seconds = (time.process_time() - started) / (10 * len(found))
    text = f"{np.mean(found):.3f} +- {np.std(found):.3f} {unit}, {1e3 * seconds:.0f} ms CPU per fit"
    if z_scores:
        z_scores = np.array(z_scores)
        text += f", z {z_scores.std():.2f}, 90 % intervals hold {100 * np.mean(np.abs(z_scores) < 1.645):.1f} %"
    return text


def many_structures(data, count):
    """Time of the correlation vectors of many structures of 40 sites."""
    space = jaxce.ClusterSpace(data.prim, {2: 9.5, 3: 7.0, 4: 4.8})
    mapping = next(m for m in data.mappings if m.supercell.num_prims == 8)
    occupancies = np.random.default_rng(0).integers(0, 2, size=(count, mapping.supercell.num_sites), dtype=np.int8)
    mappings = [dataclasses.replace(mapping, occupancy=occupancy) for occupancy in occupancies]
    started = time.perf_counter()
    shape = correlation_matrix(space, mappings).shape
    return f"correlation matrix {shape} of cells of 40 sites: {time.perf_counter() - started:.1f} s wall clock"


if __name__ == "__main__":
    main("--quick" in sys.argv)
