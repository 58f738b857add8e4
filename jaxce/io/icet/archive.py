"""What icet stores in a `.ce` file: a tar that holds a tar, each with a pickle of plain values."""

import io
import math
import numbers
import os
import reprlib
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxce.io.icet.restricted_pickle import read_pickle
from jaxce.limited_files import read_bytes

# Files of icet have some tens of kilobytes; only the structure and what users put into `metadata` can make them larger.
_LARGEST = 2**25
# A short pickle can refer to one long list many times.
_MOST_SPECIES = 200
_MOST_STEPS = 1000
_MOST_INDICES = 10**5
_CE_MEMBERS = {"cluster_space", "items"}
_CS_MEMBERS = {"items", "atoms"}
_NEWEST_MAJOR = 4


class StoredModel(NamedTuple):
    """The contents of a `.ce` file, checked one by one; what they mean is for others to say.

    Attributes:
        parameters: `[parameters]` float64.
        cutoffs: for pairs, triplets, ..., angstrom.
        species: either symbols for all sites, or a list of symbols for each site of the structure.
        history: prunings `("prune", [orbit indices])` and mergers `("merge", {kept: [merged]})` in their order.
        symprec: tolerance of the symmetry search, angstrom.
        position_tolerance: tolerance of distances, angstrom.
        structure: the structure that the user gave to icet, a database of ASE in JSON.
        version: of icet; None where the file does not say.
        date: when it was made; None where the file does not say.
    """

    parameters: np.ndarray
    cutoffs: tuple[float, ...]
    species: list[str] | list[list[str]]
    history: list[tuple[str, Any]]
    symprec: float
    position_tolerance: float
    structure: bytes
    version: str | None
    date: str | None

    @property
    def is_of_known_version(self) -> bool:
        """Whether the rules of its orbits are those of icet 1 to 4; files without a version are old ones."""
        major = (self.version or "1").split(".")[0]
        return major.isdecimal() and 0 < int(major) <= _NEWEST_MAJOR


