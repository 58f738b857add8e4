"""Energies of many occupancies, product by product in NumPy; no code shared with the tables of the package."""

import numpy as np


def product_energies(space, coefficients, supercell, occupancies):
    """`[occupancies]` eV per supercell: for each orbit and labeling, the products over all of its clusters."""
    values = site_values(space, supercell, occupancies)
    energies = np.zeros(len(occupancies))
    remaining = iter(coefficients)
    for orbit in space.orbits:
        points = orbit.clusters[:, None] + np.pad(supercell.cells, ((0, 0), (1, 0)))[:, None]
        sites = supercell.site_index(points[..., 0], points[..., 1:]).reshape(len(points) * supercell.num_prims, -1)
        for labelings in orbit.functions:
            products = [np.prod(values[:, sites, labels], axis=-1).sum(axis=1) for labels in labelings]
            energies += next(remaining) * np.mean(products, axis=0) / orbit.multiplicity
    return energies


def site_values(space, supercell, occupancies):
    """`[occupancies, sites, functions]`."""
    values = np.zeros((*occupancies.shape, max(len(table) for table in space.site_functions)))
    for site, prim_site in enumerate(supercell.prim_sites):
        table = space.site_functions[prim_site]
        values[:, site, : len(table)] = table[:, occupancies[:, site]].T
    return values
