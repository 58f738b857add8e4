"""CASM's description of a prim (`prim.json`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import space_group

_FRACTIONAL = ("fractional", "direct", "frac")
_CARTESIAN = ("cartesian", "cart")
# CASM knows this spelling of the vacancy as well.
_VACANCY_ALIASES = ("va",)
# Largest distance, angstrom, of a site of two descriptions of the same prim; files have six digits or more.
_SAME = 1e-4


def prim_from_casm(content: Any) -> Prim:
    """The prim of the content of a `prim.json`; lattice and sites are kept as they are, also outside the cell.

    The order of the occupants gives the codes. Where symmetry-equivalent sites list theirs in different orders, all
    take the order of the first of them.

    Raises:
        ValueError: if it is no such description, or it has degrees of freedom besides the occupation.
    """
    if not isinstance(content, Mapping) or not {"lattice_vectors", "basis", "coordinate_mode"} <= set(content):
        keys = sorted(content) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f'a prim of CASM has "lattice_vectors", "basis" and "coordinate_mode", but this is {keys}.')
    sites = content["basis"]
    if not isinstance(sites, Sequence) or not all(isinstance(site, Mapping) for site in sites) or not sites:
        raise ValueError('the "basis" of a prim of CASM must be a list of sites.')
    _check_only_occupation(content, sites)
    lattice = _numbers(content["lattice_vectors"], (3, 3), '"lattice_vectors"')
    coords = _frac_coords(content["coordinate_mode"], sites, lattice)
    occupants = [_occupants(site, place) for place, site in enumerate(sites)]
    _check_isotropic(content.get("species") or {}, occupants)
    labels = [str(site.get("label", "")) for site in sites]
    species = _orders_of_first(lattice, coords, occupants, labels)
    return Prim(lattice, coords, species, labels=labels, vacancy_aliases=_VACANCY_ALIASES)


def check_same_prim(prim: Prim, other: Prim) -> None:
    """Raise `ValueError` unless two descriptions are of the same sites in the same places."""
    is_same = prim.num_sites == other.num_sites and all(
        set(first) == set(second) for first, second in zip(prim.species, other.species, strict=True)
    )
    if is_same:
        is_same = np.abs(prim.lattice - other.lattice).max() < _SAME
        is_same = is_same and np.abs(prim.cart_coords() - other.cart_coords()).max() < _SAME
    if not is_same:
        raise ValueError(
            f"the basis set was made for another prim: {other} with the sites {other.frac_coords.tolist()}, not {prim} "
            f"with {prim.frac_coords.tolist()}. Give the prim.json of the same project."
        )


def _check_only_occupation(content: Mapping[str, Any], sites: Sequence[Mapping[str, Any]]) -> None:
    found = sorted({*(content.get("dofs") or {}), *(name for site in sites for name in site.get("dofs") or {})})
    if found:
        raise ValueError(
            f"the prim has the continuous degrees of freedom {found}: jaxce reads models of occupation only. Make "
            "the basis set of a prim without them."
        )


def _check_isotropic(species: Mapping[str, Any], occupants: Sequence[Sequence[str]]) -> None:
    """An occupant with a direction, a spin or several atoms may turn into another one under symmetry."""
    for name in dict.fromkeys(name for names in occupants for name in names):
        entry = species.get(name) or {}
        atoms = entry.get("atoms") or []
        attributes = [part.get("attributes") for part in (entry, *atoms) if part.get("attributes")]
        is_centred = all(np.allclose(np.asarray(atom.get("coordinate", 0.0), dtype=float), 0) for atom in atoms)
        if attributes or len(atoms) > 1 or not is_centred:
            raise ValueError(
                f"the occupant {name!r} is a molecule or has attributes such as a spin, on which symmetry acts: "
                f"{entry}. jaxce reads single atoms and vacancies."
            )


def _frac_coords(mode: Any, sites: Sequence[Mapping[str, Any]], lattice: np.ndarray) -> np.ndarray:
    coords = np.array(
        [_numbers(site.get("coordinate"), (3,), f"the coordinate of site {place}") for place, site in enumerate(sites)]
    )
    if str(mode).lower() in _FRACTIONAL:
        return coords
    if str(mode).lower() in _CARTESIAN:
        return coords @ np.linalg.inv(lattice)
    raise ValueError(f'"coordinate_mode" must be "Fractional" ("Direct") or "Cartesian", but is {mode!r}.')


def _occupants(site: Mapping[str, Any], place: int) -> list[str]:
    # Called "occupant_dof" before CASM 1.
    names = site.get("occupants", site.get("occupant_dof"))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f'site {place} needs a list of "occupants" such as ["Li", "Va"], but has {names!r}.')
    return names


def _orders_of_first(
    lattice: np.ndarray, coords: np.ndarray, occupants: list[list[str]], labels: list[str]
) -> list[list[str]]:
    """The occupants of each site in the order in which the first equivalent site lists them."""
    if len({tuple(names) for names in occupants}) == len({frozenset(names) for names in occupants}):
        return occupants
    ordered = Prim(lattice, coords, [sorted(names) for names in occupants], labels, vacancy_aliases=_VACANCY_ALIASES)
    return [occupants[first] for first in space_group(ordered).site_orbits]


def _numbers(values: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    try:
        numbers = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros(0)
    if numbers.shape != shape:
        raise ValueError(f"{what} must be numbers of shape {list(shape)}, but came as {values!r}.")
    return numbers
