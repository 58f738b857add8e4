"""The file of a run's samples, looked at before it is believed."""

import os
from collections.abc import Iterator

import h5py


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
