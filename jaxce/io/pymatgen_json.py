"""Structures as pymatgen writes them in JSON; pymatgen itself is not needed."""

from collections.abc import Mapping, Sequence
from typing import Any

import ase
import numpy as np

from jaxce.io.json_files import read_json
from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES, Prim

# A site whose occupations sum to less may be vacant; the same number as in smol.
_FULL = 0.99
_ROUNDING = 1e-6


def atoms_from_pymatgen(structure: Any) -> ase.Atoms:
    """The `ase.Atoms` of an ordered structure, vacancies included if they are written as atoms.

    If any site has an oxidation state or a spin, `atoms.arrays["species"]` holds labels as pymatgen prints them:
    "Mn3+", "Li+", "O2-", "Fe2.50+", "Mn3+,spin=4".

    Args:
        structure: what `Structure.as_dict()` gives: "lattice" and "sites".

    Raises:
        ValueError: if it is no structure, or a site is disordered or partly occupied.
    """
    lattice, sites = _lattice_and_sites(structure)
    listed = [_site_species(site, place) for place, site in enumerate(sites)]
    for place, species in enumerate(listed):
        if len(species) > 1 or sum(species.values()) < 1 - _ROUNDING:
            raise ValueError(
                f"site {place} is disordered ({_as_text(species)}), so its energy is not that of one arrangement: "
                "give an ordered structure. `prim_from_pymatgen` reads a disordered one as a prim."
            )
    labels = [next(iter(species)) for species in listed]
    elements = [site["species"][0]["element"] for site in sites]
    symbols = [VACANCY if element in VACANCY_ALIASES else element for element in elements]
    atoms = ase.Atoms(
        symbols, scaled_positions=_frac_coords(lattice, sites), cell=lattice, pbc=structure["lattice"].get("pbc", True)
    )
    if labels != symbols:
        atoms.set_array("species", np.array(labels))
    return atoms


def prim_from_pymatgen(source: Any, **keywords: Any) -> Prim:
    """The prim that a disordered structure stands for: each site may hold every species that is listed on it.

    Occupations matter only by their sum: below 0.99 the site may also be vacant, and "X" comes last. Species are coded
    in the order in which they are listed; sites that list the same species in another order take the order of the
    first of them, since symmetry-equivalent sites need the same.

    Args:
        source: what `Structure.as_dict()` gives, or the path of a JSON file with it.
        **keywords: passed to `Prim`.

    Raises:
        ValueError: if it is no structure, a species is listed twice, or occupations are not positive or exceed 1.
    """
    structure = source if isinstance(source, Mapping) else read_json(source)
    try:
        return _prim(structure, keywords)
    # Anything may be missing or of another type in the JSON of others.
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        where = "the structure" if isinstance(source, Mapping) else source
        raise ValueError(
            f"{where} lacks a part of a structure of pymatgen, or has it in another form: {error!r}"
        ) from error


def _prim(structure: Any, keywords: Mapping[str, Any]) -> Prim:
    lattice, sites = _lattice_and_sites(structure)
    order_of: dict[frozenset[str], list[str]] = {}
    species = []
    for place, site in enumerate(sites):
        names = _allowed(_site_species(site, place))
        species.append(order_of.setdefault(frozenset(names), names))
    return Prim(lattice, _frac_coords(lattice, sites), species, **keywords)


def _allowed(occupations: Mapping[str, float]) -> list[str]:
    atoms = [label for label in occupations if label != VACANCY]
    may_be_vacant = VACANCY in occupations or sum(occupations.values()) < _FULL
    return [*atoms, VACANCY] if may_be_vacant else atoms


def _lattice_and_sites(structure: Any) -> tuple[np.ndarray, Sequence[Any]]:
    if not isinstance(structure, Mapping) or not {"lattice", "sites"} <= set(structure):
        keys = sorted(structure) if isinstance(structure, Mapping) else type(structure).__name__
        raise ValueError(f'a pymatgen structure has a "lattice" and "sites", but this is {keys}.')
    lattice = np.array(structure["lattice"]["matrix"], dtype=np.float64)
    if not structure["sites"]:
        raise ValueError("the structure has no sites.")
    return lattice, structure["sites"]


def _frac_coords(lattice: np.ndarray, sites: Sequence[Any]) -> np.ndarray:
    if all("abc" in site for site in sites):
        return np.array([site["abc"] for site in sites], dtype=np.float64)
    return np.array([site["xyz"] for site in sites], dtype=np.float64) @ np.linalg.inv(lattice)


def _site_species(site: Mapping[str, Any], place: int) -> dict[str, float]:
    """Occupation of each label on a site, in the order of the file."""
    species: dict[str, float] = {}
    for entry in site["species"]:
        label, occupation = species_label(entry), float(entry.get("occu", 1.0))
        if label in species:
            raise ValueError(f"site {place} lists {label} twice.")
        if not occupation > 0:
            raise ValueError(
                f"site {place} has the occupation {occupation} of {label}: leave it out, or make it positive."
            )
        species[label] = occupation
    total = sum(species.values())
    if not species or total > 1 + _ROUNDING:
        raise ValueError(f"the occupations of site {place} must sum to at most 1, but are {_as_text(species)}.")
    return species


def _as_text(species: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {occupation:g}" for label, occupation in species.items()) or "none"


def species_label(entry: Mapping[str, Any]) -> str:
    """The species as pymatgen prints it: no number for a charge of 1, two decimals for a fraction."""
    if entry["element"] in VACANCY_ALIASES:
        return VACANCY
    label, charge = entry["element"], entry.get("oxidation_state")
    if charge is not None:
        size = abs(charge)
        number = "" if size == 1 else f"{size:.0f}" if abs(size - round(size)) < 1e-8 else f"{size:.2f}"
        label += number + ("+" if charge >= 0 else "-")
    spin = entry.get("spin", (entry.get("properties") or {}).get("spin"))
    return label if spin is None else f"{label},spin={spin}"
