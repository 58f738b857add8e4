"""The forms in which users hold a structure: ASE atoms, a file, its text, a dict in memory."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import ase
import numpy as np

from jaxce.io.frames import ReadFailure
from jaxce.io.poscar import is_poscar_text, read_poscar
from jaxce.io.structure_files import read_frames

# What codes call the entries of a structure in memory.
_KEYS = {
    "elements": ("elements", "element_list", "element", "symbols", "species", "atom_types"),
    "counts": ("counts", "element_counts", "num_atoms", "numbers", "atom_counts"),
    "lattice": ("lattice", "cell", "lattice_vectors"),
    "coordinates": ("coordinates", "coords", "positions", "atom_positions", "frac_coords"),
}
_OTHER_KEYS = ("comment", "title", "name", "scale", "coordinate_type")


def as_atoms(structure: Any, aliases: Mapping[str, str] | None = None) -> ase.Atoms:
    """The `ase.Atoms` of a structure in any form; atoms keep their order.

    Args:
        structure: `ase.Atoms`; the path of a file (POSCAR, CONTCAR, .vasp, or any format that ASE knows by its name);
            the text of a POSCAR; or a dict with the lists that a POSCAR has: "elements" (names), "counts", "lattice"
            (rows, angstrom) and "coordinates" ("coordinate_type" says "direct", the default, or "cartesian").
        aliases: further names of species; see `read_poscar`.

    Raises:
        ValueError: if it is none of these, or incomplete.
    """
    if isinstance(structure, ase.Atoms):
        return structure
    if isinstance(structure, Mapping):
        return read_poscar(_as_poscar(structure), aliases)
    if is_poscar_text(structure) or _is_poscar_name(structure):
        return read_poscar(structure, aliases)
    if isinstance(structure, str | os.PathLike):
        return _read_by_ase(pathlib.Path(structure))
    raise ValueError(
        f"a structure must be ase.Atoms, a path, the text of a POSCAR or a dict, not {type(structure).__name__}."
    )


def _is_poscar_name(path: Any) -> bool:
    name = os.path.basename(path) if isinstance(path, str | os.PathLike) else ""
    return "POSCAR" in name.upper() or "CONTCAR" in name.upper() or name.lower().endswith((".vasp", ".poscar"))


def _read_by_ase(path: pathlib.Path) -> ase.Atoms:
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is no file, and not the text of a POSCAR either.")
    frames = read_frames(path, path.name)
    if len(frames) > 1:
        raise ValueError(f"{path} holds {len(frames)} structures where one is wanted.")
    if isinstance(frames[0], ReadFailure):
        raise ValueError(f"{path}: {frames[0].reason}.")
    return frames[0].atoms


def _as_poscar(structure: Mapping[str, Any]) -> str:
    """The POSCAR text of a structure in memory."""
    entries = {name: _entry(structure, name) for name in _KEYS}
    unknown = set(structure) - {key for keys in _KEYS.values() for key in keys} - set(_OTHER_KEYS)
    if unknown:
        raise ValueError(f"a structure in a dict has no {sorted(map(str, unknown))}; the keys are {list(_KEYS)}.")
    kind = str(structure.get("coordinate_type", "direct"))
    if kind.lower()[:1] not in ("d", "c", "f", "k"):
        raise ValueError(f'"coordinate_type" must be "direct" or "cartesian", but is {kind!r}.')
    lattice, coordinates = (np.asarray(entries[name], dtype=float) for name in ("lattice", "coordinates"))
    counts = [int(count) for count in entries["counts"]]
    elements = [str(name) for name in entries["elements"]]
    if lattice.shape != (3, 3) or coordinates.shape != (sum(counts), 3) or len(elements) != len(counts):
        raise ValueError(
            "a structure in a dict needs a 3x3 lattice, a count for each element, and as many coordinates, but has "
            f"a lattice {lattice.shape}, elements {elements}, counts {counts} and coordinates {coordinates.shape}."
        )
    rows = [" ".join(repr(float(value)) for value in row) for row in (*lattice, *coordinates)]
    head = ["from memory", repr(float(structure.get("scale", 1.0))), *rows[:3], " ".join(elements)]
    mode = "Cartesian" if kind.lower()[:1] in ("c", "k") else "Direct"
    return "\n".join([*head, " ".join(map(str, counts)), mode, *rows[3:]]) + "\n"


def _entry(structure: Mapping[str, Any], name: str) -> Any:
    found = [key for key in _KEYS[name] if key in structure]
    if len(found) != 1:
        raise ValueError(
            f"a structure in a dict needs its {name} once, under one of {list(_KEYS[name])}, but has the keys "
            f"{list(structure)}."
        )
    return structure[found[0]]
