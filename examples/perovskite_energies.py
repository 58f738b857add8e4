"""Energies, substitutions and swaps of thousands of perovskite structures in one batch.

Run: python examples/perovskite_energies.py [--short]
"""

import sys

import jax
import jax.numpy as jnp

import jaxce


def main(num_structures: int = 4096) -> None:
    expansion = jaxce.datasets.load_perovskite_model()
    supercell = jaxce.Supercell(expansion.space.prim, (2, 4, 4))
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    composition = {"La": 8, "Sr": 24, "Fe": 8, "Ti": 24, "O": 92, "X": 4}
    occupancies = jaxce.random_occupancy(jax.random.key(0), supercell, composition, (num_structures,))

    energies = jax.jit(jaxce.energy)(hamiltonian, occupancies)
    print(
        f"{num_structures} structures of {supercell.num_sites} sites: {energies.mean():.3f} +- {energies.std():.3f} eV"
    )

    # One step of descent: in the lowest structure, the best exchange of an oxygen with a vacancy.
    lowest = occupancies[jnp.argmin(energies)]
    oxygen_sites = jnp.asarray(supercell.sublattices[2].sites)
    swaps = jax.jit(jaxce.all_swap_energies)(hamiltonian, lowest, oxygen_sites)
    i, j = jnp.unravel_index(jnp.argmin(swaps), swaps.shape)
    print(f"lowest: {energies.min():.3f} eV; moving one vacancy gains {-swaps[i, j]:.3f} eV")

    # The gradient with respect to site probabilities is the energy of every substitution.
    probabilities = jax.nn.one_hot(lowest, 2)
    gradient = jax.jit(jax.grad(jaxce.relaxed_energy, argnums=1))(hamiltonian, probabilities)
    by_gradient = gradient[:, 1] - gradient[:, 0]
    exact = jax.jit(jaxce.substitution_energies)(hamiltonian, lowest)
    difference = jnp.abs(by_gradient - (exact[:, 1] - exact[:, 0])).max()
    print(f"gradient and substitution energies differ by {difference:.1e} eV")


if __name__ == "__main__":
    main(64 if "--short" in sys.argv else 4096)
