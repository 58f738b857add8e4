"""Structures in files: extxyz, CIF, POSCAR; written whole or not at all."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import ase.io
import numpy as np

from jaxce.atomic_files import check_parent, new_folder, replacing
from jaxce.commands.structure_inputs import LABELS, is_poscar
from jaxce.io.poscar import write_poscar
from jaxce.lattice.prim import VACANCY

_FORMATS = {".extxyz": "extxyz", ".xyz": "extxyz", ".cif": "cif"}
# What ASE finds out by itself when it reads a file, and what jaxce adds.
_OF_READERS = ("spacegroup", "unit_cell", "occupancy", "name")
_OF_READERS_ARRAYS = ("numbers", "positions", "spacegroup_kinds", "species", LABELS)


def structure_format(path: pathlib.Path) -> str | None:
    """The format that a name stands for: extxyz, cif, poscar, or a folder of POSCARs; None for any other."""
    if is_poscar(path):
        return "poscar"
    return "folder" if path.suffix == "" else _FORMATS.get(path.suffix.lower())


def check_place(path: pathlib.Path) -> None:
    """Refuse a place where structures cannot go, before any work is done.

    Raises:
        ValueError: if the name is that of no format, or the folder cannot be used.
        FileNotFoundError: if there is no folder for it.
    """
    if structure_format(path) is None:
        raise ValueError(f"{path} must end in .extxyz, .cif or .vasp, or be the name of a folder for POSCARs.")
    if structure_format(path) == "folder" and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} exists and is no empty folder: give another name.")
    check_parent(path)


def write_structures(path: pathlib.Path, structures: Sequence[Any], *, lossy: bool = False) -> None:
    """Write `ase.Atoms` in the format of the name; a folder gets one POSCAR for each.

    Args:
        path: the file or folder.
        structures: the structures.
        lossy: whether what the format cannot hold is left out; else it is refused.

    Raises:
        ValueError: if the format cannot hold all that the structures have, or `check_place` does.
    """
    check_place(path)
    kind = structure_format(path)
    if kind == "poscar" and len(structures) != 1:
        raise ValueError(f"{path} would be a POSCAR, which holds one structure, not {len(structures)}: name a folder.")
    if kind != "extxyz" and not lossy:
        _refuse_losses(path, structures, "CIF" if kind == "cif" else "POSCAR")
    if kind == "extxyz":
        _write_extxyz(path, structures)
    elif kind == "cif":
        with replacing(path) as temporary:
            ase.io.write(temporary, [_without_vacancies(atoms) for atoms in structures], format="cif")
    elif kind == "poscar":
        write_poscar(path, structures[0], _vacancy(structures[0]))
    else:
        _write_folder(path, structures)


def _write_folder(path: pathlib.Path, structures: Sequence[Any]) -> None:
    if path.exists():
        # It is empty.
        path.rmdir()
    digits = len(str(len(structures) - 1))
    with new_folder(path) as temporary:
        temporary.mkdir()
        for place, atoms in enumerate(structures):
            write_poscar(temporary / f"{place:0{digits}d}.vasp", atoms, _vacancy(atoms))


def _write_extxyz(path: pathlib.Path, structures: Sequence[Any]) -> None:
    with replacing(path) as temporary:
        for atoms in structures:
            # The column "species" of the format is the chemical symbols.
            labelled = atoms.copy()
            labelled.calc = atoms.calc
            if "species" in labelled.arrays:
                labelled.set_array(LABELS, labelled.arrays.pop("species"))
            ase.io.write(temporary, labelled, format="extxyz", append=True)


def _vacancy(atoms: Any) -> str | None:
    return VACANCY if VACANCY in atoms.get_chemical_symbols() else None


def _without_vacancies(atoms: Any) -> Any:
    return atoms[[symbol != VACANCY for symbol in atoms.get_chemical_symbols()]]


def _refuse_losses(path: pathlib.Path, structures: Sequence[Any], name: str) -> None:
    lost = sorted({what for atoms in structures for what in _not_held(atoms, name)})
    if lost:
        raise ValueError(
            f"{path} was not written: {name} has no place for {', '.join(lost)}. Write .extxyz, or leave that out with "
            "--lossy."
        )


def _not_held(atoms: Any, name: str) -> Iterator[str]:
    if not np.all(atoms.pbc):
        yield "cells that are not periodic"
    yield from (f"the calculated {result}" for result in (getattr(atoms.calc, "results", None) or {}))
    yield from (f"`{key}`" for key in atoms.info if key not in _OF_READERS)
    symbols = atoms.get_chemical_symbols()
    labels = atoms.arrays.get("species", symbols)
    if any(label != symbol for label, symbol in zip(labels, symbols, strict=True)):
        yield "species such as " + next(str(a) for a, b in zip(labels, symbols, strict=True) if a != b)
    yield from (f"`{key}` of atoms" for key in atoms.arrays if key not in _OF_READERS_ARRAYS)
    if name == "CIF" and VACANCY in symbols:
        yield "vacancies"
