"""How many atoms a file claims to hold: ASE believes it, and would fill the memory, or read on behind the end."""

import itertools
import pathlib
import re
from collections.abc import Iterable, Iterator

# A line that is a number alone; and the columns of a property in extended XYZ.
_FRAME = re.compile(rb"\s*\+?([\d_]+)\s*|.*Properties=.*", re.DOTALL | re.IGNORECASE)
_COLUMNS = re.compile(rb":\s*\w\s*:\s*\+?([\d_]+)")
# Digits of the largest number that is worth a look: no file is larger.
_MOST_DIGITS = 18


def check_atom_counts(path: pathlib.Path, file_type: str) -> None:
    """Refuse a file that claims to hold more atoms, or columns, than it has bytes.

    Args:
        path: the file.
        file_type: ASE's name of its format; "extxyz", "xyz" and "vasp" are looked at.

    Raises:
        ValueError: if it claims more.
    """
    if file_type not in ("extxyz", "xyz", "vasp"):
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        numbers = _poscar_counts(file) if file_type == "vasp" else _xyz_counts(file)
        wrong = next((number for number in numbers if number > size), None)
    if wrong is not None:
        raise ValueError(f"it claims to hold {wrong} atoms or columns, but has {size} bytes")


def _poscar_counts(lines: Iterable[bytes]) -> Iterator[int]:
    """The sums of line 6 and 7: one of them counts the atoms of each species."""
    for line in itertools.islice(lines, 5, 7):
        yield sum(_number(word) for word in line.split() if word.lstrip(b"+").replace(b"_", b"").isdigit())


def _xyz_counts(lines: Iterable[bytes]) -> Iterator[int]:
    for line in lines:
        if match := _FRAME.fullmatch(line):
            yield from map(_number, [match[1]] if match[1] else _COLUMNS.findall(line))


def _number(digits: bytes) -> int:
    return int(digits.replace(b"_", b"").lstrip(b"+").lstrip(b"0")[:_MOST_DIGITS] or b"0")
