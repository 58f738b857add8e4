"""Slow references: explicit loops over NumPy arrays, sharing no code with the package."""

import itertools
import math

import numpy as np


def site_lookup(supercell):
    """A function (prim site, offset) -> site index, by wrapping positions with floats."""
    inverse = np.linalg.inv(supercell.transformation)

    def wrapped(offset):
        cells = np.floor(np.asarray(offset) @ inverse + 1e-9).astype(int)
        return tuple(int(x) for x in np.asarray(offset) - cells @ supercell.transformation)

    index = {
        (int(s), wrapped(o)): n for n, (s, o) in enumerate(zip(supercell.prim_sites, supercell.offsets, strict=True))
    }
    return lambda site, offset: index[int(site), wrapped(offset)]


def slow_correlations(space, supercell, occupancy):
    """Correlation vector by loops over orbits, labelings, clusters and cells."""
    find = site_lookup(supercell)
    cells = [supercell.offsets[n] for n in range(supercell.num_sites) if supercell.prim_sites[n] == 0]
    vector = []
    for orbit in space.orbits:
        for labelings in orbit.functions:
            total, count = 0.0, 0
            for cluster, cell, labeling in itertools.product(orbit.clusters, cells, labelings):
                product = 1.0
                for point, function in zip(cluster, labeling, strict=True):
                    code = int(occupancy[find(point[0], point[1:] + cell)])
                    product *= space.site_functions[point[0]][function][code]
                total, count = total + product, count + 1
            vector.append(total / count)
    return np.array(vector)


def slow_energy(space, coefficients, supercell, occupancy):
    """Energy per supercell from the slow correlations."""
    num_prims = abs(round(np.linalg.det(supercell.transformation)))
    return num_prims * float(np.dot(coefficients, slow_correlations(space, supercell, occupancy)))


def random_occupancies(supercell, count, seed):
    """`[count, sites]` uniformly random species codes."""
    numbers = supercell.prim.num_species[supercell.prim_sites]
    return np.random.default_rng(seed).integers(0, numbers, size=(count, supercell.num_sites))


def substituted(occupancy, site, code):
    """A copy with one site changed."""
    changed = np.array(occupancy)
    changed[site] = code
    return changed


def slow_ewald_matrix(lattice, positions, charges):
    """`[slots, slots]` Coulomb energies (eV) of point charges on a lattice, neutral as a whole; tin-foil boundary.

    `energy = o . matrix . o` for 0/1 occupied slots. Slots may share a position (species of one site): they never
    meet each other, only each other's images.
    """
    coulomb = 14.399645478425668
    volume = abs(np.linalg.det(lattice))
    eta = math.pi / volume ** (2 / 3)
    real_cut, reciprocal_cut = 6.2 / math.sqrt(eta), 2 * 6.2 * math.sqrt(eta)
    difference = positions[:, None] - positions[None, :]
    potential = np.zeros((len(positions),) * 2)
    for n in _cells_within(lattice, real_cut + np.abs(difference).max() * math.sqrt(3)):
        distance = np.linalg.norm(difference + n @ lattice, axis=-1)
        away = distance > 1e-6
        safe = np.where(away, distance, 1.0)
        potential += np.where(away & (distance < real_cut), _erfc(math.sqrt(eta) * safe) / safe, 0.0)
    reciprocal = 2 * math.pi * np.linalg.inv(lattice).T
    for m in _cells_within(reciprocal, reciprocal_cut):
        k = m @ reciprocal
        k2 = float(k @ k)
        if 1e-12 < k2 < reciprocal_cut**2:
            potential += 4 * math.pi / volume * math.exp(-k2 / (4 * eta)) / k2 * np.cos(difference @ k)
    potential -= math.pi / (volume * eta)
    potential[np.diag_indices(len(positions))] -= 2 * math.sqrt(eta / math.pi)
    return coulomb / 2 * potential * np.outer(charges, charges)


def _cells_within(lattice, radius):
    extent = np.ceil(radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int) + 1
    return [np.array(n) for n in itertools.product(*(range(-e, e + 1) for e in extent))]


_erfc = np.vectorize(math.erfc)
