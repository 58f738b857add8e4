"""POSCAR files, with vacancies as a species."""

import io
import os
import pathlib
import re
import warnings
from collections.abc import Mapping
from typing import Any

import ase
import ase.io
import numpy as np
from ase.data import chemical_symbols

from jaxce.atomic_files import write_text
from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES
from jaxce.limited_files import read_bytes

# "VO" and "V_O" mean a vacancy; "V" alone is vanadium.
_VACANCIES = {name: VACANCY for name in VACANCY_ALIASES}
# Bytes; a million atoms have some hundred megabytes.
_LARGEST = 2**28
_NO_SPECIES = "line 6 must name the species (VASP 5), such as 'Sr Ti O', and line 7 count them"


def read_poscar(source: str | os.PathLike[str], aliases: Mapping[str, str] | None = None) -> ase.Atoms:
    """The structure of a POSCAR, in the order of its atoms, vacancies as atoms of symbol "X".

    Species may be elements ("Ti"), elements with the name of a potential ("Ti_pv", "Ti/6a2f"), or vacancies ("VO",
    "Va", "X"). ASE reads all the rest.

    Args:
        source: a path, or the text itself.
        aliases: further names, such as `{"Vac_O": "X", "FeHS": "Fe"}`; they come before all others.

    Raises:
        ValueError: if it is no POSCAR, names no species, or one that is neither an element nor in `aliases`.
    """
    name, text = _named_text(source)
    lines = text.splitlines()
    try:
        lines[5] = " ".join(_symbols(lines, {**_VACANCIES, **(aliases or {})}))
        lines[1] = _positive_scale(lines)
        with warnings.catch_warnings():
            # They concern the code of ASE, not the file.
            warnings.simplefilter("ignore", DeprecationWarning)
            atoms = ase.io.read(io.StringIO("\n".join(lines) + "\n"), format="vasp")
    # The reader of ASE raises anything at all for a broken file; what it said is handed on.
    except Exception as error:
        raise ValueError(f"{name} is no POSCAR that can be read, or was cut off: {error}") from error
    if (
        not isinstance(atoms, ase.Atoms)
        or not np.all(np.isfinite(atoms.positions))
        or abs(np.linalg.det(atoms.cell)) < 1e-6
    ):
        raise ValueError(f"{name} has a cell without volume, or positions that are not finite.")
    # Relaxation constraints are no part of the crystal, and would hinder who moves the atoms.
    atoms.set_constraint()
    return atoms


def write_poscar(path: str | os.PathLike[str], atoms: ase.Atoms, vacancy: str | None = None) -> None:
    """Write a structure to a POSCAR, species by species, whole or not at all.

    Args:
        path: the file.
        atoms: the structure; oxidation states in `atoms.arrays["species"]` are not written.
        vacancy: what to call the vacancies (atoms of symbol "X"), such as "VO"; without a name they are left out.

    Raises:
        ValueError: if no atom would be left.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    kept = np.flatnonzero((symbols != VACANCY) | (vacancy is not None))
    if not len(kept):
        raise ValueError("the structure has no atoms, and vacancies are not written: give them a name by `vacancy`.")
    names = list(dict.fromkeys(symbols[kept].tolist()))
    order = kept[np.argsort([names.index(symbol) for symbol in symbols[kept]], kind="stable")]
    counts = [int(np.sum(symbols[kept] == name)) for name in names]
    written = [vacancy if name == VACANCY and vacancy else name for name in names]
    rows = [*np.array(atoms.cell), *atoms.get_scaled_positions(wrap=False)[order]]
    numbers = [" ".join(f"{value:20.16f}" for value in row) for row in rows]
    head = [" ".join(f"{name}{count}" for name, count in zip(written, counts, strict=True)), "1.0", *numbers[:3]]
    lines = [*head, " ".join(written), " ".join(map(str, counts)), "Direct", *numbers[3:]]
    write_text(path, "\n".join(lines) + "\n")


def is_poscar_text(source: Any) -> bool:
    """Whether a string is the text of a POSCAR rather than a path."""
    return isinstance(source, str) and source.strip().count("\n") >= 7


def _named_text(source: str | os.PathLike[str]) -> tuple[str, str]:
    if isinstance(source, str) and "\n" in source:
        return "the text", source
    path = pathlib.Path(source)
    try:
        return str(path), read_bytes(path, _LARGEST).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no POSCAR: it is not text.") from error


def _symbols(lines: list[str], names: Mapping[str, str]) -> list[str]:
    """The chemical symbol, or "X", of each species of line 6."""
    given, counts = lines[5].split(), lines[6].split("!")[0].split()
    if not given or given[0].isdigit() or len(given) != len(counts) or not all(c.isdigit() for c in counts):
        raise ValueError(f"{_NO_SPECIES}, but they are {lines[5].strip()!r} and {lines[6].strip()!r}.")
    if sum(map(int, counts)) > len(lines):
        raise ValueError(f"its line 7 counts {sum(map(int, counts))} atoms, but it has {len(lines)} lines.")
    return [_symbol(name, names) for name in given]


def _symbol(name: str, names: Mapping[str, str]) -> str:
    bare = name.split("/")[0]
    element = bare.split("_")[0]
    found = names.get(name) or names.get(bare) or (element if element in chemical_symbols else None)
    if found is None or found not in chemical_symbols:
        raise ValueError(f"its species {name!r} is no element; say what it is by `aliases={{{name!r}: 'X'}}`.")
    return found


def _positive_scale(lines: list[str]) -> str:
    """The scale; a negative one is a volume, which old versions of ASE do not apply to Cartesian coordinates."""
    scale = [float(value) for value in re.split(r"[!#]", lines[1])[0].split()]
    if len(scale) != 1 or scale[0] >= 0:
        return lines[1]
    volume = abs(np.linalg.det([[float(value) for value in line.split()[:3]] for line in lines[2:5]]))
    return repr(float(np.cbrt(-scale[0] / volume)))
