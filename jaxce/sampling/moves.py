"""Moves: proposals that cost the same for any number of sites, and the chain states that make them so.

A chain is advanced by `swap_step` or `flip_step`: `(draws, state, hamiltonian, ...) -> (state, info)`, for one chain,
to be mapped over chains and scanned over steps. Random numbers are drawn a sweep at a time by `swap_draws` and
`flip_draws`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxce.energies import site_change
from jaxce.tables import Hamiltonian


class Sublattices(NamedTuple):
    """Sites that exchange species, and how often each sublattice is tried.

    Attributes:
        sites: `[sublattices, sites]` sites of each active sublattice; padded with its first site.
        num_sites: `[sublattices]` number of them.
        num_species: `[sublattices]` number of species.
        kind: `[sublattices]` kind of its sites in the Hamiltonian's `SiteSpecies`.
        log_weights: `[sublattices]` logarithm of the probability, up to a constant, to be tried.
    """

    sites: Int[Array, "sublattices sites"]
    num_sites: Int[Array, " sublattices"]
    num_species: Int[Array, " sublattices"]
    kind: Int[Array, " sublattices"]
    log_weights: Float[Array, " sublattices"]


class SwapClasses(NamedTuple):
    """Kinds of swaps: a sublattice and two of its species. The class of a step never depends on a chain's state.

    Attributes:
        sublattice: `[classes]`.
        first: `[classes]` species code.
        second: `[classes]` another species code.
        log_weights: `[classes]` logarithm of the probability, up to a constant, to be tried.
    """

    sublattice: Int[Array, " classes"]
    first: Int[Array, " classes"]
    second: Int[Array, " classes"]
    log_weights: Float[Array, " classes"]


class State(NamedTuple):
    """What the next step of one chain needs.

    Attributes:
        occupancy: `[sites]` species codes.
        site_lists: `[sublattices, sites]` sites of each sublattice, grouped by species; kept by swaps.
        starts: `[sublattices, species + 1]` where each species' group begins; swaps leave it as it is.
        energy: `[]` eV, without the Hamiltonian's constant.
    """

    occupancy: Int[Array, " sites"]
    site_lists: Int[Array, "sublattices list_sites"]
    starts: Int[Array, "sublattices bounds"]
    energy: Float[Array, ""]


class Info(NamedTuple):
    """What a step did.

    Attributes:
        is_accepted: `[]`.
        energy_change: `[]` eV of the proposed move.
    """

    is_accepted: Bool[Array, ""]
    energy_change: Float[Array, ""]


class Draws(NamedTuple):
    """Random numbers of one step of one chain.

    Attributes:
        first: `[]` place of the first site in its list.
        second: `[]` place of the second site (swaps), or the step to the new species (flips).
        log_uniform: `[]` logarithm of a uniform number.
    """

    first: Int[Array, "*steps"]
    second: Int[Array, "*steps"]
    log_uniform: Float[Array, "*steps"]


def swap_draws(key: Any, classes: SwapClasses, state: State, chosen: Int[Array, " steps"], dtype: Any) -> Draws:
    """Random numbers of a sweep of swaps; `chosen` is the class of each step. The key is consumed."""
    first_key, second_key, uniform_key = jax.random.split(key, 3)
    sublattice = classes.sublattice[chosen]
    places = []
    for place_key, code in ((first_key, classes.first[chosen]), (second_key, classes.second[chosen])):
        start, end = state.starts[sublattice, code], state.starts[sublattice, code + 1]
        places.append(start + jax.random.randint(place_key, chosen.shape, 0, jnp.maximum(end - start, 1), start.dtype))
    return Draws(*places, jnp.log(jax.random.uniform(uniform_key, chosen.shape, dtype)))


def flip_draws(key: Any, sublattices: Sublattices, chosen: Int[Array, " steps"], dtype: Any) -> Draws:
    """Random numbers of a sweep of flips; `chosen` is the sublattice of each step. The key is consumed."""
    site_key, species_key, uniform_key = jax.random.split(key, 3)
    num_sites, num_species = sublattices.num_sites[chosen], sublattices.num_species[chosen]
    site = jax.random.randint(site_key, chosen.shape, 0, num_sites, num_sites.dtype)
    shift = jax.random.randint(species_key, chosen.shape, 1, num_species, num_species.dtype)
    return Draws(site, shift, jnp.log(jax.random.uniform(uniform_key, chosen.shape, dtype)))


def swap_step(
    draws: Draws, state: State, hamiltonian: Hamiltonian, beta: Float[Array, ""], classes: SwapClasses, chosen: Any
) -> tuple[State, Info]:
    """Exchange a site of one species with a site of another; all such pairs of a class are equally likely."""
    row, a, b = classes.sublattice[chosen], classes.first[chosen], classes.second[chosen]
    i, j = state.site_lists[row, draws.first], state.site_lists[row, draws.second]
    codes = state.occupancy.dtype
    delta = site_change(hamiltonian, state.occupancy, i, b)
    # The sites may share clusters: the second change is taken with the first already made.
    delta += site_change(hamiltonian, state.occupancy.at[i].set(b.astype(codes)), j, a)
    # A chain without one of the species cannot make this move.
    is_possible = (state.occupancy[i] == a.astype(codes)) & (state.occupancy[j] == b.astype(codes))
    is_accepted = is_possible & (draws.log_uniform < -beta * delta)
    new_i, new_j = jnp.where(is_accepted, b, a).astype(codes), jnp.where(is_accepted, a, b).astype(codes)
    old_i, old_j = state.occupancy[i], state.occupancy[j]
    occupancy = state.occupancy.at[i].set(jnp.where(is_possible, new_i, old_i))
    occupancy = occupancy.at[j].set(jnp.where(is_possible, new_j, old_j))
    site_lists = state.site_lists.at[row, draws.first].set(jnp.where(is_accepted, j, i))
    site_lists = site_lists.at[row, draws.second].set(jnp.where(is_accepted, i, j))
    energy = state.energy + jnp.where(is_accepted, delta, jnp.zeros_like(delta))
    return State(occupancy, site_lists, state.starts, energy), Info(is_accepted, delta)


def flip_step(
    draws: Draws,
    state: State,
    hamiltonian: Hamiltonian,
    beta: Float[Array, ""],
    chemical_potentials: Float[Array, "kinds species"],
    sublattices: Sublattices,
    chosen: Any,
) -> tuple[State, Info]:
    """Give a site another species; every site of the sublattice and every other species is equally likely."""
    site, kind = sublattices.sites[chosen, draws.first], sublattices.kind[chosen]
    old = state.occupancy[site].astype(kind.dtype)
    new = (old + draws.second) % sublattices.num_species[chosen]
    delta = site_change(hamiltonian, state.occupancy, site, new)
    work = chemical_potentials[kind, new] - chemical_potentials[kind, old]
    is_accepted = draws.log_uniform < -beta * (delta - work)
    code = jnp.where(is_accepted, new, old).astype(state.occupancy.dtype)
    energy = state.energy + jnp.where(is_accepted, delta, jnp.zeros_like(delta))
    occupancy = state.occupancy.at[site].set(code)
    return State(occupancy, state.site_lists, state.starts, energy), Info(is_accepted, delta)


def find_sublattices(hamiltonian: Hamiltonian) -> Sublattices:
    """The active sublattices, tried in proportion to their number of sites.

    Raises:
        ValueError: if no site has more than one species.
    """
    kinds, numbers = np.asarray(hamiltonian.species.kind), np.asarray(hamiltonian.species.num_species)
    active = [kind for kind in np.unique(kinds) if numbers[kind] > 1]
    if not active:
        raise ValueError("no site of this supercell has more than one species: there is nothing to sample.")
    members = [np.flatnonzero(kinds == kind) for kind in active]
    longest = max(len(sites) for sites in members)
    padded = np.stack([np.append(sites, np.full(longest - len(sites), sites[0])) for sites in members])
    num_sites = np.array([len(sites) for sites in members])
    return Sublattices(
        sites=jnp.asarray(padded, jnp.int32),
        num_sites=jnp.asarray(num_sites, jnp.int32),
        num_species=jnp.asarray(numbers[active], jnp.int32),
        kind=jnp.asarray(active, jnp.int32),
        log_weights=jnp.asarray(np.log(num_sites), float),
    )


def group_by_species(sublattices: Sublattices, occupancy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[chains, sublattices, sites]` sites by species, and `[chains, sublattices, species + 1]` where species begin."""
    sites, num_sites = np.asarray(sublattices.sites), np.asarray(sublattices.num_sites)
    most = int(np.max(sublattices.num_species))
    codes = occupancy[:, sites].astype(np.int64)
    # Padded entries sort behind all species.
    codes[:, np.arange(sites.shape[1]) >= num_sites[:, None]] = most
    order = np.argsort(codes, axis=-1, kind="stable")
    lists = np.take_along_axis(np.broadcast_to(sites, codes.shape), order, axis=-1)
    starts = np.stack([np.sum(codes < code, axis=-1) for code in range(most + 1)], axis=-1)
    return lists.astype(np.int32), starts.astype(np.int32)


