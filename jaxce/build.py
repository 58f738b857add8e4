"""The bridge from crystals to arrays: (cluster space, supercell) -> tables, expansion -> Hamiltonian.

The only file that sees both the host's lattices and the device's tables. Builds take time and memory linear in the
number of sites.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.environments import site_environments
from jaxce.lattice.polynomial import energy_polynomial, integer_site_functions
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.tables import (
    ClusterProducts,
    ClusterTables,
    ClusterTerm,
    FieldSums,
    Hamiltonian,
    HigherOrder,
    PairTerm,
    SiteSpecies,
    TouchingProducts,
)

# Points [products, order, 4], functions [products, order], owner (a correlation or a weight) [products].
_Products = tuple[np.ndarray, np.ndarray, np.ndarray]
# Prim site, offset and function of the column of nulls.
_NULL_COLUMN = (-1, 0, 0, 0, 1)


@runtime_checkable
class Interaction(Protocol):
    """Pair energies that no cluster expansion holds, such as an `EwaldInteraction`."""

    def check_prim(self, prim: Prim) -> None:
        """Raise `ValueError` if it is of another prim."""
        ...

    def pair_arrays(self, supercell: Supercell) -> tuple[np.ndarray, np.ndarray]:
        """`linear` and `matrix` of a `PairTerm`, eV."""
        ...


@runtime_checkable
class Expansion(Protocol):
    """What `build_hamiltonian` needs of a model."""

    @property
    def space(self) -> ClusterSpace: ...

    @property
    def ecis(self) -> np.ndarray: ...

    @property
    def interactions(self) -> tuple[Interaction, ...]: ...


def build_tables(space: ClusterSpace, supercell: Supercell, dtype: Any = None) -> ClusterTables:
    """The cluster tables of a supercell, for `correlations`.

    Args:
        space: the cluster space.
        supercell: a supercell of its prim.
        dtype: float type of the correlations; `jnp.result_type(float)` by default.

    Raises:
        ValueError: if the supercell has another prim.
    """
    _check_same_prim(space, supercell)
    dtype = float_type(dtype)
    by_order = correlation_products(space)
    owners = [owner for _, _, owner in by_order]
    # One product per cluster, labeling and cell.
    weights = 1 / (space.multiplicities * supercell.num_prims)
    seen = [_seen_from_each_site(products) for products in by_order]
    columns, factors = _columns([(points, functions) for _, points, functions, _ in seen])
    prim_site, cell = supercell.prim_sites, np.tile(np.arange(supercell.num_prims), supercell.prim.num_sites)
    columns_and_null = np.concatenate([columns, [_NULL_COLUMN]])
    return ClusterTables(
        products=_cluster_products(by_order, space.site_functions, supercell, dtype),
        correlation=_index(np.concatenate([np.zeros(0, dtype=np.int64), *owners])),
        weights=jnp.asarray(weights, dtype),
        constant=jnp.asarray(np.arange(space.num_correlations) == 0, dtype),
        prim_site=_index(prim_site),
        cell=_index(cell),
        touching_sites=_index(column_sites(columns_and_null, supercell)),
        touching_functions=_index(columns_and_null[:, 4] - 1),
        touching=tuple(
            _touching_products(supercell, anchors, points, rows, owner, weights, len(columns), dtype)
            for (anchors, points, _, owner), rows in zip(seen, factors, strict=True)
        ),
        species=site_species(supercell),
    )


def build_hamiltonian(
    expansion: Expansion, supercell: Supercell, dtype: Any = None, pair_terms: Sequence[PairTerm] = ()
) -> Hamiltonian:
    """The Hamiltonian of an expansion in a supercell, for `energy` and everything built on it.

    Hamiltonians of expansions on the same space have the same shapes: new ECIs need no new compilation.

    Args:
        expansion: a `ClusterExpansion`.
        supercell: a supercell of its prim.
        dtype: float type of the energies; `jnp.result_type(float)` by default.
        pair_terms: terms besides those of the expansion's interactions, from `build_pair_term`.

    Raises:
        ValueError: if the supercell has another prim, or is too large for an interaction.
    """
    space = expansion.space
    _check_same_prim(space, supercell)
    dtype = float_type(dtype)
    polynomial = energy_polynomial(space.orbits, np.asarray(expansion.ecis), space.site_functions)
    by_order = list(zip(polynomial.points, polynomial.functions, polynomial.weights, strict=True))
    functions = tuple(integer_site_functions(int(count)) for count in supercell.prim.num_species)
    environments = site_environments(polynomial, supercell)
    sites = np.arange(supercell.num_sites)
    term = ClusterTerm(
        products=_cluster_products(by_order, functions, supercell, dtype),
        product_weights=jnp.asarray(np.concatenate([np.zeros(0), *polynomial.weights]), dtype),
        folded_constant=jnp.asarray(environments.constant, dtype),
        neighbours=_index(environments.neighbours),
        group=_index(supercell.prim_sites),
        member=_index(sites % supercell.num_prims),
        members=_index(sites.reshape(supercell.prim.num_sites, supercell.num_prims)),
        table=_index(environments.tables),
        linear=jnp.asarray(environments.linear, dtype),
        pair=jnp.asarray(environments.pair, dtype),
        quadratic=jnp.asarray(environments.quadratic, dtype),
        higher=tuple(
            HigherOrder(columns=_index(columns), weights=jnp.asarray(weights, dtype))
            for columns, weights in environments.higher
        ),
        sums=tuple(
            FieldSums(columns=_index(columns), weights=jnp.asarray(weights, dtype))
            for columns, weights in environments.sums
        ),
    )
    return Hamiltonian(
        constant=np.asarray(polynomial.constant * supercell.num_prims, dtype=np.float64),
        terms=(term, *interaction_terms(expansion.interactions, supercell, dtype), *pair_terms),
        species=site_species(supercell),
        num_prims=np.asarray(supercell.num_prims, dtype=np.int32),
    )


def interaction_terms(
    interactions: Sequence[Interaction], supercell: Supercell, dtype: Any = None
) -> tuple[PairTerm, ...]:
    """The terms of a model's interactions in a supercell."""
    dtype = float_type(dtype)
    arrays = [interaction.pair_arrays(supercell) for interaction in interactions]
    return tuple(PairTerm(linear=jnp.asarray(linear, dtype), matrix=jnp.asarray(m, dtype)) for linear, m in arrays)


