"""Moves of one chain: proposals that cost the same for any number of sites.

A move offers `classes(key)` (kinds of steps, shared by all chains) and `draws(key, dtype)` (random numbers of one
chain), both for the steps of one sweep; `start(state)`, once in a sweep; and `propose(draws, state, changes, weight,
chosen) -> proposal`, which decides. `settle(state, proposal, changes)` gives the next state. They are for one chain, to
be scanned over steps and run, or mapped, over chains. All that is read is read by `propose`, or by `settle` before it
writes: of a loop that reads between writes XLA copies the state in every step.
"""

import dataclasses
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt

from jaxce.energy_changes import EnergyChanges, Substitution
from jaxce.pytrees import pytree
from jaxce.sampling.weights import Weight, log_weight_change


class SiteLists(NamedTuple):
    """The sites of each group by species, so that one with a given species is drawn at once.

    Attributes:
        sites: `[groups * species * longest]` sites; what lies behind the number of a list means nothing.
        counts: `[groups * species]` number of sites in each list.
    """

    sites: Int[Array, " entries"]
    counts: Int[Array, " lists"]


class State(NamedTuple):
    """What the next step of one chain needs.

    Attributes:
        occupancy: `[sites]` species codes.
        energy: `[]` eV, counted from the last full evaluation.
        counts: `[sublattices, species]` sites of each active sublattice with each species code.
        memory: what energy changes need besides (`EnergyChanges.start`); None between sweeps.
        lists: lists of the move under way; None between moves.
    """

    occupancy: Int[Array, " sites"]
    energy: Float[Array, ""]
    counts: Int[Array, "sublattices species"]
    memory: Any = None
    lists: Any = None


class Writes(NamedTuple):
    """Entries of an array that get new values, one after the other; the last one counts where an entry is named twice.

    Attributes:
        places: of each entry.
        values: of each entry.
    """

    places: list[Any]
    values: list[Any]


class Proposal(NamedTuple):
    """A move and the decision on it.

    Attributes:
        is_accepted: `[]`.
        energy_change: `[]` eV.
        count_changes: `[sublattices, species]` what it adds to the state's counts.
        move: the sites that change and their species codes.
        lists: the entries of the lists that change; None if the move has no lists.
        list_counts: `[lists]` what it adds to the numbers of sites in the lists; or None.
    """

    is_accepted: Bool[Array, ""]
    energy_change: Float[Array, ""]
    count_changes: Int[Array, "sublattices species"]
    move: Substitution
    lists: Writes | None = None
    list_counts: Any = None


