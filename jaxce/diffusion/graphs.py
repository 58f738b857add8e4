"""Supercells as graphs, and their symmetry, for equivariant networks."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ase.neighborlist import primitive_neighbor_list
from jax.typing import ArrayLike
from jaxtyping import Array, Int

from jaxce.lattice.supercell import Supercell
from jaxce.lattice.symmetry import SpaceGroup
from jaxce.site_species import check_occupancy

# Distances (angstrom) that exceed the cutoff by less are within it: it is inclusive.
_DISTANCE_TOLERANCE = 1e-3


class NeighbourGraph(NamedTuple):
    """All pairs of sites within a cutoff, each in both directions. NumPy arrays: pass them to jitted functions.

    Every periodic image is an edge of its own, so that a pair of sites may have several, and a site edges to itself.
    Edges are sorted by receiver (`jax.ops.segment_sum(..., indices_are_sorted=True)`), then by sender.

    Attributes:
        senders: `[edges]` site at which each edge starts.
        receivers: `[edges]` site at which it ends.
        displacements: `[edges, 3]` from sender to receiver, angstrom.
        distances: `[edges]` angstrom.
        kind: `[edges]` edges of the same number are images of each other by the prim's space group; from 0 on, nearer
            ones first. Messages that know nothing else of an edge are equivariant.
    """

    senders: np.ndarray
    receivers: np.ndarray
    displacements: np.ndarray
    distances: np.ndarray
    kind: np.ndarray


def neighbour_graph(supercell: Supercell, cutoff: float | int) -> NeighbourGraph:
    """The graph of all pairs of sites up to `cutoff` (angstrom, inclusive), inactive sites included.

    Raises:
        ValueError: if the cutoff is no positive number.
    """
    if not 0 < cutoff < np.inf:
        raise ValueError(f"`cutoff` must be a positive distance in angstrom, but is {cutoff!r}.")
    positions = supercell.cart_coords
    # ASE's vectors lead from its first site to its second.
    first, second, vectors, distances, images = primitive_neighbor_list(
        "ijDdS", (True, True, True), supercell.lattice, positions, float(cutoff) + _DISTANCE_TOLERANCE
    )
    offsets = supercell.offsets[second] - supercell.offsets[first] + images @ supercell.transformation
    kind = _edge_kinds(supercell, first, second, offsets, distances)
    order = np.lexsort((*offsets.T, distances.round(6), first, second))
    return NeighbourGraph(
        senders=first[order].astype(np.int32),
        receivers=second[order].astype(np.int32),
        displacements=vectors[order],
        distances=distances[order],
        kind=kind[order],
    )


def augmented(
    key: Any, occupancy: Int[ArrayLike, "*batch sites"], permutations: Int[ArrayLike, "ops _sites"]
) -> Int[Array, "*batch sites"]:
    """Each occupancy after a symmetry operation of its own, drawn uniformly; its energy is the same.

    Args:
        key: random key, consumed.
        occupancy: species codes.
        permutations: `supercell.symmetry_permutations`, whose rows say where each site goes.

    Raises:
        ValueError: if the occupancies have another number of sites.
    """
    permutations = jnp.asarray(permutations)
    check_occupancy(permutations.shape[-1], occupancy)
    occupancy = jnp.asarray(occupancy)
    rows = jax.random.randint(key, occupancy.shape[:-1], 0, len(permutations))
    # The species of a site moves to the site where the operation puts it.
    origins = jnp.argsort(permutations[rows], axis=-1)
    return jnp.take_along_axis(occupancy, origins, axis=-1)


def _edge_kinds(
    supercell: Supercell, first: np.ndarray, second: np.ndarray, offsets: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    """`[edges]` number of each edge's class under the prim's space group, ascending with its length."""
    edges = np.column_stack([supercell.prim_sites[first], supercell.prim_sites[second], offsets])
    distinct, place, of_edge = np.unique(edges, axis=0, return_index=True, return_inverse=True)
    number_of = {tuple(edge): number for number, edge in enumerate(distinct.tolist())}
    smallest = np.arange(len(distinct))
    for operation in range(len(supercell.space_group.rotations)):
        images = _image_edges(supercell.space_group, operation, distinct)
        smallest = np.minimum(smallest, [number_of[tuple(edge)] for edge in images.tolist()])
    # The least image is the same for all edges of a class; classes are numbered by length.
    classes = np.unique(smallest)
    by_length = np.argsort(distances[place[classes]].round(6), kind="stable")
    number = np.empty(len(classes), dtype=np.int32)
    number[by_length] = np.arange(len(classes))
    return number[np.searchsorted(classes, smallest)][of_edge.ravel()]


def _image_edges(group: SpaceGroup, operation: int, edges: np.ndarray) -> np.ndarray:
    """`[edges, 5]` prim sites and offset between them after an operation."""
    start, start_cell = group.apply(operation, edges[:, 0], np.zeros((len(edges), 3), dtype=np.int64))
    end, end_cell = group.apply(operation, edges[:, 1], edges[:, 2:])
    return np.column_stack([start, end, end_cell - start_cell])