def build_pair_term(supercell: Supercell, matrix: Any, dtype: Any = None) -> PairTerm:
    """A term whose energy is the sum of a matrix over all pairs of occupied (site, species) slots.

    An Ewald sum is of this kind. Slots are listed site by site (inactive sites included) and on each site by species
    code. With `o` the 0/1 vector of occupied slots the energy is `o . matrix . o`, eV per supercell: pairs count in
    both orders, the diagonal holds self-energies.

    Args:
        supercell: the supercell.
        matrix: `[slots, slots]` real numbers, eV.
        dtype: float type; `jnp.result_type(float)` by default.

    Raises:
        ValueError: if the matrix has another shape or is not finite.
    """
    dtype = float_type(dtype)
    counts = supercell.prim.num_species[supercell.prim_sites]
    given = np.asarray(matrix, dtype=np.float64)
    if given.shape != (counts.sum(), counts.sum()) or not np.all(np.isfinite(given)):
        raise ValueError(
            f"`matrix` must hold finite numbers of shape {(int(counts.sum()),) * 2}, one row per site and allowed "
            f"species of {supercell}, but has shape {given.shape}."
        )
    sites = np.repeat(np.arange(supercell.num_sites), counts)
    codes = np.concatenate([np.arange(count) for count in counts])
    full = np.zeros((supercell.num_sites, counts.max(), supercell.num_sites, counts.max()))
    full[sites[:, None], codes[:, None], sites, codes] = (given + given.T) / 2
    linear = np.zeros((supercell.num_sites, counts.max()))
    linear[sites, codes] = np.diag(given)
    # Two species of one site never meet.
    full[np.arange(supercell.num_sites), :, np.arange(supercell.num_sites)] = 0
    return PairTerm(linear=jnp.asarray(linear, dtype), matrix=jnp.asarray(full, dtype))


