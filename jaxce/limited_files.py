"""Files of unknown origin, read with limits: on the bytes after unpacking, and on the depth and size of JSON."""

import bz2
import collections
import gzip
import json
import lzma
import os
import pathlib
import re
import zlib
from typing import Any, NoReturn

# Each takes a path or an open file, and gives what is packed in it.
UNPACKERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What they raise where the packed bytes are damaged.
UNPACKING_ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError)

# Brackets within brackets; model files have about ten.
_DEEPEST = 200
# Values of one document. Each takes up to a hundred bytes in memory, however few it takes in the file.
_MOST_VALUES = 50_000_000
# One that is cut off goes to the end, so that the search never begins anew within it.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def read_bytes(path: str | os.PathLike[str], largest: int) -> bytes:
    """The content of a file; of one that ends in .gz, .bz2 or .xz what is packed in it.

    Args:
        path: the file.
        largest: bytes, after unpacking; no more are read.

    Raises:
        ValueError: if it is larger, or its packing is damaged.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        content = _unpacked(file, path, largest) if path.suffix in UNPACKERS else file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"{path} is larger than {largest} bytes, which no such file is.")
    return content


def _unpacked(file: Any, path: pathlib.Path, largest: int) -> bytes:
    try:
        with UNPACKERS[path.suffix](file) as unpacker:
            return unpacker.read(largest + 1)
    except UNPACKING_ERRORS as error:
        raise ValueError(f"{path} is not packed as {path.suffix} files are, or was cut off: {error}") from error


def parse_json(content: bytes, *, allow_nan: bool = False) -> Any:
    """What JSON says.

    Stricter than Python's reader: no key twice in one object, not deeper than 200 brackets, not more than 50 million
    values.

    Args:
        content: the JSON.
        allow_nan: whether NaN and Infinity, which are no JSON, are read as numbers.

    Raises:
        ValueError: if it is no such JSON, or was cut off.
    """
    _check_structure(content)
    try:
        text = content.decode("utf-8-sig")
        return json.loads(text, parse_constant=None if allow_nan else _refuse_constant, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("brackets are too deep.") from error


def _check_structure(content: bytes) -> None:
    """Before parsing: Python's parser would exhaust its stack, or the memory."""
    bare = _STRINGS.sub(b"", content)
    depth = brackets = 0
    for bracket in _BRACKETS.finditer(bare):
        brackets += 1
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _DEEPEST:
            raise ValueError(f"brackets are more than {_DEEPEST} deep.")
    if bare.count(b",") + brackets > _MOST_VALUES:
        raise ValueError(f"it holds more than {_MOST_VALUES} values.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (name, _), *_ = collections.Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"an object has the key {name[:100]!r} twice.")
    return found
