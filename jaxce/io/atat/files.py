"""ATAT's text files: lattices, structures, clusters and columns of numbers. What they mean is said in `atat.py`."""

import decimal
import math
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from ase.geometry import cellpar_to_cell

from jaxce.limited_files import read_bytes

# Bytes; the largest files have some thousand lines.
_LARGEST = 2**24
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")


class AtatLattice(NamedTuple):
    """A `lat.in` or `str.out`.

    Attributes:
        axes: `[3, 3]` the coordinate system, rows in angstrom.
        vectors: `[3, 3]` lattice vectors in rows, in the coordinate system.
        coords: `[sites, 3]` positions in the coordinate system.
        names: for each site the symbols that its line lists.
    """

    axes: np.ndarray
    vectors: np.ndarray
    coords: np.ndarray
    names: tuple[tuple[str, ...], ...]


class AtatCluster(NamedTuple):
    """An entry of `clusters.out`.

    Attributes:
        multiplicity: how many there are per cell.
        diameter: the largest distance between two points, angstrom.
        coords: `[points, 3]` points, in the coordinate system of the lattice.
        functions: for each point (number of functions - 1, function from 0); None where the file has no integers.
    """

    multiplicity: float
    diameter: float
    coords: np.ndarray
    functions: tuple[tuple[int, int] | None, ...]


def read_lattice(path: str | os.PathLike[str]) -> AtatLattice:
    """The lattice or structure of a file.

    Raises:
        ValueError: if the file is cut off or a line has another form.
    """
    lines = _lines(path)
    first_line = next(lines, [])
    first = _numbers(path, first_line, (3, 6))
    axes = _axes(path, first) if len(first) == 6 else np.array([first, *_rows(path, lines, 2)])
    vectors = np.array(_rows(path, lines, 3))
    if not abs(np.linalg.det(vectors)) > 1e-6:
        raise ValueError(f"{path}: the lattice vectors span no volume: {vectors.tolist()}.")
    coords, names = [], []
    for line in lines:
        coords.append(_numbers(path, line[:3], (3,)))
        names.append(_names(path, "".join(line[3:])))
    if not names:
        raise ValueError(f"{path} has no sites after its lattice vectors: it was cut off, or is no lattice of ATAT.")
    return AtatLattice(axes, vectors, np.array(coords), tuple(names))


def read_clusters(path: str | os.PathLike[str]) -> list[AtatCluster]:
    """The clusters of a file, with or without the two integers behind each point.

    Raises:
        ValueError: if the file is cut off or a line has another form.
    """
    clusters = []
    lines = _lines(path)
    for line in lines:
        (multiplicity,) = _numbers(path, line, (1,))
        (diameter,) = _numbers(path, next(lines, []), (1,))
        (count,) = _numbers(path, next(lines, []), (1,))
        if count != int(count) or not 0 <= count <= 100:
            raise ValueError(f"{path}: cluster {len(clusters) + 1} has {count:g} points, which is no count.")
        points = [_numbers(path, next(lines, []), (3, 5)) for _ in range(int(count))]
        coords = np.array([point[:3] for point in points]).reshape(-1, 3)
        clusters.append(AtatCluster(multiplicity, diameter, coords, tuple(_function(path, p) for p in points)))
    return clusters


def read_column(path: str | os.PathLike[str]) -> list[decimal.Decimal]:
    """The numbers of a file, however they are spread over lines, with all of their digits.

    Raises:
        ValueError: if something is no number.
    """
    words = [word for line in _lines(path) for word in line]
    _numbers(path, words, (len(words),))
    return [decimal.Decimal(word) for word in words]


def read_words(path: str | os.PathLike[str]) -> list[str]:
    """The words of a file."""
    return [word for line in _lines(path) for word in line]


def lattice_text(lattice: AtatLattice) -> str:
    """What a `lat.in` holds; its numbers read back to the last bit."""
    sites = [f"{_row(coords)} {','.join(names)}" for coords, names in zip(lattice.coords, lattice.names, strict=True)]
    return "\n".join([*map(_row, lattice.axes), *map(_row, lattice.vectors), *sites, ""])


def clusters_text(clusters: list[AtatCluster]) -> str:
    """What a `clusters.out` holds."""
    blocks = []
    for cluster in clusters:
        blocks += [f"{cluster.multiplicity:.0f}", f"{cluster.diameter:.6f}", str(len(cluster.coords))]
        for coords, function in zip(cluster.coords, cluster.functions, strict=True):
            blocks.append(_row(coords) + ("" if function is None else f" {function[0]} {function[1]}"))
        blocks.append("")
    return "\n".join([*blocks, ""])


def _row(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values)


def _lines(path: str | os.PathLike[str]) -> Iterator[list[str]]:
    """The words of each line that is not blank."""
    try:
        text = read_bytes(path, _LARGEST).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}") from error
    return (words for words in map(str.split, text.splitlines()) if words)


def _numbers(path: str | os.PathLike[str], words: list[str], counts: tuple[int, ...]) -> list[float]:
    if len(words) not in counts or not all(_NUMBER.fullmatch(word) for word in words):
        wanted = " or ".join(map(str, counts))
        found = f"{' '.join(words)[:80]!r}" if words else "the end of the file"
        raise ValueError(f"{path}: {wanted} numbers are wanted where {found} stands.")
    values = [float(word) for word in words]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{path}: a number is too large: {' '.join(words)[:80]}.")
    return values


def _rows(path: str | os.PathLike[str], lines: Iterator[list[str]], count: int) -> list[list[float]]:
    return [_numbers(path, next(lines, []), (3,)) for _ in range(count)]


def _axes(path: str | os.PathLike[str], parameters: list[float]) -> np.ndarray:
    """Axes from three lengths and three angles: a along x, b in the xy plane."""
    a, b, c = np.cos(np.radians(parameters[3:]))
    is_angle = all(0 < angle < 180 for angle in parameters[3:])
    if min(parameters[:3]) <= 0 or not is_angle or 1 + 2 * a * b * c - a**2 - b**2 - c**2 <= 1e-12:
        raise ValueError(f"{path}: no cell has the lengths and angles {parameters}.")
    return cellpar_to_cell(parameters)


def _names(path: str | os.PathLike[str], text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if "=" in text:
        raise ValueError(
            f"{path}: {text} has occupations, as rndstr.in has; a lattice lists symbols alone: "
            f"{re.sub('=[^,]*', '', text)}."
        )
    if not all(re.fullmatch(r"[A-Za-z][\w+-]*", name) for name in names):
        raise ValueError(f"{path}: symbols such as Cu,Au are wanted behind the coordinates of a site, not {text!r}.")
    return names


def _function(path: str | os.PathLike[str], point: list[float]) -> tuple[int, int] | None:
    if len(point) == 3:
        return None
    first, second = (int(value) for value in point[3:])
    if (first, second) != tuple(point[3:]):
        raise ValueError(f"{path}: two integers are wanted behind a point, not {point[3:]}.")
    return first, second
