"""Damaged files: bytes as a careless disk or a careful enemy would change them."""

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

# What readers stumble over.
_VALUES = (
    None, True, False, 0, -1, 1, 2, 7, 10**6, 10**12, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e-300, 1e300,
    "", "X", "Cu", "Va", "1", "nan", "inf", "\ud800", "a" * 300, [], {}, [[]], [0, 0, 0], {"a": 1}, [None],
    ["Cu", "Au"],
)  # fmt: skip
_WORDS = (
    b"0", b"-1", b"1e999", b"nan", b"inf", b"99999999999999999999", b"1000000000", b"1_0", b"0.5", b"null", b"[]",
    b"{}", b'"', b"\\", b"\n", b"\n\n", b" ", b"\t", b"=", b":", b",", b"\x00", b"\xff", b"\x80\x04", b"(", b"Cu", b"X",
    b"e", b"#",
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with one to five changes; those of JSON and of archives leave a file that can be opened."""
    kind: Callable[[bytes, random.Random], bytes] = _change_bytes
    if rng.random() < 0.7:
        kind = _change_json if data[:1] in (b"{", b"[") else _change_zip if data[:2] == b"PK" else _change_bytes
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = kind(data, rng)
    return data


def _change_bytes(data: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(data))
    end = min(len(data), start + rng.choice((0, 1, 1, 2, 4, 16, 64, len(data))))
    other = rng.randint(0, len(data))
    new = rng.choice((rng.choice(_WORDS), rng.randbytes(rng.choice((1, 2, 4, 8))), data[other : other + 40], b""))
    return data[:start] + new + data[end:]


def _change_json(data: bytes, rng: random.Random) -> bytes:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _change_bytes(data, rng)
    holders = [node for node in _nodes(document) if node]
    if not holders:
        return data
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    action = rng.choice(("value", "value", "number", "delete", "repeat", "other"))
    if action == "delete":
        del holder[key]
    elif action == "repeat" and isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice((1, 2, 50))
    elif action == "number" and isinstance(holder[key], int | float) and abs(holder[key]) < 1e300:
        holder[key] = rng.choice((-holder[key], holder[key] * 1.5, holder[key] + 1, holder[key] - 1, str(holder[key])))
    elif action == "other":
        holder[key] = copy.deepcopy(rng.choice(holders))
    else:
        holder[key] = copy.deepcopy(rng.choice(_VALUES))
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return data


def _nodes(part: Any) -> list[Any]:
    """All lists and objects, from the outside in."""
    found, left = [], [part]
    while left:
        part = left.pop()
        if isinstance(part, dict | list):
            found.append(part)
            left.extend(part.values() if isinstance(part, dict) else part)
    return found


def _change_zip(data: bytes, rng: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {part.filename: archive.read(part) for part in archive.infolist() if part.file_size < 10**6}
    # A damaged archive.
    except Exception:
        return _change_bytes(data, rng)
    if not parts:
        return _change_bytes(data, rng)
    name = rng.choice(sorted(parts))
    if rng.random() < 0.1:
        del parts[name]
    else:
        parts[name] = (_change_json if parts[name][:1] in (b"{", b"[") else _change_bytes)(parts[name], rng)
    packing = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", packing) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return written.getvalue()
