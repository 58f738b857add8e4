"""The folder of a long run: samples as they come, and the state from which the run goes on as if never stopped.

`samples.h5` has room for all samples from the start, so that adding some changes nothing but the numbers themselves;
`checkpoint.npz` is replaced whole, and says how many of the samples count. A run that is killed at any instant leaves
both readable.
"""

import hashlib
import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import filelock
import h5py
import jax
import numpy as np

from jaxce.sampling.chains import Samples
from jaxce.sampling.checkpoint_file import (
    COUNTS,
    check_leaves,
    counts_of,
    read_checkpoint,
    stored_identity,
    write_checkpoint,
)
from jaxce.sampling.chunks import Done
from jaxce.sampling.sample_file import check_sample_file, write_rows, write_sample_file

SECONDS_BETWEEN_CHECKPOINTS = 5.0


def fingerprint(**parts: Any) -> dict[str, str]:
    """A digest of the numbers in each part of a run; runs with equal ones go the same way."""
    return {name: _digest(part) for name, part in parts.items()}


class RunFolder:
    """Where a run keeps its samples and its state. A listener of `run_chunks`.

    Args:
        path: the folder; made if it is missing.
        identity: the fingerprint of the run, but for its length.
        num_samples: samples of the whole run. It may be another number when the run goes on: nothing that was done
            depends on it, unless the weights follow a schedule, which is of the fingerprint.

    Raises:
        ValueError: if the folder holds another run, or a file in it cannot be read, or another run writes to it.
    """

    def __init__(self, path: str | os.PathLike, identity: Mapping[str, str], num_samples: int):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._identity = dict(identity)
        self._num_samples = num_samples
        self._written = 0
        self._saved_at = time.monotonic()
        self._lock: filelock.BaseFileLock | None = None

    def resume(self, start: Done) -> Done:
        """How far the run in this folder has come; `start` if it has not begun. From here to `close` it is locked."""
        self._lock = lock_folder(self.path).lock
        # What a killed run was writing.
        for pattern in (".checkpoint.*.npz", ".samples.*.h5"):
            for leftover in self.path.glob(pattern):
                leftover.unlink()
        if not self._checkpoint.exists():
            return start
        done = self._stored(start, list(self._identity))
        if self._written:
            self._make_room()
        return done

    def close(self) -> None:
        """Let others write to the folder."""
        if self._lock:
            self._lock.release()

    def read(self, start: Done) -> Done:
        """How far the run in this folder has come, without a change to the folder: the run may be going on.

        What chains keep for speed (`Progress.caches`) is left out, so that a run is read on any machine.

        Raises:
            ValueError: if there are no samples yet, or they are of another run.
        """
        if not self._checkpoint.exists():
            raise ValueError(f"{self.path} has no checkpoint yet: the run has not come to its first samples.")
        progress: Any = start.progress
        without = start._replace(progress=progress._replace(caches=None))
        done = self._stored(without, [name for name in self._identity if name != "method"])
        if self._written == 0:
            raise ValueError(f"{self.path} has no samples yet; {done.sweeps} sweeps were done.")
        return done

    def _stored(self, start: Done, compared: Sequence[str]) -> Done:
        stored = read_checkpoint(self._checkpoint)
        named, structure = named_leaves(start.progress)
        self._check_identity(stored_identity(self._checkpoint, stored), compared)
        check_leaves(self._checkpoint, stored, named)
        sweeps, self._written = counts_of(self._checkpoint, stored)
        if self._written and not self._samples.exists():
            raise ValueError(f"{self._samples} is missing, but {self._checkpoint} counts on it. Give another folder.")
        if self._written:
            check_sample_file(self._samples, self._written)
        progress = jax.tree.unflatten(structure, [jax.numpy.asarray(stored[name]) for name in named])
        return Done(progress, sweeps, stored["num_accepted"])

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Add the samples, and save the state if it is time."""
        self.add(samples)
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_CHECKPOINTS:
            self.save(done)
        return False

    def add(self, samples: Samples) -> None:
        """Write samples behind those there are."""
        count = len(samples.energy)
        if count == 0:
            return
        columns = columns_of(samples)
        if self._written == 0:
            write_sample_file(self._samples, columns, self._num_samples)
        else:
            write_rows(self._samples, columns, self._written)
        self._written += count

    def save(self, done: Done) -> None:
        """Save the state of the run; the samples so far are on the disk before it says that they count."""
        if self._written:
            with self._samples.open("rb") as file:
                os.fsync(file.fileno())
        arrays: dict[str, Any] = {
            "identity": json.dumps(self._identity),
            "num_samples": self._written,
            "sweeps": done.sweeps,
            "num_accepted": done.num_accepted,
        }
        arrays |= {name: np.asarray(leaf) for name, leaf in named_leaves(done.progress)[0].items()}
        write_checkpoint(self._checkpoint, arrays)
        self._saved_at = time.monotonic()

    def read_samples(self) -> Samples:
        """All samples that were added."""
        # Without a lock, which would stop a run that is going on when it adds samples.
        with h5py.File(self._samples, "r", locking=False) as file:
            traces = {name: values[: self._written] for name, values in file["observables"].items()}
            return Samples(file["energy"][: self._written], file["counts"][: self._written], traces)

    @property
    def num_written(self) -> int:
        """Number of samples that were added."""
        return self._written

    @property
    def _samples(self) -> pathlib.Path:
        return self.path / "samples.h5"

    @property
    def _checkpoint(self) -> pathlib.Path:
        return self.path / "checkpoint.npz"

    def _make_room(self) -> None:
        """Room for all samples, if the run was meant to be shorter when it began."""
        with h5py.File(self._samples, "r", locking=False) as file:
            if len(file["energy"]) >= self._num_samples:
                return
        write_sample_file(self._samples, columns_of(self.read_samples()), self._num_samples)

    def _check_identity(self, stored: Mapping[str, str], compared: Sequence[str]) -> None:
        differing = [name for name in compared if stored.get(name) != self._identity[name]]
        if differing:
            raise ValueError(
                f"{self.path} holds another run: it differs in {', '.join(differing)}. Give another folder, "
                "or the arguments with which that run was started."
            )


def named_leaves(progress: Any) -> tuple[dict[str, Any], Any]:
    """Arrays by their place in the tree, and the tree."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(progress)
    return {f"progress{jax.tree_util.keystr(path)}": leaf for path, leaf in leaves}, structure


