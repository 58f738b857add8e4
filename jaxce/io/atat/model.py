"""Cluster expansions and structures of ATAT: `lat.in`, `clusters.out`, `eci.out`, `str.out`.

The formats are those of ATAT's manual. Site functions are jaxce's trigonometric ones, species coded in the order of
`lat.in`; an ECI is the energy of one cluster with one labeling; the energy of a cell of `lat.in` is the sum of
multiplicity x ECI x correlation.
"""

import decimal
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import ase
import numpy as np
from ase.data import chemical_symbols

from jaxce.atomic_files import write_text
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.io.atat.clusters import clusters_of_space, space_of_clusters
from jaxce.io.atat.files import clusters_text, lattice_text, read_clusters, read_column, read_lattice
from jaxce.io.atat.prim import atat_prim, check_primitive, lattice_of_prim, split_label
from jaxce.io.atat.references import reference_energies
from jaxce.io.atat.trigonometric_form import in_trigonometric_form
from jaxce.io.model_check import check_model
from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES

# Digits of a written ECI, more than a double has: ECI x multiplicity is the coefficient to the last bit.
_QUOTIENT = decimal.Context(prec=25)
_PRODUCT = decimal.Context(prec=60)
# eV; no model has such an ECI.
_LARGEST = 1e9


def read_atat(folder: str | os.PathLike[str], check: Iterable[tuple[Any, Any]] | None = None) -> ClusterExpansion:
    """The cluster expansion in a folder of ATAT with `lat.in`, `clusters.out` and `eci.out`.

    Energies are taken to be eV, which they are if the energies were that ATAT was given. They are formation energies,
    unless the folder has `ref_energy.out`: then the references are added, see `reference_energies`.

    Args:
        folder: the folder.
        check: structures and their energies, eV per structure, that the expansion must reproduce.

    Raises:
        ValueError: if a file is cut off or of another form, the cell is not primitive, clusters do not fit the lattice
            or stand twice, the number of ECIs is another, or a structure of `check` has another energy.
    """
    folder = pathlib.Path(folder)
    lattice = read_lattice(folder / "lat.in")
    prim = atat_prim(lattice)
    clusters = read_clusters(folder / "clusters.out")
    ecis = _read_ecis(folder, len(clusters))
    space, places = space_of_clusters(prim, lattice, clusters)
    coefficients = np.zeros(space.num_correlations)
    multiplicities = space.multiplicities[places].tolist()
    coefficients[places] = [float(_PRODUCT.multiply(e, m)) for e, m in zip(ecis, multiplicities, strict=True)]
    references = reference_energies(folder, prim)
    if references is not None:
        coefficients += _linear_coefficients(space, references[0])
    absent = set(range(1, len(coefficients))) - set(places.tolist()) - set(np.flatnonzero(coefficients).tolist())
    understood = [
        f"{prim}, species in the order of lat.in",
        f"{len(ecis)} clusters, trigonometric site functions; ECIs in eV, energies per cell of lat.in",
        "energies are formation energies: there is no ref_energy.out" if references is None else references[1],
    ]
    source = {"program": "ATAT", "version": None, "file": os.fspath(folder), "understood": understood}
    expansion = ClusterExpansion(space, coefficients, {"source": source}).without_correlations(absent)
    if check is not None:
        check_model(expansion, check)
    return expansion


def _read_ecis(folder: pathlib.Path, num_clusters: int) -> list[decimal.Decimal]:
    ecis = read_column(folder / "eci.out")
    if len(ecis) != num_clusters:
        raise ValueError(
            f"{folder}: eci.out has {len(ecis)} numbers, but clusters.out has {num_clusters} clusters: they are not "
            "of the same fit."
        )
    if any(abs(eci) > _LARGEST for eci in ecis):
        raise ValueError(f"{folder}: eci.out has a number larger than {_LARGEST:g} eV.")
    return ecis


def write_atat(folder: str | os.PathLike[str], expansion: ClusterExpansion) -> None:
    """Write `lat.in`, `clusters.out` and `eci.out`, each whole or not at all; `read_atat` reads the same model.

    An expansion in other site functions is written in trigonometric ones (`in_trigonometric_form`): the same energies
    by other, often more, clusters. Points have the two integers of `mmaps` if a site has more than two species.

    Raises:
        ValueError: if ATAT has no words for the model: interactions besides clusters, a cell that is not primitive,
            strange names of species; or if the folder has a `ref_energy.out`, which would be added to its energies.
    """
    folder = pathlib.Path(folder)
    if expansion.interactions:
        raise ValueError(f"ATAT's files hold clusters only, but the model has {list(expansion.interactions)} besides.")
    if (folder / "ref_energy.out").exists():
        raise ValueError(f"{folder} has a ref_energy.out, which belongs to another model: choose another folder.")
    check_primitive(expansion.space.prim)
    lattice = lattice_text(lattice_of_prim(expansion.space.prim))
    model = in_trigonometric_form(expansion)
    clusters = clusters_text(clusters_of_space(model.space))
    quotients = [
        _QUOTIENT.divide(decimal.Decimal(coefficient), multiplicity)
        for coefficient, multiplicity in zip(
            model.coefficients.tolist(), model.space.multiplicities.tolist(), strict=True
        )
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "lat.in", lattice)
    write_text(folder / "clusters.out", clusters)
    write_text(folder / "eci.out", "".join(f"{quotient.normalize(_QUOTIENT)}\n" for quotient in quotients))


def read_atat_structure(path: str | os.PathLike[str]) -> ase.Atoms:
    """The structure of a `str.out`; vacancies are atoms of symbol "X", labels behind an underscore are dropped.

    Raises:
        ValueError: if the file is cut off or of another form, or a site has several species.
    """
    structure = read_lattice(path)
    several = [",".join(names) for names in structure.names if len(names) > 1]
    if several:
        raise ValueError(
            f"{path}: a structure has one species on each site, but this has {several[0]}: is it a lat.in?"
        )
    species = [split_label(names[0])[0] for names in structure.names]
    species = [VACANCY if name in VACANCY_ALIASES else name for name in species]
    symbols = [_symbol(path, name) for name in species]
    cell, positions = structure.vectors @ structure.axes, structure.coords @ structure.axes
    atoms = ase.Atoms(symbols, positions=positions, cell=cell, pbc=True)
    if symbols != species:
        atoms.set_array("species", np.array(species))
    return atoms


def _symbol(path: str | os.PathLike[str], species: str) -> str:
    """The chemical symbol of a species such as Fe+2."""
    found = re.match(r"[A-Z][a-z]?", species)
    if found is None or found.group() not in chemical_symbols:
        raise ValueError(f"{path}: the species {species!r} begins with no chemical symbol, so ASE cannot hold it.")
    return found.group()


def _linear_coefficients(space: ClusterSpace, energies: list[np.ndarray]) -> np.ndarray:
    """Coefficients of a sum of energies of sites by their species."""
    coefficients = np.zeros(space.num_correlations)
    start = 0
    for orbit in space.orbits:
        for labelings in orbit.functions:
            if orbit.order == 0:
                coefficients[start] += sum(_weights(space, site, energies)[0] for site in range(space.prim.num_sites))
            if orbit.order == 1:
                sites = orbit.clusters[:, 0, 0].tolist()
                coefficients[start] += sum(_weights(space, site, energies)[labelings[0, 0]] for site in sites)
            start += 1
    return coefficients


def _weights(space: ClusterSpace, site: int, energies: list[np.ndarray]) -> np.ndarray:
    """How the energies of the species of a site are made of its site functions, the constant first."""
    return energies[site] @ np.linalg.inv(space.site_functions[site])
