"""Supercells: integer arithmetic between a cell of the crystal and its sites."""

import functools
from typing import Any

import numpy as np

from jaxce.lattice.prim import Prim, Sublattice
from jaxce.lattice.symmetry import SpaceGroup, space_group

# More entries than this would take over 8 GiB.
_LARGEST_PERMUTATION_TABLE = 2**31


class Supercell:
    """A periodic cell made of whole prims.

    Site order: prim site by prim site, and for each of them its images by ascending cell offset, so that site
    `s * num_prims + c` is prim site `s` in cell `c`. Inactive sites are included.

    Args:
        prim: the cell that is repeated.
        transformation: an integer, three integers, or 3x3 integers whose rows are the supercell vectors in prim
            vectors. One with a negative determinant is replaced by its negative: the same lattice, right-handed
            with respect to the prim.

    Attributes:
        prim: the prim.
        transformation: `[3, 3]` integers.
        num_prims: number of prims in the cell.
        num_sites: number of sites in the cell.
        prim_sites: `[sites]` prim site of each site.
        offsets: `[sites, 3]` cell of each site, in prim vectors; inside the supercell.

    Raises:
        ValueError: if the transformation is not of integers or is singular.
    """

    def __init__(self, prim: Prim, transformation: Any):
        self.prim = prim
        self.transformation = _checked_transformation(transformation)
        self._hermite = hermite_normal_form(self.transformation)
        self.num_prims = int(np.prod(np.diag(self._hermite)))
        self.num_sites = self.num_prims * prim.num_sites
        self.cells, self._cell_of_residue, self._residue_of_cell = self._numbered_cells()
        self.prim_sites = np.repeat(np.arange(prim.num_sites), self.num_prims)
        self.offsets = np.tile(self.cells, (prim.num_sites, 1))

    @property
    def lattice(self) -> np.ndarray:
        """`[3, 3]` supercell vectors in rows, angstrom."""
        return self.transformation @ self.prim.lattice

    @property
    def cart_coords(self) -> np.ndarray:
        """`[sites, 3]` ideal positions, angstrom."""
        return (self.prim.frac_coords[self.prim_sites] + self.offsets) @ self.prim.lattice

    @property
    def species(self) -> tuple[tuple[str, ...], ...]:
        """Allowed species of each site, in the order of their codes."""
        return tuple(self.prim.species[site] for site in self.prim_sites)

    @property
    def sublattices(self) -> tuple[Sublattice, ...]:
        """Active sublattices: sites with the same species in the same order."""
        return tuple(self._expanded(sublattice) for sublattice in self.prim.sublattices)

    @property
    def symmetric_sublattices(self) -> tuple[Sublattice, ...]:
        """Active sublattices, split further into sites that the prim's space group makes equivalent.

        A sublattice that falls apart has its parts numbered: "O1", "O2".
        """
        orbit_of_site = self.space_group.site_orbits
        split = []
        for name, species, sites in self.prim.sublattices:
            parts = [sites[orbit_of_site[sites] == orbit] for orbit in np.unique(orbit_of_site[sites])]
            names = [name] if len(parts) == 1 else [f"{name}{number}" for number in range(1, len(parts) + 1)]
            split += [Sublattice(new, species, part) for new, part in zip(names, parts, strict=True)]
        return tuple(self._expanded(sublattice) for sublattice in split)

    @property
    def space_group(self) -> SpaceGroup:
        """The prim's space group."""
        return space_group(self.prim)

    def cell_index(self, offsets: np.ndarray) -> np.ndarray:
        """`[...]` index of the cell that holds each offset `[..., 3]` once it is wrapped into the supercell."""
        residue = _residue(np.asarray(offsets, dtype=np.int64), self._hermite)
        shape = np.diag(self._hermite)
        number = (residue[..., 0] * shape[1] + residue[..., 1]) * shape[2] + residue[..., 2]
        return np.asarray(self._cell_of_residue[number])

    def site_index(self, prim_sites: Any, offsets: Any) -> np.ndarray:
        """`[...]` site index of prim sites `[...]` in the cells `[..., 3]`; offsets are wrapped into the supercell."""
        prim_sites = np.asarray(prim_sites)
        if np.any((prim_sites < 0) | (prim_sites >= self.prim.num_sites)):
            raise ValueError(f"prim sites must lie in 0..{self.prim.num_sites - 1}, but came as {prim_sites}.")
        return np.asarray(prim_sites * self.num_prims + self.cell_index(offsets))

    def sites_from_cells(self, prim_sites: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """`[points, cells]` site that each lattice point is on when it is counted from each cell, int32.

        The same as `site_index(prim_sites[:, None], offsets[:, None] + cells)`, faster and without its temporaries.

        Args:
            prim_sites: `[points]` prim sites; -1 gives a row of -1.
            offsets: `[points, 3]` their cells, seen from cell 0.
        """
        sites = np.full((len(prim_sites), self.num_prims), -1, dtype=np.int32)
        for row, prim_site, offset in zip(sites, prim_sites.tolist(), offsets.tolist(), strict=True):
            if prim_site >= 0:
                row[:] = self._translated_cells(offset) + prim_site * self.num_prims
        return sites

    @functools.cached_property
    def lattice_operations(self) -> np.ndarray:
        """Indices of the operations of the prim's space group that map the supercell's lattice onto itself."""
        image = self.transformation @ np.swapaxes(self.space_group.rotations, 1, 2)
        residue = _residue(image, self._hermite)
        return np.flatnonzero(np.all(residue == 0, axis=(1, 2)))

    @functools.cached_property
    def symmetry_permutations(self) -> np.ndarray:
        """`[ops, sites]` different permutations of the sites by the supercell's space group, translations included.

        Row `g` holds, for each site, the site on which the operation puts it; row 0 is the identity.

        Raises:
            ValueError: if the table would not fit into memory.
        """
        num_rows = len(self.lattice_operations) * self.num_prims
        if num_rows * self.num_sites > _LARGEST_PERMUTATION_TABLE:
            raise ValueError(
                f"the permutations of this supercell would be a table of {num_rows} x {self.num_sites}; "
                "use a smaller supercell."
            )
        rows = np.concatenate([self._permutations_of(operation) for operation in self.lattice_operations.tolist()])
        return np.unique(rows, axis=0)

    def __repr__(self) -> str:
        return f"Supercell({self.transformation.tolist()}: {self.num_prims} prims, {self.num_sites} sites)"

    def _translated_cells(self, offset: list[int]) -> np.ndarray:
        """`[cells]` cell onto which each cell falls when it is moved by `offset`."""
        # On the grid of residues, multiples of a vector are the same for all that differ in later axes only.
        (size_x, xy, xz), (_, size_y, yz), (_, _, size_z) = self._hermite.tolist()
        over_x, x = np.divmod(np.arange(size_x)[:, None] + offset[0], size_x)
        over_y, y = np.divmod(np.arange(size_y) + offset[1] - over_x * xy, size_y)
        shift = (offset[2] - over_x * xz - over_y * yz) % size_z
        z = np.arange(size_z) + shift[..., None]
        z[z >= size_z] -= size_z
        residue = ((x * size_y + y) * size_z)[..., None] + z
        return self._cell_of_residue[residue.ravel()[self._residue_of_cell]]

    def _permutations_of(self, operation: int) -> np.ndarray:
        """`[prims, sites]` permutations by one operation followed by every translation."""
        sites, offsets = self.space_group.apply(operation, self.prim_sites, self.offsets)
        return self.site_index(sites, offsets[None, :, :] + self.cells[:, None, :]).astype(np.int32)

    def _expanded(self, sublattice: Sublattice) -> Sublattice:
        sites = (sublattice.sites[:, None] * self.num_prims + np.arange(self.num_prims)).ravel()
        return sublattice._replace(sites=sites)

    def _numbered_cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The cells inside the supercell in ascending order, the cell of each residue, and the residue of each cell."""
        residues = np.indices(tuple(np.diag(self._hermite).tolist())).reshape(3, -1).T
        # floor(n T^-1) in exact integers: T^-1 = adjugate / determinant.
        adjugate, determinant = _adjugate(self.transformation)
        cells = residues - (residues @ adjugate // determinant) @ self.transformation
        order = np.lexsort(cells.T[::-1])
        number = np.empty(self.num_prims, dtype=np.int64)
        number[order] = np.arange(self.num_prims)
        return cells[order], number, order


def hermite_normal_form(matrix: np.ndarray) -> np.ndarray:
    """Upper triangular matrix with positive diagonal whose rows span the same lattice as the rows `[3 or more, 3]`."""
    rows = [[int(x) for x in row] for row in matrix]
    for column in range(3):
        for row in range(column + 1, len(rows)):
            # Euclid's algorithm on the two leading entries.
            while rows[row][column]:
                factor = rows[column][column] // rows[row][column]
                reduced = [a - factor * b for a, b in zip(rows[column], rows[row], strict=True)]
                rows[column], rows[row] = rows[row], reduced
        if rows[column][column] < 0:
            rows[column] = [-x for x in rows[column]]
        for row in range(column):
            factor = rows[row][column] // rows[column][column]
            rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    return np.array(rows[:3], dtype=np.int64)


def _residue(vectors: np.ndarray, hermite: np.ndarray) -> np.ndarray:
    """`vectors` `[..., 3]` modulo the lattice of `hermite`; entry i lies in 0..hermite[i, i]-1."""
    for axis in range(3):
        multiple = vectors[..., axis] // hermite[axis, axis]
        vectors = vectors - multiple[..., None] * hermite[axis]
    return vectors


def _adjugate(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    a, b, c = matrix
    adjugate = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    return adjugate, int(a @ adjugate[:, 0])


def _checked_transformation(transformation: Any) -> np.ndarray:
    given = np.asarray(transformation, dtype=float)
    if given.shape not in ((), (3,), (3, 3)) or not np.all(np.isfinite(given)) or np.any(given != np.round(given)):
        raise ValueError(
            "the supercell transformation must be an integer, three integers or 3x3 integers "
            f"(rows: supercell vectors in prim vectors), but came as {transformation!r}."
        )
    matrix = given.astype(np.int64)
    matrix = matrix if matrix.ndim == 2 else np.diag(np.broadcast_to(matrix, 3))
    determinant = _adjugate(matrix)[1]
    if determinant == 0:
        raise ValueError(f"the supercell transformation must be invertible, but has determinant 0: {matrix.tolist()}")
    matrix = matrix.copy() if determinant > 0 else -matrix
    matrix.setflags(write=False)
    return matrix
