"""Cluster expansions of icet."""

import os
import pathlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import ase
import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.io.icet.archive import StoredModel, read_archive
from jaxce.io.icet.history import with_history
from jaxce.io.icet.lattice import allowed_species, primitive_lattice, read_structure
from jaxce.io.icet.orbits import icet_orbits
from jaxce.io.icet.representatives import depends_on_representative
from jaxce.io.model_check import check_model
from jaxce.lattice.orbits import Orbit
from jaxce.lattice.prim import Prim
from jaxce.lattice.site_basis import prim_site_functions

# Orbits that a warning lists.
_MOST_LISTED = 12


def read_icet(path: str | os.PathLike[str], check: Iterable[tuple[ase.Atoms, Any]] | None = None) -> ClusterExpansion:
    """The cluster expansion in a `.ce` file of icet (versions 1 to 4).

    icet does not store its orbits, so they are rebuilt in its order. `coefficients` are in the order of icet's
    parameters, eV per prim where icet's are eV per site. Nothing in the file is run.

    Args:
        path: the file that `ClusterExpansion.write` of icet wrote.
        check: structures and their energies, eV per structure (`len(structure) * predict(structure)` in icet). In some
            crystals the order of orbits hangs on details of the symmetry search; a warning says so, unless energies
            have settled it.

    Raises:
        ValueError: if it is no such file, a part of it is missing or does not fit the others, or `check` fails.
    """
    stored = read_archive(path)
    if check is None and not stored.is_of_known_version:
        raise ValueError(
            f"{path} was written by icet {stored.version!r}; the order of its parameters is known for versions 1 to 4. "
            "Energies can show that it is the same: pass `check=[(structure, energy in eV), ...]`."
        )
    try:
        expansion, doubts = _rebuilt(stored, pathlib.Path(path).name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if check is not None:
        check_model(expansion, check)
    elif doubts:
        warnings.warn(f"{path}: {doubts}", UserWarning, stacklevel=2)
    return expansion


def _rebuilt(stored: StoredModel, name: str) -> tuple[ClusterExpansion, str]:
    """The expansion, and what is ambiguous about it."""
    structure = read_structure(stored.structure)
    species = allowed_species(structure, stored.species)
    prim, group = primitive_lattice(structure, species, stored.symprec)
    if len(prim.active_sites) == 0:
        raise ValueError(f"no site of {prim} may hold more than one species, so there is nothing to expand.")
    orbits, ties = icet_orbits(prim, group, stored.cutoffs, stored.position_tolerance)
    doubts = _doubts(orbits, ties)
    space = with_history(_space(prim, orbits, stored.cutoffs), stored.history)
    if len(stored.parameters) != space.num_correlations:
        raise ValueError(
            f"it has {len(stored.parameters)} parameters, but its cluster space has {space.num_correlations} "
            f"(with the constant; {len(space.orbits)} orbits after {len(stored.history)} prunings and mergers)."
        )
    metadata = {
        "source": {
            "program": "icet",
            "version": stored.version,
            "file": name,
            "date": stored.date,
            "understood": _understood(stored, structure, space, doubts),
        }
    }
    return ClusterExpansion(space, stored.parameters * prim.num_sites, metadata), doubts


def _space(prim: Prim, orbits: Sequence[Orbit], cutoffs: Sequence[float]) -> ClusterSpace:
    empty = Orbit(np.zeros((1, 0, 4), dtype=np.int64), 0.0, (np.zeros((1, 0), dtype=np.int64),))
    metadata = {
        "cutoffs": {str(order): cutoff for order, cutoff in enumerate(cutoffs, start=2)},
        "site_basis": "trigonometric",
        "orthonormal": False,
    }
    return ClusterSpace.from_orbits(prim, prim_site_functions(prim, "trigonometric"), [empty, *orbits], metadata)


def _doubts(orbits: Sequence[Orbit], ties: Sequence[Sequence[int]]) -> str:
    """What the order of symmetry operations decides, in icet's numbers of orbits before pruning; empty if nothing."""
    sentences = []
    if ties:
        listed = ", ".join("-".join(map(str, places)) for places in ties[:_MOST_LISTED])
        sentences.append(
            f"orbits {listed}{', ...' if len(ties) > _MOST_LISTED else ''} are alike in order, radius and number of "
            "clusters"
        )
    asymmetric = [place for place, orbit in enumerate(orbits) if depends_on_representative(orbit)]
    if asymmetric:
        listed = ", ".join(map(str, asymmetric[:_MOST_LISTED]))
        sentences.append(
            f"orbits {listed}{', ...' if len(asymmetric) > _MOST_LISTED else ''} have several functions that differ in "
            "the order of points"
        )
    if not sentences:
        return ""
    return (
        f"{'; '.join(sentences)} (numbers of icet, before pruning). Their parameters are told apart by the order in "
        "which spglib lists symmetry operations, which is not in the file: it was taken from the installed version. "
        "To be sure, pass `check=[(structure, energy in eV), ...]` with some energies of icet, or look whether "
        "`jaxce predict` gives them."
    )


def _understood(stored: StoredModel, structure: ase.Atoms, space: ClusterSpace, doubts: str) -> list[str]:
    prim = space.prim
    sites = [f"{'/'.join(names)} on {prim.species.count(names)}" for names in dict.fromkeys(prim.species)]
    prunings = sum(kind == "prune" for kind, _ in stored.history)
    return [
        f"structure of {len(structure)} atoms, primitive cell of {prim.num_sites} sites: {', '.join(sites)}; species "
        "are coded by atomic number, the vacancy X first",
        "site functions: trigonometric",
        f"cutoffs in angstrom, from pairs on: {', '.join(f'{cutoff:g}' for cutoff in stored.cutoffs) or 'none'}",
        f"{len(space.orbits) - 1} orbits with {space.num_correlations - 1} functions, after {prunings} prunings and "
        f"{len(stored.history) - prunings} mergers; rebuilt, since the file does not hold them",
        f"{len(stored.parameters)} parameters, eV per site (inactive ones and vacancies counted), times "
        f"{prim.num_sites} sites",
        f"ambiguous: {doubts}" if doubts else "nothing was ambiguous",
    ]
