"""Reference averages and histograms of 64-site Cu-Au: `python benchmarks/cuau_reference.py FOLDER OUT.json`.

FOLDER keeps the samples, so that an interrupted run goes on. On one core the whole takes about half an hour.
"""

import json
import pathlib
import sys

import jax
import numpy as np

import jaxce
from jaxce.diffusion import Yardstick, occupancy
from jaxce.sampling.diagnostics import Estimate, mean

TEMPERATURES = (500, 560, 620, 680, 730, 800, 950, 1200)
WANTED = (500, 680, 1200)
NUM_LADDERS = 8
SAMPLES_PER_LADDER = 12_500
SAMPLE_EVERY = 10
BURN_IN = 250
ENSEMBLES = {"semi-grand": jaxce.SemiGrand(), "canonical": jaxce.Canonical()}


def run(name, hamiltonian, supercell, folder):
    """Independent ladders from random occupancies of 32 Cu and 32 Au."""
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 32, "Au": 32}, (NUM_LADDERS,))
    return jaxce.run_tempering(
        jax.random.key(1),
        hamiltonian,
        start,
        ENSEMBLES[name],
        temperatures=TEMPERATURES,
        num_sweeps=SAMPLE_EVERY * (BURN_IN + SAMPLES_PER_LADDER),
        sample_every=SAMPLE_EVERY,
        observables=[occupancy],
        folder=folder / name,
        progress=True,
    )


def ordered_state(supercell):
    """L1_0: layers of Cu and Au along z in turn, the ground state."""
    return np.round(supercell.cart_coords[:, 2] / 1.9).astype(int) % 2


def ladder_mean(values):
    """Mean with the larger of two errors: from the correlation within ladders, and from their scatter.

    Replicas that come back to a rung make ladders more correlated than the series at a rung shows.
    """
    by_ladder = values.reshape(NUM_LADDERS, -1)
    estimate = mean(by_ladder)
    scatter = by_ladder.mean(axis=1).std(ddof=1) / np.sqrt(NUM_LADDERS)
    return Estimate(estimate.value, max(estimate.error, float(scatter)))


def condition(name, rung, result, hamiltonian, supercell, tables):
    """What the reference file says of one temperature."""
    kept = slice(BURN_IN, None)
    # Ladder by ladder, so that the halves are from different ladders.
    codes = result.observables["occupancy"][:, rung, kept].reshape(-1, supercell.num_sites)
    energies = np.asarray(jax.jit(jaxce.energy)(hamiltonian, codes), dtype=np.float64)
    per_prim = energies / supercell.num_prims
    edges = np.linspace(per_prim.min() - 1e-6, per_prim.max() + 1e-6, 64).round(9)
    yardstick = Yardstick(supercell, edges, tables, ordered_state(supercell))
    halves = yardstick.reference(codes, energies)
    energy = ladder_mean(per_prim)
    return {
        "ensemble": name,
        "temperature": TEMPERATURES[rung],
        "num_samples": len(codes),
        "effective_samples": round(min(len(codes), np.var(per_prim) / energy.error**2)),
        "energy": list(energy),
        "gold_fraction": list(ladder_mean(codes.mean(axis=1))),
        "energy_edges": edges.tolist(),
        "halves": {key: values.round(9).tolist() for key, values in halves.items()},
    }


def main(folder, out):
    """Run both ensembles and write what `jaxce.datasets.load_cuau_reference` reads."""
    expansion = jaxce.datasets.load_cuau_formation_model()
    supercell = jaxce.Supercell(expansion.space.prim, 4)
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    tables = jaxce.build_tables(expansion.space, supercell)
    rows = []
    for name in ENSEMBLES:
        result = run(name, hamiltonian, supercell, folder)
        for kelvin in WANTED:
            rows.append(condition(name, TEMPERATURES.index(kelvin), result, hamiltonian, supercell, tables))
            print(name, kelvin, rows[-1]["effective_samples"], rows[-1]["energy"], rows[-1]["gold_fraction"])
    how = (
        f"jaxce {jaxce.__version__}, run_tempering at {TEMPERATURES} K, {NUM_LADDERS} ladders, {SAMPLES_PER_LADDER} "
        f"samples each every {SAMPLE_EVERY} sweeps after {SAMPLE_EVERY * BURN_IN}; energies per prim relative to the "
        "pure phases"
    )
    content = {"how": how, "ordered_state": ordered_state(supercell).tolist(), "conditions": rows}
    out.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
