"""Numbers out of a pickled scikit-learn object, for whoever trusts the file."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxce.atomic_files import check_file_place
from jaxce.fitting.linear_models import folded_predictions
from jaxce.io.linear_model_file import FeatureScaler, LinearModel, write_linear_model

RISK = (
    "To read a pickle is to run the program in it, and its author may have put anything there: delete files, send your "
    "keys away. A separate process does not prevent that. If you made the file yourself, or trust who did, repeat the "
    "command with --i-trust-this-file. Otherwise ask its author for a .skops file or for the numbers as JSON."
)
_LARGEST_PICKLE = 2**30
# Of a model with the most features that `unpickling` admits.
_LARGEST_RESULT = 2**24
# Where programs and libraries are found. Not: whatever else the environment holds, such as tokens.
_ENVIRONMENT = ("PATH", "HOME", "LD_LIBRARY_PATH", "LANG", "TMPDIR")


def convert_pickle(source: pathlib.Path, target: pathlib.Path, timeout: float) -> LinearModel | FeatureScaler:
    """The linear model or scaler of a pickle, which is also written to a file of JSON. Runs the code in the pickle.

    It is unpickled in a process of its own, without this one's environment variables and memory. What comes back is
    numbers.

    Args:
        source: file of pickle or joblib with a fitted scikit-learn model, a `Pipeline`, or a `StandardScaler`.
        target: where the JSON goes.
        timeout: seconds after which the process is ended.

    Raises:
        ValueError: if it cannot be unpickled, or the object is neither a scaler nor linear in its features.
        OSError: if the JSON cannot go to `target`.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the pickle itself: give the result another name.")
    check_file_place(target)
    if source.stat().st_size > _LARGEST_PICKLE:
        raise ValueError(f"{source} is larger than {_LARGEST_PICKLE} bytes: it is no linear model.")
    description = _description(source, _unpickled(source, timeout))
    try:
        model = model_of(description, source.name)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{source} cannot be converted: {error}") from error
    write_linear_model(target, model)
    return model


def version_warning(model: LinearModel | FeatureScaler) -> str | None:
    """What to say of a model that another version of scikit-learn has written than the one that read it."""
    written_by, here = model.source["version"], importlib.metadata.version("scikit-learn")
    if written_by == here:
        return None
    return f"written by scikit-learn {written_by}, read by {here}: check some predictions"


def model_of(description: Mapping[str, Any], file: str) -> LinearModel | FeatureScaler:
    """The model or scaler that `unpickling.py` described.

    Raises:
        ValueError: if it is no affine function, or the numbers contradict each other.
    """
    name, version = str(description["class"]), description["version"] and str(description["version"])
    source = {"program": "scikit-learn", "version": version, "file": file, "class": name}
    probes, values = _finite(description, "probes", 2), _finite(description, "values")
    if description["kind"] == "linear":
        coefficients, intercept = folded_predictions(name, values, probes, tuple(description["stored"]))
        return LinearModel(coefficients=coefficients, intercept=intercept, source=source)
    scaler = FeatureScaler(mean=_finite(description, "mean"), scale=_finite(description, "scale"), source=source)
    # Rounding: relative, and where mean and feature cancel.
    if not np.allclose((probes - scaler.mean) / scaler.scale, values, rtol=1e-10, atol=1e-10):
        raise ValueError(f"{name} does not give (features - mean) / scale, so it is no StandardScaler.")
    return scaler


def _finite(description: Mapping[str, Any], name: str, ndim: int | None = None) -> np.ndarray:
    numbers = np.array(description[name], dtype=np.float64)
    if ndim not in (None, numbers.ndim) or not np.all(np.isfinite(numbers)):
        raise ValueError(f"its {name} are not finite numbers, or have another shape: {numbers.shape}.")
    return numbers


def _unpickled(source: pathlib.Path, timeout: float) -> bytes:
    """What the separate process has to say."""
    program = pathlib.Path(__file__).with_name("unpickling.py")
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            # As -I, but with packages that were installed for the user alone.
            [sys.executable, "-E", "-P", str(program), str(source.resolve())],
            cwd=folder,
            env=environment | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"{source} was not unpickled within {timeout:g} s; see --timeout.") from error
        finally:
            # Also what it started and left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0:
            raise ValueError(f"{source} could not be unpickled: the process for it ended with code {code}.")
        output.seek(0)
        return output.read(_LARGEST_RESULT + 1)


def _description(source: pathlib.Path, result: bytes) -> dict[str, Any]:
    if len(result) > _LARGEST_RESULT:
        raise ValueError(f"{source} gave more than {_LARGEST_RESULT} bytes, which no linear model does.")
    try:
        description = json.loads(result)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} could not be unpickled: the process for it gave no JSON.") from error
    if not isinstance(description, dict):
        raise ValueError(f"{source} could not be unpickled: the process for it gave no object.")
    if "error" in description:
        raise ValueError(
            f"{source} could not be unpickled with the packages installed here: {str(description['error'])[:500]}"
        )
    return description
