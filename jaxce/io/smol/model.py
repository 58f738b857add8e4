"""Cluster expansions that smol has written."""

import collections
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ase
import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.io.json_files import read_json
from jaxce.io.model_check import check_model
from jaxce.io.pymatgen_json import prim_from_pymatgen
from jaxce.io.smol.orbits import numbers, read_operations, read_orbits
from jaxce.io.smol.species import Species, in_code_order, species_of_entry
from jaxce.lattice.ewald import EwaldInteraction
from jaxce.lattice.orbits import Orbit
from jaxce.lattice.prim import VACANCY, Prim

# Before, smol listed orbits and functions in another order than it says here.
_OLDEST = (0, 0, 6)
_EMPTY = Orbit(np.zeros((1, 0, 4), dtype=np.int64), 0.0, (np.zeros((1, 0), dtype=np.int64),))


def read_smol(
    path: str | os.PathLike[str],
    check: Iterable[tuple[ase.Atoms, Any]] | None = None,
    neutralize: bool = False,
) -> ClusterExpansion:
    """The cluster expansion in a JSON file of smol: `json.dump(expansion.as_dict())`, or one of `save_work`.

    Correlations are in the order of the file, so `expansion.coefficients` are smol's `coefs`; its energies per prim are
    taken as eV. An Ewald term becomes an `EwaldInteraction`, which is added in every supercell. Species have smol's
    codes. `metadata["source"]` says what was understood, and so does `print(expansion)`.

    Args:
        path: the file; may end in .gz.
        check: structures with their energies by smol (eV per structure, `predict(structure, normalized=False)`), which
            the model must reproduce.
        neutralize: whether charged cells get a uniform background in the Ewald term. Without it their energies are
            smol's, which depend on the cell and on `eta`. Neutral cells are the same either way.

    Raises:
        ValueError: if it is no such file, is damaged, too old, has parts that jaxce does not know, or fails the check.
    """
    path = pathlib.Path(path)
    document = read_json(path)
    try:
        expansion = _expansion(_content(document), path.name, neutralize)
    except ValueError as error:
        raise ValueError(f"{path} is no cluster expansion of smol that can be read: {error}") from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{path} lacks a part of a cluster expansion of smol, or has it in another form: {error!r}."
        ) from error
    if check is not None:
        check_model(expansion, check)
    return expansion


def _content(document: Any) -> Mapping[str, Any]:
    """The expansion in a file, which may hold other work beside it."""
    if not isinstance(document, Mapping):
        raise ValueError(f"expected an object, found {type(document).__name__}.")
    content = document.get("ClusterExpansion", document)
    if content.get("@class") != "ClusterExpansion":
        raise ValueError(
            f'it holds {content.get("@class") or sorted(document)[:10]}, not a "ClusterExpansion": write that one with '
            "smol.io.save_work."
        )
    return content


def _expansion(content: Mapping[str, Any], name: str, neutralize: bool) -> ClusterExpansion:
    subspace = content["cluster_subspace"]
    if subspace["@class"] not in ("ClusterSubspace", "PottsSubspace"):
        raise ValueError(f"its cluster subspace is a {subspace['@class']!r}, which jaxce does not know.")
    orbits_by_size = sorted(((int(size), orbits) for size, orbits in subspace["orbits"].items()), key=lambda o: o[0])
    entries = [entry for _, orbits in orbits_by_size for entry in orbits]
    version = _checked_version(content, entries)
    species = [_site_species(site) for site in subspace["structure"]["sites"]]
    prim = _prim(subspace["structure"], species)
    group = read_operations(prim, subspace["symops"])
    tables, orbits = read_orbits(prim, group, species, entries)
    flavors = sorted({basis["flavor"] for entry in entries for basis in entry["site_bases"]})
    space = ClusterSpace.from_orbits(prim, tables, [_EMPTY, *orbits], {"site_basis": ", ".join(flavors)})
    coefficients, interactions = _coefficients(content, space, species, neutralize)
    understood = [*_understood(space, entries), *_understood_of(interactions)]
    source = {"program": "smol", "version": version, "file": name, "understood": understood}
    return ClusterExpansion(space, coefficients, {"source": source}, interactions)


