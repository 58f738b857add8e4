"""JSON files of other programs: what is read and what is refused."""

import gzip
import json

import pytest

from jaxce import limited_files
from jaxce.io import json_files
from jaxce.io.json_files import read_json

CONTENT = {"a": [1, 2.5, None, '[[[ } \\" ]'], "b": {"c": True}}


def test_plain_and_packed_files_read_the_same(tmp_path):
    text = json.dumps(CONTENT)
    (tmp_path / "m.json").write_text(text, encoding="utf-8")
    (tmp_path / "m.json.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert all(read_json(path) == CONTENT for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1, 2', "cut off"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        ("[" * 100_000 + "]" * 100_000, "deep"),
        ("", "cut off"),
        ('"\xff', "not JSON"),
    ],
    ids=["truncated", "nan", "infinity", "repeated-key", "deep", "empty", "no-utf8"],
)
def test_bad_json_is_refused_with_the_files_name(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value)


def test_a_packed_file_is_never_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "_LARGEST", 1000)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b'"' + b"a" * 1_000_000 + b'"'))
    with pytest.raises(ValueError, match="larger than 1000 bytes"):
        read_json(path)


def test_a_packed_file_that_breaks_off_is_refused(tmp_path):
    path = tmp_path / "cut.json.gz"
    path.write_bytes(gzip.compress(json.dumps(CONTENT).encode())[:-12])
    with pytest.raises(ValueError, match="cut off"):
        read_json(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="not packed as"):
        read_json(path)


def test_packed_bytes_that_are_damaged_are_refused(tmp_path):
    """Fault: what zlib raises is no ValueError."""
    packed = bytearray(gzip.compress(json.dumps(CONTENT).encode()))
    packed[12:20] = b"\xff" * 8
    path = tmp_path / "damaged.json.gz"
    path.write_bytes(packed)
    with pytest.raises(ValueError, match="not packed as"):
        read_json(path)


def test_more_values_than_the_memory_may_hold_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limited_files, "_MOST_VALUES", 100)
    path = tmp_path / "many.json"
    for text in ("[" + "1," * 200 + "1]", "[" + "[]" * 200 + "]"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="more than 100 values"):
            read_json(path)


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 300_000, '"' + '\\"' * 300_000 + "\\", '{"a": 1' + ', "b": 2' * 300_000 + "}"]
)
def test_bad_json_is_refused_in_a_moment(tmp_path, text):
    """Fault: the time grows as the square of the length, here to hours."""
    path = tmp_path / "long.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="cut off"):
        read_json(path)