def read_archive(path: str | os.PathLike[str]) -> StoredModel:
    """The contents of a `.ce` file.

    Nothing is extracted to disk, and nothing of the file is run.

    Raises:
        ValueError: if it is no such file, is cut off, compressed or too large, or a part is missing or of another form.
    """
    outer = _members(read_bytes(path, _LARGEST), _CE_MEMBERS, str(path))
    inner = _members(outer["cluster_space"], _CS_MEMBERS, f"cluster_space in {path}")
    model = _dict(read_pickle(outer["items"], f"items in {path}"), f"items in {path}")
    space = _dict(read_pickle(inner["items"], f"items of cluster_space in {path}"), f"items of cluster_space in {path}")
    try:
        return _stored_model(model, space, inner["atoms"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _members(content: bytes, wanted: set[str], source: str) -> dict[str, bytes]:
    """The members of an uncompressed tar, which must be exactly those wanted."""
    found: dict[str, bytes] = {}
    try:
        # Without "r:", tarfile would unpack, and a small file could fill the memory.
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                if not member.isreg() or member.issparse() or member.name in found or member.name not in wanted:
                    raise ValueError(_odd_member(member, sorted(found), wanted, source))
                file = archive.extractfile(member)
                found[member.name] = file.read() if file else b""
                if len(found[member.name]) != member.size:
                    raise ValueError(f"{source} is cut off: its member {member.name!r} is incomplete.")
    except (tarfile.TarError, EOFError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{source} is no uncompressed tar, or is cut off ({error}): expected a .ce file that "
            "`ClusterExpansion.write` of icet wrote."
        ) from error
    missing = sorted(wanted - set(found))
    if missing:
        raise ValueError(f"{source} lacks {missing}: it is cut off, or no .ce file.{_other_file(set(found))}")
    return found


def _odd_member(member: tarfile.TarInfo, found: list[str], wanted: set[str], source: str) -> str:
    kind = "a file" if member.isreg() else "a link, folder or device"
    return (
        f"{source} has a member {reprlib.repr(member.name)} ({kind}, {member.size} bytes) beside {found}, but a .ce "
        f"file of icet holds {sorted(wanted)} once each and nothing else.{_other_file({*found, member.name})}"
    )


def _other_file(members: set[str]) -> str:
    kinds = {"atoms": "a cluster space (.cs), without parameters", "database": "a structure container (.sc)"}
    kinds["reference_data"] = "a data container of Monte Carlo (.dc)"
    return "".join(f" It looks like {kind}." for name, kind in kinds.items() if name in members)


def _dict(value: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{source} should be a dict, but is a {type(value).__name__}.")
    return value


def _stored_model(model: Mapping[str, Any], space: Mapping[str, Any], structure: bytes) -> StoredModel:
    symprec = _tolerance(space, "symprec", 1e-5)
    metadata = model.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    return StoredModel(
        parameters=_parameters(_entry(model, "parameters")),
        cutoffs=_cutoffs(_entry(space, "cutoffs")),
        species=_species(_entry(space, "chemical_symbols")),
        history=_history(space.get("pruning_history")),
        symprec=symprec,
        position_tolerance=_tolerance(space, "position_tolerance", symprec),
        structure=structure,
        version=_text(known.get("icet_version")),
        date=_text(known.get("date_created")),
    )


def _entry(content: Mapping[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"`{name}` is missing; there are {reprlib.repr(sorted(map(str, content)))}.")
    return content[name]


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _sequence(value: Any, name: str) -> list[Any]:
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim else [value.item()]
    if not isinstance(value, list | tuple):
        raise ValueError(f"`{name}` should be a list, but is {reprlib.repr(value)}.")
    return list(value)


def _parameters(value: Any) -> np.ndarray:
    entries = _sequence(value, "parameters")
    if not entries or not all(map(_is_number, entries)):
        wrong = [place for place, entry in enumerate(entries) if not _is_number(entry)]
        raise ValueError(f"`parameters` should be finite numbers, but those at {wrong[:10]} are not.")
    return np.array(entries, dtype=np.float64)


def _cutoffs(value: Any) -> tuple[float, ...]:
    entries = _sequence(value, "cutoffs")
    if not all(_is_number(entry) and entry >= 0 for entry in entries):
        raise ValueError(f"`cutoffs` should be distances in angstrom, zero or more, but are {reprlib.repr(entries)}.")
    return tuple(map(float, entries))


def _tolerance(space: Mapping[str, Any], name: str, default: float) -> float:
    value = space.get(name)
    if value is None:
        return default
    if not _is_number(value) or not 0 < value < 1:
        raise ValueError(f"`{name}` should be a small distance in angstrom, but is {reprlib.repr(value)}.")
    return float(value)


def _species(value: Any) -> Any:
    entries = _sequence(value, "chemical_symbols")
    if entries and _are_texts(entries):
        return entries
    sites = [_sequence(entry, "chemical_symbols") for entry in entries]
    if not sites or not all(0 < len(names) <= _MOST_SPECIES and _are_texts(names) for names in sites):
        raise ValueError(
            f"`chemical_symbols` should be symbols, or a list of symbols per site, but is {reprlib.repr(entries)}."
        )
    return sites


def _are_texts(entries: list[Any]) -> bool:
    return all(isinstance(entry, str) for entry in entries)


def _history(value: Any) -> list[tuple[str, Any]]:
    entries = [] if value is None else _sequence(value, "pruning_history")
    if len(entries) > _MOST_STEPS:
        raise ValueError(f"`pruning_history` has {len(entries)} steps, more than {_MOST_STEPS}.")
    return [_step(entry) for entry in entries]


def _step(entry: Any) -> tuple[str, Any]:
    """One step of the history. Very old files hold bare lists of indices, which were pruned."""
    kind, what = entry if _is_named(entry) else ("prune", entry)
    if kind == "prune":
        return kind, _indices(what)
    if kind == "merge" and isinstance(what, dict):
        return kind, {_indices([kept])[0]: _indices(merged) for kept, merged in what.items()}
    raise ValueError(f"`pruning_history` has the step {reprlib.repr(entry)}; only prunings and mergers are known.")


def _is_named(entry: Any) -> bool:
    return isinstance(entry, Sequence) and len(entry) == 2 and isinstance(entry[0], str)


def _indices(value: Any) -> list[int]:
    entries = sorted(value) if isinstance(value, set | frozenset) else _sequence(value, "pruning_history")
    if len(entries) > _MOST_INDICES or not all(type(i) is int and i >= 0 for i in entries):
        raise ValueError(f"`pruning_history` should hold indices of orbits, but has {reprlib.repr(entries)}.")
    return entries
