"""What the species of atoms mean on the sites of a prim."""

import re
from typing import Any

import numpy as np

from jaxce.lattice.prim import VACANCY, Prim
from jaxce.lattice.supercell import Supercell


class AtomKinds:
    """The species of the atoms: what each may be, and its code on each prim site.

    Attributes:
        names: `[atoms]` what the caller calls each atom.
        kind: `[atoms]` row of `codes`.
        options: for each kind the labels of the prim that it may be.
        codes: `[kinds, prim sites]` species code; -1 where not allowed, -2 where several are.
    """

    def __init__(self, prim: Prim, atoms: Any):
        has_species = "species" in atoms.arrays
        given = atoms.arrays["species"] if has_species else atoms.get_chemical_symbols()
        self.names = np.array([prim.canonical_species(str(name)) for name in given])
        distinct, self.kind = np.unique(self.names, return_inverse=True)
        self.options = [_options(prim, str(name), exact=has_species) for name in distinct]
        unknown = [str(name) for name, options in zip(distinct, self.options, strict=True) if not options]
        if unknown:
            where = [np.flatnonzero(self.names == name)[:5].tolist() for name in unknown]
            raise ValueError(
                f"the structure has species {unknown} (atoms {where}), but the prim knows {list(prim.all_species)}."
            )
        self.codes = np.array([[_code(options, names) for names in prim.species] for options in self.options])

    def __len__(self) -> int:
        return len(self.names)


def _options(prim: Prim, name: str, exact: bool) -> tuple[str, ...]:
    """Species of the prim that an atom of this name may be."""
    if exact or name in prim.all_species:
        return (name,) if name in prim.all_species else ()
    return tuple(label for label in prim.all_species if symbol_of_label(label) == name)


def _code(options: tuple[str, ...], species: tuple[str, ...]) -> int:
    codes = [species.index(option) for option in options if option in species]
    return codes[0] if len(codes) == 1 else -2 if codes else -1


def symbol_of_label(label: str) -> str:
    """The chemical symbol of a species label such as "Mn3+"."""
    match = re.match(r"[A-Z][a-z]?", label)
    return match.group() if match else label


def occupancy_on_sites(supercell: Supercell, atoms: Any, site_of_atom: np.ndarray) -> np.ndarray:
    """`[sites]` species codes (int8) of a structure whose atoms are on known sites; positions are not looked at.

    Raises:
        ValueError: if a site does not allow its atom, or has none and cannot be vacant.
    """
    kinds = AtomKinds(supercell.prim, atoms)
    vacancy = np.array([names.index(VACANCY) if VACANCY in names else -1 for names in supercell.prim.species])
    occupancy = vacancy[supercell.prim_sites]
    occupancy[site_of_atom] = kinds.codes[kinds.kind, supercell.prim_sites[site_of_atom]]
    wrong = np.flatnonzero(occupancy < 0)
    if len(wrong):
        name_of_site = dict(zip(site_of_atom.tolist(), kinds.names.tolist(), strict=True))
        listed = ", ".join(
            f"{name_of_site.get(site, 'no atom')} on site {site} ({'/'.join(supercell.species[site])})"
            for site in wrong[:10].tolist()
        )
        raise ValueError(f"{len(wrong)} sites do not allow what the structure puts there: {listed}.")
    return occupancy.astype(np.int8)
