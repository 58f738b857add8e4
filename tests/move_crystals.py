"""Crystals and kinds of moves for the tests of moves."""

import itertools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import jaxce

# The terms register themselves.
from jaxce import change_tables as change_tables
from jaxce.energy_changes import energy_changes
from jaxce.sampling.move_classes import Change, MoveKind, build_moves, swap
from jaxce.sampling.moves import State
from jaxce.sampling.sublattices import count_species, find_sublattices

CUBE = 4.0 * np.eye(3)
FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])


class Crystal(NamedTuple):
    supercell: Any
    hamiltonian: Any
    sublattices: Any
    changes: Any

    def state(self, occupancy):
        occupancy = jnp.asarray(occupancy, jnp.int8)
        counts = count_species(self.sublattices, np.asarray(occupancy)[None])[0]
        memory = self.changes.start(occupancy, self.changes.fields(occupancy))
        return State(occupancy, jnp.zeros(()), jnp.asarray(counts, jnp.int32), memory)

    def random_state(self, seed):
        numbers = self.supercell.prim.num_species[self.supercell.prim_sites]
        return self.state(np.random.default_rng(seed).integers(0, numbers))


def crystal_of(prim, cutoffs, transformation, scale=0.02):
    space = jaxce.ClusterSpace(prim, cutoffs)
    ecis = np.random.default_rng(0).normal(scale=scale, size=space.num_correlations)
    supercell = jaxce.Supercell(prim, transformation)
    hamiltonian = jaxce.build_hamiltonian(jaxce.ClusterExpansion(space, ecis * space.multiplicities), supercell)
    changes = energy_changes(hamiltonian, "environment", is_mapped=True)
    return Crystal(supercell, hamiltonian, find_sublattices(hamiltonian), changes)


def alloy():
    return crystal_of(jaxce.Prim(FCC, [[0, 0, 0]], [["Cu", "Au"]]), {2: 4.1, 3: 3.0}, 3)


def quaternary():
    """Two sublattices of four and three species, and inactive sites."""
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    return crystal_of(jaxce.Prim(CUBE, sites, [["A", "B", "C", "D"], ["E", "F", "X"], ["O"]]), {2: 4.1}, [2, 2, 3])


def oxide():
    """A sublattice whose sites have two kinds of tables, eight of each, beside one of three species."""
    lattice = np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]])
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    return crystal_of(jaxce.Prim(lattice, sites, [["Ni", "Mg", "Co"], ["O", "X"], ["O", "X"]]), {2: 3.0}, 2)


def tiny():
    """Six sites: 2 of three species, 4 of two in two kinds, which meet their own images."""
    lattice = np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]])
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    prim = jaxce.Prim(lattice, sites, [["Ni", "Mg", "Co"], ["O", "X"], ["O", "X"]])
    return crystal_of(prim, {2: 3.0}, [2, 1, 1], scale=0.01)


def flips(sublattice, num_species):
    pairs = itertools.combinations(range(num_species), 2)
    return [MoveKind((Change(sublattice, a, b),), 1.0) for a, b in pairs]


def swaps(sublattice, num_species):
    return [MoveKind(swap(sublattice, a, b), 1.0) for a, b in itertools.combinations(range(num_species), 2)]


def built(crystal, kinds, steps=500):
    (move,) = build_moves(crystal.sublattices, kinds, steps)
    return move
