"""Parallel tempering of the perovskite: averages with errors at every temperature, and the lowest structure found.

Run: python examples/monte_carlo.py [--short]
"""

import sys

import jax
import numpy as np

import jaxce


def main(num_ladders: int = 8, num_temperatures: int = 12, num_sweeps: int = 400) -> None:
    expansion = jaxce.datasets.load_perovskite_model()
    supercell = jaxce.Supercell(expansion.space.prim, (2, 4, 4))
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    composition = {"La": 8, "Sr": 24, "Fe": 8, "Ti": 24, "O": 92, "X": 4}

    start_key, run_key = jax.random.split(jax.random.key(0))
    start = jaxce.random_occupancy(start_key, supercell, composition, (num_ladders,))
    result = jaxce.run_tempering(
        run_key,
        hamiltonian,
        start,
        temperatures=jaxce.geometric_temperatures(800, 4000, num_temperatures),
        num_sweeps=num_sweeps,
        sample_every=num_sweeps // 40,
        observables=[jaxce.observables.short_range_order(supercell, num_shells=1, sublattice="O")],
        progress=True,
    )

    # The first half is dropped; ladders are independent, so they give the errors.
    summary = result.summary(drop=20)
    for rung, kelvin in enumerate(result.temperatures):
        row, heat = summary.loc[(rung, "energy")], result.heat_capacity(drop=20)[rung]
        print(f"{kelvin:6.0f} K: {row['mean']:10.3f} +- {row['mcse']:.3f} eV, R-hat {row['r_hat']:.2f}, C = {heat} kB")
    print(f"exchanges accepted: {np.round(result.exchange_rate, 2)}")

    ladder, replica = np.unravel_index(np.argmin(result.lowest_energy), result.lowest_energy.shape)
    atoms = jaxce.occupancy_to_ase(supercell, result.lowest_occupancy[ladder, replica])
    print(f"lowest of all: {result.lowest_energy.min():.3f} eV, {atoms.get_chemical_formula()}")


if __name__ == "__main__":
    main(4, 4, 40) if "--short" in sys.argv else main()