def float_type(dtype: Any) -> Any:
    """The float type that is meant, checked: `jnp.result_type(float)` by default."""
    dtype = jnp.dtype(jnp.result_type(float) if dtype is None else dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"`dtype` must be a float type, such as jnp.float32, but is {dtype}.")
    if dtype != jax.dtypes.canonicalize_dtype(dtype):
        raise ValueError(
            f"{dtype} needs jax.config.update('jax_enable_x64', True), set before the first array is made."
        )
    return dtype


def _check_same_prim(space: ClusterSpace, supercell: Supercell) -> None:
    if space.prim != supercell.prim:
        raise ValueError(
            f"the supercell is one of {supercell.prim}, but the cluster space is defined on {space.prim}, or their "
            "lattices or coordinates differ: make the supercell from the space's own prim."
        )


def _index(array: np.ndarray) -> Any:
    # Converted on the host: each shape that JAX converts is compiled.
    return jnp.asarray(np.ascontiguousarray(array, dtype=np.int32))


def correlation_products(space: ClusterSpace) -> list[_Products]:
    """All products of all correlations by order, ascending in the correlation."""
    by_order: dict[int, list[_Products]] = {}
    index = 0
    for orbit in space.orbits:
        for labelings in orbit.functions:
            points = np.repeat(orbit.clusters, len(labelings), axis=0)
            functions = np.tile(labelings, (orbit.multiplicity, 1))
            by_order.setdefault(orbit.order, []).append((points, functions, np.full(len(points), index)))
            index += 1
    return [_joined(by_order.get(order, []), order) for order in range(1, max(by_order) + 1)]


def _joined(parts: list[_Products], order: int) -> _Products:
    empty = (np.zeros((0, order, 4), dtype=np.int64), np.zeros((0, order), dtype=np.int64), np.zeros(0, dtype=np.int64))
    points, functions, owner = zip(empty, *parts, strict=True)
    return np.concatenate(points), np.concatenate(functions), np.concatenate(owner)