def find_swap_classes(sublattices: Sublattices, starts: np.ndarray) -> SwapClasses:
    """The species pairs that can swap in some chain.

    A sublattice is tried in proportion to its sites, and in it a pair of species in proportion to the number of site
    pairs, on average over chains.

    Raises:
        ValueError: if no chain has two species on one sublattice.
    """
    counts = np.diff(starts, axis=-1).astype(float)
    rows = []
    for sublattice, num_species in enumerate(np.asarray(sublattices.num_species)):
        pairs = [(a, b) for a in range(num_species) for b in range(a + 1, num_species)]
        numbers = np.array([np.mean(counts[:, sublattice, a] * counts[:, sublattice, b]) for a, b in pairs])
        share = float(sublattices.num_sites[sublattice]) / max(numbers.sum(), 1e-300)
        rows += [(sublattice, a, b, share * n) for (a, b), n in zip(pairs, numbers, strict=True) if n > 0]
    if not rows:
        raise ValueError(
            "every sublattice of every chain holds a single species, so a canonical chain is frozen: "
            "start from another composition, or use SemiGrand."
        )
    sublattice, first, second, weight = (np.array(column) for column in zip(*rows, strict=True))
    index = lambda column: jnp.asarray(column, jnp.int32)
    return SwapClasses(index(sublattice), index(first), index(second), jnp.asarray(np.log(weight), float))
