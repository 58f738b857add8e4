"""Monte Carlo: many chains as one compiled scan."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import ase.units
import jax
import jax.numpy as jnp
import numpy as np

from jaxce.energies import relative_energy
from jaxce.sampling.ensembles import Canonical, SemiGrand
from jaxce.sampling.moves import (
    State,
    find_sublattices,
    find_swap_classes,
    flip_draws,
    flip_step,
    group_by_species,
    swap_draws,
    swap_step,
)
from jaxce.tables import Hamiltonian

_CANONICAL = Canonical()


class MonteCarloResult(NamedTuple):
    """Samples and final states of all chains.

    Attributes:
        energy: `[chains, samples]` E (never E - sum mu N), eV per supercell, float64.
        counts: `[chains, samples, labels]` number of sites with each species; `species` names them.
        species: names of the labels.
        occupancy: `[chains, sites]` final occupancies.
        acceptance_rate: `[chains]` accepted part of the proposals.
        lowest_energy: `[chains]` lowest energy among the samples, eV per supercell.
        lowest_occupancy: `[chains, sites]` the occupancy that has it.
        energy_drift: `[chains]` largest difference between the running energy and the full one at a sample, eV.
    """

    energy: np.ndarray
    counts: np.ndarray
    species: tuple[str, ...]
    occupancy: jax.Array
    acceptance_rate: np.ndarray
    lowest_energy: np.ndarray
    lowest_occupancy: jax.Array
    energy_drift: np.ndarray


def run_monte_carlo(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Canonical | SemiGrand = _CANONICAL,
    *,
    temperature: Any,
    num_sweeps: int = 1000,
    sample_every: int = 1,
) -> MonteCarloResult:
    """Run one Markov chain from each occupancy.

    A sweep is one step per active site. A canonical step proposes a swap of unlike species, a semi-grand one a change
    of species; both cost the same for any number of sites. Energies are updated by exact differences and set to the
    full energy at every sample.

    Args:
        key: random key, consumed. Chain number c uses `fold_in(key, c)`, so it does not depend on the other chains
            except through the kinds of moves, which all chains share.
        hamiltonian: the Hamiltonian.
        occupancy: `[chains, sites]` starting occupancies.
        ensemble: `Canonical()` or `SemiGrand(chemical_potentials)`.
        temperature: kelvin; a number, one per chain, or `[sweeps, chains]`.
        num_sweeps: sweeps in all; a multiple of `sample_every`.
        sample_every: sweeps between samples.

    Raises:
        ValueError: if shapes disagree, a temperature is not positive, a species is unknown, or nothing can move.
    """
    codes = _checked_start(hamiltonian, occupancy)
    dtype = hamiltonian.terms[0].linear.dtype
    betas = _betas(temperature, num_sweeps, len(codes), dtype)
    if num_sweeps < 1 or sample_every < 1 or num_sweeps % sample_every:
        raise ValueError(f"`num_sweeps` ({num_sweeps}) must be a positive multiple of `sample_every` ({sample_every}).")
    sublattices = find_sublattices(hamiltonian)
    lists, starts = group_by_species(sublattices, codes)
    if isinstance(ensemble, Canonical):
        moves, potentials = find_swap_classes(sublattices, starts), None
    else:
        moves, potentials = (
            sublattices,
            _chemical_potentials(hamiltonian, ensemble.chemical_potentials, len(codes), dtype),
        )
    start = jnp.asarray(codes)
    energies = relative_energy(hamiltonian, start)
    states = State(start, jnp.asarray(lists), jnp.asarray(starts), energies)
    samples = _run(
        key, hamiltonian, states, betas, moves, potentials, sample_every, int(jnp.sum(sublattices.num_sites))
    )
    return _result(hamiltonian, samples, num_sweeps * int(jnp.sum(sublattices.num_sites)))


class _Samples(NamedTuple):
    states: State
    energy: Any
    counts: Any
    num_accepted: Any
    lowest_energy: Any
    lowest_occupancy: Any
    drift: Any


@functools.partial(jax.jit, static_argnames=("sample_every", "steps"))
def _run(key, hamiltonian, states, betas, moves, potentials, sample_every, steps):
    """All sweeps: an outer scan over samples, an inner one over sweeps, the innermost over steps."""
    num_chains = len(states.energy)
    class_key, chain_root = jax.random.split(key)
    chain_keys = jax.vmap(lambda chain: jax.random.fold_in(chain_root, chain))(jnp.arange(num_chains))

    def sweep(states, sweep_and_beta):
        number, beta = sweep_and_beta
        sweep_key = jax.random.fold_in(class_key, number)
        chosen = jax.random.categorical(sweep_key, moves.log_weights, shape=(steps,)).astype(jnp.int32)
        keys = jax.vmap(lambda chain_key: jax.random.fold_in(chain_key, number))(chain_keys)
        return _sweep(keys, hamiltonian, states, beta, moves, potentials, chosen)

    def sample(carry, sweeps_and_betas):
        states, num_accepted, lowest, lowest_occupancy, drift = carry
        states, accepted = jax.lax.scan(sweep, states, sweeps_and_betas)
        full = relative_energy(hamiltonian, states.occupancy)
        drift = jnp.maximum(drift, jnp.abs(full - states.energy))
        is_lower = full < lowest
        lowest_occupancy = jnp.where(is_lower[:, None], states.occupancy, lowest_occupancy)
        carry = (
            states._replace(energy=full),
            num_accepted + jnp.sum(accepted, axis=0),
            jnp.minimum(full, lowest),
            lowest_occupancy,
            drift,
        )
        return carry, (full, _label_counts(hamiltonian, states.occupancy))

    numbers = jnp.arange(len(betas)).reshape(-1, sample_every)
    start = (states, jnp.zeros(num_chains, int), states.energy, states.occupancy, jnp.zeros_like(states.energy))
    carry, (energy, counts) = jax.lax.scan(sample, start, (numbers, betas.reshape(-1, sample_every, num_chains)))
    states, num_accepted, lowest, lowest_occupancy, drift = carry
    return _Samples(states, energy, counts, num_accepted, lowest, lowest_occupancy, drift)


def _sweep(keys, hamiltonian, states, beta, moves, potentials, chosen):
    """One sweep of all chains; the class of each step is shared, everything else is the chain's own."""
    dtype = states.energy.dtype
    if potentials is None:
        draws = jax.vmap(lambda key, state: swap_draws(key, moves, state, chosen, dtype))(keys, states)
        advance = lambda draw, state, beta, move: swap_step(draw, state, hamiltonian, beta, moves, move)
        arguments = (beta,)
    else:
        draws = jax.vmap(lambda key: flip_draws(key, moves, chosen, dtype))(keys)
        advance = lambda draw, state, beta, mu, move: flip_step(draw, state, hamiltonian, beta, mu, moves, move)
        arguments = (beta, potentials)
    in_axes = (0, 0, *(0 for _ in arguments), None)

    def step(states, draw_and_move):
        draw, move = draw_and_move
        states, info = jax.vmap(advance, in_axes)(draw, states, *arguments, move)
        return states, info.is_accepted

    by_step = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), draws)
    states, is_accepted = jax.lax.scan(step, states, (by_step, chosen))
    return states, jnp.sum(is_accepted, axis=0)