def _columns(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The different (lattice point, function) rows `[columns, 5]`, and the row of each factor `[products, order]`."""
    rows = [np.concatenate([points, functions[..., None]], axis=-1).reshape(-1, 5) for points, functions in parts]
    columns, inverse = np.unique(np.concatenate([np.zeros((0, 5), dtype=np.int64), *rows]), axis=0, return_inverse=True)
    ends = np.cumsum([len(r) for r in rows])
    pieces = np.split(inverse.ravel(), ends[:-1]) if rows else []
    return columns, [piece.reshape(functions.shape) for piece, (_, functions) in zip(pieces, parts, strict=True)]


def column_sites(columns: np.ndarray, supercell: Supercell) -> np.ndarray:
    """`[columns, cells]` supercell site of each column seen from each cell, int32."""
    return supercell.sites_from_cells(columns[:, 0], columns[:, 1:4])


def column_points(space: ClusterSpace) -> np.ndarray:
    """`[columns, 5]` lattice point and site function of each column of the space's tables, in their order."""
    return _columns([(points, functions) for points, functions, _ in correlation_products(space)])[0]


def _cluster_products(
    by_order: list[_Products], site_functions: Sequence[np.ndarray], supercell: Supercell, dtype: Any
) -> ClusterProducts:
    columns, factors = _columns([(points, functions) for points, functions, _ in by_order])
    return ClusterProducts(
        site_values=_site_values(site_functions, dtype),
        kind=_index(supercell.prim_sites),
        column_sites=_index(column_sites(columns, supercell)),
        column_functions=_index(columns[:, 4] - 1),
        factors=tuple(_index(rows) for rows in factors),
    )


def _site_values(site_functions: Sequence[np.ndarray], dtype: Any) -> Any:
    """`[prim sites, species, functions]`, the constant left out; int8 where nothing is lost by it."""
    num_functions = max(1, max(len(table) - 1 for table in site_functions))
    num_species = max(table.shape[1] for table in site_functions)
    values = np.zeros((len(site_functions), num_species, num_functions))
    for site, table in enumerate(site_functions):
        values[site, : table.shape[1], : len(table) - 1] = table[1:].T
    is_integer = np.all(np.isin(values, (-1.0, 0.0, 1.0)))
    return jnp.asarray(values.astype(np.int8 if is_integer else dtype))


def _seen_from_each_site(products: _Products) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each product once for each of its points, moved so that the point lies in cell 0.

    Returns the prim site of that point, the points, functions and owner.
    """
    points, functions, owner = products
    order = points.shape[1]
    moved = np.repeat(points[:, None], order, axis=1)
    moved[..., 1:] -= points[:, :, None, 1:]
    return (
        points[..., 0].ravel(),
        moved.reshape(-1, order, 4),
        np.repeat(functions, order, axis=0),
        np.repeat(owner, order),
    )


def _touching_products(
    supercell: Supercell,
    anchors: np.ndarray,
    points: np.ndarray,
    factors: np.ndarray,
    owner: np.ndarray,
    weights: np.ndarray,
    null_column: int,
    dtype: Any,
) -> TouchingProducts:
    """Products by the prim site they were moved to, padded to equal numbers."""
    sites = supercell.site_index(points[..., 0], points[..., 1:])
    anchor_sites = supercell.site_index(anchors, np.zeros((len(anchors), 3), dtype=np.int64))
    # A product that meets the site in several positions is listed once for each.
    share = weights[owner] / (sites == anchor_sites[:, None]).sum(axis=1)
    rows = [np.flatnonzero(anchors == site) for site in range(supercell.prim.num_sites)]
    shape = (len(rows), max(len(r) for r in rows))
    padded_factors = np.full((*shape, factors.shape[1]), null_column)
    padded_owner, padded_share = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    for site, row in enumerate(rows):
        padded_factors[site, : len(row)] = factors[row]
        padded_owner[site, : len(row)] = owner[row]
        padded_share[site, : len(row)] = share[row]
    return TouchingProducts(
        factors=_index(padded_factors), correlation=_index(padded_owner), weights=jnp.asarray(padded_share, dtype)
    )


def site_species(supercell: Supercell) -> SiteSpecies:
    """The species of a supercell's sites.

    Kinds are distinct sequences of species; one more, with a species of its own, serves padded sites.
    """
    prim = supercell.prim
    sequences = list(dict.fromkeys(prim.species))
    all_species = [*prim.all_species, "padding"]
    labels = np.full((len(sequences) + 1, prim.num_species.max()), -1)
    codes = np.full((len(sequences) + 1, len(all_species)), -1)
    for kind, names in enumerate(sequences):
        labels[kind, : len(names)] = [all_species.index(name) for name in names]
        codes[kind, labels[kind, : len(names)]] = np.arange(len(names))
    labels[-1, 0], codes[-1, -1] = len(all_species) - 1, 0
    name_of = {sublattice.species: sublattice.name for sublattice in prim.sublattices}
    kind_of_site = np.array([sequences.index(names) for names in prim.species])
    return SiteSpecies(
        kind=_index(kind_of_site[supercell.prim_sites]),
        num_species=_index(np.array([*(len(names) for names in sequences), 1])),
        labels=_index(labels),
        codes=_index(codes),
        names=tuple(all_species),
        sublattice_names=(*(name_of.get(names, "") for names in sequences), ""),
    )
