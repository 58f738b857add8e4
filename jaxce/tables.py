"""The pytrees: index tables of clusters, environments and species, with their shapes and padding rules.

The padding rule is one: site index -1 is the null site. It stands after the last site in every array of site values
and has the value 0, so products and sums over padded entries vanish without a mask.

Annotations say what a table holds. They are not enforced (`no_type_check`), because JAX builds the same classes with
other leaves: tracers, tangents without a dtype, axis numbers.
"""

import dataclasses
import typing
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from jaxce.pytrees import pytree


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class SiteSpecies:
    """Which species each site may hold, and how species compare across sites.

    A label is a species of the prim, counted over all sites; a code is its place among those of one site. The last
    kind is that of padded sites: one species of its own, which no other site allows.

    Attributes:
        kind: `[sites]` row of the tables below that each site uses.
        num_species: `[kinds]` number of allowed species.
        labels: `[kinds, species]` label of each code; -1 where there is no such code.
        codes: `[kinds, labels]` code of each label; -1 where the label is not allowed.
        names: species of each label; static.
        sublattice_names: sublattice of each kind, "" for inactive ones; static.
    """

    kind: Int[Array, "*batch sites"]
    num_species: Int[Array, "*batch kinds"]
    labels: Int[Array, "*batch kinds species"]
    codes: Int[Array, "*batch kinds labels"]
    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    sublattice_names: tuple[str, ...] = dataclasses.field(metadata={"static": True})


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterProducts:
    """Products of site functions, each summed over all cells of the supercell.

    A column is a lattice point seen from a cell, with a site function: the factor of a product. The products are those
    of one prim, whatever the supercell; only the sites of the columns depend on it.

    Attributes:
        site_values: `[kinds, species, functions]` site functions without the constant; int8 if they are -1, 0 and 1.
        kind: `[sites]` row of `site_values` that each site uses.
        column_sites: `[columns, cells]` site of each column seen from each cell; -1 in a padded cell.
        column_functions: `[columns]` its site function, counted from 0 without the constant.
        factors: for order 1, 2, ...: `[products, order]` columns that are multiplied.
    """

    site_values: Num[Array, "*batch kinds species functions"]
    kind: Int[Array, "*batch sites"]
    column_sites: Int[Array, "*batch columns cells"]
    column_functions: Int[Array, "*batch columns"]
    factors: tuple[Int[Array, "*batch _products _order"], ...]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class TouchingProducts:
    """For each prim site, the products that contain it, as factors seen from its cell.

    Attributes:
        factors: `[prim_sites, products, order]` columns; the last column where padded.
        correlation: `[prim_sites, products]` correlation that the product belongs to.
        weights: `[prim_sites, products]` what it contributes there; 0 where padded.
    """

    factors: Int[Array, "*batch prim_sites products order"]
    correlation: Int[Array, "*batch prim_sites products"]
    weights: Float[Array, "*batch prim_sites products"]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterTables:
    """All clusters of a supercell, for correlation vectors and their changes.

    Attributes:
        products: the products of all cluster functions.
        correlation: `[products]` correlation that each belongs to, ascending in each order.
        weights: `[correlations]` 1 / (number of products in the supercell).
        constant: `[correlations]` 1 for the empty cluster, else 0.
        prim_site: `[sites]` prim site of each site.
        cell: `[sites]` cell of each site.
        touching_sites: `[columns, cells]` sites of the columns of `touching`; the last column is all -1.
        touching_functions: `[columns]` their site functions.
        touching: for order 1, 2, ...: the products that contain each prim site.
        species: the species of the sites.
    """

    products: ClusterProducts
    correlation: Int[Array, "*batch products"]
    weights: Float[Array, "*batch correlations"]
    constant: Float[Array, "*batch correlations"]
    prim_site: Int[Array, "*batch sites"]
    cell: Int[Array, "*batch sites"]
    touching_sites: Int[Array, "*batch columns cells"]
    touching_functions: Int[Array, "*batch columns"]
    touching: tuple[TouchingProducts, ...]
    species: SiteSpecies


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class HigherOrder:
    """Products of three or more neighbours in the field of a site.

    Attributes:
        columns: `[tables, terms, neighbours]` entries of the vector of the neighbours' functions.
        weights: `[tables, functions, terms]` eV; 0 where padded.
    """

    columns: Int[Array, "*batch tables terms neighbours"]
    weights: Float[Array, "*batch tables functions terms"]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldSums:
    """Sums of products of some neighbours that have the same weight in the field of a site.

    Attributes:
        columns: `[tables, sums, shares, neighbours]` entries of the vector of the neighbours' functions, with the null
            site before all neighbours: 0 stands for a factor that is 0.
        weights: `[tables, functions, sums]` eV; 0 where padded.
    """

    columns: Int[Array, "*batch tables sums shares neighbours"]
    weights: Float[Array, "*batch tables functions sums"]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterTerm:
    """The cluster expansion as a polynomial in integer site functions, written down twice.

    `products` and `product_weights` give the energy. The environments give what one site feels: with `v` the functions
    of its neighbours, slot by slot, field f is `linear[f] + pair[f] . v + v . quadratic[f] . v + higher orders`, and
    the first `many` slots are those that more than pairs use. The environments are folded, so differences are exact
    also where a cluster meets its own periodic image. Sites of a group share a table.

    Attributes:
        products: the terms of the polynomial.
        product_weights: `[products]` eV of each.
        folded_constant: `[]` eV per supercell of the products that are constant because sites repeat.
        neighbours: `[sites, slots]` site in each slot; -1 where empty.
        group: `[sites]` group of each site.
        member: `[sites]` place of each site in its group.
        members: `[groups, members]` sites of each group; -1 where padded.
        table: `[groups]` row of the tables below.
        linear: `[tables, functions]` eV.
        pair: `[tables, functions, slots * functions]` eV.
        quadratic: `[tables, functions, many * functions, many * functions]` eV, symmetric.
        higher: for 3, 4, ... neighbours.
        sums: for 1, 2, ... neighbours, what `pair`, `quadratic` and `higher` hold, for integer arithmetic.
    """

    products: ClusterProducts
    product_weights: Float[Array, "*batch products"]
    folded_constant: Float[Array, "*batch"]
    neighbours: Int[Array, "*batch sites slots"]
    group: Int[Array, "*batch sites"]
    member: Int[Array, "*batch sites"]
    members: Int[Array, "*batch groups members"]
    table: Int[Array, "*batch groups"]
    linear: Float[Array, "*batch tables functions"]
    pair: Float[Array, "*batch tables functions slot_functions"]
    quadratic: Float[Array, "*batch tables functions many_functions many_functions"]
    higher: tuple[HigherOrder, ...]
    sums: tuple[FieldSums, ...]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class PairTerm:
    """A pair matrix over (site, species), such as Ewald's: `sum_i linear[i] + sum_{i != j} matrix[i, j]`.

    Attributes:
        linear: `[sites, species]` eV of a species on a site.
        matrix: `[sites, species, sites, species]` eV; symmetric, 0 between species of one site.
    """

    linear: Float[Array, "*batch sites species"]
    matrix: Float[Array, "*batch sites species sites species"]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class TableTerm:
    """One look-up per centre in a table over the states of its environment, which the centre is part of.

    A state is the species codes of the environment in mixed radix, the first slot the most significant. All centres
    share the table; other kinds of centres are further terms. Environments are folded: a site that has several slots is
    in the first of them, and the table has what that means for the others. State 0 has the energy 0, so that centres
    which are padded cost no mask.

    Attributes:
        table: `[states]` eV, above that of state 0.
        neighbours: `[centres, slots]` site in each slot; -1, which has the code 0, where empty.
        centres: `[sites, touching]` the centres whose environment has the site.
        shares: `[sites, touching, species]` what each species code adds to the state of that centre; 0 where padded,
            and for codes that the site does not have.
        num_species: number of species of each slot; static.
    """

    table: Float[Array, "*batch states"]
    neighbours: Int[Array, "*batch centres slots"]
    centres: Int[Array, "*batch sites touching"]
    shares: Int[Array, "*batch sites touching species"]
    num_species: tuple[int, ...] = dataclasses.field(metadata={"static": True})


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class Hamiltonian:
    """The energy of a supercell: a constant and a sum of terms.

    Attributes:
        constant: `[]` eV per supercell; float64 on the host, whatever the dtype of the terms.
        terms: `ClusterTerm`s, `PairTerm`s, `TableTerm`s: whatever `jaxce.terms` knows.
        species: the species of the sites.
        num_prims: `[]` prims in the supercell.
    """

    constant: Float[Array, "*batch"] | Float[np.ndarray, "*batch"]
    terms: tuple[Any, ...]
    species: SiteSpecies
    num_prims: Int[Array, "*batch"] | Int[np.ndarray, "*batch"]

    @property
    def num_models(self) -> int | None:
        """How many models of one supercell are stacked along a leading axis of all arrays; None for a single one."""
        return len(self.num_prims) if np.ndim(self.num_prims) else None

    def model(self, index: int) -> "Hamiltonian":
        """One model of a stack."""
        return jax.tree.map(lambda leaf: leaf[index], self)


def check_hamiltonian(value: Any) -> None:
    """Raise `ValueError` for anything else, such as an expansion that was not built for a supercell."""
    if not isinstance(value, Hamiltonian):
        raise ValueError(
            f"a Hamiltonian is wanted, such as build_hamiltonian(expansion, supercell), not {type(value).__name__}."
        )


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Structures in unlike supercells, padded to one shape and stacked.

    Attributes:
        hamiltonian: a `Hamiltonian` whose arrays have a leading axis of structures.
        occupancy: `[structures, sites]` species codes; 0 on padded sites.
        site_mask: `[structures, sites]` which sites exist; a structure's sites come first, in their own order.
    """

    hamiltonian: Hamiltonian
    occupancy: Int[Array, "structures sites"]
    site_mask: Bool[Array, "structures sites"]

    def replace(self, *, occupancy: Int[Array, "structures sites"]) -> "Batch":
        """The same supercells with other occupancies; no rebuild and no recompilation."""
        return dataclasses.replace(self, occupancy=occupancy)
