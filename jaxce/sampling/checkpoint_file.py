"""Checkpoints as files of NumPy, read with care: whatever is in a file, nothing but arrays comes out of it."""

import json
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.atomic_files import replacing

# What every checkpoint counts.
COUNTS = ("sweeps", "num_samples", "num_accepted")


def write_checkpoint(path: str | os.PathLike, arrays: Mapping[str, Any]) -> None:
    """Write arrays, all or none."""
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def read_checkpoint(path: str | os.PathLike, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of these names, or all.

    Raises:
        ValueError: if the file is damaged, no checkpoint, or lacks a name.
    """
    path = pathlib.Path(path)
    try:
        # NumPy leaves files open that it cannot read.
        with path.open("rb") as file:
            _check_sizes(file, path.stat().st_size)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in (archive.files if names is None else names)}
        strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
        if strange:
            raise ValueError(f"{strange[0]} is no array")
        return arrays
    # For damaged bytes, zipfile and NumPy raise almost anything.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is no checkpoint, or damaged: {reason}. Give another folder.") from error


def check_leaves(path: str | os.PathLike, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse arrays that are not those of a run.

    Args:
        path: of the file, for the message.
        stored: name -> array.
        wanted: name -> array, or what has its shape and dtype.

    Raises:
        ValueError: if one is missing, or has another shape or type.
    """
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise ValueError(f"{path} lacks {missing[0]}: another version of jaxce wrote it.")
    for name, leaf in wanted.items():
        if stored[name].shape != leaf.shape or stored[name].dtype != leaf.dtype:
            raise ValueError(
                f"{name} in {path} has shape {stored[name].shape} and type {stored[name].dtype}, but this run has "
                f"{leaf.shape} and {leaf.dtype}. Give another folder."
            )


def counts_of(path: str | os.PathLike, stored: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Sweeps and samples of a checkpoint.

    Raises:
        ValueError: if they, or the numbers of accepted proposals, are none.
    """
    sweeps, num_samples, num_accepted = (stored.get(name, np.array("missing")) for name in COUNTS)
    are_whole = all(array.dtype.kind in "iu" for array in (sweeps, num_samples, num_accepted))
    if not are_whole or (sweeps.ndim, num_samples.ndim, num_accepted.ndim) != (0, 0, 1):
        raise ValueError(f"{path} is no checkpoint: {', '.join(COUNTS)} should be whole numbers.")
    if not 0 <= num_samples <= sweeps:
        raise ValueError(f"{path} is no checkpoint: it has {num_samples} samples after {sweeps} sweeps.")
    return int(sweeps), int(num_samples)


def stored_identity(path: str | os.PathLike, stored: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The fingerprint of the run in a checkpoint.

    Raises:
        ValueError: if there is none.
    """
    try:
        identity = json.loads(str(stored["identity"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not say of which run it is: {error!r}. Give another folder.") from error
    if not isinstance(identity, dict):
        raise ValueError(f"{path} does not say of which run it is, but holds {identity!r:.100}. Give another folder.")
    return identity


def _check_sizes(file: Any, size: int) -> None:
    """Nothing in a checkpoint is packed, so that it never takes more memory than it takes on the disk."""
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > size:
        raise ValueError("its parts are packed, or larger than the file")
    file.seek(0)
