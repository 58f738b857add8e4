"""How a chain gets energy changes: what it remembers of each term, and what an accepted move does to that.

For each term of a Hamiltonian there are objects (`TermChanges`) with tables made for this. All methods are for one
chain, to be scanned over steps and mapped over chains.

What is remembered has two parts. One is made from the occupancy whenever a sweep begins. The other, the *fields*, would
cost too much for that: energies of what could happen next, added up over all accepted moves. With them a proposal costs
next to nothing and an accepted move much, so they are for chains that accept little.
"""

import dataclasses
import functools
import itertools
import typing
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxce.pytrees import pytree
from jaxce.tables import Hamiltonian

METHODS = ("auto", "environment", "fields")


class Substitution(NamedTuple):
    """Sites that change together, in an order; each field has one entry per site.

    Chains that are mapped share `like` and `forward`, and with these the tables, which then are not gathered once for
    each chain.

    Attributes:
        sites: the sites, all different.
        old: their species codes.
        new: those that they get.
        like: sites with the same tables, such as the sites themselves.
        forward: `(old, new)` of the move, or `(new, old)` for all of its sites.
    """

    sites: list[Any]
    old: list[Any]
    new: list[Any]
    like: list[Any]
    forward: list[tuple[Any, Any]]


@runtime_checkable
class TermChanges(Protocol):
    """Energy changes of one term."""

    def fields(self, occupancy: Int[Array, " sites"]) -> Any:
        """The fields, from scratch."""
        ...

    def start(self, occupancy: Int[Array, " sites"], fields: Any) -> Any:
        """What a chain remembers."""
        ...

    def change(self, memory: Any, move: Substitution, *, uses_fields: bool) -> Float[Array, ""]:
        """Energy change of a move, eV."""
        ...

    def settle(self, memory: Any, move: Substitution, is_accepted: Bool[Array, ""], *, uses_fields: bool) -> Any:
        """The memory after the move, if it was accepted."""
        ...

    def kept_fields(self, memory: Any) -> Any:
        """The fields in the memory."""
        ...


@functools.singledispatch
def term_changes(term: Any, *, has_fields: bool, is_mapped: bool) -> tuple[TermChanges, ...]:
    """The objects whose sum is a term: whether they can use fields, and whether chains are mapped over them."""
    raise TypeError(f"{type(term).__name__} is no term for Monte Carlo: register `term_changes` for it.")


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyChanges:
    """Energy changes of a Hamiltonian.

    Attributes:
        terms: `TermChanges` whose sum it is.
        method: "environment": from the neighbours of the sites; "fields"; or "auto", whichever is faster for the part
            of its proposals that a chain accepts; static.
        is_mapped: whether chains take their steps together, by `vmap`, rather than one after the other; static.
        uses_fields: whether fields are used and kept up to date now; static.
    """

    terms: tuple[Any, ...]
    method: str = dataclasses.field(metadata={"static": True})
    is_mapped: bool = dataclasses.field(metadata={"static": True})
    uses_fields: bool = dataclasses.field(default=False, metadata={"static": True})

    def using(self, *, fields: bool) -> "EnergyChanges":
        """The same with or without the use of fields."""
        return dataclasses.replace(self, uses_fields=fields)

    def fields(self, occupancy: Int[Array, " sites"]) -> Any:
        """The fields of all terms, from scratch."""
        return tuple(term.fields(occupancy) for term in self.terms)

    def start(self, occupancy: Int[Array, " sites"], fields: Any) -> Any:
        """What a chain remembers of all terms."""
        return tuple(term.start(occupancy, part) for term, part in zip(self.terms, fields, strict=True))

    def kept_fields(self, memory: Any) -> Any:
        """The fields in the memory."""
        return tuple(term.kept_fields(part) for term, part in zip(self.terms, memory, strict=True))

    def change(self, memory: Any, move: Substitution) -> Float[Array, ""]:
        """Energy change of a move, eV."""
        parts = [
            term.change(part, move, uses_fields=self.uses_fields) for term, part in zip(self.terms, memory, strict=True)
        ]
        return functools.reduce(jnp.add, parts)

    def settle(self, memory: Any, move: Substitution, is_accepted: Bool[Array, ""]) -> Any:
        """The memory after the move, if it was accepted."""
        return tuple(
            term.settle(part, move, is_accepted, uses_fields=self.uses_fields)
            for term, part in zip(self.terms, memory, strict=True)
        )


def energy_changes(hamiltonian: Hamiltonian, method: str, *, is_mapped: bool) -> EnergyChanges:
    """The energy changes of a Hamiltonian for chains.

    Raises:
        ValueError: if there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}, but is {method!r}.")
    if is_mapped and method == "auto":
        # Mapped chains would compute both.
        method = "environment"
    has_fields = method != "environment"
    terms = [term_changes(term, has_fields=has_fields, is_mapped=is_mapped) for term in hamiltonian.terms]
    return EnergyChanges(terms=tuple(itertools.chain(*terms)), method=method, is_mapped=is_mapped)
