"""The files of a local-environment motif model: a linear model, its scaler, and the list of motifs."""

import os
import pathlib
import shlex

import numpy as np

from jaxce.fitting.linear_models import folded_predictions
from jaxce.io.json_files import read_json
from jaxce.io.linear_model_file import FeatureScaler, LinearModel, read_linear_model
from jaxce.io.skops_files import read_estimator

# A B site, its six B and six O neighbours; then those A neighbours that the file lists.
NUM_CODED = 13
_LENGTHS = (NUM_CODED + 6, NUM_CODED + 8)


def read_motifs(path: str | os.PathLike, num_species: int) -> np.ndarray:
    """`[motifs, entries]` species ids: centre, six B, six O, and six or eight A neighbours.

    Raises:
        ValueError: if the file is no such list, or holds other ids.
    """
    content = read_json(path)
    is_list = isinstance(content, list) and content and all(isinstance(motif, list) for motif in content)
    lengths = sorted({len(motif) for motif in content}) if is_list else []
    if len(lengths) != 1 or lengths[0] not in _LENGTHS:
        raise ValueError(
            f"{path} must be a list of motifs with {_LENGTHS[0]} species ids each (centre, 6 B, 6 O, 6 A), but "
            + (f"has motifs of lengths {lengths}." if is_list else f"holds {type(content).__name__}.")
        )
    if not all(type(entry) is int and 0 <= entry < num_species for motif in content for entry in motif):
        raise ValueError(f"{path} must hold species ids in 0..{num_species - 1} alone, as `species` names them.")
    return np.array(content)


def read_linear_weights(
    model_file: str | os.PathLike, scaler_file: str | os.PathLike, num_features: int
) -> tuple[np.ndarray, float]:
    """`[features]` eV for each unscaled feature, and eV of a template without any.

    Raises:
        ValueError: if a file is a pickle, of another kind, or has another number of features.
    """
    model, scaler = _numbers(model_file), _numbers(scaler_file)
    if not isinstance(model, LinearModel) or not isinstance(scaler, FeatureScaler):
        raise ValueError(
            f"{model_file} must hold a linear model and {scaler_file} a scaler, but they hold "
            f"{type(model).__name__} and {type(scaler).__name__}: were they exchanged?"
        )
    lengths = {str(model_file): len(model.coefficients), str(scaler_file): len(scaler.mean)}
    if set(lengths.values()) != {num_features}:
        raise ValueError(
            f"{num_features} features are wanted (two species that are counted, and one per motif), but the files have "
            + " and ".join(f"{length} ({name})" for name, length in lengths.items())
            + ": are they of one model?"
        )
    weights = model.coefficients / scaler.scale
    return weights, float(model.intercept - np.sum(weights * scaler.mean))


def _numbers(path: str | os.PathLike) -> LinearModel | FeatureScaler:
    """What a JSON or skops file holds; nothing else is opened."""
    path = pathlib.Path(path)
    with path.open("rb") as file:
        start = file.read(16).lstrip()
    if start.startswith(b"{") or path.suffixes[-2:] == [".json", ".gz"]:
        return read_linear_model(path)
    if start.startswith(b"PK"):
        return _numbers_of_estimator(path)
    target = path.with_suffix(".json")
    command = f"jaxce convert-pickle --i-trust-this-file {shlex.quote(str(path))} {shlex.quote(str(target))}"
    raise ValueError(
        f"{path} is neither JSON nor a .skops file. If it is a pickle: to read it is to run the program in it, which "
        f"jaxce does not do. If you trust who made it, `{command}` gets its numbers out; then give {target} instead."
    )


def _numbers_of_estimator(path: pathlib.Path) -> LinearModel | FeatureScaler:
    estimator = read_estimator(path)
    name = type(estimator).__name__
    source = {"file": path.name, "class": name}
    if name == "StandardScaler":
        count = estimator.n_features_in_
        # None where it does not centre, or does not scale.
        mean = np.zeros(count) if estimator.mean_ is None else estimator.mean_
        scale = np.ones(count) if estimator.scale_ is None else estimator.scale_
        return FeatureScaler(mean=mean, scale=scale, source=source)
    if hasattr(estimator, "predict"):
        count = estimator.n_features_in_
        probes = np.random.default_rng(0).uniform(-1, 1, size=(8, count))
        predictions = np.ravel(estimator.predict(np.vstack([np.zeros(count), np.eye(count), probes])))
        stored = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", None)
        coefficients, intercept = folded_predictions(name, predictions, probes, stored)
        return LinearModel(coefficients=coefficients, intercept=intercept, source=source)
    raise ValueError(f"{path} holds a {name}, which is neither a linear model nor a StandardScaler.")
