"""Crystals of which all states are listed; energies by explicit loops."""

import itertools
from typing import Any, NamedTuple

import ase.units
import numpy as np

import jaxce
from helpers import slow_energy


class SmallCrystal(NamedTuple):
    """All states `[states, sites]` of a small supercell, with their energies, eV."""

    supercell: Any
    hamiltonian: Any
    states: np.ndarray
    energies: np.ndarray

    def place_of(self, occupancy):
        """`[...]` place of occupancies in `states`."""
        numbers = self.supercell.prim.num_species[self.supercell.prim_sites]
        return np.ravel_multi_index(tuple(np.moveaxis(np.asarray(occupancy), -1, 0)), numbers)

    def grand_energies(self, potentials=None):
        """E - sum mu N of all states."""
        names = self.supercell.species
        mu = [[(potentials or {}).get(name, 0.0) for name in of_site] for of_site in names]
        work = [sum(mu[site][code] for site, code in enumerate(state)) for state in self.states]
        return self.energies - np.array(work)

    def boltzmann(self, kelvin, potentials=None):
        """Probabilities of all states."""
        exponents = -self.grand_energies(potentials) / (ase.units.kB * kelvin)
        weights = np.exp(exponents - exponents.max())
        return weights / weights.sum()


def small_crystal(prim, cutoffs, transformation, scale):
    space = jaxce.ClusterSpace(prim, cutoffs)
    coefficients = np.random.default_rng(1).normal(scale=scale, size=space.num_correlations) * space.multiplicities
    supercell = jaxce.Supercell(prim, transformation)
    hamiltonian = jaxce.build_hamiltonian(jaxce.ClusterExpansion(space, coefficients), supercell)
    numbers = prim.num_species[supercell.prim_sites]
    states = np.array(list(itertools.product(*(range(n) for n in numbers))), dtype=np.int8)
    energies = np.array([slow_energy(space, coefficients, supercell, state) for state in states])
    return SmallCrystal(supercell, hamiltonian, states, energies)


def oxide():
    """Six sites: two of three species, two of two, two inactive ones; they meet their own images."""
    lattice = np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]])
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    prim = jaxce.Prim(lattice, sites, [["Ni", "Mg", "Co"], ["O", "X"], ["Zr"]])
    return small_crystal(prim, {2: 3.0, 3: 3.0}, [2, 1, 1], 0.01)


def alloy(num_sites):
    """A line of sites along one axis of fcc."""
    prim = jaxce.Prim(np.array([[0, 1.9, 1.9], [1.9, 0, 1.9], [1.9, 1.9, 0]]), [[0, 0, 0]], [["Cu", "Au"]])
    return small_crystal(prim, {2: 2.8, 3: 2.8}, [num_sites, 1, 1], 0.01)
