"""From the tables of a cluster term to those of its energy changes in chains. On the host."""

import dataclasses

import jax.numpy as jnp
import numpy as np

# The changes of tables register themselves.
from jaxce import table_changes as table_changes
from jaxce.cluster_changes import ClusterChanges
from jaxce.energy_changes import TermChanges, term_changes
from jaxce.pair_changes import PairChanges
from jaxce.tables import ClusterTerm, HigherOrder, PairTerm

# Slots (sites times species) up to which pairs are a matrix: one that fits into a second-level cache.
_LARGEST_MATRIX = 512


@term_changes.register
def _cluster_changes(term: ClusterTerm, *, has_fields: bool, is_mapped: bool) -> tuple[TermChanges, ...]:
    """On the host. In a small cell the pairs are a matrix, and the clusters what is left."""
    pairs = None
    if not is_mapped and len(term.group) * term.products.site_values.shape[1] <= _LARGEST_MATRIX:
        pairs = PairChanges(term=_pair_matrix(term))
        term = _without_pairs(term)
        if term.neighbours.shape[1] == 0:
            return (pairs,)
    group = np.asarray(term.group)
    table = np.asarray(term.table)[group]
    site_functions = _site_functions_of_tables(term, table)
    steps = _steps_of_pairs(site_functions)
    dtype = term.linear.dtype
    contracted = lambda weights: jnp.asarray(
        np.einsum("tpf,tf...->tp...", steps, np.asarray(weights, np.float64)), dtype
    )
    neighbours = np.asarray(term.neighbours)
    clusters = ClusterChanges(
        term=term,
        neighbours=jnp.asarray(np.where(neighbours < 0, len(group), neighbours).astype(np.int32)),
        table=jnp.asarray(table.astype(np.int32)),
        site_functions=jnp.asarray(site_functions, dtype),
        linear=contracted(term.linear),
        pair=contracted(term.pair),
        quadratic=contracted(term.quadratic),
        higher=tuple(HigherOrder(columns=h.columns, weights=contracted(h.weights)) for h in term.higher),
        has_fields=has_fields,
        is_mapped=is_mapped,
    )
    return (clusters,) if pairs is None else (clusters, pairs)


def _pair_matrix(term: ClusterTerm) -> PairTerm:
    """Terms of one site and of two sites of a cluster term as a matrix."""
    group, neighbours = np.asarray(term.group), np.asarray(term.neighbours)
    table = np.asarray(term.table)[group]
    functions = _site_functions_of_tables(term, table)[table]
    num_sites, num_slots = neighbours.shape
    weights = np.asarray(term.pair, np.float64)[table].reshape(num_sites, functions.shape[2], num_slots, -1)
    # One more site for empty slots. Half, since the matrix counts both orders of a pair.
    matrix = np.zeros((num_sites, num_sites + 1, functions.shape[1], functions.shape[1]))
    seen = np.einsum("isf,ifng,intg->inst", functions, weights, functions[neighbours]) / 2
    np.add.at(matrix, (np.arange(num_sites)[:, None], neighbours), seen)
    linear = np.einsum("isf,if->is", functions, np.asarray(term.linear, np.float64)[table])
    dtype = term.linear.dtype
    return PairTerm(
        linear=jnp.asarray(linear, dtype), matrix=jnp.asarray(matrix[:, :num_sites].transpose(0, 2, 1, 3), dtype)
    )


def _without_pairs(term: ClusterTerm) -> ClusterTerm:
    """The terms of three sites and more; only the slots that they use are left."""
    width = term.quadratic.shape[-1]
    return dataclasses.replace(
        term,
        neighbours=term.neighbours[:, : width // term.linear.shape[1]],
        linear=jnp.zeros_like(term.linear),
        pair=jnp.zeros_like(term.pair[..., :width]),
    )


def _site_functions_of_tables(term: ClusterTerm, table: np.ndarray) -> np.ndarray:
    """`[tables, species, functions]`, given the table of each site."""
    kind = np.asarray(term.products.kind)[np.unique(table, return_index=True)[1]]
    return np.asarray(term.products.site_values, dtype=np.float64)[kind]


def _steps_of_pairs(site_functions: np.ndarray) -> np.ndarray:
    """`[tables, species_pairs, functions]` change of the site functions from the lower to the higher code."""
    num_species = site_functions.shape[1]
    pairs = [(low, high) for high in range(num_species) for low in range(high)]
    low, high = np.array(pairs or np.zeros((0, 2), dtype=np.int64)).T
    return site_functions[:, high] - site_functions[:, low]
