"""Structures of one file; ASE reads all formats but the JSON of pymatgen."""

import contextlib
import pathlib
import sqlite3
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import ase.db
import ase.io
from ase.io.formats import PEEK_BYTES, UnknownFileTypeError, filetype, ioformats, match_magic

from jaxce.io.atom_counts import check_atom_counts
from jaxce.io.frames import Frame, ReadFailure, frame_from_atoms
from jaxce.io.pymatgen_entries import pymatgen_frames
from jaxce.limited_files import UNPACKERS, UNPACKING_ERRORS, parse_json, read_bytes

# Bytes of a file after unpacking, and of the pieces in which it is.
_LARGEST_UNPACKED = 2**32
_PIECE = 2**20
_LARGEST_JSON = 2**30
# Formats of which each frame is a structure of its own. Of others, the frames are steps of one calculation.
_COLLECTIONS = ("extxyz", "xyz", "cif", "xsf", "proteindatabank")
# Endings that ASE knows, but that files of any kind have: these need the first lines of the format as well.
_COMMON_ENDINGS = (".out", ".log", ".in", ".txt", ".md")
# Steps without energies, and Python, which is not read but run.
_NEVER_SEARCHED = ("vasp-xdatcar", "py")


def is_structure_file(path: pathlib.Path) -> bool:
    """Whether a file that was found in a folder is to be read: its name is that of a format, or it is a pickle."""
    bare = bare_name(path.name)
    if _has_pickle_name(bare):
        return True
    try:
        name = file_format(bare)
    except UnknownFileTypeError:
        return False
    if name not in ioformats or not ioformats[name].can_read or name in _NEVER_SEARCHED:
        return False
    return not bare.lower().endswith(_COMMON_ENDINGS) or _has_magic(path)


def bare_name(name: str) -> str:
    """A file's name without the ending of its compression."""
    return name.removesuffix(pathlib.PurePath(name).suffix) if pathlib.PurePath(name).suffix in UNPACKERS else name


def file_format(name: str) -> str:
    """ASE's name for the format that a file's name tells."""
    return "vasp-xml" if "vasprun" in name else filetype(name, read=False)


def read_frames(path: pathlib.Path, name: str, *, all_steps: bool = False) -> list[Frame | ReadFailure]:
    """The structures of a file, in its order.

    Of a calculation (VASP and others) the last ionic step is taken. A file that breaks off gives the structures before
    that, and a failure.

    Args:
        path: the file; .gz, .bz2 and .xz are unpacked.
        name: what to call it; frames of a file that has several are called `name#0`, `name#1`, ..., and rows of an ASE
            database after their ids: `name#id=1`.
        all_steps: whether each frame of an ASE trajectory is a structure, instead of the last.
    """
    found: list[Frame | ReadFailure] = []
    try:
        with _unpacked(path) as plain, warnings.catch_warnings():
            # They concern the code of ASE, not the file.
            warnings.simplefilter("ignore", DeprecationWarning)
            for frame in _frames(plain, name, all_steps):
                # One by one: what came before an error is kept.
                found.append(frame)
    # Readers of many formats raise anything at all for a broken file; what they said is handed on.
    except Exception as error:
        found.append(ReadFailure(name, f"it cannot be read: {type(error).__name__}: {error}"))
    if not found:
        found.append(ReadFailure(name, "it holds no structure"))
    return [found[0]._replace(name=name)] if len(found) == 1 else found


@contextlib.contextmanager
def _unpacked(path: pathlib.Path) -> Generator[pathlib.Path]:
    """The file, or an unpacked copy of it that is removed afterwards; not every reader of ASE unpacks."""
    if path.suffix not in UNPACKERS:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder) / bare_name(path.name)
        with UNPACKERS[path.suffix](path) as packed, plain.open("wb") as file:
            while piece := packed.read(_PIECE):
                if file.write(piece) and file.tell() > _LARGEST_UNPACKED:
                    raise ValueError(f"it unpacks to more than {_LARGEST_UNPACKED} bytes")
        yield plain


def _frames(path: pathlib.Path, name: str, all_steps: bool) -> Iterator[Frame | ReadFailure]:
    _check_no_pickle(path)
    file_type = "vasp-xml" if "vasprun" in path.name else filetype(str(path))
    if file_type in ("db", "json"):
        yield from _json_frames(path, name) if file_type == "json" else _sqlite_frames(path, name)
        return
    if file_type == "vasp-xml":
        _check_is_finished(path)
    check_atom_counts(path, file_type)
    index = ":" if file_type in _COLLECTIONS or (all_steps and file_type == "traj") else "-1"
    images = ase.io.iread(str(path), index, format=file_type, do_not_split_by_at_sign=True)
    for place, atoms in enumerate(images):
        yield frame_from_atoms(f"{name}#{place}", atoms, atoms.info)


def _check_no_pickle(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        start = file.read(2)
    # A pickle of protocol 2 or later starts with 0x80 and the protocol.
    if _has_pickle_name(path.name) or (len(start) == 2 and start[0] == 0x80 and start[1] in range(2, 8)):
        raise ValueError(
            "it is a pickle, which may run any program when it is opened, so it is never read: write the structures "
            "to another format, such as extxyz or an ASE database"
        )


def _has_pickle_name(name: str) -> bool:
    return name.lower().endswith((".pkl", ".pickle"))


def _has_magic(path: pathlib.Path) -> bool:
    try:
        with UNPACKERS.get(path.suffix, open)(path, mode="rb") as file:
            match_magic(file.read(PEEK_BYTES))
    except (UnknownFileTypeError, *UNPACKING_ERRORS):
        return False
    return True


def _check_is_finished(path: pathlib.Path) -> None:
    """ASE reads a vasprun.xml that breaks off, and takes the last step before that for the result."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1024))
        if b"</modeling>" not in file.read():
            raise ValueError("it breaks off before </modeling>: the calculation was stopped, or is still running")


def _json_frames(path: pathlib.Path, name: str) -> Iterator[Frame | ReadFailure]:
    # An energy that is not finite costs its own entry only.
    content = parse_json(read_bytes(path, _LARGEST_JSON), allow_nan=True)
    is_database = isinstance(content, Mapping) and (
        "ids" in content or any(isinstance(row, Mapping) and "numbers" in row for row in content.values())
    )
    return _rows(path, name, "json") if is_database else pymatgen_frames(content, name)


def _sqlite_frames(path: pathlib.Path, name: str) -> Iterator[Frame | ReadFailure]:
    # ASE would write its tables into a database that has none.
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'systems'").fetchall()
    if not tables:
        raise ValueError('it is no ASE database: it has no table "systems"')
    return _rows(path, name, "db")


def _rows(path: pathlib.Path, name: str, kind: str) -> Iterator[Frame | ReadFailure]:
    with ase.db.connect(str(path), type=kind, use_lock_file=False) as database:
        for row in database.select():
            row_name = f"{name}#id={row.id}"
            try:
                yield _frame_of_row(row, row_name)
            except Exception as error:
                yield ReadFailure(row_name, f"it cannot be read: {type(error).__name__}: {error}")


def _frame_of_row(row: Any, name: str) -> Frame:
    atoms = row.toatoms()
    atoms.info.update(row.key_value_pairs)
    return frame_from_atoms(name, atoms, {**row.data, **row.key_value_pairs})
