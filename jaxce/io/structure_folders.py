"""Structures of all files in a folder; the files of one VASP calculation are one structure."""

import os
import pathlib
from collections.abc import Iterator, Sequence

from jaxce.io.frames import Frame, ReadFailure
from jaxce.io.structure_files import bare_name, is_structure_file, read_frames

# The first that can be read is taken.
_CALCULATION_FILES = ("vasprun.xml", "OUTCAR", "CONTCAR", "POSCAR")


def read_folder(folder: pathlib.Path, name: str, pattern: str | None = None) -> Iterator[Frame | ReadFailure]:
    """The structures in a folder and all below it, in sorted order; hidden files and folders are left out.

    A folder with files called vasprun.xml, OUTCAR, CONTCAR or POSCAR is one calculation: the first of these that can be
    read gives the structure, named after the folder. All other files are read one by one.

    Args:
        folder: the folder.
        name: what comes before the path of a file in its name.
        pattern: glob that files must match, such as "*.cif" or "relaxed/*"; it stands for the last parts of a path.
            Without it, all files are read whose name is that of a format of ASE.
    """
    for path, files in _walk(folder, pattern):
        calculation = [file for file in files if bare_name(file.name) in _CALCULATION_FILES]
        if calculation:
            yield from read_calculation(calculation, _joined(name, path.relative_to(folder)) or folder.resolve().name)
        for file in files:
            if file not in calculation:
                yield from read_frames(file, _joined(name, file.relative_to(folder)))


def read_calculation(files: Sequence[pathlib.Path], name: str) -> Iterator[Frame | ReadFailure]:
    """The structure of one calculation, after a failure for each better file that cannot be read.

    Args:
        files: files of the calculation.
        name: of the structure.
    """
    ranked = sorted(files, key=lambda file: (_CALCULATION_FILES.index(bare_name(file.name)), file.name))
    for place, file in enumerate(ranked):
        frame = read_frames(file, name)[0]
        if isinstance(frame, Frame):
            yield frame
            return
        others = [other.name for other in ranked[place + 1 :]]
        instead = f"; {others[0]} is tried instead: is the calculation finished?" if others else ""
        yield ReadFailure(f"{name}/{file.name}", frame.reason + instead)


def calculation_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a calculation that a folder holds, not those below it."""
    return [file for file in sorted(folder.iterdir()) if bare_name(file.name) in _CALCULATION_FILES]


def _walk(folder: pathlib.Path, pattern: str | None) -> Iterator[tuple[pathlib.Path, list[pathlib.Path]]]:
    for where, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        path = pathlib.Path(where)
        files = [path / name for name in sorted(names) if not name.startswith(".")]
        if pattern is None:
            yield path, [file for file in files if is_structure_file(file)]
        else:
            yield path, [file for file in files if file.relative_to(folder).match(pattern)]


def _joined(name: str, path: pathlib.PurePath) -> str:
    return (pathlib.PurePath(name) / path).as_posix() if name else path.as_posix().removeprefix(".")
