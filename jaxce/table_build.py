"""From look-up tables on the lattice to the terms of a supercell. On the host."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxce.build import float_type, site_species
from jaxce.lattice.supercell import Supercell
from jaxce.mixed_radix import folded_states, place_values
from jaxce.tables import Hamiltonian, TableTerm

# A table of this many states takes 128 MB.
_LARGEST_TABLE = 2**24


class EnvironmentTable(NamedTuple):
    """Energy of a centre for every state of its environment, on the lattice of a prim.

    Attributes:
        points: `[slots, 4]` lattice points (prim site, cell offset) of the environment of a centre in cell 0; the
            centre is one of them, if its own species counts.
        energies: one axis per point, with an entry for each species code of its site; eV.
    """

    points: np.ndarray
    energies: np.ndarray


def build_table_hamiltonian(
    tables: Sequence[EnvironmentTable], constant: float, supercell: Supercell, dtype: Any = None
) -> Hamiltonian:
    """The Hamiltonian whose energy is a constant and one look-up of each table per prim.

    Args:
        tables: the tables of the centres of a prim.
        constant: eV per prim.
        supercell: a supercell of the prim.
        dtype: float type of the energies; `jnp.result_type(float)` by default.

    Raises:
        ValueError: if a table does not fit the species of its points, is too large, or is not finite.
    """
    dtype = float_type(dtype)
    for table in tables:
        _check_table(table, supercell)
    constant += sum(float(table.energies.flat[0]) for table in tables)
    return Hamiltonian(
        constant=np.asarray(constant * supercell.num_prims, dtype=np.float64),
        terms=tuple(_table_term(table, supercell, dtype) for table in tables),
        species=site_species(supercell),
        num_prims=np.asarray(supercell.num_prims, dtype=np.int32),
    )


def _check_table(table: EnvironmentTable, supercell: Supercell) -> None:
    expected = tuple(supercell.prim.num_species[table.points[:, 0]].tolist())
    if table.energies.shape != expected:
        raise ValueError(
            f"the table must have shape {expected}, one axis for the species of each of its points, but has "
            f"{table.energies.shape}."
        )
    if table.energies.size > _LARGEST_TABLE:
        raise ValueError(
            f"a table of {table.energies.size} states is too large (the limit is {_LARGEST_TABLE}): use fewer "
            "neighbours or species, or a cluster expansion."
        )
    if max(expected) == 1:
        raise ValueError("no site of the environment has two species, so that there is nothing to look up.")
    if not np.all(np.isfinite(table.energies)):
        raise ValueError("the table must hold finite numbers (eV).")


def _table_term(table: EnvironmentTable, supercell: Supercell, dtype: Any) -> TableTerm:
    is_variable = supercell.prim.num_species[table.points[:, 0]] > 1
    points = table.points[is_variable]
    num_species = tuple(supercell.prim.num_species[points[:, 0]].tolist())
    # The cells are alike, so what coincides in one coincides in all.
    sites = supercell.site_index(points[:, 0], points[:, 1:])
    first = np.array([np.flatnonzero(sites == site)[0] for site in sites])
    energies = table.energies.ravel()[folded_states(num_species, first.tolist())]
    neighbours = supercell.sites_from_cells(points[:, 0], points[:, 1:]).T
    neighbours = np.where(first == np.arange(len(first)), neighbours, -1)
    centres, shares = _touching(neighbours, num_species, supercell)
    index = lambda array: jnp.asarray(array, jnp.int32)
    return TableTerm(
        table=jnp.asarray(energies - energies[0], dtype),
        neighbours=index(neighbours),
        centres=index(centres),
        shares=index(shares),
        num_species=num_species,
    )


def _touching(
    neighbours: np.ndarray, num_species: Sequence[int], supercell: Supercell
) -> tuple[np.ndarray, np.ndarray]:
    """Centres `[sites, touching]` whose environment has a site, and what its codes add to their states."""
    centre, slot = np.nonzero(neighbours >= 0)
    site = neighbours[centre, slot]
    order = np.argsort(site, kind="stable")
    centre, slot, site = centre[order], slot[order], site[order]
    # Place of each entry among those of its site.
    place = np.arange(len(site)) - np.searchsorted(site, site)
    shape = (supercell.num_sites, int(place.max()) + 1)
    centres = np.zeros(shape, dtype=np.int64)
    centres[site, place] = centre
    shares = np.zeros((*shape, int(supercell.prim.num_species.max())), dtype=np.int64)
    codes = np.arange(shares.shape[2])
    is_code = codes < np.array(num_species)[slot, None]
    shares[site, place] = np.where(is_code, np.array(place_values(num_species))[slot, None] * codes, 0)
    return centres, shares
