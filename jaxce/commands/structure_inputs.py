"""Structures that a command is given: files and folders of any format, in their order."""

import numbers
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from jaxce.io.frames import Frame, ReadFailure
from jaxce.io.poscar import read_poscar
from jaxce.io.structure_files import read_frames
from jaxce.io.structure_folders import read_folder

# Of the extxyz that jaxce writes: species that are more than chemical symbols, such as "Mn3+".
LABELS = "species_labels"


def read_structures(paths: Sequence[pathlib.Path]) -> list[Frame | ReadFailure]:
    """All structures of files and folders, and what could not be read.

    A file is called by its path, and one of several structures in it `path#0`.

    Raises:
        FileNotFoundError: if there is nothing at a path.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(2, "No such file or folder", str(missing[0]))
    return [_checked(item) for path in paths for item in _read(path)]


def _read(path: pathlib.Path) -> Iterator[Frame | ReadFailure]:
    name = path.as_posix()
    if path.is_dir():
        yield from read_folder(path, name)
    elif is_poscar(path):
        try:
            yield Frame(name, read_poscar(path), None, {})
        except ValueError as error:
            yield ReadFailure(name, str(error))
    else:
        yield from read_frames(path, name, all_steps=True)


def is_poscar(path: pathlib.Path) -> bool:
    """Whether a file is a POSCAR by its name."""
    return re.fullmatch(r"(POSCAR|CONTCAR)([._-].*)?|.*\.(VASP|POSCAR)", path.name.upper()) is not None


def _checked(item: Frame | ReadFailure) -> Frame | ReadFailure:
    if isinstance(item, ReadFailure):
        return item
    if _is_disordered(item):
        return ReadFailure(
            item.name,
            "its sites are shared or partly empty: give a structure with one species on each",
        )
    if LABELS in item.atoms.arrays:
        item.atoms.set_array("species", item.atoms.arrays[LABELS])
    return item


def _is_disordered(frame: Frame) -> bool:
    """CIF has parts of atoms, of which ASE takes the largest."""
    occupancy = frame.atoms.info.get("occupancy")
    if not isinstance(occupancy, Mapping):
        return False
    parts = [part for site in occupancy.values() for part in (site.values() if isinstance(site, Mapping) else [site])]
    return any(abs(float(part) - 1) > 1e-3 for part in parts if isinstance(part, numbers.Real))