class Draws(NamedTuple):
    """Random numbers of steps.

    Attributes:
        words: a random word for each site that changes, and one for the direction; each `[]`.
        log_uniform: `[]` logarithm of a uniform number.
    """

    words: tuple[UInt[Array, "*steps"], ...]
    log_uniform: Float[Array, "*steps"]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class Substitutions:
    """Moves that give some sites, drawn at random among those with given species, other species.

    A flip changes one site, a swap two (a -> b and b -> a), a flip vector any number. A class says which: for each
    change a group of sites, and two species. All chains share the class of a step, but each tosses its own coin whether
    to make the changes or their reverse: only both together leave the weights of states as they are, and chains that
    shared the direction too would not be independent. What the numbers of sites to draw from differ forth and back is
    in the acceptance.

    Attributes:
        group_sites: `[groups, longest]` sites of each group; padded with any.
        group_sizes: `[groups]` number of them.
        like: `[groups]` a site that has the same tables as all of its group; or None if groups hold unlike sites.
        group: `[classes, changes]` group of each change.
        old: `[classes, changes]` species code that a site is drawn from; in the reverse direction, that it gets.
        new: `[classes, changes]` species code that it gets, or is drawn from.
        count_changes: `[classes, sublattices, species]` what a class adds to the state's counts, forwards.
        cumulative: `[classes]` cumulative probability of the classes.
        num_species: length of the species axis of lists; static.
        steps: steps per sweep; static.
    """

    group_sites: Int[Array, "groups longest"]
    group_sizes: Int[Array, " groups"]
    like: Int[Array, " groups"] | None
    group: Int[Array, "classes changes"]
    old: Int[Array, "classes changes"]
    new: Int[Array, "classes changes"]
    count_changes: Int[Array, "classes sublattices species"]
    cumulative: Float[Array, " classes"]
    num_species: int = dataclasses.field(metadata={"static": True})
    steps: int = dataclasses.field(metadata={"static": True})

    def classes(self, key: Any) -> Int[Array, " steps"]:
        """Class of each step of a sweep, the same for all chains. The key is consumed."""
        uniform = jax.random.uniform(key, (self.steps,), self.cumulative.dtype)
        chosen = jnp.searchsorted(self.cumulative, uniform, side="right")
        return jnp.minimum(chosen, len(self.cumulative) - 1).astype(jnp.int32)

    def draws(self, key: Any, dtype: Any) -> Draws:
        """Random numbers of the steps of a sweep. The key is consumed."""
        # In one row: several numbers for each step would take four times as long.
        num_words = self.group.shape[1] + 2
        words = jax.random.bits(key, (num_words * self.steps,), jnp.uint32).reshape(num_words, self.steps)
        return Draws(tuple(words[1:]), log_uniform(words[0], dtype))

    def start(self, state: State) -> State:
        """The state with lists of its sites."""
        num_groups, longest = self.group_sites.shape
        is_site = jnp.arange(longest, dtype=jnp.int32)[None, :] < self.group_sizes[:, None]
        codes = state.occupancy[self.group_sites].astype(jnp.int32)
        species = jnp.arange(self.num_species, dtype=jnp.int32)[None, :, None]
        is_species = is_site[:, None, :] & (codes[:, None, :] == species)
        rank = jnp.sum(jnp.where(is_species, jnp.cumsum(is_species, axis=2, dtype=jnp.int32) - 1, 0), axis=1)
        lists = jnp.arange(num_groups, dtype=jnp.int32)[:, None] * self.num_species + codes
        num_entries = num_groups * self.num_species * longest
        # Padded entries lie behind the end, where they are dropped.
        place = jnp.where(is_site, lists * longest + rank.astype(jnp.int32), num_entries)
        sites = jnp.zeros(num_entries, jnp.int32).at[place.ravel()].set(self.group_sites.ravel(), mode="drop")
        return state._replace(lists=SiteLists(sites, jnp.sum(is_species, axis=2, dtype=jnp.int32).ravel()))

    def propose(
        self, draws: Draws, state: State, changes: EnergyChanges, weight: Weight, chosen: Int[Array, ""]
    ) -> Proposal:
        """The chosen class at random sites, decided by the rule of Metropolis and Hastings."""
        is_forward = draws.words[-1] % 2 == 0
        places = range(self.group.shape[1])
        group = [self.group[chosen, m] for m in places]
        forward = [(self.old[chosen, m], self.new[chosen, m]) for m in places]
        old = [jnp.where(is_forward, first, second) for first, second in forward]
        new = [jnp.where(is_forward, second, first) for first, second in forward]
        sites, log_ways, lists, list_counts = self._draw_sites(draws, state.lists, group, old, new)
        like = sites if self.like is None else [self.like[group[m]] for m in places]
        move = Substitution(sites, old, new, like, forward)
        delta = changes.change(state.memory, move)
        count_changes = jnp.where(is_forward, self.count_changes[chosen], -self.count_changes[chosen])
        log_change = log_weight_change(delta, state.counts, count_changes, weight)
        is_accepted = draws.log_uniform < log_change + log_ways
        return Proposal(is_accepted, delta, count_changes, move, lists, list_counts)

    def _draw_sites(self, draws, lists, group, old, new):
        """Draw one site after the other from the lists of their old species, to go into those of their new ones.

        Also the logarithm of the number of ways to do so less that of the ways back (-inf if there is none), and what
        changes in the lists.
        """
        longest, dtype = self.group_sites.shape[1], draws.log_uniform.dtype
        taken = [g * self.num_species + code for g, code in zip(group, old, strict=True)]
        given = [g * self.num_species + code for g, code in zip(group, new, strict=True)]
        sites, fillers, places, lefts = [], [], [], []
        for m, of in enumerate(taken):
            left = lists.counts[of] - _number_of(of, taken[:m])
            place = of * longest + (draws.words[m] % jnp.maximum(left, 1).astype(jnp.uint32)).astype(jnp.int32)
            last = of * longest + jnp.maximum(left - 1, 0)
            # The last site of the list fills the place; later draws from the same list see that.
            sites.append(_seen(lists.sites[place], place, places, fillers))
            fillers.append(_seen(lists.sites[last], last, places, fillers))
            places.append(place)
            lefts.append(jnp.maximum(left, 0).astype(dtype))
        # One ratio, of which one logarithm is taken: these take long.
        ends, ways = [], jnp.ones((), dtype)
        for m, of in enumerate(given):
            count = lists.counts[of] - _number_of(of, taken) + _number_of(of, given[:m])
            ends.append(of * longest + count)
            # Below 1 only where sites are missing.
            ways *= lefts[m] / jnp.maximum(count + 1, 1).astype(dtype)
        # Compared with all lists: faster than to write single counts.
        index = jnp.arange(len(lists.counts), dtype=jnp.int32)
        list_counts = sum(
            (index == into).astype(jnp.int32) - (index == out).astype(jnp.int32)
            for out, into in zip(taken, given, strict=True)
        )
        return sites, jnp.log(ways), Writes([*places, *ends], [*fillers, *sites]), list_counts


