"""The table term: environments of centres as states, one look-up for each.

A change of one species moves the state of each centre around by a difference of two shares, whatever the others are.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxce.blocks import block_size, over_batch
from jaxce.cluster_products import pairwise_sum
from jaxce.mixed_radix import place_values
from jaxce.tables import TableTerm
from jaxce.terms import (
    Changes,
    term_couplings,
    term_energy,
    term_potentials,
    term_relaxed_energy,
    term_site_potentials,
    term_site_tables,
)


@term_energy.register
def _energy(term: TableTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, " batch"]:
    of_block = lambda occupancies: pairwise_sum(term.table[environment_states(term, occupancies)])
    return over_batch(of_block, block_size(2 * len(term.neighbours)), (occupancy, 1))


@term_relaxed_energy.register
def _relaxed_energy(term: TableTerm, probabilities: Float[Array, "batch sites species"]) -> Float[Array, " batch"]:
    # Slots in two halves: an expectation is a bilinear form in the probabilities of the states of both.
    half = (len(term.num_species) + 1) // 2
    rows, columns = (int(np.prod(part)) for part in (term.num_species[:half], term.num_species[half:]))

    # Not kept for gradients but made again: a number for each state of half an environment, centre and structure.
    @jax.checkpoint
    def of_block(probabilities):
        slots = _slot_probabilities(term, probabilities)
        certain = jnp.ones_like(slots[0][:1])
        upper, lower = (_state_probabilities(certain, part) for part in (slots[:half], slots[half:]))
        means = jnp.dot(term.table.reshape(rows, columns), lower, precision="highest")
        of_centres = jnp.sum(upper * means, axis=0)
        return pairwise_sum(of_centres.reshape(len(term.neighbours), -1))

    return over_batch(of_block, block_size((2 * rows + columns) * len(term.neighbours)), (probabilities, 2))


@term_potentials.register
def _potentials(term: TableTerm, occupancy: Int[Array, "batch sites"]) -> Float[Array, "batch sites species"]:
    def of_block(occupancies):
        states, codes = environment_states(term, occupancies), occupancies.T.astype(jnp.int32)
        total = jnp.zeros((*term.shares.shape[::2], len(occupancies)), term.table.dtype)
        for place in range(term.centres.shape[1]):
            shares = term.shares[:, place]
            others = states[term.centres[:, place]] - jnp.take_along_axis(shares, codes, axis=1)
            total += term.table[others[:, None] + shares[:, :, None]]
        return jnp.moveaxis(total, 2, 0)

    return over_batch(of_block, block_size(2 * term.shares.shape[0] * term.shares.shape[2]), (occupancy, 1))


@term_site_potentials.register
def _site_potentials(
    term: TableTerm, occupancy: Int[Array, " sites"], site: Int[Array, ""], changed: Changes
) -> Float[Array, " species"]:
    # Whatever the site itself holds is left out.
    others = _states_without(term, occupancy, term.centres[site], [*changed, (site, jnp.zeros((), jnp.int32))])
    return _potentials_of_site(term, others, term.shares[site])


@term_couplings.register
def _couplings(
    term: TableTerm, occupancy: Int[Array, " sites"], sites: Int[Array, " chosen"]
) -> Float[Array, "chosen species chosen species"]:
    zero = jnp.zeros((), jnp.int32)
    codes = jnp.arange(term.shares.shape[2], dtype=jnp.int32)

    def of_pair(site, other):
        centres = term.centres[site]
        states = _states_without(term, occupancy, centres, [(site, zero), (other, zero)])
        # What the other adds, where it is in the environment of a centre of the site.
        is_there = term.neighbours[centres] == other.astype(term.neighbours.dtype)
        places = jnp.asarray(place_values(term.num_species), jnp.int32)
        places = jnp.sum(jnp.where(is_there, places[None], zero), axis=1, dtype=jnp.int32)
        of_other = lambda code: _potentials_of_site(term, states + code * places, term.shares[site])
        return jax.vmap(of_other, out_axes=1)(codes)

    of_row = lambda site: jax.vmap(functools.partial(of_pair, site), out_axes=1)(sites)
    return jax.vmap(of_row)(sites)


@term_site_tables.register
def _site_tables(term: TableTerm) -> np.ndarray:
    return np.zeros(len(term.shares), dtype=np.int64)


def environment_states(term: TableTerm, occupancy: Int[Array, "batch sites"]) -> Int[Array, "centres batch"]:
    """State of the environment of each centre."""
    # The null site is the last row; structures come last, so that a row is one instruction for many.
    codes = jnp.pad(occupancy.T, ((0, 1), (0, 0)))
    states = jnp.zeros((len(term.neighbours), occupancy.shape[0]), jnp.int32)
    for slot, place in enumerate(place_values(term.num_species)):
        states += place * codes[term.neighbours[:, slot]].astype(jnp.int32)
    return states


def _states_without(
    term: TableTerm, occupancy: Int[Array, " sites"], centres: Int[Array, " touching"], changed: Changes
) -> Int[Array, " touching"]:
    """States of some centres after changes."""
    neighbours = term.neighbours[centres]
    codes = jnp.where(neighbours < 0, jnp.zeros((), jnp.int32), occupancy[neighbours].astype(jnp.int32))
    for other, code in changed:
        codes = jnp.where(neighbours == other.astype(neighbours.dtype), code.astype(codes.dtype), codes)
    return jnp.sum(codes * jnp.asarray(place_values(term.num_species), jnp.int32)[None], axis=1, dtype=jnp.int32)


def _potentials_of_site(
    term: TableTerm, others: Int[Array, " touching"], shares: Int[Array, "touching species"]
) -> Float[Array, " species"]:
    """Energy of each species of a site, from the states of its centres without it."""
    return jnp.sum(term.table[others[:, None] + shares], axis=0)


def _slot_probabilities(
    term: TableTerm, probabilities: Float[Array, "batch sites species"]
) -> list[Float[Array, "_species columns"]]:
    """Probability of each code in each slot; columns are centres times structures."""
    null = jax.nn.one_hot(0, probabilities.shape[2], dtype=probabilities.dtype)
    rows = jnp.concatenate([probabilities, jnp.broadcast_to(null, (len(probabilities), 1, len(null)))], axis=1)
    by_code = jnp.moveaxis(rows, 0, 2)
    slots = [by_code[term.neighbours[:, slot], :count] for slot, count in enumerate(term.num_species)]
    return [jnp.moveaxis(slot, 1, 0).reshape(slot.shape[1], -1) for slot in slots]


def _state_probabilities(
    certain: Float[Array, "one columns"], slots: list[Float[Array, "_species columns"]]
) -> Float[Array, "states columns"]:
    """Probability of each state of some slots; of none there is one state, which is certain."""
    joint = lambda states, slot: (states[:, None] * slot[None]).reshape(-1, slot.shape[-1])
    return functools.reduce(joint, slots, certain)
