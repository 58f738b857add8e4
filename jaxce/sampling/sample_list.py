"""Samples in memory."""

import jax
import numpy as np

from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done


class SampleList:
    """Keeps samples in memory, where a `RunFolder` keeps them on the disk; a listener of `run_chunks`."""

    def __init__(self) -> None:
        self._parts: list[Samples] = []

    def resume(self, start: Done) -> Done:
        """Nothing was kept."""
        return start

    def close(self) -> None:
        """Nothing to do."""

    def __call__(self, done: Done, samples: Samples) -> bool:
        """Keep the samples."""
        del done
        if len(samples.energy):
            self._parts.append(samples)
        return False

    def save(self, done: Done) -> None:
        """Nothing to do."""

    def read_samples(self) -> Samples:
        """All samples so far."""
        self._parts = [jax.tree.map(lambda *parts: np.concatenate(parts), *self._parts)]
        return self._parts[0]