def log_uniform(bits: UInt[Array, "*steps"], dtype: Any) -> Float[Array, "*steps"]:
    """Logarithms of uniform numbers from random words.

    The smallest number is 2**-33. A uniform number in single precision is 0 in one draw of 2**23, which would accept
    any move, however unlikely.
    """
    return jnp.log((bits.astype(dtype) + 0.5) * 2.0**-32)


def _number_of(of: Any, others: list[Any]) -> Any:
    """How many of the other lists are this one."""
    return sum((other == of).astype(jnp.int32) for other in others)


def _seen(site: Any, place: Any, places: list[Any], fillers: list[Any]) -> Any:
    """What stands at a place of the lists once the earlier places are filled."""
    for earlier, filler in zip(places, fillers, strict=True):
        site = jnp.where(place == earlier, filler, site)
    return site


def settle(state: State, proposal: Proposal, changes: EnergyChanges) -> State:
    """The state with the move made if it was accepted."""
    is_accepted, move = proposal.is_accepted, proposal.move
    added = lambda old, change: old + jnp.where(is_accepted, change, jnp.zeros_like(change))
    lists = state.lists
    if proposal.lists is not None:
        written = _written(lists.sites, proposal.lists, is_accepted)
        lists = SiteLists(written, added(lists.counts, proposal.list_counts))
    return State(
        _written(state.occupancy, Writes(move.sites, move.new), is_accepted),
        added(state.energy, proposal.energy_change),
        added(state.counts, proposal.count_changes),
        changes.settle(state.memory, move, is_accepted),
        lists,
    )


def _written(array: Array, writes: Writes, is_accepted: Bool[Array, ""]) -> Array:
    """The array with the values written if they are accepted."""
    places, values = writes
    final = []
    for m, place in enumerate(places):
        value = jnp.where(is_accepted, values[m].astype(array.dtype), array[place])
        for later in range(m + 1, len(places)):
            value = jnp.where(is_accepted & (place == places[later]), values[later].astype(array.dtype), value)
        final.append(value)
    # Unfused, so that no value is computed again, from the array, after the first was written.
    array, places, final = jax.lax.optimization_barrier((array, places, final))
    for place, value in zip(places, final, strict=True):
        array = array.at[place].set(value)
    return array


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposed:
    """Moves that a function of the user proposes.

    Attributes:
        function: `(key, occupancy) -> (sites [changes], codes [changes], log_ratio [])`; a `Partial`.
        sublattice: `[sites]` active sublattice of each site that may change, else -1.
        num_species: `[sublattices]` number of species codes.
        steps: steps per sweep; static.
    """

    function: Callable[..., Any]
    sublattice: Int[Array, " sites"]
    num_species: Int[Array, " sublattices"]
    steps: int = dataclasses.field(metadata={"static": True})

    def classes(self, key: Any) -> Int[Array, " steps"]:
        """All steps are of one class."""
        del key
        return jnp.zeros(self.steps, jnp.int32)

    def draws(self, key: Any, dtype: Any) -> tuple[Any, Float[Array, " steps"]]:
        """A key and the logarithm of a uniform number for each step of a sweep. The key is consumed."""
        propose_key, uniform_key = jax.random.split(key)
        bits = jax.random.bits(uniform_key, (self.steps,), jnp.uint32)
        return jax.random.split(propose_key, self.steps), log_uniform(bits, dtype)

    def start(self, state: State) -> State:
        """The state as it is."""
        return state

    def propose(
        self, draws: Any, state: State, changes: EnergyChanges, weight: Weight, chosen: Int[Array, ""]
    ) -> Proposal:
        """The change of the user's function, decided by the rule of Metropolis and Hastings."""
        del chosen
        key, log_uniform = draws
        sites, codes, log_ratio = self.function(key, state.occupancy)
        sites, codes = jnp.atleast_1d(sites), jnp.atleast_1d(codes).astype(jnp.int32)
        is_possible = jnp.all((sites >= 0) & (sites < len(self.sublattice)))
        sites = sites.astype(jnp.int32)
        rows = self.sublattice[sites]
        is_possible &= jnp.all((rows >= 0) & (codes >= 0) & (codes < self.num_species[rows]))
        is_possible &= jnp.all(jnp.sum(sites[:, None] == sites[None, :], axis=1) == 1)
        old = state.occupancy[sites].astype(jnp.int32)
        codes = jnp.where(is_possible, codes, old)
        count_changes = jnp.zeros_like(state.counts).at[rows, old].add(-1).at[rows, codes].add(1)
        forward = list(zip(old, codes, strict=True))
        move = Substitution(list(sites), list(old), list(codes), list(sites), forward)
        delta = changes.change(state.memory, move)
        log_change = log_weight_change(delta, state.counts, count_changes, weight)
        is_accepted = is_possible & (log_uniform < log_change + jnp.asarray(log_ratio, delta.dtype))
        return Proposal(is_accepted, delta, count_changes, move)
