"""Energies in a CSV table, structures elsewhere."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd

from jaxce.io.frames import Frame, ReadFailure
from jaxce.io.structure_files import bare_name, read_frames
from jaxce.io.structure_folders import calculation_files, read_calculation

# What pandas calls a first column without a name, such as the index that it writes itself.
_INDEX = "Unnamed: 0"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def is_table(path: pathlib.Path) -> bool:
    """Whether a file is a table by its name."""
    return pathlib.PurePath(bare_name(path.name)).suffix.lower() in _SEPARATORS


def read_table(
    path: pathlib.Path, energy: str | None, structures: pathlib.Path | None, index: str | None
) -> list[Frame | ReadFailure]:
    """The structures that the rows of a table name, with their energies.

    Args:
        path: the table.
        energy: column of the energies; "energy" by default.
        structures: file with all structures, or folder of their files (by default that of the table).
        index: column that says which structure a row is of: the zero-based place in the file `structures` (by default
            the first column if it has no name, or else the place of the row), or the name of a file or of the folder
            of a calculation (by default the one column in which such names are found).

    Raises:
        ValueError: if columns or structures are missing or not to be told.
    """
    separator = _SEPARATORS[pathlib.PurePath(bare_name(path.name)).suffix.lower()]
    table = pd.read_csv(path, sep=separator, dtype=str, skipinitialspace=True)
    column = _checked_column(table, "energy" if energy is None else energy, "energy", path)
    if index is not None:
        _checked_column(table, index, "index", path)
    row_names = [f"{path.name}#{row}" for row in range(len(table))]
    if structures is not None and structures.is_file():
        found = _by_place(table, row_names, structures, index)
    else:
        found = _by_file(table, row_names, path.parent if structures is None else structures, index)
    return [item for row, items in enumerate(found) for item in _with_energy(items, table[column].iloc[row])]


def _checked_column(table: pd.DataFrame, column: str, keyword: str, path: pathlib.Path) -> str:
    if column not in table.columns:
        raise ValueError(
            f"{path} has no column {column!r}, but {list(table.columns)}: name one of them as `{keyword}`."
        )
    return column


def _with_energy(items: list[Frame | ReadFailure], text: Any) -> Iterator[Frame | ReadFailure]:
    """A row's energy is what the table says, whatever the file of the structure does."""
    for item in items:
        if isinstance(item, ReadFailure):
            yield item
            continue
        number = _number(text)
        yield item._replace(energy=text if number is None else number)


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _by_place(
    table: pd.DataFrame, row_names: list[str], path: pathlib.Path, index: str | None
) -> Iterator[list[Frame | ReadFailure]]:
    frames = read_frames(path, path.name, all_steps=True)
    first = frames[0]
    if isinstance(first, ReadFailure) and len(frames) == 1:
        raise ValueError(f"no structure could be read from {path}: {first.reason}")
    column = index or (_INDEX if _INDEX in table.columns else None)
    if column is None and len(frames) != len(table):
        raise ValueError(
            f"the table has {len(table)} rows, but {path} has {len(frames)} structures: name the column that says "
            "which structure a row is of, counted from zero, as `index`."
        )
    entries = range(len(table)) if column is None else table[column]
    row_of: dict[int, str] = {}
    for row_name, entry in zip(row_names, entries, strict=True):
        number = _number(entry)
        if number is None or number not in range(len(frames)):
            reason = f"{column!r} is {entry}, which is no place among the {len(frames)} structures of {path.name}"
            yield [ReadFailure(row_name, reason)]
        elif int(number) in row_of:
            yield [ReadFailure(row_name, f"it is of the same structure as {row_of[int(number)]}: {int(number)}")]
        else:
            row_of[int(number)] = row_name
            yield [frames[int(number)]]


def _by_file(
    table: pd.DataFrame, row_names: list[str], folder: pathlib.Path, index: str | None
) -> Iterator[list[Frame | ReadFailure]]:
    column = _file_column(table, folder) if index is None else index
    row_of: dict[pathlib.Path, str] = {}
    for row_name, entry in zip(row_names, table[column], strict=True):
        if not _is_file_name(entry, folder):
            yield [ReadFailure(row_name, f"{column!r} is {entry}, which is no file or folder in {folder}")]
            continue
        path = (folder / entry).resolve()
        if path in row_of:
            yield [ReadFailure(row_name, f"it is of the same structure as {row_of[path]}: {entry}")]
            continue
        row_of[path] = row_name
        yield _one_structure(folder / entry, entry)


def _one_structure(path: pathlib.Path, name: str) -> list[Frame | ReadFailure]:
    if path.is_dir():
        found = list(read_calculation(calculation_files(path), name))
        return found or [ReadFailure(name, "the folder holds no vasprun.xml, OUTCAR, CONTCAR or POSCAR")]
    found = read_frames(path, name)
    if len(found) > 1:
        return [ReadFailure(name, f"one row of the table stands for the {len(found)} structures of this file")]
    return found


def _file_column(table: pd.DataFrame, folder: pathlib.Path) -> str:
    columns = [name for name in table.columns if any(_is_file_name(entry, folder) for entry in table[name])]
    if len(columns) != 1:
        held = f"{columns} all hold" if columns else "no column holds"
        raise ValueError(
            f"of the columns {list(table.columns)}, {held} names of files in {folder}: name the column of file names "
            "as `index`, and the folder of the files, or the one file with all structures, as `structures`."
        )
    return columns[0]


def _is_file_name(entry: Any, folder: pathlib.Path) -> bool:
    # os.path.exists gives False for what can be no name; pathlib raises.
    return isinstance(entry, str) and entry != "" and os.path.exists(folder / entry)
