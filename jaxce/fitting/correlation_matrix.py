"""Correlation vectors of mapped structures, whatever supercells they are in."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

from jaxce.build import build_tables, column_points, column_sites
from jaxce.cluster_space import ClusterSpace
from jaxce.correlation_vectors import correlations
from jaxce.lattice.structures import Mapping
from jaxce.lattice.supercell import Supercell
from jaxce.tables import ClusterTables

# A supercell with at least this many structures is worth a batch, and a compilation, of its own.
_OWN_BATCH = 16


def correlation_matrix(space: ClusterSpace, mappings: Sequence[Mapping]) -> np.ndarray:
    """`[structures, correlations]` correlation vectors, computed in double precision whatever JAX's default is."""
    by_cell = collections.defaultdict(list)
    for row, mapping in enumerate(mappings):
        by_cell[mapping.supercell.transformation.tobytes()].append(row)
    matrix = np.zeros((len(mappings), space.num_correlations))
    unlike = collections.defaultdict(list)
    with _double_precision(True):
        for rows in by_cell.values():
            if len(rows) >= _OWN_BATCH:
                matrix[rows] = _of_one_supercell(space, [mappings[row] for row in rows])
            else:
                unlike[_bucket(mappings[rows[0]].supercell.num_prims)] += rows
        for num_cells, rows in unlike.items():
            matrix[rows] = _of_unlike_supercells(space, [mappings[row] for row in rows], num_cells)
    return matrix


def _bucket(num_prims: int) -> int:
    """The power of two of cells to which a supercell is padded, so that few shapes are compiled."""
    return 1 << (num_prims - 1).bit_length()


def _of_one_supercell(space: ClusterSpace, mappings: list[Mapping]) -> np.ndarray:
    tables = build_tables(space, mappings[0].supercell)
    return np.asarray(_jitted(tables, jnp.asarray(np.stack([mapping.occupancy for mapping in mappings]))))


def _of_unlike_supercells(space: ClusterSpace, mappings: list[Mapping], num_cells: int) -> np.ndarray:
    """The products are those of the prim for all structures; only sites differ, and are padded."""
    columns = column_points(space)
    template = build_tables(space, Supercell(space.prim, 1))
    num_sites = num_cells * space.prim.num_sites
    sites = np.full((len(mappings), len(columns), num_cells), -1, dtype=np.int32)
    kinds = np.zeros((len(mappings), num_sites), dtype=np.int32)
    occupancies = np.zeros((len(mappings), num_sites), dtype=np.int8)
    for row, mapping in enumerate(mappings):
        supercell = mapping.supercell
        sites[row, :, : supercell.num_prims] = column_sites(columns, supercell)
        kinds[row, : supercell.num_sites] = supercell.prim_sites
        occupancies[row, : supercell.num_sites] = mapping.occupancy
    num_prims = np.array([mapping.supercell.num_prims for mapping in mappings], dtype=np.float64)
    return np.asarray(_padded(template, jnp.asarray(sites), kinds, occupancies, num_prims))


def _one_padded(template: ClusterTables, sites: Any, kind: Any, occupancy: Any, num_prims: Any) -> Any:
    products = dataclasses.replace(template.products, column_sites=sites, kind=kind)
    tables = dataclasses.replace(template, products=products, weights=template.weights / num_prims)
    return correlations(tables, occupancy)


# A context of this function only; jax 0.7 has it in another place.
_double_precision = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
_jitted = jax.jit(correlations)
_padded = jax.jit(jax.vmap(_one_padded, in_axes=(None, 0, 0, 0, 0)))
