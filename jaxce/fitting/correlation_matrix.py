"""Correlation vectors of mapped structures, whatever supercells they are in."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

from jaxce.build import build_tables, column_points, column_sites
from jaxce.cluster_space import ClusterSpace
from jaxce.correlation_vectors import correlations
from jaxce.double_precision import double_precision
from jaxce.lattice.supercell import Supercell
from jaxce.tables import ClusterTables

# A supercell with at least this many structures is evaluated by itself, in blocks of these sizes: few shapes are
# compiled, and memory does not grow with the number of structures.
_OWN_BLOCKS = (16, 128, 1024)
# Structures of unlike supercells that are evaluated at once.
_UNLIKE_BLOCK = 64


def correlation_matrix(space: ClusterSpace, mappings: Sequence[Any]) -> np.ndarray:
    """`[structures, correlations]` correlation vectors, computed in double precision whatever JAX's default is.

    Besides the matrix, memory is that of one block of structures.

    Args:
        space: the cluster space.
        mappings: objects with `supercell` and `occupancy`, such as `Mapping` or `Candidate`.

    Raises:
        ValueError: if a structure is mapped to another prim than the space's.
    """
    wrong = [row for row, mapping in enumerate(mappings) if mapping.supercell.prim != space.prim]
    if wrong:
        raise ValueError(
            f"the cluster space is on {space.prim}, but structures {wrong[:10]} are mapped to another prim: map them "
            "to the space's own."
        )
    by_cell = collections.defaultdict(list)
    for row, mapping in enumerate(mappings):
        by_cell[mapping.supercell.transformation.tobytes()].append(row)
    matrix = np.zeros((len(mappings), space.num_correlations))
    unlike = collections.defaultdict(list)
    with double_precision(True):
        parts = _Parts(space)
        for rows in by_cell.values():
            if len(rows) >= _OWN_BLOCKS[0]:
                parts.fill_own(matrix, rows, mappings)
            else:
                unlike[_bucket(mappings[rows[0]].supercell.num_prims)] += rows
        for num_cells, rows in unlike.items():
            parts.fill_unlike(matrix, rows, mappings, num_cells)
    return matrix


class _Parts:
    """The tables that all supercells share: products of the prim. Only the sites of the columns differ."""

    def __init__(self, space: ClusterSpace):
        self.prim = space.prim
        self.columns = column_points(space)
        self.template = build_tables(space, Supercell(space.prim, 1))

    def fill_own(self, matrix: np.ndarray, rows: list[int], mappings: Sequence[Any]) -> None:
        """Rows of structures in one supercell."""
        supercell = mappings[rows[0]].supercell
        sites = jnp.asarray(column_sites(self.columns, supercell))
        kinds = jnp.asarray(supercell.prim_sites, jnp.int32)
        for block in _blocks(rows):
            size = next((size for size in _OWN_BLOCKS if size >= len(block)), _OWN_BLOCKS[-1])
            occupancies = np.zeros((size, supercell.num_sites), dtype=np.int8)
            occupancies[: len(block)] = [mappings[row].occupancy for row in block]
            values = _of_one_supercell(self.template, sites, kinds, occupancies, float(supercell.num_prims))
            matrix[block] = np.asarray(values)[: len(block)]

    def fill_unlike(self, matrix: np.ndarray, rows: list[int], mappings: Sequence[Any], num_cells: int) -> None:
        """Rows of structures in unlike supercells, padded to one number of cells."""
        for start in range(0, len(rows), _UNLIKE_BLOCK):
            block = rows[start : start + _UNLIKE_BLOCK]
            matrix[block] = self._of_unlike([mappings[row] for row in block], num_cells)[: len(block)]

    def _of_unlike(self, mappings: list[Any], num_cells: int) -> np.ndarray:
        # Rows of one supercell follow each other, so nothing is gained by keeping this for the next block.
        sites_of: dict[bytes, np.ndarray] = {}
        sites = np.full((_UNLIKE_BLOCK, len(self.columns), num_cells), -1, dtype=np.int32)
        kinds = np.zeros((_UNLIKE_BLOCK, num_cells * self.prim.num_sites), dtype=np.int32)
        occupancies = np.zeros(kinds.shape, dtype=np.int8)
        num_prims = np.ones(_UNLIKE_BLOCK)
        for row, mapping in enumerate(mappings):
            supercell = mapping.supercell
            key = supercell.transformation.tobytes()
            if key not in sites_of:
                sites_of[key] = column_sites(self.columns, supercell)
            sites[row, :, : supercell.num_prims] = sites_of[key]
            kinds[row, : supercell.num_sites] = supercell.prim_sites
            occupancies[row, : supercell.num_sites] = mapping.occupancy
            num_prims[row] = supercell.num_prims
        return np.asarray(_of_unlike_supercells(self.template, sites, kinds, occupancies, num_prims))


def _bucket(num_prims: int) -> int:
    """The power of two of cells to which a supercell is padded, so that few shapes are compiled."""
    return 1 << (num_prims - 1).bit_length()


def _blocks(rows: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(rows), _OWN_BLOCKS[-1]):
        yield rows[start : start + _OWN_BLOCKS[-1]]


def _with_sites(template: ClusterTables, sites: Any, kinds: Any, occupancy: Any, num_prims: Any) -> Any:
    products = dataclasses.replace(template.products, column_sites=sites, kind=kinds)
    tables = dataclasses.replace(template, products=products, weights=template.weights / num_prims)
    return correlations(tables, occupancy)


_of_one_supercell = jax.jit(_with_sites)
_of_unlike_supercells = jax.jit(jax.vmap(_with_sites, in_axes=(None, 0, 0, 0, 0)))
