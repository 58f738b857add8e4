"""The lattice of a perovskite template: its prim, its supercell, and whether distance windows find its neighbours."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import ase
import numpy as np
from ase.neighborlist import neighbor_list

from jaxce.lattice.prim import Prim
from jaxce.lattice.structures import Mapping, map_structure

# Prim sites.
A, B = 0, 1
_FRAC_COORDS = [[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
_SUBLATTICE_NAMES = ("A", "B", "O")


class DistanceWindows(NamedTuple):
    """Shortest and longest distance between a B site and its neighbours, angstrom.

    Attributes:
        b_b: six B neighbours.
        b_o: six O neighbours.
        b_a: eight A neighbours.
    """

    b_b: tuple[float, float] = (3.8, 4.2)
    b_o: tuple[float, float] = (1.8, 2.2)
    b_a: tuple[float, float] = (3.0, 4.0)


WINDOWS = DistanceWindows()


class _Pairs(NamedTuple):
    """B atoms and their neighbours within a window; entries per pair."""

    centres: np.ndarray
    neighbours: np.ndarray
    vectors: np.ndarray


def perovskite_mapping(atoms: ase.Atoms, sublattices: Sequence[Sequence[str]], windows: DistanceWindows) -> Mapping:
    """The template on the lattice of a prim with five sites: A in the middle, B at the corner, three O between.

    The prim has the exact size and shape of the template's cell; the atoms may be displaced, and in any order.

    Args:
        atoms: the template.
        sublattices: species of A, B and O.
        windows: where the neighbours of a B site are.

    Raises:
        ValueError: if the template is no perovskite, or the windows do not hold just the neighbours.
    """
    of_atom = _sublattice_of_atoms(atoms, sublattices)
    pairs = [_pairs_within(atoms, of_atom, other, w) for other, w in zip((1, 2, 0), windows, strict=True)]
    lattice = _prim_lattice(atoms, pairs[0], int(np.sum(of_atom == B)), windows.b_b)
    species = [*sublattices[:2], *[sublattices[2]] * 3]
    active = [name for name, names in zip(_SUBLATTICE_NAMES, sublattices, strict=True) if len(names) > 1]
    prim = Prim(lattice, _FRAC_COORDS, species, sublattice_names=active)
    mapping = map_structure(prim, atoms)
    shells = (direction_points(B), direction_points(), corner_points())
    for name, window, shell, found in zip(("B", "O", "A"), windows, shells, pairs, strict=True):
        _check_window(mapping, name, window, shell, found)
    return mapping


def direction_points(prim_site: int | None = None) -> np.ndarray:
    """`[6, 4]` lattice points next to the B site of cell 0 in the directions +x, -x, +y, -y, +z, -z.

    They are images of `prim_site`, or the O sites in between.
    """
    axis, sign = np.repeat(np.arange(3), 2), np.tile([1, -1], 3)
    offsets = np.eye(3, dtype=np.int64)[axis] * sign[:, None]
    if prim_site is not None:
        return np.column_stack([np.full(6, prim_site), offsets])
    # The O sites of a cell lie in the positive directions.
    return np.column_stack([2 + axis, np.minimum(offsets, 0)])


def corner_points() -> np.ndarray:
    """`[8, 4]` A sites around the B site of cell 0."""
    offsets = np.array(list(itertools.product((-1, 0), repeat=3)))
    return np.column_stack([np.full(8, A), offsets])


def species_of_atoms(atoms: ase.Atoms) -> list[str]:
    """What each atom is called: `atoms.arrays["species"]` where present, else its symbol."""
    return [str(name) for name in atoms.arrays.get("species", atoms.get_chemical_symbols())]


def _sublattice_of_atoms(atoms: ase.Atoms, sublattices: Sequence[Sequence[str]]) -> np.ndarray:
    place = {name: index for index, names in enumerate(sublattices) for name in names}
    names = species_of_atoms(atoms)
    unknown = sorted(set(names) - set(place))
    if unknown:
        raise ValueError(f"the template has species {unknown}, but the model knows {list(place)}.")
    return np.array([place[name] for name in names])


def _pairs_within(atoms: ase.Atoms, of_atom: np.ndarray, other: int, window: tuple[float, float]) -> _Pairs:
    if not 0 < window[0] < window[1]:
        raise ValueError(f"a distance window is two ascending positive numbers (angstrom), not {window}.")
    centres, neighbours, vectors, distances = neighbor_list("ijDd", atoms, float(window[1]))
    rows = (of_atom[centres] == B) & (of_atom[neighbours] == other) & (distances >= window[0])
    return _Pairs(centres[rows], neighbours[rows], vectors[rows])


def _prim_lattice(atoms: ase.Atoms, pairs: _Pairs, num_b: int, window: tuple[float, float]) -> np.ndarray:
    """`[3, 3]` vectors between B sites, such that the template's cell is exactly an integer multiple."""
    counts = np.bincount(pairs.centres, minlength=len(atoms))
    if num_b == 0 or np.sum(counts == 6) != num_b:
        found = sorted(set(counts[counts > 0].tolist())) or [0]
        raise ValueError(
            f"each of the {num_b} B atoms of a perovskite has 6 B neighbours, but within {window[0]}-{window[1]} "
            f"angstrom they have {found}: check `atom_ind_group` and the template, or give other `windows`."
        )
    axes = _axes(pairs.vectors[pairs.centres == pairs.centres[0]])
    # Mean over all pairs, so that displacements cancel.
    along = pairs.vectors @ np.linalg.inv(axes)
    axis = np.abs(along).argmax(axis=1)
    signs = np.sign(along[np.arange(len(axis)), axis])
    means = np.stack([(signs[axis == a, None] * pairs.vectors[axis == a]).mean(axis=0) for a in range(3)])
    multiples = np.array(atoms.cell) @ np.linalg.inv(means)
    transformation = np.round(multiples)
    if abs(round(np.linalg.det(transformation))) != num_b or np.abs(multiples - transformation).max() > 0.1:
        raise ValueError(
            f"the template is no perovskite: the vectors between its B atoms are {np.round(means, 3).tolist()}, of "
            f"which its cell holds {np.round(multiples, 2).tolist()}, and it has {num_b} B atoms."
        )
    return np.linalg.inv(transformation) @ np.array(atoms.cell)


