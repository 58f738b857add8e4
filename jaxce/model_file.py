"""Model files: one JSON document that says everything, with a version and a checksum.

JSON numbers are written with the shortest digits that read back to the same double, so a round trip is exact.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.atomic_files import write_text
from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.ewald import EwaldInteraction
from jaxce.lattice.orbits import Orbit
from jaxce.lattice.prim import Prim
from jaxce.limited_files import parse_json, read_bytes

FORMAT = "jaxce-cluster-expansion"
# Models with interactions have version 2, so that a jaxce that knows none does not leave them out.
PLAIN_VERSION, VERSION = 1, 2
# A model of this size would have millions of clusters per prim; a larger file is not one.
_LARGEST_FILE = 2**30


def write_model(
    path: str | os.PathLike,
    space: ClusterSpace,
    coefficients: np.ndarray,
    metadata: Mapping[str, Any],
    interactions: Sequence[Any] = (),
) -> None:
    """Write a model file, whole or not at all.

    Raises:
        ValueError: if an interaction is no `EwaldInteraction`, or the metadata are not JSON.
    """
    content = _content(space, coefficients, metadata)
    if interactions:
        content["interactions"] = [_interaction_content(interaction) for interaction in interactions]
    # As it will be read: JSON turns tuples into lists and keys into strings, and the checksum sorts keys.
    content = json.loads(json.dumps(content, allow_nan=False))
    version = VERSION if interactions else PLAIN_VERSION
    document = {"format": FORMAT, "version": version, "sha256": _checksum(content), **content}
    text = json.dumps(document, indent=1, allow_nan=False)
    write_text(path, text)


def read_model(
    path: str | os.PathLike,
) -> tuple[ClusterSpace, np.ndarray, dict[str, Any], tuple[EwaldInteraction, ...]]:
    """The cluster space, coefficients, metadata and interactions of a model file.

    Raises:
        ValueError: if the file is not JSON, not a model, from a newer version, damaged, or inconsistent.
    """
    document = _parsed(pathlib.Path(path))
    if document.get("format") != FORMAT:
        raise ValueError(f"{path} is JSON but no jaxce model: its `format` is {document.get('format')!r}.")
    if document.get("version") not in (PLAIN_VERSION, VERSION):
        raise ValueError(
            f"{path} has format version {document.get('version')!r}, but this jaxce reads versions {PLAIN_VERSION} "
            f"and {VERSION}: update jaxce."
        )
    content = {key: value for key, value in document.items() if key not in ("format", "version", "sha256")}
    if _checksum(content) != document.get("sha256"):
        raise ValueError(f"{path} was changed or damaged after it was written: its checksum does not fit its content.")
    try:
        coefficients = np.array(content["coefficients"], dtype=np.float64)
        interactions = tuple(_interaction(entry) for entry in content.get("interactions", ()))
        return _space(content), coefficients, content["metadata"], interactions
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} lacks a part of a model or has it in another form: {error!r}.") from error


def _content(space: ClusterSpace, coefficients: np.ndarray, metadata: Mapping[str, Any]) -> dict[str, Any]:
    prim = space.prim
    return {
        "units": {"length": "angstrom", "coefficients": "eV per prim"},
        "prim": {
            "lattice": prim.lattice.tolist(),
            "frac_coords": prim.frac_coords.tolist(),
            "species": [list(names) for names in prim.species],
            "labels": list(prim.labels),
            "sublattice_names": [sublattice.name for sublattice in prim.sublattices],
            "vacancy_aliases": list(prim.vacancy_aliases),
            "symprec": prim.symprec,
        },
        "site_functions": [table.tolist() for table in space.site_functions],
        "orbits": [_orbit_content(orbit) for orbit in space.orbits],
        "coefficients": np.asarray(coefficients).tolist(),
        "multiplicities": space.multiplicities.tolist(),
        "space_metadata": space.metadata,
        "metadata": dict(metadata),
    }


def _orbit_content(orbit: Orbit) -> dict[str, Any]:
    return {
        "order": orbit.order,
        "diameter": orbit.diameter,
        "clusters": orbit.clusters.tolist(),
        "functions": [labelings.tolist() for labelings in orbit.functions],
    }


def _interaction_content(interaction: Any) -> dict[str, Any]:
    if not isinstance(interaction, EwaldInteraction):
        raise ValueError(f"model files hold no interaction but EwaldInteraction, so {interaction!r} cannot be saved.")
    return {"kind": "ewald", **dataclasses.asdict(interaction)}


def _interaction(entry: Mapping[str, Any]) -> EwaldInteraction:
    if entry["kind"] != "ewald":
        raise ValueError(f"the file has an interaction of kind {entry['kind']!r}, which this jaxce does not know.")
    return EwaldInteraction(**{name: value for name, value in entry.items() if name != "kind"})


def _space(content: Mapping[str, Any]) -> ClusterSpace:
    prim = Prim(**content["prim"])
    tables = [np.array(table, dtype=np.float64) for table in content["site_functions"]]
    if [table.shape[1:] for table in tables] != [(len(names),) for names in prim.species]:
        raise ValueError("the site functions of the file do not fit the species of its prim.")
    orbits = [_orbit(entry, prim, tables) for entry in content["orbits"]]
    space = ClusterSpace.from_orbits(prim, tables, orbits, content["space_metadata"])
    if space.multiplicities.tolist() != content["multiplicities"]:
        raise ValueError("the multiplicities of the file do not fit its orbits.")
    return space


def _orbit(entry: Mapping[str, Any], prim: Prim, tables: list[np.ndarray]) -> Orbit:
    order = entry["order"]
    # The empty cluster has no points, so lengths are given rather than inferred.
    clusters = np.array(entry["clusters"], dtype=np.int64).reshape(len(entry["clusters"]), order, 4)
    functions = tuple(np.array(rows, dtype=np.int64).reshape(len(rows), order) for rows in entry["functions"])
    if np.any((clusters[..., 0] < 0) | (clusters[..., 0] >= prim.num_sites)):
        raise ValueError("an orbit of the file names a site that its prim does not have.")
    num_functions = np.array([len(table) for table in tables])[clusters[0, :, 0]]
    if any(np.any((labelings < 1) | (labelings >= num_functions)) for labelings in functions):
        raise ValueError("an orbit of the file names a site function that its site does not have.")
    return Orbit(clusters, float(entry["diameter"]), functions)


def _parsed(path: pathlib.Path) -> dict[str, Any]:
    content = read_bytes(path, _LARGEST_FILE)
    try:
        document = parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, or was cut off: {error} Expected a file that `save` wrote.") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds JSON but no model: expected an object, found {type(document).__name__}.")
    return document


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
