"""JSON files of other programs, read with limits."""

import contextlib
import gzip
import json
import os
import pathlib
import re
from typing import Any, NoReturn

# Bytes of JSON after unpacking. smol's largest files (caches of a big supercell) have some hundred megabytes.
_LARGEST = 2**30
# Brackets within brackets; model files have about ten.
_DEEPEST = 200
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def read_json(path: str | os.PathLike[str]) -> Any:
    """What a JSON file holds; one that ends in .gz is unpacked.

    Stricter than Python's reader: no NaN or Infinity, no key twice in one object, and not larger than 1 GiB or deeper
    than 200 brackets.

    Raises:
        ValueError: if it is no such JSON, or was cut off.
    """
    path = pathlib.Path(path)
    content = _content(path)
    try:
        _check_depth(content)
        text = content.decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON that can be read, or was cut off: {error}") from error


def _content(path: pathlib.Path) -> bytes:
    """The bytes of the file; never more than the limit, however small the packed file is."""
    try:
        with contextlib.ExitStack() as stack:
            file: Any = stack.enter_context(path.open("rb"))
            if path.suffix == ".gz":
                file = stack.enter_context(gzip.GzipFile(fileobj=file))
            content = file.read(_LARGEST + 1)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is no gzip file, or was cut off: {error}") from error
    if len(content) > _LARGEST:
        raise ValueError(f"{path} holds more than {_LARGEST} bytes of JSON, which no model does.")
    return content


def _check_depth(content: bytes) -> None:
    """Before parsing: Python's parser would exhaust its stack."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", content)):
        depth += 1 if bracket in b"[{" else -1
        if depth > _DEEPEST:
            raise ValueError(f"brackets are more than {_DEEPEST} deep.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has the key {next(n for n in names if names.count(n) > 1)!r} twice.")
    return found