def _label_counts(hamiltonian, occupancy):
    """`[chains, labels]` number of sites that hold each species."""
    species = hamiltonian.species
    labels = species.labels[species.kind[None, :], occupancy.astype(jnp.int32)]
    return jnp.sum(jax.nn.one_hot(labels, len(species.names), dtype=jnp.int32), axis=1)


def _result(hamiltonian: Hamiltonian, samples: _Samples, num_proposals: int) -> MonteCarloResult:
    # The constant is added in double precision, whatever the dtype of the energies.
    constant = float(hamiltonian.constant)
    return MonteCarloResult(
        energy=np.asarray(samples.energy, dtype=np.float64).T + constant,
        counts=np.swapaxes(np.asarray(samples.counts), 0, 1)[..., :-1],
        species=hamiltonian.species.names[:-1],
        occupancy=samples.states.occupancy,
        acceptance_rate=np.asarray(samples.num_accepted, dtype=np.float64) / num_proposals,
        lowest_energy=np.asarray(samples.lowest_energy, dtype=np.float64) + constant,
        lowest_occupancy=samples.lowest_occupancy,
        energy_drift=np.asarray(samples.drift),
    )


def _checked_start(hamiltonian: Hamiltonian, occupancy: Any) -> np.ndarray:
    codes = np.asarray(occupancy)
    kind = np.asarray(hamiltonian.species.kind)
    if codes.ndim != 2 or codes.shape[1] != len(kind) or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"`occupancy` must hold integer species codes of shape [chains, {len(kind)}], but has shape {codes.shape} "
            f"and dtype {codes.dtype}; a single chain is occupancy[None]."
        )
    if np.any((codes < 0) | (codes >= np.asarray(hamiltonian.species.num_species)[kind])):
        raise ValueError("`occupancy` has species codes that its sites do not allow.")
    return codes.astype(np.int8)


def _betas(temperature: Any, num_sweeps: int, num_chains: int, dtype: Any) -> jax.Array:
    kelvin = np.asarray(temperature, dtype=np.float64)
    if kelvin.shape not in ((), (num_chains,), (num_sweeps, num_chains)):
        raise ValueError(
            f"`temperature` must be a number, [{num_chains}] (chains) or [{num_sweeps}, {num_chains}] "
            f"(sweeps, chains), but has shape {kelvin.shape}."
        )
    if not np.all(np.isfinite(kelvin) & (kelvin > 0)):
        raise ValueError("temperatures must be positive and finite, in kelvin.")
    return jnp.asarray(np.broadcast_to(1 / (ase.units.kB * kelvin), (num_sweeps, num_chains)), dtype)


def _chemical_potentials(
    hamiltonian: Hamiltonian, potentials: Mapping[str, Any], num_chains: int, dtype: Any
) -> jax.Array:
    """`[chains, kinds, species]` chemical potentials, eV."""
    species = hamiltonian.species
    unknown = sorted(set(potentials) - set(species.names[:-1]))
    if unknown:
        raise ValueError(f"chemical potentials are given for {unknown}, but the species are {species.names[:-1]}.")
    by_label = np.zeros((num_chains, len(species.names)))
    for name, value in potentials.items():
        number = np.asarray(value, dtype=np.float64)
        if number.shape not in ((), (num_chains,)) or not np.all(np.isfinite(number)):
            raise ValueError(f"the chemical potential of {name} must be a number or one per chain, but is {value!r}.")
        by_label[:, species.names.index(name)] = number
    return jnp.asarray(by_label[:, np.asarray(species.labels)], dtype)
