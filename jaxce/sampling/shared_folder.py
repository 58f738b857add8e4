"""The folder of a run of several processes: the first one reads and writes it, and all go the same way."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxce.processes import arrays_of_first, clock, gathered
from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done
from jaxce.sampling.run_folder import SECONDS_BETWEEN_CHECKPOINTS, RunFolder, columns_of, named_leaves, samples_of
from jaxce.sampling.sample_list import SampleList


class SharedFolder:
    """A `RunFolder` in the first process; in all of them the samples, in memory. A listener of `run_chunks`.

    Nothing in the folder depends on the number of processes.

    Args:
        path: as in `RunFolder`; only the first process has to see it.
        identity: as there.
        num_samples: as there.
    """

    def __init__(self, path: str | os.PathLike, identity: Mapping[str, str], num_samples: int):
        self._arguments = (path, identity, num_samples)
        self._folder: RunFolder | None = None
        self._samples = SampleList()
        self._saved_at = clock()

    def resume(self, start: Done) -> Done:
        """How far the run in this folder has come; `start` if it has not begun.

        Raises:
            ValueError: as `RunFolder`, on all processes.
        """
        stored = arrays_of_first(lambda: self._opened(start))
        if not stored:
            return start
        if "energy" in stored:
            self._samples(start, samples_of(stored))
        named, structure = named_leaves(start.progress)
        progress = jax.tree.unflatten(structure, [jax.numpy.asarray(stored[name]) for name in named])
        return Done(progress, int(stored["sweeps"]), stored["num_accepted"])

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Add the samples, and save the state if it is time."""
        self._samples(done, samples)
        if self._folder is not None:
            self._folder.add(samples)
        if clock() - self._saved_at >= SECONDS_BETWEEN_CHECKPOINTS:
            self.save(done)
        return False

    def save(self, done: Done) -> None:
        """Save the state of the run."""
        done = done._replace(progress=gathered(done.progress))
        if self._folder is not None:
            self._folder.save(done)
        self._saved_at = clock()

    def read_samples(self) -> Samples:
        """All samples so far."""
        return self._samples.read_samples()

    def close(self) -> None:
        """As `RunFolder.close`."""
        if self._folder is not None:
            self._folder.close()

    def _opened(self, start: Done) -> dict[str, Any]:
        """All that the folder holds, in the first process."""
        self._folder = RunFolder(*self._arguments)
        done = self._folder.resume(start)
        if done.sweeps == 0:
            return {}
        samples = columns_of(self._folder.read_samples()) if self._folder.num_written else {}
        leaves = {name: np.asarray(leaf) for name, leaf in named_leaves(done.progress)[0].items()}
        return {**samples, **leaves, "sweeps": done.sweeps, "num_accepted": done.num_accepted}
