"""The expansions that every program computes, and the structures on which they are compared."""

import dataclasses
import functools
import time

import jax
import numpy as np

import jaxce

A_FCC = 4.0
A_PEROVSKITE = 3.905
# ECIs are normal numbers of this size for pairs of this distance; each order more makes them smaller by this factor.
PAIR_ECI = 0.02
PAIR_DISTANCE = 3.0
ORDER_FACTOR = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """A prim, its cutoffs and the supercell that is sampled.

    Attributes:
        name: short name.
        prim: the prim.
        cutoffs: order -> diameter, angstrom.
        size: prims along each vector.
        parts: species -> parts, of all sites that may hold it.
    """

    name: str
    prim: jaxce.Prim
    cutoffs: dict[int, float]
    size: tuple[int, int, int]
    parts: dict[str, int]

    def composition(self, supercell):
        """Species -> count in the supercell."""
        counts = {}
        for species, sites in self.sites_by_species(supercell).items():
            whole = sum(self.parts[name] for name in species)
            counts |= {name: sites * self.parts[name] // whole for name in species}
        return counts

    def sites_by_species(self, supercell):
        """Allowed species -> number of sites that may hold them."""
        species, counts = np.unique([",".join(names) for names in supercell.species], return_counts=True)
        return {tuple(names.split(",")): int(count) for names, count in zip(species, counts, strict=True)}

    def describe(self):
        """One line for the reader of a table."""
        cutoffs = ", ".join(f"{order} sites to {cutoff:g} A" for order, cutoff in self.cutoffs.items())
        parts = " ".join(f"{name} {count}" for name, count in self.parts.items())
        return f"{'x'.join(map(str, self.size))} prims, parts {parts}; {cutoffs}"


def fcc(species):
    cell = A_FCC / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return jaxce.Prim(cell, [[0, 0, 0]], [species])


def perovskite():
    coords = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return jaxce.Prim(A_PEROVSKITE * np.eye(3), coords, [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3])


def all_systems():
    """Name -> system."""
    systems = (
        System(
            name="fcc",
            prim=fcc(["Au", "Cu"]),
            # A little more than the distances 8 A and 6 A, so that rounding cannot drop a shell for one program.
            cutoffs={2: 8.01, 3: 6.01},
            size=(10, 10, 10),
            parts={"Au": 1, "Cu": 1},
        ),
        System(
            name="perovskite",
            prim=perovskite(),
            cutoffs={2: 7.0, 3: 5.0},
            size=(2, 4, 4),
            parts={"Sr": 3, "La": 1, "Ti": 3, "Fe": 1, "O": 11, "X": 1},
        ),
        System(
            name="ternary",
            prim=fcc(["Cu", "Au", "Pd"]),
            cutoffs={2: 6.01, 3: 4.51},
            size=(6, 6, 6),
            parts={"Cu": 1, "Au": 1, "Pd": 1},
        ),
        System(
            name="quaternary",
            prim=fcc(["Cu", "Au", "Pd", "Ag"]),
            cutoffs={2: 6.01, 3: 4.51, 4: 3.01},
            size=(10, 10, 10),
            parts={"Cu": 1, "Au": 1, "Pd": 1, "Ag": 1},
        ),
    )
    return {system.name: system for system in systems}


def smaller(system):
    """The system with nearest neighbours and a small cell: for a quick look whether everything runs."""
    cutoffs = dict.fromkeys(system.cutoffs, 3.01)
    size = system.size if system.name == "perovskite" else (6, 6, 6)
    return dataclasses.replace(system, cutoffs=cutoffs, size=size)


def random_expansion(system):
    """An expansion with random ECIs that decay with order and distance; no empty or point term."""
    space = jaxce.ClusterSpace(system.prim, system.cutoffs)
    table = space.to_dataframe()
    order = table["order"].to_numpy()
    diameter = np.where(order > 1, table["diameter"].to_numpy(), np.inf)
    eci = np.random.default_rng(0).normal(size=len(table))
    eci *= PAIR_ECI * ORDER_FACTOR ** (order - 2.0) * (PAIR_DISTANCE / diameter) ** 2
    return jaxce.ClusterExpansion(space, eci * table["multiplicity"].to_numpy())


class Problem:
    """A system, its Hamiltonian, and structures with energies to which the peers are fitted."""

    def __init__(self, system):
        self.system = system
        start = time.process_time()
        self.expansion = random_expansion(system)
        self.space = self.expansion.space
        self.seconds = {"cluster space": time.process_time() - start}
        self.supercell = jaxce.Supercell(system.prim, system.size)
        start = time.process_time()
        self.hamiltonian = jaxce.build_hamiltonian(self.expansion, self.supercell)
        self.tables = jaxce.build_tables(self.space, self.supercell)
        jax.block_until_ready((self.hamiltonian, self.tables))
        self.seconds["supercell"] = time.process_time() - start

    @functools.cached_property
    def fitted(self):
        """`[2 x functions, sites]` structures of all compositions, and their energies in double precision."""
        rng = np.random.default_rng(1)
        occupancies = np.array([self._random_structure(rng) for _ in range(2 * self.space.num_correlations + 10)])
        with jax.enable_x64(True):
            hamiltonian = jaxce.build_hamiltonian(self.expansion, self.supercell)
            return occupancies, np.asarray(jaxce.energy(hamiltonian, occupancies))

    def _random_structure(self, rng):
        codes = []
        for species in self.system.prim.species:
            weights = rng.dirichlet(np.ones(len(species)))
            codes.append(rng.choice(len(species), size=self.supercell.num_prims, p=weights))
        return np.concatenate(codes).astype(np.int8)

    def random_start(self, chains):
        """`[chains, sites]` random occupancies of the composition that is sampled."""
        composition = self.system.composition(self.supercell)
        return jaxce.random_occupancy(jax.random.key(0), self.supercell, composition, (chains,))
