"""Models of any program: what a file is, is told by its content."""

import os
import pathlib
import tarfile
from collections.abc import Mapping
from typing import Any

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.io.atat.model import read_atat
from jaxce.io.casm.model import read_casm
from jaxce.io.clease.model import read_clease
from jaxce.io.icet.model import read_icet
from jaxce.io.json_files import read_json
from jaxce.io.linear_model_file import FORMAT as LINEAR_MODEL
from jaxce.io.smol.model import read_smol
from jaxce.model_file import FORMAT as CLUSTER_EXPANSION

READABLE = (
    "Models are read from: JSON of jaxce, or a folder with model.json (of jaxce fit, mc, demo); .ce of icet; JSON of "
    "smol; a folder of ATAT (lat.in, clusters.out, eci.out); a folder of CASM (prim.json, basis.json, and eci.json if "
    "there is one); a folder of CLEASE (one JSON file of ECIs, one of settings)."
)


def read_model(path: str | os.PathLike[str]) -> ClusterExpansion:
    """The cluster expansion in a file or folder of any program that `jaxce.io` reads.

    Raises:
        ValueError: if it is none of these, or its reader refuses it.
    """
    path = pathlib.Path(path)
    kind = model_kind(path)
    if kind == "jaxce":
        return ClusterExpansion.load(path / "model.json" if path.is_dir() else path)
    if kind == "icet":
        return read_icet(path)
    if kind == "smol":
        return read_smol(path)
    if kind == "ATAT":
        return read_atat(path)
    if kind == "CASM":
        prim, basis, *eci = _casm_files(path)
        return read_casm(prim, basis, eci[0] if eci else None)
    if kind == "CLEASE":
        ecis, settings = _clease_files(path)
        return read_clease(ecis, settings)
    raise ValueError(f"{path} is no model that stands by itself: {_reason(path)} {READABLE}")


def model_kind(path: pathlib.Path) -> str | None:
    """The program whose model a file or folder is; None if it is none of those that `read_model` reads.

    Raises:
        FileNotFoundError: if there is nothing at the path.
        ValueError: if it is JSON that is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(2, "No such file or folder", str(path))
    if path.is_dir():
        return _kind_of_folder(path)
    if tarfile.is_tarfile(path):
        return "icet"
    return _kind_of_json(json_of(path))


def json_of(path: pathlib.Path) -> Any:
    """What a file holds if it is JSON, by its first character or its name; else None.

    Raises:
        ValueError: if it is cut off or damaged.
    """
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    is_json = start[:1] in (b"{", b"[") or path.name.endswith((".json", ".json.gz"))
    return read_json(path) if is_json else None


def _kind_of_folder(folder: pathlib.Path) -> str | None:
    if (folder / "lat.in").exists():
        return "ATAT"
    if _casm_files(folder):
        return "CASM"
    if (folder / "model.json").exists():
        return "jaxce"
    return "CLEASE" if len(_clease_files(folder)) == 2 else None


def _kind_of_json(content: Any) -> str | None:
    if not isinstance(content, Mapping):
        return None
    if content.get("format") == CLUSTER_EXPANSION:
        return "jaxce"
    if content.get("@class") == "ClusterExpansion" or "ClusterExpansion" in content:
        return "smol"
    return None


def _casm_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """prim.json, basis.json, and eci.json if there is one, packed or not; none without the first two."""
    stems = ("prim", "basis", "eci")
    paths = [next((p for p in (folder / f"{s}.json", folder / f"{s}.json.gz") if p.is_file()), None) for s in stems]
    return [path for path in paths if path] if all(paths[:2]) else []


def _clease_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The file of ECIs and that of settings, as far as they are there.

    Raises:
        ValueError: if there are several of one kind.
    """
    found: dict[str, list[pathlib.Path]] = {"ECIs": [], "settings": []}
    for path in sorted(folder.glob("*.json")):
        kind = _clease_part(json_of(path))
        if kind:
            found[kind].append(path)
    for kind, paths in found.items():
        if len(paths) > 1:
            raise ValueError(f"{folder} holds {kind} of CLEASE in {[path.name for path in paths]}: leave one of them.")
    return [*found["ECIs"], *found["settings"]]


def _clease_part(content: Any) -> str | None:
    if not isinstance(content, Mapping):
        return None
    if "c0" in content:
        return "ECIs"
    return "settings" if "concentration" in content or "basis_elements" in content else None


def _reason(path: pathlib.Path) -> str:
    """Why a path that is no model is none, as far as it can be told."""
    if path.is_dir():
        return "the folder holds none of the files below."
    content = json_of(path)
    if content is None and path.name in ("lat.in", "clusters.out", "eci.out"):
        return "it is a part of a model of ATAT; give its folder."
    if content is None:
        return "it is neither JSON nor a .ce file; a .skops file or a pickle has no crystal: see jaxce.io.from_sklearn."
    if isinstance(content, Mapping) and content.get("format") == LINEAR_MODEL:
        return "the numbers of a linear model have no crystal in them: see jaxce.io.from_sklearn and read_motif_model."
    if _clease_part(content):
        return f"it is a part of a model of CLEASE ({_clease_part(content)}); give a folder with both."
    if isinstance(content, Mapping) and ("site_functions" in content or "basis" in content):
        return "it looks like a part of a model of CASM; give its folder."
    if isinstance(content, list):
        return "a list is no model; for motifs see jaxce.io.read_motif_model."
    return f"its keys are {sorted(content)[:8]}." if isinstance(content, Mapping) else "it is another kind of JSON."
