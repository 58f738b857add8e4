"""Cluster expansions from fitted scikit-learn models, in memory or in files that hold no program."""

import os
import pathlib
import shlex
from collections.abc import Iterable
from typing import Any

import ase

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.linear_models import expansion_of, from_sklearn as expansion_of_estimator
from jaxce.io.linear_model_file import LinearModel, read_linear_model
from jaxce.io.model_check import check_model
from jaxce.io.skops_files import read_estimator

_PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".sav"}
# Protocols 2 to 5, and the compressed files of joblib: zlib, gzip, bz2, xz, lzma, lz4.
_PICKLE_STARTS = (
    *(bytes([128, protocol]) for protocol in range(2, 6)),
    *(
        b"\x78\x01",
        b"\x78\x5e",
        b"\x78\x9c",
        b"\x78\xda",
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"\x5d\x00",
        b"\x04\x22\x4d\x18",
    ),
)


def from_sklearn(
    space: ClusterSpace, estimator: Any, check: Iterable[tuple[ase.Atoms, float]] | None = None
) -> ClusterExpansion:
    """The expansion that predicts what a fitted linear model of scikit-learn predicts, eV per prim.

    Scalers, centring and intercepts are folded into the coefficients. This works for any estimator whose `predict` is
    an affine function of the correlation vector, also a `Pipeline` of several steps.

    Args:
        space: the cluster space on which it was fitted.
        estimator: fitted estimator with `predict` on `[structures, correlations]`; or the path of a `.skops` file, or
            of the JSON that `jaxce convert-pickle` writes. A pickle is refused.
        check: structures with the energies, eV per structure, that the model is known to give.

    Raises:
        ValueError: if the number of features differs, predictions are not linear, an energy of `check` is another one,
            or the file is damaged, a pickle, or something else.
    """
    if isinstance(estimator, (str, os.PathLike)):
        expansion = _expansion_of_file(space, pathlib.Path(estimator))
    else:
        expansion = expansion_of_estimator(space, estimator)
    if check is not None:
        check_model(expansion, check)
    return expansion


def _expansion_of_file(space: ClusterSpace, path: pathlib.Path) -> ClusterExpansion:
    with path.open("rb") as file:
        start = file.read(16)
    if path.suffixes[-2:] == [".json", ".gz"] or start.lstrip().startswith(b"{"):
        return _expansion_of_json(space, path)
    if start.startswith(b"PK"):
        return _expansion_of_skops(space, path)
    if start.startswith(_PICKLE_STARTS) or path.suffix in _PICKLE_SUFFIXES:
        raise ValueError(_pickle_refusal(path))
    raise ValueError(
        f"{path} is neither a .skops file nor JSON, or is damaged: save the model with `skops.io.dump`, or write its "
        "numbers as jaxce.io.write_linear_model does."
    )


def _pickle_refusal(path: pathlib.Path) -> str:
    target = path.with_suffix(".numbers.json" if path.suffix == ".json" else ".json")
    command = f"jaxce convert-pickle --i-trust-this-file {shlex.quote(str(path))} {shlex.quote(str(target))}"
    return (
        f"{path} is a pickle: to read it is to run the program in it, which jaxce does not do. If you trust who made "
        f"the file, `{command}` gets its numbers out; then give {target} in its place."
    )


def _expansion_of_skops(space: ClusterSpace, path: pathlib.Path) -> ClusterExpansion:
    estimator = read_estimator(path)
    if not hasattr(estimator, "predict"):
        raise ValueError(f"{path} holds a {type(estimator).__name__}, which predicts nothing: save the whole pipeline.")
    expansion = expansion_of_estimator(space, estimator)
    steps = [type(step).__name__ for _, step in getattr(estimator, "steps", [(None, estimator)])]
    return _with_source(expansion, {"program": "scikit-learn", "version": None, "file": path.name}, ", ".join(steps))


def _expansion_of_json(space: ClusterSpace, path: pathlib.Path) -> ClusterExpansion:
    model = read_linear_model(path)
    if not isinstance(model, LinearModel):
        raise ValueError(f"{path} holds a scaler, which predicts nothing: convert the model, or the whole pipeline.")
    expansion = expansion_of(space, model.coefficients, model.intercept)
    source = {"program": "scikit-learn", "version": None, **model.source, "file": path.name}
    return _with_source(expansion, source, str(model.source.get("class", "numbers written by hand")))


def _with_source(expansion: ClusterExpansion, source: dict[str, Any], name: str) -> ClusterExpansion:
    understood = [
        f"{name}: {len(expansion.coefficients)} coefficients, intercept and scaling folded into them",
        "assumed: features are the correlations of this cluster space in its order, predictions are eV per prim",
    ]
    metadata = {"source": {**source, "understood": understood}}
    return ClusterExpansion(expansion.space, expansion.coefficients, metadata)