def columns_of(samples: Samples) -> dict[str, np.ndarray]:
    """Samples by the names of their arrays in the file."""
    observables = {f"observables/{name}": values for name, values in samples.traces.items()}
    return {"energy": samples.energy, "counts": samples.counts, **observables}


def samples_of(columns: Mapping[str, np.ndarray]) -> Samples:
    """What `columns_of` takes apart; other columns are left out."""
    prefix = "observables/"
    traces = {name.removeprefix(prefix): values for name, values in columns.items() if name.startswith(prefix)}
    return Samples(columns["energy"], columns["counts"], traces)


def lock_folder(path: str | os.PathLike) -> filelock.AcquireReturnProxy:
    """A lock that is held, for `with`: two runs that write to one folder would spoil each other's samples.

    It goes with its process, however that ends; the empty file stays.

    Raises:
        ValueError: if another run holds it.
    """
    try:
        return filelock.FileLock(pathlib.Path(path) / ".lock").acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"Another run is writing to {path}: wait for its end, or give another folder.") from None


def sweeps_done(path: str | os.PathLike) -> int | None:
    """Sweeps of the run in a folder, up to its last checkpoint; None if there is none."""
    checkpoint = pathlib.Path(path) / "checkpoint.npz"
    return counts_of(checkpoint, read_checkpoint(checkpoint, COUNTS))[0] if checkpoint.exists() else None


def _digest(part: Any) -> str:
    hasher = hashlib.sha256()
    for leaf in jax.tree.leaves(part):
        is_key = jax.dtypes.issubdtype(getattr(leaf, "dtype", np.dtype(object)), jax.dtypes.prng_key)
        array = np.ascontiguousarray(jax.random.key_data(leaf) if is_key else leaf)
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()
