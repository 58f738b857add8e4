"""Posteriors in files: what standard deviations of predictions need."""

import os
import zipfile

import numpy as np

from jaxce.atomic_files import replacing
from jaxce.fitting.noise_model import NoiseModel
from jaxce.fitting.posterior import Posterior

_NAMES = ("mean", "covariance", "variance", "columns", "compositions", "scales", "excesses", "sizes", "factors")
# Bytes; the covariance of ten thousand coefficients has 800 million.
_LARGEST = 2**31


def write_posterior(path: str | os.PathLike, posterior: Posterior) -> None:
    """Write a posterior as arrays of NumPy (.npz), whole or not at all."""
    noise = posterior.noise
    with replacing(path) as temporary:
        np.savez(
            temporary,
            mean=posterior.mean,
            covariance=posterior.covariance,
            variance=noise.variance,
            columns=noise.columns,
            compositions=noise.compositions,
            scales=noise.scales,
            excesses=noise.excesses,
            sizes=np.array(list(noise.size_factors), dtype=np.float64),
            factors=np.array(list(noise.size_factors.values()), dtype=np.float64),
        )


def read_posterior(path: str | os.PathLike) -> Posterior:
    """A posterior that `write_posterior` wrote.

    Raises:
        ValueError: if the file is damaged, too large, or another one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > _LARGEST:
            raise ValueError(f"it unpacks to {size} bytes, which no posterior has.")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _NAMES}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no posterior, or is damaged: {error}") from error
    mean, covariance = arrays["mean"], arrays["covariance"]
    is_whole = all(array.dtype.kind in "fi" and np.all(np.isfinite(array)) for array in arrays.values())
    if not is_whole or mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"{path} is no posterior: its arrays have the shapes {mean.shape} and {covariance.shape}.")
    noise = NoiseModel(
        variance=float(arrays["variance"]),
        columns=arrays["columns"],
        compositions=arrays["compositions"],
        scales=arrays["scales"],
        excesses=arrays["excesses"],
        size_factors=dict(zip(arrays["sizes"].tolist(), arrays["factors"].tolist(), strict=True)),
    )
    return Posterior(mean, covariance, noise)
