"""Energy changes of a pair matrix in chains: the potentials are always kept.

A row of the matrix is as long as the occupancy, and is needed for a proposal without potentials or for an accepted move
with them; so potentials never cost more.
"""

import dataclasses
import typing
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxce.energy_changes import Substitution, TermChanges, term_changes
from jaxce.pytrees import pytree
from jaxce.tables import PairTerm


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class PairChanges:
    """Energy changes of a pair matrix; what is remembered are the potentials `[sites, species]`, eV.

    Attributes:
        term: the pair matrix.
    """

    term: PairTerm

    def fields(self, occupancy: Int[Array, " sites"]) -> Float[Array, "sites species"]:
        """Energy of each species on each site, the others being as they are."""
        # Rows one after the other: as the matrix is symmetric, no product with it is needed.
        add = lambda site, total: total + 2 * self.term.matrix[site, occupancy[site]]
        return jax.lax.fori_loop(0, len(occupancy), add, self.term.linear)

    def start(self, occupancy: Int[Array, " sites"], fields: Any) -> Any:
        """The potentials as they are kept."""
        del occupancy
        return fields

    def kept_fields(self, memory: Any) -> Any:
        """The potentials."""
        return memory

    def change(self, memory: Any, move: Substitution, *, uses_fields: bool) -> Float[Array, ""]:
        """Energy change of a move, eV."""
        del uses_fields
        total = jnp.zeros((), memory.dtype)
        for m, (site, old, new) in enumerate(zip(*move[:3], strict=True)):
            total += memory[site, new] - memory[site, old]
            for other, other_old, other_new in zip(*(part[:m] for part in move[:3]), strict=True):
                # Both change: the second difference.
                entry = lambda s, t, i=site, j=other: self.term.matrix[i, s, j, t]
                total += 2 * (entry(new, other_new) - entry(old, other_new))
                total += 2 * (entry(old, other_old) - entry(new, other_old))
        return total

    def settle(self, memory: Any, move: Substitution, is_accepted: Bool[Array, ""], *, uses_fields: bool) -> Any:
        """The potentials after the move, if it was accepted."""
        del uses_fields
        factor = jnp.where(is_accepted, 2, 0).astype(memory.dtype)
        for site, old, new in zip(*move[:3], strict=True):
            memory += factor * (self.term.matrix[site, new] - self.term.matrix[site, old])
        return memory


@term_changes.register
def _pair_changes(term: PairTerm, *, has_fields: bool, is_mapped: bool) -> tuple[TermChanges, ...]:
    del has_fields, is_mapped
    return (PairChanges(term=term),)
