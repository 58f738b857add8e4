"""Linear models and scalers as JSON: what is left of a fitted scikit-learn object when only its numbers are kept.

`jaxce convert-pickle` writes such a file. One may also be written by hand, in whatever program holds the numbers:

    {"format": "jaxce-linear-model", "version": 1, "kind": "linear", "coefficients": [0.1, 0.2], "intercept": -3.0}
    {"format": "jaxce-linear-model", "version": 1, "kind": "standard-scaler", "mean": [0.5, 2.0], "scale": [0.1, 1.0]}
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxce.atomic_files import write_text
from jaxce.io.json_files import read_json

FORMAT = "jaxce-linear-model"
VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """`prediction = features . coefficients + intercept`.

    Attributes:
        coefficients: `[features]`.
        intercept: the prediction where all features are 0.
        source: where the numbers are from; anything JSON can hold.
    """

    coefficients: np.ndarray
    intercept: float
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", _numbers("coefficients", self.coefficients, 1))
        _numbers("intercept", self.intercept, 0)

    @property
    def num_features(self) -> int:
        """Number of features."""
        return len(self.coefficients)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FeatureScaler:
    """`scaled = (features - mean) / scale`.

    Attributes:
        mean: `[features]`.
        scale: `[features]`, not 0.
        source: where the numbers are from; anything JSON can hold.
    """

    mean: np.ndarray
    scale: np.ndarray
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _numbers("mean", self.mean, 1))
        object.__setattr__(self, "scale", _numbers("scale", self.scale, 1))
        if self.mean.shape != self.scale.shape:
            raise ValueError(
                f"a scaler needs one mean and one scale per feature, but has {len(self.mean)} means and "
                f"{len(self.scale)} scales."
            )
        if np.any(self.scale == 0):
            raise ValueError(f"`scale` must not be 0, but is for features {np.flatnonzero(self.scale == 0).tolist()}.")

    @property
    def num_features(self) -> int:
        """Number of features."""
        return len(self.mean)


# The numbers of each kind, and how many axes they have.
_KINDS = {"linear": {"coefficients": 1, "intercept": 0}, "standard-scaler": {"mean": 1, "scale": 1}}


def write_linear_model(path: str | os.PathLike, model: LinearModel | FeatureScaler) -> None:
    """Write a linear model or a scaler, whole or not at all; it reads back to the last bit."""
    kind = "linear" if isinstance(model, LinearModel) else "standard-scaler"
    numbers = {name: np.asarray(getattr(model, name)).tolist() for name in _KINDS[kind]}
    document = {"format": FORMAT, "version": VERSION, "kind": kind, "source": dict(model.source), **numbers}
    write_text(path, json.dumps(document, indent=1, allow_nan=False))


def read_linear_model(path: str | os.PathLike) -> LinearModel | FeatureScaler:
    """The linear model or the scaler of a file that `write_linear_model` or a hand wrote.

    Raises:
        ValueError: if the file is no such JSON, is of another version, lacks a part, or holds what is no finite number.
    """
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise ValueError(f"{path} is JSON but no linear model: its `format` is {found!r}, expected {FORMAT!r}.")
    if document.get("version") != VERSION:
        raise ValueError(
            f"{path} has format version {document.get('version')!r}, but this jaxce reads version {VERSION}."
        )
    kind = document.get("kind")
    if kind not in list(_KINDS):
        raise ValueError(f"{path} must be of a kind among {', '.join(_KINDS)}, but is {kind!r}.")
    _check_keys(path, document, _KINDS[kind])
    try:
        numbers: dict[str, Any] = {name: _numbers(name, document[name], ndim) for name, ndim in _KINDS[kind].items()}
        source = document.get("source", {})
        if kind == "linear":
            coefficients, intercept = numbers.values()
            return LinearModel(coefficients=coefficients, intercept=float(intercept), source=source)
        return FeatureScaler(**numbers, source=source)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_keys(path: str | os.PathLike, document: Mapping[str, Any], names: Iterable[str]) -> None:
    missing = [name for name in names if name not in document]
    # An unknown key may change the meaning of the others.
    unknown = sorted(set(document) - {"format", "version", "kind", "source", *names})
    if missing or unknown or not isinstance(document.get("source", {}), dict):
        raise ValueError(
            f"{path} must hold {', '.join(names)}, and may hold an object `source`, but lacks {missing} and also holds "
            f"{unknown}."
        )


def _numbers(name: str, given: Any, ndim: int) -> np.ndarray:
    """A read-only copy as float64, checked."""
    try:
        array = np.array(given)
    except ValueError as error:
        raise ValueError(f"`{name}` must be a plain list of numbers: {error}") from error
    if array.ndim != ndim or array.dtype.kind not in "iuf" or array.size == 0:
        wanted = "one list of real numbers" if ndim else "one real number"
        raise ValueError(f"`{name}` must be {wanted}, but has shape {array.shape} and type {array.dtype}.")
    if not np.all(np.isfinite(array)):
        raise ValueError(
            f"`{name}` must be finite, but entries {np.flatnonzero(~np.isfinite(array)).tolist()} are not."
        )
    values = array.astype(np.float64)
    values.setflags(write=False)
    return values