def _axes(vectors: np.ndarray) -> np.ndarray:
    """The three independent vectors of six that are nearest to x, y and z."""
    length = np.linalg.norm(vectors, axis=1).mean()
    triples = [np.stack(three) for three in itertools.permutations(vectors, 3)]
    return max((t for t in triples if np.linalg.det(t) > 0.5 * length**3), key=np.trace, default=triples[0])


def _check_window(mapping: Mapping, name: str, window: tuple[float, float], shell: np.ndarray, found: _Pairs) -> None:
    """The pairs of a window are those of the lattice, where both sites have atoms."""
    supercell, atom_of_site = mapping.supercell, mapping.atom_of_site
    centres = atom_of_site[supercell.sites_from_cells(np.array([B]), np.zeros((1, 3), dtype=np.int64))]
    centres, neighbours = np.broadcast_arrays(
        centres, atom_of_site[supercell.sites_from_cells(shell[:, 0], shell[:, 1:])]
    )
    exists = neighbours >= 0
    expected = np.sort(centres[exists] * supercell.num_sites + neighbours[exists])
    given = np.sort(found.centres * supercell.num_sites + found.neighbours)
    if not np.array_equal(expected, given):
        raise ValueError(
            f"within {window[0]}-{window[1]} angstrom the B atoms of the template have {len(given)} neighbours on the "
            f"{name} sublattice, which are not the {len(expected)} of a perovskite: give other `windows`, or a "
            "template that is less distorted."
        )
