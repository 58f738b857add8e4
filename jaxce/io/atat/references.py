"""The reference energies that ATAT takes off before a fit."""

import pathlib

import numpy as np

from jaxce.io.atat.files import read_column, read_words
from jaxce.io.atat.prim import split_label
from jaxce.lattice.prim import Prim


def reference_energies(folder: pathlib.Path, prim: Prim) -> tuple[list[np.ndarray], str] | None:
    """For each site the reference energy of each species, eV, and what was assumed; None without `ref_energy.out`.

    `mmaps` lists the species of `ref_energy.out` in `atoms.out`: one energy per atom for each, vacancies and species
    of inactive sites included. `maps` writes two numbers and no `atoms.out`: the energies per active site of the
    crystals whose active sites all hold their first or their second species, and so all inactive sites are contained.

    Raises:
        ValueError: if it is not clear which species a number belongs to.
    """
    if not (folder / "ref_energy.out").exists():
        return None
    energies = [float(value) for value in read_column(folder / "ref_energy.out")]
    if (folder / "atoms.out").exists():
        return _of_atoms(prim, [split_label(name)[0] for name in read_words(folder / "atoms.out")], energies)
    if len(energies) != 2 or len(prim.active_sites) != 1 or prim.num_species.max() != 2:
        raise ValueError(
            f"{folder}: it is not clear what the {len(energies)} numbers of ref_energy.out belong to without an "
            "atoms.out with one species for each (mmaps writes it), except for one active site with two species. Add "
            "it, or remove ref_energy.out to read formation energies."
        )
    of_sites = [np.array(energies) if len(names) == 2 else np.zeros(1) for names in prim.species]
    (site,) = prim.active_sites
    first, second = prim.species[site]
    return of_sites, f"references of ref_energy.out added: {energies[0]:g} eV per {first}, {energies[1]:g} per {second}"


def _of_atoms(prim: Prim, names: list[str], energies: list[float]) -> tuple[list[np.ndarray], str]:
    species = [prim.canonical_species(name) for name in names]
    if len(species) != len(energies) or len(set(species)) != len(species) or not set(prim.all_species) <= set(species):
        raise ValueError(
            f"ref_energy.out has {len(energies)} numbers for the species {names} of atoms.out, and lat.in holds "
            f"{list(prim.all_species)}: each of these needs one number. Remove ref_energy.out to read formation "
            "energies."
        )
    of_species = dict(zip(species, energies, strict=True))
    listed = ", ".join(f"{name} {energy:g}" for name, energy in of_species.items())
    return [np.array([of_species[name] for name in names]) for names in prim.species], (
        f"references of ref_energy.out and atoms.out added, eV per atom: {listed}"
    )
