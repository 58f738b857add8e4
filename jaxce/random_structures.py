"""Random structures on a template, at exact composition."""

from collections.abc import Mapping
from typing import Any

import ase
import numpy as np

from jaxce.io.structure_forms import as_atoms
from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES
from jaxce.sampling.compositions import as_counts


def generate_random_structure(template: Any, composition: Mapping[str, Any], seed: int) -> ase.Atoms:
    """A structure drawn uniformly from all arrangements of a composition on the sites of a template.

    Args:
        template: a structure in any form that `jaxce.Oracle` takes. Its atoms, and explicit vacancies, are the sites.
        composition: for each sublattice (names are yours) how many sites hold each species, or which fraction:
            `{"A": {"Sr": 24, "La": 8}, "B": {"Ti": 24, "Fe": 8}, "O": {"O": 92, "VO": 4}}`. A sublattice is all atoms
            of the template that are of one of its species; atoms that no sublattice names stay as they are.
        seed: the same seed gives the same structure.

    Returns:
        The structure in the order and at the positions of the template, vacancies as atoms of symbol "X".

    Raises:
        ValueError: if the composition does not fill the sites of the template exactly; it says by how many.
    """
    return generate_random_structure_batch(template, composition, 1, seed)[0]


def generate_random_structure_batch(
    template: Any, composition: Mapping[str, Any], n_samples: int, seed: int
) -> list[ase.Atoms]:
    """Independent draws of `generate_random_structure`; a longer batch begins with those of a shorter one."""
    atoms = as_atoms(template)
    sites_of, labels_of = _sublattices(atoms, composition)
    generator = np.random.default_rng(seed)
    structures = []
    for _ in range(n_samples):
        symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
        for sites, labels in zip(sites_of, labels_of, strict=True):
            symbols[sites] = generator.permutation(labels)
        structures.append(ase.Atoms(list(symbols), positions=atoms.positions, cell=atoms.cell, pbc=True))
    return structures


def _sublattices(atoms: ase.Atoms, composition: Mapping[str, Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each sublattice its sites and the species that they hold, in any order."""
    symbols = np.array(atoms.get_chemical_symbols())
    named = {name: _canonical(name, amounts) for name, amounts in composition.items()}
    species = [label for amounts in named.values() for label in amounts]
    if len(set(species)) != len(species):
        raise ValueError(
            f"a species is on two sublattices ({named}), so the atoms of the template do not tell which site is which: "
            "use `jaxce.random_occupancy` with a supercell."
        )
    sites_of, labels_of = [], []
    for name, amounts in named.items():
        sites = np.flatnonzero(np.isin(symbols, list(amounts)))
        counts = as_counts(amounts, len(sites), f"sublattice {name}")
        _check_fits(name, sites, counts, symbols)
        sites_of.append(sites)
        labels_of.append(np.repeat(np.array(list(counts), dtype=object), list(counts.values())))
    return sites_of, labels_of


def _canonical(name: str, amounts: Any) -> dict[str, Any]:
    if not isinstance(amounts, Mapping) or not amounts:
        raise ValueError(f"sublattice {name} must map species to numbers of sites, but is {amounts!r}.")
    labels = {VACANCY if label in VACANCY_ALIASES else label: amount for label, amount in amounts.items()}
    if len(labels) != len(amounts):
        raise ValueError(f"sublattice {name} names the vacancy twice: {dict(amounts)}.")
    bad = {label: amount for label, amount in labels.items() if not _is_amount(amount)}
    if bad:
        raise ValueError(f"amounts of sublattice {name} must be numbers from 0 on, but are {bad}.")
    return labels


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 <= value < np.inf


def _check_fits(name: str, sites: np.ndarray, counts: Mapping[str, int], symbols: np.ndarray) -> None:
    given, wanted = sum(counts.values()), len(sites)
    if given == wanted and wanted:
        return
    present = {str(label): int(number) for label, number in zip(*np.unique(symbols, return_counts=True), strict=True)}
    gap = f"{wanted - given} too few" if given < wanted else f"{given - wanted} too many"
    raise ValueError(
        f"sublattice {name} has {wanted} sites in the template (atoms of {'/'.join(counts)}), but the composition "
        f"{dict(counts)} puts {given} species on them: {gap}. The template holds {present}."
    )
