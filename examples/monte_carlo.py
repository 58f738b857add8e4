"""Canonical Monte Carlo of the perovskite at several temperatures, all chains in one call.

Run: python examples/monte_carlo.py [--short]
"""

import sys

import jax
import numpy as np

import jaxce

TEMPERATURES = (800.0, 1600.0, 3200.0)


def main(chains_per_temperature: int = 16, num_sweeps: int = 400) -> None:
    expansion = jaxce.datasets.load_perovskite_model()
    supercell = jaxce.Supercell(expansion.space.prim, (2, 4, 4))
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    composition = {"La": 8, "Sr": 24, "Fe": 8, "Ti": 24, "O": 92, "X": 4}
    temperature = np.repeat(TEMPERATURES, chains_per_temperature)

    start_key, run_key = jax.random.split(jax.random.key(0))
    start = jaxce.random_occupancy(start_key, supercell, composition, (len(temperature),))
    result = jaxce.run_monte_carlo(
        run_key, hamiltonian, start, temperature=temperature, num_sweeps=num_sweeps, sample_every=num_sweeps // 20
    )

    # The first half is dropped; chains are independent, so their means give the error.
    means = result.energy[:, 10:].mean(axis=1).reshape(len(TEMPERATURES), chains_per_temperature)
    accepted = result.acceptance_rate.reshape(means.shape).mean(axis=1)
    for kelvin, row, rate in zip(TEMPERATURES, means, accepted, strict=True):
        error = row.std(ddof=1) / np.sqrt(len(row))
        print(f"{kelvin:6.0f} K: {row.mean():10.3f} +- {error:.3f} eV, {100 * rate:4.1f} % accepted")

    best = int(np.argmin(result.lowest_energy))
    atoms = jaxce.occupancy_to_ase(supercell, np.asarray(result.lowest_occupancy[best]))
    print(f"lowest of all samples: {result.lowest_energy[best]:.3f} eV, {atoms.get_chemical_formula()}")


if __name__ == "__main__":
    main(4, 40) if "--short" in sys.argv else main()
