"""One sweep of one chain: its moves step by step, with or without fields."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxce.energy_changes import EnergyChanges
from jaxce.sampling.moves import State, settle
from jaxce.sampling.weights import Weight

# A chain that accepts few moves is faster with fields: it takes them below the first part of its proposals, as the mean
# over the last sweeps, and leaves them above the second, since to make fields takes as long as a sweep or two.
_FEW_ACCEPTED, _MANY_ACCEPTED = 0.22, 0.30
# About so many sweeps are in the mean.
_MEMORY = 8
# Fields are made anew every so many sweeps, before rounding adds up.
_SWEEPS_OF_FIELDS = 256


class Cache(NamedTuple):
    """What a chain keeps from sweep to sweep besides its state.

    Attributes:
        fields: of all terms (`EnergyChanges.fields`).
        are_fresh: whether fields were in use in the last sweep, so that all of them are those of the occupancy.
        num_accepted: proposals that were accepted in the last sweep.
        num_recent: running sum of these, `_MEMORY` times their mean.
    """

    fields: Any
    are_fresh: Bool[Array, ""]
    num_accepted: Int[Array, ""]
    num_recent: Int[Array, ""]


def start_cache(changes: EnergyChanges, moves: tuple[Any, ...], occupancy: Int[Array, "chains sites"]) -> Cache:
    """Caches of chains before their first sweep, which is done without fields, and after which acceptance decides."""
    num_chains = len(occupancy)
    num_steps = sum(move.steps for move in moves)
    # Made in the first sweep.
    shapes = jax.eval_shape(changes.fields, occupancy[0])
    fields = jax.tree.map(lambda leaf: jnp.zeros((num_chains, *leaf.shape), leaf.dtype), shapes)
    accepted = lambda sweeps: jnp.full(num_chains, int(_FEW_ACCEPTED * (sweeps * num_steps)), jnp.int32)
    return Cache(fields, jnp.zeros(num_chains, bool), accepted(1), accepted(_MEMORY))


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
        return state, Cache(fields, cache.are_fresh, num_accepted, cache.num_recent)
    num_steps = _MEMORY * sum(move.steps for move in moves)
    few, many = int(_FEW_ACCEPTED * num_steps), int(_MANY_ACCEPTED * num_steps)
    uses_fields = cache.num_recent < jnp.where(cache.are_fresh, many, few)
    fields = renewed(is_due | (uses_fields & ~cache.are_fresh))
    state, fields, num_accepted = jax.lax.cond(
        uses_fields, lambda *args: sweep(*args, True), lambda *args: sweep(*args, False), state, fields
    )
    num_recent = cache.num_recent - cache.num_recent // _MEMORY + num_accepted
    return state, Cache(fields, uses_fields, num_accepted, num_recent)


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
