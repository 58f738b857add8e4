"""Energy changes of a cluster expansion in chains, from environments or from fields.

A site that goes from one species to another changes its site functions by fixed numbers, so its tables are contracted
with these once, for each pair of species: what is left is one polynomial in the functions of the neighbours.

Chains take their steps one after the other on a CPU. XLA then compiles all steps of a sweep to one function, if every
operation in it is of the kinds that it can put there (a scatter is not, nor is a product of two matrices); so some sums
are written as loops.
"""

import dataclasses
import typing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxce.cluster_term import site_fields
from jaxce.energy_changes import Substitution
from jaxce.pytrees import pytree
from jaxce.tables import ClusterTerm, HigherOrder

# Iterations of short loops that are written out.
_UNROLL = 4


class Memory(NamedTuple):
    """What a chain remembers of the term.

    Attributes:
        values: `[sites + 1, functions]` site functions; 0 on the null site, which is the last.
        fields: `[sites + 1, functions]` derivative of the energy with respect to each of them, eV; or None.
    """

    values: Float[Array, "sites_and_null functions"]
    fields: Any


class _Seen(NamedTuple):
    """A change of one site and what it sees, after the changes of the sites before it.

    Attributes:
        neighbours: `[slots]` sites.
        values: `[slots * functions]` their site functions.
        table: row of the tables.
        pair: the pair of species.
        sign: 1 if the species code goes up, -1 if it goes down.
    """

    neighbours: Int[Array, " slots"]
    values: Float[Array, " slot_functions"]
    table: Any
    pair: Any
    sign: Any


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterChanges:
    """Energy changes of a cluster term.

    With `v` the functions of its neighbours, slot by slot, a site of table t gains `linear[t, p] + pair[t, p] . v +
    v . quadratic[t, p] . v + higher orders` when it goes from the lower to the higher code of species pair p.

    Attributes:
        term: the term.
        neighbours: `[sites, slots]` site in each slot; the null site where empty.
        table: `[sites]` row of the tables below.
        site_functions: `[tables, species, functions]`.
        linear: `[tables, species_pairs]` eV.
        pair: `[tables, species_pairs, slots * functions]` eV.
        quadratic: `[tables, species_pairs, many * functions, many * functions]` eV, symmetric.
        higher: for 3, 4, ... neighbours; species pairs in place of functions.
        has_fields: whether fields are kept; static.
        is_mapped: whether chains are mapped, so that products of matrices are best; static.
    """

    term: ClusterTerm
    neighbours: Int[Array, "sites slots"]
    table: Int[Array, " sites"]
    site_functions: Float[Array, "tables species functions"]
    linear: Float[Array, "tables species_pairs"]
    pair: Float[Array, "tables species_pairs slot_functions"]
    quadratic: Float[Array, "tables species_pairs many_functions many_functions"]
    higher: tuple[HigherOrder, ...]
    has_fields: bool = dataclasses.field(metadata={"static": True})
    is_mapped: bool = dataclasses.field(metadata={"static": True})

    def fields(self, occupancy: Int[Array, " sites"]) -> Any:
        """The fields, from scratch; None if they are not kept."""
        if not self.has_fields:
            return None
        return jnp.pad(site_fields(self.term, occupancy), ((0, 1), (0, 0)))

    def start(self, occupancy: Int[Array, " sites"], fields: Any) -> Memory:
        """Site functions of the occupancy, and the fields."""
        return Memory(jnp.pad(self.site_functions[self.table, occupancy], ((0, 1), (0, 0))), fields)

    def kept_fields(self, memory: Memory) -> Any:
        """The fields; None if they are not kept."""
        return memory.fields

    def change(self, memory: Memory, move: Substitution, *, uses_fields: bool) -> Float[Array, ""]:
        """Energy change of a move, eV."""
        if uses_fields:
            return self._change_by_fields(memory, move)
        seen = [self._seen(memory.values, move, m) for m in range(len(move.sites))]
        if len(seen) != 2:
            return self._change_one_by_one(seen)
        (old, new), (other_old, other_new) = move.forward
        is_exchange = (old == other_new) & (new == other_old) & (seen[0].table == seen[1].table)
        return jax.lax.cond(is_exchange, self._change_of_exchange, self._change_one_by_one, seen)

    def settle(self, memory: Memory, move: Substitution, is_accepted: Bool[Array, ""], *, uses_fields: bool) -> Memory:
        """Site functions and, if they are used, fields after the move, if it was accepted."""
        values = memory.values
        after = [
            jnp.where(is_accepted, self._functions(like, new), values[site])
            for site, new, like in zip(move.sites, move.new, move.like, strict=True)
        ]
        values, after = jax.lax.optimization_barrier((values, after))
        for site, row in zip(move.sites, after, strict=True):
            values = values.at[site].set(row)
        if not uses_fields:
            return memory._replace(values=values)
        # Read after they are written: in the other order XLA would copy the values.
        seen = [self._seen(values, move, m, after=True) for m in range(len(move.sites))]
        slopes = [jnp.where(is_accepted, self._slopes(one), jnp.zeros_like(one.values)) for one in seen]
        return Memory(values, self._with_slopes(memory.fields, [one.neighbours for one in seen], slopes))

    def _functions(self, like: Any, code: Any) -> Float[Array, " functions"]:
        return self.site_functions[self.table[like], code]

    def _seen(
        self,
        values: Float[Array, "sites_and_null functions"],
        move: Substitution,
        m: int,
        num_slots: int | None = None,
        *,
        after: bool = False,
    ) -> _Seen:
        """What a site of a move sees in all slots, or in the first of them.

        The sites may share clusters: each change is taken with those before it already made, and those after it not.
        The values are those before the move, or those after it.
        """
        neighbours = self.neighbours[move.sites[m]][:num_slots]
        seen = values[neighbours]
        others = slice(m + 1, None) if after else slice(m)
        codes = move.old if after else move.new
        for other, code, like in zip(move.sites[others], codes[others], move.like[others], strict=True):
            seen = jnp.where((neighbours == other)[:, None], self._functions(like, code)[None], seen)
        sign = _sign(move, m).astype(values.dtype)
        return _Seen(neighbours, seen.ravel(), self.table[move.like[m]], _species_pair(*move.forward[m]), sign)

    def _change_one_by_one(self, seen: list[_Seen]) -> Float[Array, ""]:
        total = jnp.zeros((), self.linear.dtype)
        for one in seen:
            slopes = self._pair_and_quadratic(one, one.values)
            change = self.linear[one.table, one.pair] + jnp.sum(slopes * one.values)
            total += one.sign * (change + self._higher(one, one.values))
        return total

    def _change_of_exchange(self, seen: list[_Seen]) -> Float[Array, ""]:
        """Two sites with one table, the second of which does what the first takes back.

        The difference of two quadratic forms a.Q.a - b.Q.b is (a + b).Q.(a - b), a single product with the matrix.
        """
        first, second = seen
        slopes = self._pair_and_quadratic(first, first.values + second.values)
        change = jnp.sum(slopes * (first.values - second.values))
        return first.sign * (change + self._higher(first, first.values) - self._higher(first, second.values))

    def _pair_and_quadratic(
        self, of: _Seen, values: Float[Array, " slot_functions"]
    ) -> Float[Array, " slot_functions"]:
        """`pair + quadratic . values`."""
        slopes = self.pair[of.table, of.pair]
        num_many = self.quadratic.shape[-1]
        if num_many == 0:
            return slopes
        many = values[:num_many]
        if self.is_mapped:
            product = jnp.dot(self.quadratic[of.table, of.pair], many, precision="highest")
        else:
            # A table that is chosen in the loop would be copied for a product.
            add = lambda row, total: total + self.quadratic[of.table, of.pair, row] * values[row]
            product = jax.lax.fori_loop(0, num_many, add, jnp.zeros_like(many), unroll=_UNROLL)
        return slopes + jnp.pad(product, (0, len(values) - num_many))

    def _higher(self, of: _Seen, values: Float[Array, " slot_functions"]) -> Float[Array, ""]:
        total = jnp.zeros((), values.dtype)
        for higher in self.higher:
            products = jnp.prod(values[higher.columns[of.table]], axis=-1)
            total += jnp.sum(higher.weights[of.table, of.pair] * products)
        return total

    def _change_by_fields(self, memory: Memory, move: Substitution) -> Float[Array, ""]:
        total = jnp.zeros((), memory.values.dtype)
        for m, site in enumerate(move.sites):
            step = self._functions(move.like[m], move.new[m]) - self._functions(move.like[m], move.old[m])
            total += jnp.sum(memory.fields[site] * step)
            for earlier in range(m):
                total += self._coupling(memory.values, move, earlier, site, step)
        return total

    def _coupling(
        self, values: Any, move: Substitution, earlier: int, site: Any, step: Float[Array, " functions"]
    ) -> Float[Array, ""]:
        """What the change of an earlier site adds to the energy of a step of another one."""
        is_here = self.neighbours[move.sites[earlier]] == site
        slots = jnp.arange(len(is_here), dtype=jnp.int32)

        def of_neighbour():
            # Not in the loop: what a loop reads of the state, XLA copies.
            of = self._seen(values, move, earlier, self.quadratic.shape[-1] // len(step))

            def add(carry):
                slot, total = carry
                return next_slot(slot), total + jnp.sum(self._slopes_of_slot(of, slot, len(step)) * step)

            # The site has several slots if it is a neighbour in several directions.
            next_slot = lambda slot: jnp.min(jnp.where(is_here & (slots > slot), slots, len(slots)))
            start = (next_slot(jnp.int32(-1)), jnp.zeros((), step.dtype))
            total = jax.lax.while_loop(lambda carry: carry[0] < len(slots), add, start)[1]
            return of.sign * total

        # A sum is faster than `any`.
        is_near = jnp.sum(is_here, dtype=jnp.int32) > 0
        return jax.lax.cond(is_near, of_neighbour, lambda: jnp.zeros((), step.dtype))

    def _slopes_of_slot(self, of: _Seen, slot: Any, num_functions: int) -> Float[Array, " functions"]:
        """Derivative of a change with respect to the functions of a neighbour; without the sign."""
        columns = slot * num_functions + jnp.arange(num_functions, dtype=jnp.int32)
        slopes = self.pair[of.table, of.pair, columns]
        if len(of.values) == 0:
            return slopes
        with_others = lambda: slopes + jnp.stack([self._many_body_slope(of, column) for column in columns])
        return jax.lax.cond(columns[-1] < len(of.values), with_others, lambda: slopes)

    def _many_body_slope(self, of: _Seen, column: Any) -> Float[Array, ""]:
        """Derivative of a change, but for pairs, with respect to one function of one neighbour; without the sign."""
        slope = 2 * jnp.sum(self.quadratic[of.table, of.pair, column] * of.values)
        for higher in self.higher:
            columns = higher.columns[of.table]
            factors = of.values[columns]
            for place in range(columns.shape[1]):
                others = jnp.prod(jnp.delete(factors, place, axis=1), axis=1)
                weights = jnp.where(columns[:, place] == column, higher.weights[of.table, of.pair], 0)
                slope += jnp.sum(weights.astype(slope.dtype) * others)
        return slope

    def _slopes(self, of: _Seen) -> Float[Array, " slot_functions"]:
        """Derivative of a change with respect to all functions of all neighbours."""
        slopes = self._pair_and_quadratic(of, 2 * of.values)
        for higher in self.higher:
            slopes = self._with_higher_slopes(slopes, of, higher)
        return of.sign * slopes

    def _with_higher_slopes(
        self, slopes: Float[Array, " slot_functions"], of: _Seen, higher: HigherOrder
    ) -> Float[Array, " slot_functions"]:
        columns, weights = higher.columns[of.table], higher.weights[of.table, of.pair]
        if self.is_mapped:
            energy = lambda values: jnp.sum(weights * jnp.prod(values[columns], axis=-1))
            return slopes + jax.grad(energy)(of.values)

        def add(term, slopes):
            factors = of.values[columns[term]]
            for place in range(columns.shape[1]):
                others = jnp.prod(jnp.delete(factors, place))
                slopes = slopes.at[columns[term, place]].add(weights[term] * others)
            return slopes

        return jax.lax.fori_loop(0, len(columns), add, slopes)

    def _with_slopes(self, fields: Any, neighbours: list[Any], slopes: list[Any]) -> Any:
        """The fields, to which slopes are added slot by slot."""
        shape = (len(neighbours[0]), fields.shape[1])
        slopes = [one.reshape(shape) for one in slopes]
        if self.is_mapped:
            for sites, of_slots in zip(neighbours, slopes, strict=True):
                fields = fields.at[sites].add(of_slots)
            return fields

        def add(slot, fields):
            for sites, of_slots in zip(neighbours, slopes, strict=True):
                fields = fields.at[sites[slot]].add(of_slots[slot])
            return fields

        return jax.lax.fori_loop(0, shape[0], add, fields, unroll=_UNROLL)


def _sign(move: Substitution, m: int) -> Any:
    """1 if the species code of a site goes up, -1 if it goes down."""
    return jnp.sign(move.new[m] - move.old[m])


def _species_pair(first: Any, second: Any) -> Any:
    """Number of a pair of species codes, in the order of `change_tables`."""
    low, high = jnp.minimum(first, second), jnp.maximum(first, second)
    return high * (high - 1) // 2 + low
