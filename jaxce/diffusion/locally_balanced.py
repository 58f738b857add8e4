"""Locally balanced Monte Carlo moves: all neighbours of a state are weighed before one is proposed.

A neighbour is proposed in proportion to the square root of its Boltzmann weight relative to the present state, and
accepted by the ratio of the normalisers here and there (Zanella, J. Am. Stat. Assoc. 115, 852 (2020); with gradients in
place of exact differences, Grathwohl et al., ICML 2021). The differences are exact here, so nearly all proposals are
accepted, also where a random one hardly ever is. A step costs a few evaluations of all fields, thousands of times a
step of `jaxce.run_monte_carlo`: these moves are for correctors within a sampler, on a device, not for long runs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.diffusion.conditions import ChemicalPotentials, inverse_temperature, site_potentials
from jaxce.energies import substitution_energies
from jaxce.tables import Hamiltonian


class BalancedMoves(NamedTuple):
    """Where locally balanced moves have led.

    Attributes:
        occupancy: `[..., sites]` species codes.
        acceptance_rate: `[...]` part of the proposals that was accepted.
    """

    occupancy: Int[Array, "*batch sites"]
    acceptance_rate: Float[Array, "*batch"]


def locally_balanced_flips(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "*batch sites"],
    temperature: ArrayLike,
    num_steps: int,
    chemical_potentials: ChemicalPotentials | None = None,
) -> BalancedMoves:
    """Some steps, each of which changes the species of one site; they leave exp(-(E - sum mu N) / kT) as it is.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: species codes.
        temperature: kelvin; a number or one per sample.
        num_steps: steps of each sample.
        chemical_potentials: species -> mu, eV per atom, or sublattice -> {species -> mu}; a number or one per sample.

    Raises:
        ValueError: if a species is unknown.
    """
    occupancy = jnp.asarray(occupancy)

    def step(carry, key):
        occupancy, log_weights = carry
        choice_key, accept_key = jax.random.split(key)
        flat = log_weights.reshape(*log_weights.shape[:-2], -1)
        choice = jax.random.categorical(choice_key, flat, axis=-1)
        site, code = jnp.divmod(choice, log_weights.shape[-1])
        proposed = _with_codes(occupancy, site, code)
        new_log_weights = flip_log_weights(hamiltonian, proposed, temperature, chemical_potentials)
        log_ratio = _log_normaliser(log_weights, 2) - _log_normaliser(new_log_weights, 2)
        is_accepted = _is_accepted(accept_key, log_ratio)
        occupancy = jnp.where(is_accepted[..., None], proposed, occupancy)
        log_weights = jnp.where(is_accepted[..., None, None], new_log_weights, log_weights)
        return (occupancy, log_weights), is_accepted

    start = (occupancy, flip_log_weights(hamiltonian, occupancy, temperature, chemical_potentials))
    return _scanned(step, start, key, num_steps)


def locally_balanced_swaps(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "*batch sites"],
    temperature: ArrayLike,
    num_steps: int,
) -> BalancedMoves:
    """Some steps, each of which exchanges two unlike sites of a sublattice; they leave exp(-E / kT) as it is.

    One site is drawn uniformly from all sites, whatever the state; the other in proportion to the square root of the
    weight of the exchange. For each first site these moves are reversible by themselves, and inactive sites, or ones
    without a partner, leave the state as it is.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: species codes; the composition of each sublattice is kept.
        temperature: kelvin; a number or one per sample.
        num_steps: steps of each sample.
    """
    occupancy = jnp.asarray(occupancy)

    def step(carry, key):
        (occupancy,) = carry
        first_key, second_key, accept_key = jax.random.split(key, 3)
        first = jax.random.randint(first_key, occupancy.shape[:-1], 0, occupancy.shape[-1])
        log_weights = partner_log_weights(hamiltonian, occupancy, first, temperature)
        second = jax.random.categorical(second_key, log_weights, axis=-1)
        codes = [_at(occupancy, site) for site in (first, second)]
        proposed = _with_codes(_with_codes(occupancy, first, codes[1]), second, codes[0])
        new_log_weights = partner_log_weights(hamiltonian, proposed, first, temperature)
        has_partner = jnp.any(log_weights > -jnp.inf, axis=-1)
        log_ratio = _log_normaliser(log_weights, 1) - _log_normaliser(new_log_weights, 1)
        is_accepted = _is_accepted(accept_key, log_ratio) & has_partner
        return (jnp.where(is_accepted[..., None], proposed, occupancy),), is_accepted

    return _scanned(step, (occupancy,), key, num_steps)


def flip_log_weights(
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "*batch sites"],
    temperature: ArrayLike,
    chemical_potentials: ChemicalPotentials | None = None,
) -> Float[Array, "*batch sites species"]:
    """Log of the square root of the weight of each substitution, relative to the present state; -inf if it is none.

    Exponentials of it over their sum are the probabilities of proposals.
    """
    occupancy = jnp.asarray(occupancy)
    changes = substitution_energies(hamiltonian, occupancy)
    is_present = jax.nn.one_hot(occupancy, changes.shape[-1], dtype=bool)
    if chemical_potentials is not None:
        mu = site_potentials(hamiltonian.species, chemical_potentials, changes.shape[:-2], changes.dtype)
        changes -= mu - jnp.sum(jnp.where(is_present, mu, 0), axis=-1, keepdims=True)
    beta = inverse_temperature(temperature, changes.shape[:-2], changes.dtype)[..., None, None]
    return jnp.where(is_present, -jnp.inf, -beta / 2 * changes)


def partner_log_weights(
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "*batch sites"],
    site: Int[ArrayLike, "*batch"],
    temperature: ArrayLike,
) -> Float[Array, "*batch sites"]:
    """Log of the square root of the weight of each exchange of a site with another, relative to the present state.

    -inf for sites of the same species or of another sublattice.
    """
    occupancy, site = jnp.asarray(occupancy), jnp.asarray(site)
    species, old = hamiltonian.species, _at(occupancy, site)
    # First the site takes each species of the others: what these feel then is exact, also if they share clusters.
    codes = jnp.expand_dims(
        jnp.arange(species.labels.shape[-1], dtype=occupancy.dtype), tuple(range(1, occupancy.ndim))
    )
    codes = jnp.where(codes < species.num_species[species.kind[site]].astype(codes.dtype)[None], codes, old[None])
    sites = jnp.broadcast_to(site, codes.shape)
    changed = _with_codes(jnp.broadcast_to(occupancy, (len(codes), *occupancy.shape)), sites, codes)
    # Then each site takes the old species of this one. For this one itself, that takes its change back.
    second = substitution_energies(hamiltonian, changed)
    taken = jnp.broadcast_to(old[None, ..., None, None], (*second.shape[:-1], 1)).astype(jnp.int32)
    second = jnp.take_along_axis(second, taken, axis=-1)[..., 0]
    both = second - _at(second, sites)[..., None]
    change = jnp.take_along_axis(both, occupancy[None].astype(jnp.int32), axis=0)[0]
    is_partner = occupancy != old[..., None]
    is_partner &= species.kind[site][..., None] == jnp.broadcast_to(species.kind, occupancy.shape)
    beta = inverse_temperature(temperature, site.shape, change.dtype)[..., None]
    return jnp.where(is_partner, -beta / 2 * jnp.where(is_partner, change, 0), -jnp.inf)


def _scanned(step: Callable[..., Any], start: tuple[Any, ...], key: Any, num_steps: int) -> BalancedMoves:
    end, accepted = jax.lax.scan(step, start, jax.random.split(key, num_steps))
    return BalancedMoves(end[0], jnp.mean(accepted, axis=0))


def _log_normaliser(log_weights: Array, num_axes: int) -> Float[Array, "*batch"]:
    return jax.nn.logsumexp(log_weights, axis=tuple(range(-num_axes, 0)))


def _is_accepted(key: Any, log_ratio: Float[Array, "*batch"]) -> Array:
    # Exponential numbers are minus the logarithms of uniform ones. A NaN is not accepted.
    return -jax.random.exponential(key, log_ratio.shape, log_ratio.dtype) < log_ratio


def _at(values: Array, site: Int[Array, "*batch"]) -> Array:
    """The values `[..., sites]` at one site of each sample."""
    return jnp.take_along_axis(values, site[..., None].astype(jnp.int32), axis=-1)[..., 0]


def _with_codes(occupancy: Int[Array, "*batch sites"], site: Int[Array, "*batch"], code: Int[Array, "*batch"]) -> Array:
    """The occupancies with one site of each changed."""
    places = jnp.arange(occupancy.shape[-1], dtype=site.dtype)
    is_site = site[..., None] == jnp.expand_dims(places, tuple(range(site.ndim)))
    return jnp.where(is_site, code[..., None].astype(occupancy.dtype), occupancy)
