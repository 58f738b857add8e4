"""The active sublattices of a Hamiltonian as Monte Carlo sees them. On the host."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxce.energies import site_tables
from jaxce.tables import Hamiltonian


class ActiveSublattice(NamedTuple):
    """Sites that hold the same species in the same order, more than one.

    Attributes:
        name: of the sublattice.
        species: names in the order of their codes.
        sites: `[sites]` all its sites.
        movable: `[sites]` those that are not frozen.
        tables: `[sites]` a number for each movable site; sites with the same number have the same tables.
    """

    name: str
    species: tuple[str, ...]
    sites: np.ndarray
    movable: np.ndarray
    tables: np.ndarray


def find_sublattices(hamiltonian: Hamiltonian, frozen_sites: Iterable[int] = ()) -> tuple[ActiveSublattice, ...]:
    """The sublattices on which something can change.

    Raises:
        ValueError: if there is none, or `frozen_sites` names no site.
    """
    species = hamiltonian.species
    kinds, labels = np.asarray(species.kind), np.asarray(species.labels)
    is_frozen = np.zeros(len(kinds), dtype=bool)
    is_frozen[_checked_sites(frozen_sites, len(kinds))] = True
    tables = site_tables(hamiltonian)
    found = []
    for kind in np.unique(kinds):
        names = tuple(species.names[label] for label in labels[kind] if label >= 0)
        sites = np.flatnonzero(kinds == kind)
        movable = sites[~is_frozen[sites]]
        if len(names) > 1:
            found.append(ActiveSublattice(species.sublattice_names[kind], names, sites, movable, tables[movable]))
    if not found:
        raise ValueError("no site of this supercell has more than one species: there is nothing to sample.")
    if not any(len(sublattice.movable) for sublattice in found):
        raise ValueError("all sites with more than one species are frozen: there is nothing to sample.")
    return tuple(found)


def count_species(
    sublattices: tuple[ActiveSublattice, ...], occupancy: np.ndarray, *, only_movable: bool = False
) -> np.ndarray:
    """`[chains, sublattices, species]` sites with each species code; occupancy `[chains, sites]`."""
    codes = range(species_axis(sublattices))
    of_sites = [occupancy[:, s.movable if only_movable else s.sites] for s in sublattices]
    return np.stack([np.stack([np.sum(part == code, axis=1) for code in codes], axis=1) for part in of_sites], axis=1)


def species_axis(sublattices: tuple[ActiveSublattice, ...]) -> int:
    """Length of a species axis that all sublattices share."""
    return max(len(sublattice.species) for sublattice in sublattices)


def _checked_sites(sites: Iterable[int], num_sites: int) -> np.ndarray:
    given: Any = np.asarray(list(sites))
    if given.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(given.dtype, np.integer) or given.ndim != 1 or given.min() < 0 or given.max() >= num_sites:
        raise ValueError(f"`frozen_sites` must be site indices from 0 to {num_sites - 1}, but is {sites!r}.")
    return given
