"""The file of a run's samples: made with room for all of them, written in place, looked at before it is believed.

HDF5 makes the file and reads it, but samples are written by plain calls to the operating system, at the places that
HDF5 says. HDF5 itself keeps small pieces until an array is closed, and where it then fails (a full disk, a quota) h5py
cannot say so: samples would be missing, and nobody would know.
"""

import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from jaxce.atomic_files import replacing


def write_sample_file(path: pathlib.Path, columns: Mapping[str, np.ndarray], num_samples: int) -> None:
    """Write a file with room for all samples, on the disk from the start: a full disk shows now, not after days.

    Args:
        path: the file.
        columns: for each array its name, and the rows with which it begins.
        num_samples: rows of each array, when all are there.
    """
    with replacing(path) as temporary:
        with h5py.File(temporary, "w") as file:
            file.attrs["energy"] = "eV per supercell, without the constant of the Hamiltonian; [samples, chains]"
            file.create_group("observables")
            for name, values in columns.items():
                _reserve(file, name, (num_samples, *values.shape[1:]), values.dtype)
        if hasattr(os, "posix_fallocate"):
            with temporary.open("rb+") as raw:
                os.posix_fallocate(raw.fileno(), 0, os.fstat(raw.fileno()).st_size)
        write_rows(temporary, columns, 0)


def _reserve(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    """An array whose place in the file is fixed at once and not filled: later writes change no structure."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype, logical=True), space, properties)


def write_rows(path: pathlib.Path, columns: Mapping[str, np.ndarray], start: int) -> None:
    """Write rows of all arrays, from row `start` on.

    Raises:
        OSError: if they cannot be written.
        ValueError: if the arrays of the file have other shapes or types.
    """
    with h5py.File(path, "r", locking=False) as file:
        offsets = {name: _offset(file, name, values, start) for name, values in columns.items()}
    with path.open("rb+") as raw:
        for name, values in columns.items():
            raw.seek(offsets[name])
            raw.write(np.ascontiguousarray(values).tobytes())


def _offset(file: h5py.File, name: str, rows: np.ndarray, start: int) -> int:
    """Where in the file the row `start` of an array begins, bytes."""
    array = file[name]
    there, given = (array.dtype, array.shape[1:]), (rows.dtype, rows.shape[1:])
    if there != given or start + len(rows) > len(array):
        raise ValueError(
            f"{file.filename} has {len(array)} rows of {there} for {name}, but {given} from row {start} to "
            f"{start + len(rows)} are to be written: it is of another run. Give another folder."
        )
    return array.id.get_offset() + start * math.prod(rows.shape[1:]) * rows.dtype.itemsize


def check_sample_file(path: str | os.PathLike, num_samples: int) -> None:
    """Refuse a file that is not as a run writes it: arrays of numbers in one piece each, and samples enough.

    Args:
        path: the file.
        num_samples: how many samples count.

    Raises:
        ValueError: if the file is damaged or another one.
    """
    try:
        # Without a lock, which would stop a run that is going on when it adds samples.
        with h5py.File(path, "r", locking=False) as file:
            wrong = next(_faults(file, num_samples), None)
    # Of a damaged file HDF5 may say anything.
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        wrong = f"it cannot be read: {error}"
    if wrong is not None:
        raise ValueError(f"{path} does not hold the samples of a run, or is damaged: {wrong}. Give another folder.")


def _faults(file: h5py.File, num_samples: int) -> Iterator[str]:
    arrays = {name: file[name] for name in ("energy", "counts")}
    arrays |= {f"observables/{name}": array for name, array in file["observables"].items()}
    for name, array in arrays.items():
        if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "biufc" or array.ndim < 2:
            yield f"{name} is no array of numbers"
        # A part that is packed or in another file has no place in this one.
        elif array.id.get_offset() is None:
            yield f"{name} is not in one piece"
        elif len(array) < num_samples:
            yield f"{name} has {len(array)} samples, but {num_samples} are counted"
