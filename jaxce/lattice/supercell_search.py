"""Which supercell of a prim a given cell is, strained and turned as it may be."""

import itertools
from collections.abc import Iterator

import numpy as np

# Relative tolerances on lengths and angles, from nearly ideal cells to strongly relaxed ones.
_TOLERANCES = (0.03, 0.1, 0.2)
# Candidates that differ by a symmetry of the lattice number at most 48; this many are tried.
_MOST_CANDIDATES = 96


def stretch_and_rotation(ideal_cell: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric stretch U and rotation R with `cell = ideal_cell @ U @ R` (vectors in rows)."""
    deformation = np.linalg.solve(ideal_cell, cell)
    values, vectors = np.linalg.eigh(deformation @ deformation.T)
    stretch = vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T
    return stretch, np.linalg.solve(stretch, deformation)


def strain_size(ideal_cell: np.ndarray, cell: np.ndarray) -> float:
    """Largest absolute principal strain between two cells, rotations aside."""
    stretch, _ = stretch_and_rotation(ideal_cell, cell)
    return float(np.abs(np.linalg.eigvalsh(stretch) - 1).max())


def candidate_transformations(
    lattice: np.ndarray, cell: np.ndarray, num_prims: int, max_strain: float | int
) -> Iterator[np.ndarray]:
    """Integer matrices T of determinant +-`num_prims` for which `T @ lattice` is `cell` up to strain and rotation.

    The one in the given orientation comes first; then, at growing tolerance, all others by increasing strain.
    """
    scale = (abs(np.linalg.det(cell)) / (num_prims * abs(np.linalg.det(lattice)))) ** (1 / 3)
    scaled = cell / scale
    seen = set()
    direct = np.round(scaled @ np.linalg.inv(lattice)).astype(np.int64)
    if _fits(direct, lattice, cell, num_prims, max_strain):
        seen.add(direct.tobytes())
        yield direct
    for tolerance in _TOLERANCES:
        found = [t for t in _matching_triples(lattice, scaled, num_prims, tolerance) if t.tobytes() not in seen]
        found = [t for t in found if _fits(t, lattice, cell, num_prims, max_strain)]
        found.sort(key=lambda t: (round(strain_size(t @ lattice, cell), 6), t.tolist()))
        for transformation in found[:_MOST_CANDIDATES]:
            seen.add(transformation.tobytes())
            yield transformation


def _fits(
    transformation: np.ndarray, lattice: np.ndarray, cell: np.ndarray, num_prims: int, max_strain: float | int
) -> bool:
    if round(abs(np.linalg.det(transformation))) != num_prims:
        return False
    # A mirror image is not a deformation.
    ideal = transformation @ lattice
    return bool(np.linalg.det(ideal) * np.linalg.det(cell) > 0) and strain_size(ideal, cell) <= max_strain


def _matching_triples(lattice: np.ndarray, cell: np.ndarray, num_prims: int, tolerance: float) -> Iterator[np.ndarray]:
    """Triples of lattice vectors with the lengths, angles and volume of the cell's."""
    lengths = np.linalg.norm(cell, axis=1)
    shells = [_vectors_of_length(lattice, length, tolerance) for length in lengths]
    positions = [shell @ lattice for shell in shells]
    for first, origin in zip(shells[0], positions[0], strict=True):
        angle_01 = np.abs(positions[1] @ origin - cell[0] @ cell[1]) <= tolerance * lengths[0] * lengths[1]
        angle_02 = np.abs(positions[2] @ origin - cell[0] @ cell[2]) <= tolerance * lengths[0] * lengths[2]
        seconds, thirds = np.flatnonzero(angle_01), np.flatnonzero(angle_02)
        dots = positions[1][seconds] @ positions[2][thirds].T
        rows, columns = np.nonzero(np.abs(dots - cell[1] @ cell[2]) <= tolerance * lengths[1] * lengths[2])
        for second, third in zip(shells[1][seconds[rows]], shells[2][thirds[columns]], strict=True):
            if abs(np.cross(first, second) @ third) == num_prims:
                yield np.stack([first, second, third])


def _vectors_of_length(lattice: np.ndarray, length: float, tolerance: float) -> np.ndarray:
    """`[vectors, 3]` integer combinations of the lattice vectors whose length is within the tolerance."""
    extent = np.ceil((1 + tolerance) * length * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int)
    grid = np.array(list(itertools.product(*(range(-n, n + 1) for n in extent))))
    found = np.linalg.norm(grid @ lattice, axis=1)
    return grid[np.abs(found - length) <= tolerance * length]
