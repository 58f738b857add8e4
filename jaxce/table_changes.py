"""Energy changes of a table in chains: the states of all centres are remembered.

A move changes the states of the few centres around its sites by fixed integers, so a proposal costs two look-ups for
each of them, an accepted move one addition, and nothing is ever off by rounding. There is nothing that fields could
make faster.
"""

import dataclasses
import typing
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxce.energy_changes import Substitution, TermChanges, term_changes
from jaxce.pytrees import pytree
from jaxce.table_term import environment_states
from jaxce.tables import TableTerm

# Iterations of short loops that are written out.
_UNROLL = 4


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class TableChanges:
    """Energy changes of a table; what is remembered are the states `[centres]`.

    Attributes:
        term: the table.
        is_mapped: whether chains are mapped, so that scatters are best; static.
    """

    term: TableTerm
    is_mapped: bool = dataclasses.field(metadata={"static": True})

    def fields(self, occupancy: Int[Array, " sites"]) -> None:
        """None: there are no fields."""
        del occupancy

    def start(self, occupancy: Int[Array, " sites"], fields: None) -> Int[Array, " centres"]:
        """The state of each centre."""
        del fields
        return environment_states(self.term, occupancy[None])[:, 0]

    def kept_fields(self, memory: Int[Array, " centres"]) -> None:
        """None: there are no fields."""
        del memory

    def change(self, memory: Int[Array, " centres"], move: Substitution, *, uses_fields: bool) -> Float[Array, ""]:
        """Energy change of a move, eV."""
        del uses_fields
        total = jnp.zeros((), self.term.table.dtype)
        for m, site in enumerate(move.sites):
            before = memory[self.term.centres[site]]
            # The sites may share centres: each change is taken with those before it already made.
            for earlier in range(m):
                before += self._shift_by_earlier(move, earlier, site)
            after = before + self._shift(move, m)
            total += jnp.sum(self.term.table[after] - self.term.table[before])
        return total

    def settle(
        self, memory: Int[Array, " centres"], move: Substitution, is_accepted: Bool[Array, ""], *, uses_fields: bool
    ) -> Int[Array, " centres"]:
        """The states after the move, if it was accepted."""
        del uses_fields
        for m, site in enumerate(move.sites):
            shift = self._shift(move, m)
            memory = self._shifted(memory, site, jnp.where(is_accepted, shift, jnp.zeros_like(shift)))
        return memory

    def _shift(self, move: Substitution, m: int) -> Int[Array, " touching"]:
        """What the change of a site adds to the states of its centres."""
        shares = self.term.shares[move.sites[m]]
        return shares[:, move.new[m]] - shares[:, move.old[m]]

    def _shift_by_earlier(self, move: Substitution, earlier: int, site: Any) -> Int[Array, " touching"]:
        """What the change of an earlier site adds to the states of the centres of another one."""
        shift = self._shift(move, earlier)
        is_same = self.term.centres[site][:, None] == self.term.centres[move.sites[earlier]][None]
        return jnp.sum(jnp.where(is_same, shift[None], jnp.zeros_like(shift[None])), axis=1, dtype=shift.dtype)

    def _shifted(self, memory: Int[Array, " centres"], site: Any, shift: Int[Array, " touching"]) -> Any:
        centres = self.term.centres[site]
        if self.is_mapped:
            return memory.at[centres].add(shift)
        # One after the other: a scatter would keep the loop over steps from being one function.
        add = lambda place, memory: memory.at[centres[place]].add(shift[place])
        return jax.lax.fori_loop(0, len(centres), add, memory, unroll=_UNROLL)


@term_changes.register
def _table_changes(term: TableTerm, *, has_fields: bool, is_mapped: bool) -> tuple[TermChanges, ...]:
    del has_fields
    return (TableChanges(term=term, is_mapped=is_mapped),)
