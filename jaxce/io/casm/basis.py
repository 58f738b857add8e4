"""CASM's basis sets and coefficients (`basis.json`, `eci.json`): what the files say, in one form for all versions."""

import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxce.io.casm.formulas import function_indices
from jaxce.lattice.prim import Prim

# No cell offset, multiplicity or number of a function is larger.
_LARGEST = 10**6


class CasmFunction(NamedTuple):
    """The number of a cluster function and its formula on the prototype."""

    number: int
    formula: str


class CasmOrbit(NamedTuple):
    """The prototype of an orbit and its functions.

    Attributes:
        sites: `[order, 4]` lattice points `(prim site, a, b, c)` of the prototype.
        multiplicity: number of clusters per prim.
        functions: its functions, in the order of the file.
    """

    sites: np.ndarray
    multiplicity: int
    functions: list[CasmFunction]


def casm_orbits(content: Any) -> list[CasmOrbit]:
    """The orbits of a basis set.

    Raises:
        ValueError: if the content has another form, or the basis set is a local one or one of further variables.
    """
    parts = _parts(content)
    _check_periodic_occupation(content.get("bspecs") or {})
    orbits = [_orbit(part) for part in parts] if "orbits" in content else _flat_orbits(parts)
    found = [function.number for orbit in orbits for function in orbit.functions]
    if len(set(found)) != len(found):
        raise ValueError("two functions of the basis set have the same number.")
    return orbits


def casm_site_functions(content: Mapping[str, Any], prim: Prim) -> list[dict[int, np.ndarray]]:
    """For each prim site, the values of its site functions by number, in the order of its species; none if inactive.

    CASM 2 counts from 0 with the constant 1 as function 0; before, function 0 is the first that is not constant.

    Raises:
        ValueError: if they are missing, or not given for exactly the species of the site.
    """
    entries = content.get("site_functions")
    if not isinstance(entries, list):
        raise ValueError(
            'the basis set has no "site_functions", so its formulas have no meaning: give a whole basis.json.'
        )
    tables: list[dict[int, np.ndarray]] = [{} for _ in range(prim.num_sites)]
    for place, entry in enumerate(entries):
        site = entry.get("sublat", place) if isinstance(entry, Mapping) else None
        if not isinstance(site, int) or not 0 <= site < prim.num_sites:
            raise ValueError(
                f"the site functions of sublattice {site!r} are listed, but the prim has {prim.num_sites}."
            )
        # CASM before version 1 has "basis" in place of "occ".
        listed = (entry.get("occ") or entry).get("basis") or {}
        for name, values in listed.items():
            indices = function_indices(name)
            if indices is None or len(indices) != 2 or indices[0] != site:
                raise ValueError(f"the site functions of sublattice {site} have the unknown name {name!r}.")
            tables[site][indices[1]] = _site_values(prim, site, name, values)
    return tables


def casm_coefficients(content: Any) -> dict[int, float]:
    """The coefficients of a file by the number of the function: a basis set with "eci", or a list of [number, value].

    Raises:
        ValueError: if it is neither, or has no coefficients.
    """
    if isinstance(content, list):
        pairs = list(_listed_coefficients(content))
    else:
        functions = [function for part in _parts(content) for function in part.get("cluster_functions", [part])]
        pairs = [(_integer(f["linear_function_index"]), _number(f["eci"])) for f in functions if "eci" in f]
    if not pairs:
        raise ValueError(
            'it has no coefficients: give a basis set with "eci" values in it, or a file of them as `eci=`.'
        )
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a function has two coefficients.")
    return dict(pairs)


def is_described(content: Any) -> bool:
    """Whether a file of coefficients also says of which functions they are."""
    return isinstance(content, Mapping) and all("prototype" in part for part in _parts(content))


def _parts(content: Any) -> list[Any]:
    """The orbits of a file, or its functions before CASM 1."""
    parts = content.get("orbits", content.get("cluster_functions")) if isinstance(content, Mapping) else None
    if not isinstance(parts, list):
        keys = sorted(content) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f'a basis set of CASM has "orbits", or "cluster_functions" before CASM 1, but this is {keys}.')
    return parts


def _check_periodic_occupation(specifications: Mapping[str, Any]) -> None:
    clusters = specifications.get("cluster_specs") or {}
    if any("phenomenal" in part for part in (clusters, clusters.get("params") or {})):
        raise ValueError(
            "this is a local basis set, of the surroundings of one event or defect: jaxce reads periodic ones only."
        )
    used = (specifications.get("basis_function_specs") or {}).get("dofs") or ["occ"]
    if set(used) != {"occ"}:
        raise ValueError(f'the basis set is one of {used}: jaxce reads functions of the occupation ("occ") only.')


def _orbit(entry: Mapping[str, Any]) -> CasmOrbit:
    functions = []
    for function in entry["cluster_functions"]:
        number = _integer(function["linear_function_index"])
        functions.append(CasmFunction(number, _text(function[f"\\Phi_{{{number}}}"])))
    return CasmOrbit(_sites(entry["prototype"]), _integer(entry["mult"]), functions)


def _flat_orbits(functions: Sequence[Mapping[str, Any]]) -> list[CasmOrbit]:
    """Orbits of a file before CASM 1, which repeats the prototype for each function."""
    orbits: dict[tuple[int, ...], CasmOrbit] = {}
    for entry in functions:
        key = tuple(_integer(number) for number in entry["orbit"][:2])
        orbit = orbits.setdefault(key, CasmOrbit(_sites(entry["prototype"]), _integer(entry["mult"]), []))
        if not np.array_equal(orbit.sites, _sites(entry["prototype"])):
            raise ValueError(f"the functions of orbit {list(key)} have different prototypes.")
        number = _integer(entry["linear_function_index"])
        orbit.functions.append(CasmFunction(number, _text(entry["prototype_function"])))
    return list(orbits.values())


def _sites(prototype: Any) -> np.ndarray:
    listed = prototype["sites"] if isinstance(prototype, Mapping) else prototype
    if not all(isinstance(site, Sequence) and len(site) == 4 for site in listed):
        raise ValueError(f"the sites of a prototype must be [sublattice, i, j, k], but came as {listed!r:.200}.")
    return np.array([[_integer(number) for number in site] for site in listed], dtype=np.int64).reshape(-1, 4)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        raise ValueError(f"an integer was expected in the basis set, but {value!r:.80} came.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a formula was expected in the basis set, but {value!r:.80} came.")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not np.isfinite(value):
        raise ValueError(f"a coefficient must be a finite number, but is {value!r:.80}.")
    return float(value)


def _listed_coefficients(content: Sequence[Any]) -> Iterator[tuple[int, float]]:
    for pair in content:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"a list of coefficients must hold pairs [function number, value], but has {pair!r:.80}.")
        yield _integer(pair[0]), _number(pair[1])


def _site_values(prim: Prim, site: int, name: str, values: Any) -> np.ndarray:
    named = {prim.canonical_species(occupant): value for occupant, value in values.items()}
    if set(named) != set(prim.species[site]) or len(named) != len(values):
        raise ValueError(
            f"site function {name} is given for {sorted(values)}, but site {site} of the prim holds "
            f"{sorted(prim.species[site])}."
        )
    return np.array([_number(named[species]) for species in prim.species[site]])