def _checked_version(content: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str | None:
    """The version of smol; `as_dict` writes it into site spaces only."""
    spaces = [basis["site_space"] for entry in entries for basis in entry["site_bases"]]
    version = next((part["@version"] for part in (content, *spaces) if part.get("@version")), None)
    if version is not None and tuple(map(int, re.findall(r"\d+", version)[:3])) < _OLDEST:
        raise ValueError(
            f"it was written by smol {version}, but is only understood from {'.'.join(map(str, _OLDEST))} on: load it "
            "with a newer smol and save it again."
        )
    return version


def _site_species(site: Mapping[str, Any]) -> list[Species]:
    """The species of a site in the order of their codes."""
    return in_code_order((species_of_entry(entry), float(entry["occu"])) for entry in site["species"])


def _prim(structure: Mapping[str, Any], species: Sequence[Sequence[Species]]) -> Prim:
    """The prim with smol's codes. Sites with the same species in other concentrations are not equivalent in smol."""
    unordered = prim_from_pymatgen(structure)
    names = [tuple(one.label for one in site) for site in species]
    concentrations = [
        ", ".join(sorted(f"{species_of_entry(entry).label} {float(entry['occu']):.8g}" for entry in site["species"]))
        for site in structure["sites"]
    ]
    found = collections.defaultdict(set)
    for own, concentration in zip(names, concentrations, strict=True):
        found[own].add(concentration)
    labels = [c if len(found[own]) > 1 else "" for own, c in zip(names, concentrations, strict=True)]
    return Prim(unordered.lattice, unordered.frac_coords, names, labels=labels)


def _coefficients(
    content: Mapping[str, Any],
    space: ClusterSpace,
    species: Sequence[Sequence[Species]],
    neutralize: bool,
) -> tuple[np.ndarray, list[EwaldInteraction]]:
    """The coefficients of the correlations, and the external term with its own, which comes last."""
    values = numbers([content["coefs"]], "coefs", (len(content["coefs"]),))[0]
    terms = content["cluster_subspace"]["external_terms"]
    unknown = [term["@class"] for term in terms if term["@class"] != "EwaldTerm"]
    if unknown or len(terms) > 1:
        raise ValueError(f"at most one EwaldTerm is understood among its external terms, but it has {terms}.")
    if len(values) != space.num_correlations + len(terms):
        raise ValueError(
            f"it has {len(values)} coefs for {space.num_correlations} correlations, the constant included, and "
            f"{len(terms)} external terms."
        )
    return values[: space.num_correlations], [_ewald(term, species, values[-1], neutralize) for term in terms]


def _ewald(
    term: Mapping[str, Any], species: Sequence[Sequence[Species]], coefficient: Any, neutralize: bool
) -> EwaldInteraction:
    uncharged = sorted({one.label for site in species for one in site if one.charge is None and one.label != VACANCY})
    if uncharged:
        raise ValueError(f"it has an EwaldTerm, but its structure gives no oxidation states for {uncharged}.")
    # pymatgen takes 0 for no value.
    numbers_of_term = {name: term.get(name) or None for name in ("eta", "real_space_cut", "recip_space_cut")}
    return EwaldInteraction(
        charges=[[one.charge or 0.0 for one in site] for site in species],
        coefficient=float(coefficient),
        use_term=term.get("use_term", "total"),
        neutralize=neutralize,
        **numbers_of_term,
    )


def _understood(space: ClusterSpace, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was read, in sentences."""
    prim = space.prim
    sites = "; ".join(f"{i}: {', '.join(prim.species[i])}" for i in prim.active_sites)
    orders = collections.Counter(orbit.order for orbit in space.orbits if orbit.order)
    orbits = ", ".join(f"{count} of {order}" for order, count in sorted(orders.items()))
    lines = [
        f"{prim.num_sites} sites, {len(prim.active_sites)} of them active; species in the order of smol's codes, by "
        f"electronegativity: {sites}",
        f"site functions: {space.metadata['site_basis']}, as stored or full indicators",
        f"orbits by size: {orbits or 'none'}; {space.num_correlations} correlations, in the order of the file",
        "coefficients contain the multiplicity; smol's energy per prim is taken as eV",
    ]
    if any(prim.labels):
        lines.append("sites with the same species in other concentrations are kept apart, as in smol")
    if any(entry.get("_bit_combos") is None for entry in entries):
        lines.append("assumed: all functions of all orbits, in today's order, since this old file does not list them")
    return lines


def _understood_of(interactions: Sequence[EwaldInteraction]) -> list[str]:
    return [
        f"Ewald term ({term.use_term}): charges are the oxidation states, coefficient {term.coefficient:g}; charged "
        f"cells have {'a' if term.neutralize else 'no'} neutralising background"
        for term in interactions
    ]
