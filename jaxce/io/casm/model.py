"""Cluster expansions of CASM."""

import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ase
import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.io.casm.basis import CasmOrbit, casm_coefficients, casm_orbits, casm_site_functions, is_described
from jaxce.io.casm.orbits import orbit_coefficients, orbit_of_prototype, prototype_values, stacked_site_functions
from jaxce.io.casm.prim import check_same_prim, prim_from_casm
from jaxce.io.json_files import read_json
from jaxce.io.model_check import check_model
from jaxce.lattice.orbits import Orbit, canonical_keys
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import space_group

_Path = str | os.PathLike[str]


def read_casm(
    prim: _Path,
    basis: _Path,
    eci: _Path | None = None,
    check: Iterable[tuple[ase.Atoms, Any]] | None = None,
) -> ClusterExpansion:
    """The cluster expansion of a CASM project: periodic clusters, functions of the occupation.

    Any site functions are read, since the basis set lists their values: "occupation", "chebychev", those of a
    composition. Files of CASM 1 and 2 are read, and those of CASM 0.2 and 0.3 with the same care but without a
    reference. CASM's coefficients contain the multiplicity: energy per prim = sum of ECI x correlation. A model of
    formation energies gives formation energies.

    Args:
        prim: path of `prim.json`.
        basis: path of `basis.json`, or of an `eci.json`, which is a basis set with "eci" values in it.
        eci: path of the coefficients if `basis` has none or they are to be replaced: an `eci.json`, or CASM 2's list of
            [function number, value].
        check: structures with known energies, eV per structure, which the model must reproduce.

    Raises:
        ValueError: if a file is damaged, has another form, degrees of freedom besides the occupation, or a local basis
            set; if prim, basis set and coefficients do not belong together; if the space group does not give the
            basis set's multiplicities; or if the model does not give the energies of `check`.
    """
    crystal = _understood(prim, read_json(prim), prim_from_casm)
    content = read_json(basis)
    prototypes, tables = _understood(basis, content, _basis_set, crystal)
    if eci is None:
        coefficients = _understood(basis, content, casm_coefficients)
    else:
        coefficients = _understood(eci, read_json(eci), _coefficients_for, prototypes)
    try:
        space, values = _space(crystal, prototypes, tables, coefficients)
    except ValueError as error:
        raise ValueError(f"{basis}: {error}") from error
    source = {
        "program": "CASM",
        "version": None,
        "file": str(basis),
        "understood": _summary(crystal, prototypes, coefficients, pathlib.Path(basis if eci is None else eci).name),
    }
    expansion = ClusterExpansion(space, values, {"source": source})
    if check is not None:
        check_model(expansion, check)
    return expansion


def _understood(path: _Path, content: Any, reader: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader makes of the content of a file; its complaints name the file."""
    try:
        return reader(content, *arguments)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    # Anything may be missing or of another type in the JSON of others.
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} lacks a part that CASM writes, or has it in another form: {error!r}.") from error


def _basis_set(content: Any, prim: Prim) -> tuple[list[CasmOrbit], list[dict[int, np.ndarray]]]:
    prototypes = casm_orbits(content)
    if "prim" in content:
        check_same_prim(prim, prim_from_casm(content["prim"]))
    return prototypes, casm_site_functions(content, prim)


def _coefficients_for(content: Any, prototypes: Sequence[CasmOrbit]) -> dict[int, float]:
    """The coefficients of a file of their own, if they belong to the functions of the basis set."""
    coefficients = casm_coefficients(content)
    functions = _functions_by_number(prototypes)
    unknown = sorted(set(coefficients) - set(functions))
    if unknown:
        raise ValueError(f"it has coefficients of the functions {unknown}, which the basis set does not have.")
    if is_described(content):
        described = _functions_by_number(casm_orbits(content))
        differing = [number for number in coefficients if described[number] != functions[number]]
        if differing:
            number = differing[0]
            raise ValueError(
                f"it describes function {number} as {described[number]}, but the basis set as {functions[number]}: the "
                "coefficients belong to another basis set."
            )
    return coefficients


def _functions_by_number(prototypes: Sequence[CasmOrbit]) -> dict[int, tuple[Any, str]]:
    """Points of the prototype and formula of each function."""
    return {f.number: (orbit.sites.tolist(), f.formula) for orbit in prototypes for f in orbit.functions}


def _space(
    prim: Prim,
    prototypes: Sequence[CasmOrbit],
    tables: Sequence[Mapping[int, np.ndarray]],
    coefficients: Mapping[int, float],
) -> tuple[ClusterSpace, np.ndarray]:
    """The cluster space of all orbits of the basis set, the empty cluster's first, and the coefficients."""
    group = space_group(prim)
    # Equivalent sites share the functions of the first, in which those that the file lists for them are expressed.
    stacked = stacked_site_functions(prim, tables)
    site_functions = [stacked[first] for first in group.site_orbits]
    num_functions = prim.num_species - 1
    orbits, values = [], []
    for prototype in sorted(prototypes, key=lambda prototype: len(prototype.sites) > 0):
        orbit = orbit_of_prototype(prim, group, prototype, num_functions)
        orbits.append(orbit)
        values += orbit_coefficients(prototype_values(prototype, tables, coefficients), orbit, site_functions)
    _check_different(orbits)
    return ClusterSpace.from_orbits(prim, site_functions, orbits, {"site_basis": "user"}), np.array(values)


def _check_different(orbits: Sequence[Orbit]) -> None:
    if not orbits or orbits[0].order > 0:
        raise ValueError("the basis set has no constant (an orbit of the empty cluster).")
    names = set()
    for orbit in orbits:
        name = min(map(tuple, canonical_keys(orbit.clusters).tolist()))
        if name in names:
            raise ValueError(f"the basis set lists the orbit of {orbit.clusters[0].tolist()} twice.")
        names.add(name)


def _summary(prim: Prim, prototypes: Sequence[CasmOrbit], coefficients: Mapping[int, float], name: str) -> list[str]:
    orders = [len(prototype.sites) for prototype in prototypes]
    count = sum(len(prototype.functions) for prototype in prototypes)
    used = [f.formula for prototype in prototypes for f in prototype.functions if coefficients.get(f.number)]
    lines = [
        f"{prim}; species in the order of prim.json (of the first of equivalent sites)",
        "site functions as the basis set lists them",
        f"{len(prototypes)} orbits of up to {max(orders)} points; their multiplicities are those of the space group",
        f"{len(coefficients)} of {count} functions have a coefficient in {name}; the others are zero",
        "coefficients are eV per prim, multiplicity contained; no reference energies are added",
    ]
    if any("." in formula for formula in used):
        lines.append("some formulas have decimal fractions, which CASM may have rounded: give `check=` known energies")
    return lines
