"""Cluster expansions of CLEASE: a JSON file of ECIs by name, and the settings that say what the names mean.

Checked against CLEASE 1.2.0.
"""

import collections
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.io.clease.clusters import clease_orbits, cluster_names
from jaxce.io.clease.settings import CleaseSettings, read_clease_settings
from jaxce.io.json_files import read_json
from jaxce.io.model_check import check_model
from jaxce.lattice.orbits import Orbit

# eV; no model has such an ECI.
_LARGEST = 1e9


def read_clease(
    eci_path: str | os.PathLike[str],
    settings: str | os.PathLike[str] | Mapping[str, Any],
    check: Iterable[tuple[Any, Any]] | None = None,
) -> ClusterExpansion:
    """The cluster expansion of CLEASE that a file of ECIs and its settings describe.

    CLEASE's ECIs are eV per atom and contain the multiplicity; background atoms and vacancies ("X") count as atoms. A
    name that the file lacks has ECI 0 (CLEASE leaves those out), and its cluster function is left out of the space.

    Args:
        eci_path: the JSON file of ECIs, {"c0": ..., "c1_0": ..., "c2_d0000_0_00": ...}.
        settings: the file that `settings.save` wrote, or a dict with its keys; see `read_clease_settings`.
        check: structures and their energies by CLEASE, eV per structure, that the expansion must reproduce.

    Raises:
        ValueError: if a file is not as CLEASE 1.x writes it, a name stands for no cluster of the settings, the settings
            leave open what it stands for, or a structure of `check` has another energy.
    """
    ecis = _checked_ecis(read_json(eci_path), eci_path)
    model = read_clease_settings(settings)
    orbits = clease_orbits(model)
    names, weights = _correlation_names(model, orbits)
    _check_names(eci_path, ecis, names)
    cutoffs = {str(order): cutoff for order, cutoff in enumerate(model.cutoffs, start=2)}
    space = ClusterSpace.from_orbits(
        model.prim, model.site_functions, orbits, {"cutoffs": cutoffs, "site_basis": f"CLEASE {model.basis}"}
    )
    coefficients = model.prim.num_sites * weights * [ecis.get(name, 0.0) for name in names]
    is_kept = np.array([name in ecis or name == "c0" for name in names])
    source = {
        "program": "CLEASE",
        "version": model.version,
        "file": os.fspath(eci_path),
        "understood": _understood(model, ecis, len(set(names))),
    }
    metadata = {"source": source, "names": [name for name, kept in zip(names, is_kept, strict=True) if kept]}
    expansion = ClusterExpansion(space, coefficients, metadata).without_correlations(np.flatnonzero(~is_kept).tolist())
    if check is not None:
        check_model(expansion, check)
    return expansion


def _checked_ecis(content: Any, path: str | os.PathLike[str]) -> dict[str, float]:
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f'{path} must hold one object with an ECI for each name, such as {{"c0": -1.2}}.')
    wrong = [n for n, v in content.items() if not isinstance(v, numbers.Real) or isinstance(v, bool)]
    if wrong:
        raise ValueError(f"{path}: the ECIs of {wrong[:10]} are no numbers.")
    huge = [name for name, value in content.items() if not abs(value) < _LARGEST]
    if huge:
        raise ValueError(f"{path}: the ECIs of {huge[:10]} are larger than {_LARGEST:g} eV.")
    return {name: float(value) for name, value in content.items()}


def _check_names(path: str | os.PathLike[str], ecis: Mapping[str, float], names: list[str]) -> None:
    known = set(names)
    unknown = [name for name in ecis if name not in known]
    if unknown:
        raise ValueError(
            f"{path} has ECIs of {unknown[:10]}{' and more' if len(unknown) > 10 else ''}, but the settings give "
            f"{len(known)} cluster functions, from {names[0]} to {names[-1]}, and none of these: are the settings "
            "(elements, lattice, cutoffs, background atoms) those of the ECIs?"
        )


def _correlation_names(model: CleaseSettings, orbits: tuple[Orbit, ...]) -> tuple[list[str], np.ndarray]:
    """For each correlation the name of the correlation function in CLEASE of which it is a part, and its weight there.

    CLEASE's function is the mean over all clusters of a name and all equivalent decorations.
    """
    named = cluster_names(model.prim, orbits[1:])
    num_clusters = collections.Counter()
    for orbit, (stem, _) in zip(orbits[1:], named, strict=True):
        num_clusters[stem] += orbit.multiplicity
    names, weights = ["c0"], [1.0]
    for orbit, (stem, shape) in zip(orbits[1:], named, strict=True):
        for labelings in orbit.functions:
            decoration = shape.decoration(labelings[0])
            names.append(f"{stem}_{''.join(map(str, decoration))}")
            share = len(labelings) / shape.num_decorations(decoration)
            weights.append(share * orbit.multiplicity / num_clusters[stem])
    return names, np.array(weights)


def _understood(model: CleaseSettings, ecis: Mapping[str, float], num_names: int) -> list[str]:
    """What was read, for people."""
    left_out = int(np.sum(~model.is_included))
    cutoffs = ", ".join(f"{order}: {cutoff:g}" for order, cutoff in enumerate(model.cutoffs, 2))
    return [
        f"{model.prim}, species of a site in alphabetical order; "
        f"{f'{left_out} background sites in no cluster' if left_out else 'clusters contain all sites'}",
        f"site functions: {model.basis} of {', '.join(model.elements)}, the same on all sites of clusters",
        f"cutoffs (CLEASE's diameters, angstrom): {cutoffs}",
        f"ECIs of {len(ecis)} of {num_names} cluster functions, the others are 0; eV per atom, multiplicity contained, "
        "background atoms and vacancies counted as atoms",
    ]
