"""The workflow of an energy oracle: a POSCAR template in, energies, Monte Carlo, the lowest structure out as a POSCAR.

The table at the end has the times of this run beside those of the oracle in NumPy that jaxce replaces.

Run: python examples/energy_oracle.py [--short] [folder]
"""

import pathlib
import sys
import tempfile
import time

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxce

COMPOSITION = {"A": {"Sr": 24, "La": 8}, "B": {"Ti": 24, "Fe": 8}, "O": {"O": 92, "VO": 4}}


def main(folder: pathlib.Path, num_steps: int) -> None:
    model = jaxce.datasets.load_perovskite_model()
    write_template(model, folder / "template.vasp")

    # The template says which sites there are; species are matched by name, never by their place in the file.
    oracle = jaxce.Oracle(model, folder / "template.vasp")
    structures = jaxce.generate_random_structure_batch(oracle.template, COMPOSITION, n_samples=64, seed=0)
    oracle.compute_energy(structures[0])
    one = seconds(lambda: oracle.compute_energy(structures[0]), repeats=20)
    oracle.compute_energy_batch(structures)
    many = seconds(lambda: oracle.compute_energy_batch(structures), repeats=5)
    energies = oracle.compute_energy_batch(structures)
    print(
        f"64 random structures of {oracle.supercell.num_sites} sites: {energies.mean():.3f} +- {energies.std():.3f} eV"
    )

    # The same as arrays on the device, as a training loop has them.
    occupancies = np.stack([oracle.occupancy(structure) for structure in structures])
    energy = jax.jit(jaxce.energy)
    energy(oracle.hamiltonian, occupancies).block_until_ready()
    arrays = seconds(lambda: energy(oracle.hamiltonian, occupancies).block_until_ready(), repeats=50)

    # A swap and its rejection: the state before is still there, and nothing else was changed.
    state = oracle.start(structures[0])
    proposed = oracle.compute_energy_incremental(state, 0, 31)
    swap = seconds(lambda: oracle.compute_energy_incremental(state, 0, 31), repeats=50)
    accepted = proposed if proposed.energy <= state.energy else state
    print(f"exchanging atoms 0 and 31: {proposed.energy - state.energy:+.4f} eV, now {accepted.energy:.4f} eV")

    num_sweeps = -(-num_steps // oracle.supercell.num_sites)
    result, first = sampled(oracle, occupancies[:1], num_sweeps)
    result, steps = sampled(oracle, occupancies[:1], num_sweeps)
    lowest = oracle.structure(result.lowest_occupancy[0])
    jaxce.io.write_poscar(folder / "lowest.vasp", lowest, vacancy="VO")
    check = oracle.compute_energy(folder / "lowest.vasp")
    print(f"lowest of {num_steps} steps at 800 K: {check:.4f} eV, written to {folder / 'lowest.vasp'}")

    table = Table("", "before", "now", title=f"times ({jax.devices()[0].device_kind})")
    table.add_row("one ASE structure", "2 ms", f"{1e3 * one:.2f} ms")
    table.add_row("64 ASE structures", "128 ms", f"{1e3 * many:.1f} ms")
    table.add_row("64 occupancies on the device", "128 ms", f"{1e3 * arrays:.2f} ms")
    table.add_row("one swap from Python", "", f"{1e3 * swap:.2f} ms")
    table.add_row(f"{num_steps} Monte Carlo steps", scaled(num_steps), f"{steps:.2f} s")
    table.add_row("the same, compilation included", scaled(num_steps), f"{first:.1f} s")
    Console().print(table)


def write_template(model: jaxce.ClusterExpansion, path: pathlib.Path) -> None:
    """A template of 160 sites, as a user brings it, with the vacancy as a species of its own."""
    supercell = jaxce.Supercell(model.space.prim, (2, 4, 4))
    occupancy = jaxce.random_occupancy(jax.random.key(1), supercell, COMPOSITION)
    atoms = jaxce.occupancy_to_ase(supercell, occupancy, keep_vacancies=True)
    jaxce.io.write_poscar(path, atoms, vacancy="VO")


def sampled(oracle: jaxce.Oracle, start: np.ndarray, num_sweeps: int) -> tuple[jaxce.MonteCarloResult, float]:
    """A canonical run of one chain, and how long it took, in seconds."""
    began = time.perf_counter()
    result = jaxce.run_monte_carlo(
        jax.random.key(0), oracle.hamiltonian, start, temperature=800.0, num_sweeps=num_sweeps, sample_every=25
    )
    return result, time.perf_counter() - began


def seconds(call, repeats: int) -> float:
    """Shortest time of a call."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def scaled(num_steps: int) -> str:
    """3 to 5 minutes per 100 000 steps, for this number of steps."""
    return f"{180 * num_steps / 1e5:.0f} to {300 * num_steps / 1e5:.0f} s"


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--short"]
    target = pathlib.Path(words[0] if words else tempfile.mkdtemp(prefix="jaxce-"))
    target.mkdir(parents=True, exist_ok=True)
    main(target, num_steps=8000 if "--short" in sys.argv else 100_000)
