"""One sweep of one chain: its moves step by step, with or without fields."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxce.energy_changes import EnergyChanges
from jaxce.sampling.moves import State, settle
from jaxce.sampling.weights import Weight

# A chain that accepts a smaller part than this is faster with fields.
_FEW_ACCEPTED = 0.25
# Fields are made anew every so many sweeps, before rounding adds up.
_SWEEPS_OF_FIELDS = 64


class Cache(NamedTuple):
    """What a chain keeps from sweep to sweep besides its state.

    Attributes:
        fields: of all terms (`EnergyChanges.fields`).
        are_fresh: whether all fields are those of the occupancy.
        num_accepted: proposals that were accepted in the last sweep.
    """

    fields: Any
    are_fresh: Bool[Array, ""]
    num_accepted: Int[Array, ""]


def start_cache(changes: EnergyChanges, moves: tuple[Any, ...], occupancy: Int[Array, "chains sites"]) -> Cache:
    """Caches of chains before their first sweep, as if they had accepted all proposals."""
    num_chains = len(occupancy)
    num_steps = sum(move.steps for move in moves)
    fields = jax.lax.map(changes.fields, occupancy)
    return Cache(fields, jnp.ones(num_chains, bool), jnp.full(num_chains, num_steps, jnp.int32))


def sweep_of_chain(
    changes: EnergyChanges,
    moves: tuple[Any, ...],
    chosen: list[Any],
    chain: tuple[State, Cache],
    weight: Weight,
    key: Any,
    number: Int[Array, ""],
) -> tuple[State, Cache]:
    """One sweep, which is sweep `number` of the run.

    Args:
        changes: energy changes.
        moves: the moves.
        chosen: `[steps]` classes of the steps of each move.
        chain: state and cache.
        weight: the weight of states.
        key: of this chain and sweep.
        number: number of the sweep.
    """
    state, cache = chain
    renewed = lambda is_old: jax.lax.cond(is_old, lambda: changes.fields(state.occupancy), lambda: cache.fields)
    is_due = number % _SWEEPS_OF_FIELDS == 0
    sweep = lambda state, fields, uses_fields: _sweep(
        changes.using(fields=uses_fields), moves, chosen, state, fields, weight, key
    )
    if changes.method != "auto":
        uses_fields = changes.method == "fields"
        state, fields, num_accepted = sweep(state, renewed(is_due), uses_fields)
        return state, Cache(fields, cache.are_fresh, num_accepted)
    num_steps = sum(move.steps for move in moves)
    uses_fields = cache.num_accepted < int(_FEW_ACCEPTED * num_steps)
    fields = renewed(is_due | (uses_fields & ~cache.are_fresh))
    state, fields, num_accepted = jax.lax.cond(
        uses_fields, lambda *args: sweep(*args, True), lambda *args: sweep(*args, False), state, fields
    )
    return state, Cache(fields, uses_fields, num_accepted)


def _sweep(
    changes: EnergyChanges,
    moves: tuple[Any, ...],
    chosen: list[Any],
    state: State,
    fields: Any,
    weight: Weight,
    key: Any,
) -> tuple[State, Any, Int[Array, ""]]:
    """The state, its fields, and the number of accepted proposals."""
    state = state._replace(memory=changes.start(state.occupancy, fields))
    num_accepted = jnp.zeros((), jnp.int32)

    for index, move in enumerate(moves):
        draws = move.draws(jax.random.fold_in(key, index), state.energy.dtype)

        def step(state, draws_and_class, move=move):
            draws, one_class = draws_and_class
            proposal = move.propose(draws, state, changes, weight, one_class)
            return _settled(state, proposal, changes), proposal.is_accepted

        state, is_accepted = jax.lax.scan(step, move.start(state), (draws, chosen[index]))
        state = state._replace(lists=None)
        num_accepted += jnp.sum(is_accepted, dtype=jnp.int32)
    return state._replace(memory=None), changes.kept_fields(state.memory), num_accepted


def _settled(state: State, proposal: Any, changes: EnergyChanges) -> State:
    if changes.is_mapped:
        return settle(state, proposal, changes)
    # A branch that is taken or not: what it writes is in place for any number of sites, and costs nothing otherwise.
    change = lambda state, proposal: settle(state, proposal._replace(is_accepted=jnp.asarray(True)), changes)
    return jax.lax.cond(proposal.is_accepted, change, lambda state, _: state, state, proposal)
