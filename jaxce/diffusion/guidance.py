"""Logits of a network tilted by energies: guidance towards the Boltzmann distribution.

The energies are exact, no Taylor approximation. A sampler that draws many sites from tilted logits at once, or from
states that are still noisy, is biased all the same: each site is tilted as if the others stayed as they are (or, where
they are unknown, as if they were independent). Weights (`steer`) or a corrector (`jaxce.run_monte_carlo`,
`locally_balanced_flips`) remove that.

Functions take one Hamiltonian and occupancies `[..., sites]`; for a padded batch of unlike supercells map them:
`jax.vmap(tilted_logits)(batch.hamiltonian, batch.occupancy, logits, temperatures)`.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxce.diffusion.conditions import ChemicalPotentials, inverse_temperature, site_potentials
from jaxce.energies import all_swap_energies, relaxed_energy, substitution_energies
from jaxce.site_species import is_allowed
from jaxce.tables import Hamiltonian, SiteSpecies


def tilted_logits(
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "... sites"],
    logits: Float[ArrayLike, "... sites _species"],
    temperature: ArrayLike,
    chemical_potentials: ChemicalPotentials | None = None,
    strength: ArrayLike = 1.0,
) -> Float[Array, "*batch sites species"]:
    """Logits of each site minus `strength` times (change of E - sum mu N) / kT of every substitution on it.

    The logit of the species that is present stays, those of species that a site does not allow become -inf; so
    inactive sites stay as they are. For one site the tilted distribution is exact: the network's times the Boltzmann
    factor, the others being as they are. To draw several sites at once from it is biased (see above).

    Args:
        hamiltonian: the Hamiltonian.
        occupancy: species codes, without masked sites; see `relaxed_tilted_logits` for those.
        logits: of the network, in the species codes of each site.
        temperature: kelvin; a number or one per sample.
        chemical_potentials: species -> mu, eV per atom, or sublattice -> {species -> mu}; a number or one per sample.
        strength: a number or one per sample.

    Raises:
        ValueError: if shapes disagree or a species is unknown.
    """
    logits = _checked_logits(hamiltonian.species, logits, occupancy)
    dtype, mu = _float_type(hamiltonian), 0.0
    if chemical_potentials is not None:
        mu = site_potentials(hamiltonian.species, chemical_potentials, logits.shape[:-2], dtype)
        mu = _relative_to(jax.nn.one_hot(occupancy, logits.shape[-1], dtype=dtype), mu)
    changes = substitution_energies(hamiltonian, occupancy) - mu
    return _tilted(logits, changes, is_allowed(hamiltonian.species), temperature, strength)


def relaxed_tilted_logits(
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "... sites"] | None,
    logits: Float[ArrayLike, "... sites _species"],
    temperature: ArrayLike,
    chemical_potentials: ChemicalPotentials | None = None,
    strength: ArrayLike = 1.0,
) -> Float[Array, "*batch sites species"]:
    """`tilted_logits` where some sites are unknown: tilted by the expected energies under the network's probabilities.

    A site that is known has its species; one that is not has the probabilities of the logits, independently of the
    others. The tilt is the gradient of `jaxce.relaxed_energy` there: the exact mean energy of each species on the site
    under those probabilities, above the mean of the site. Where nothing is masked these are the substitution energies.
    It is a mean-field tilt: even a single site is drawn with a bias, as the mean of a Boltzmann factor is not that of
    the mean energy. Weights or a corrector remove it.

    Args:
        hamiltonian: the Hamiltonian.
        occupancy: species codes, and the length of the species axis (the mask code) where a site is unknown; None if
            all sites are, as for uniform noise, where the network's probabilities say all that is known.
        logits: of the network. On known sites they are tilted, too, but do not enter the mean energies.
        temperature: as in `tilted_logits`, as are the rest.
        chemical_potentials: as there.
        strength: as there.

    Raises:
        ValueError: if shapes disagree or a species is unknown.
    """
    species = hamiltonian.species
    logits = _checked_logits(species, logits, occupancy)
    probabilities = _probabilities(species, occupancy, logits, _float_type(hamiltonian))
    energies = jax.grad(lambda p: jnp.sum(relaxed_energy(hamiltonian, p)))(probabilities)
    if chemical_potentials is not None:
        energies -= site_potentials(species, chemical_potentials, energies.shape[:-2], energies.dtype)
    return _tilted(logits, _relative_to(probabilities, energies), is_allowed(species), temperature, strength)


def swap_log_weights(
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "*batch sites"],
    sites: Int[ArrayLike, " chosen"],
    temperature: ArrayLike,
) -> Float[Array, "*batch chosen chosen"]:
    """Minus the energy change of each exchange of two sites, in kT: log weights for samplers that propose swaps.

    -inf where two sites hold the same species or belong to different sublattices: only exchanges that keep the
    composition of each sublattice and change the state.

    Args:
        hamiltonian: the Hamiltonian.
        occupancy: species codes.
        sites: site indices, such as those of a sublattice.
        temperature: kelvin; a number or one per sample.
    """
    occupancy, sites = jnp.asarray(occupancy), jnp.asarray(sites)
    energies = all_swap_energies(hamiltonian, occupancy, sites)
    kind, codes = hamiltonian.species.kind[sites], occupancy[..., sites]
    is_swap = (codes[..., :, None] != codes[..., None, :]) & jnp.expand_dims(
        kind[:, None] == kind[None, :], tuple(range(energies.ndim - 2))
    )
    beta = inverse_temperature(temperature, energies.shape[:-2], energies.dtype)[..., None, None]
    return jnp.where(is_swap, -beta * jnp.where(is_swap, energies, 0), -jnp.inf)


def _tilted(
    logits: Float[Array, "*batch sites species"],
    changes: Float[Array, "*batch sites species"],
    allowed: Bool[Array, "sites species"],
    temperature: ArrayLike,
    strength: ArrayLike,
) -> Float[Array, "*batch sites species"]:
    """In the dtype of the logits, which may be less precise than that of the energies."""
    batch_shape = changes.shape[:-2]
    scale = inverse_temperature(temperature, batch_shape, changes.dtype)
    scale *= jnp.broadcast_to(jnp.asarray(strength, changes.dtype), batch_shape)
    allowed = jnp.broadcast_to(allowed, changes.shape)
    # Infinite energies times a strength of 0 would be NaN.
    tilt = scale[..., None, None] * jnp.where(allowed, changes, 0)
    return jnp.where(allowed, logits - tilt.astype(logits.dtype), -jnp.inf)


def _relative_to(
    probabilities: Float[Array, "*batch sites species"], values: Float[Array, "*batch sites species"]
) -> Float[Array, "*batch sites species"]:
    """Values minus their mean on the site."""
    return values - jnp.sum(probabilities * values, axis=-1, keepdims=True)


def _probabilities(
    species: SiteSpecies,
    occupancy: Int[ArrayLike, "*batch sites"] | None,
    logits: Float[Array, "*batch sites species"],
    dtype: jnp.dtype,
) -> Float[Array, "*batch sites species"]:
    """One-hot on known sites, those of the logits on others."""
    allowed = jnp.broadcast_to(is_allowed(species), logits.shape)
    of_logits = jax.nn.softmax(jnp.where(allowed, logits, -jnp.inf).astype(dtype), axis=-1)
    width = logits.shape[-1]
    if occupancy is None:
        return of_logits
    is_known = (jnp.asarray(occupancy) < width)[..., None]
    return jnp.where(is_known, jax.nn.one_hot(occupancy, width, dtype=dtype), of_logits)


def _checked_logits(species: SiteSpecies, logits: ArrayLike, occupancy: ArrayLike | None) -> Array:
    """The logits as an array, if their shape is that of one-hot occupancies."""
    logits = jnp.asarray(logits)
    expected = (len(species.kind), species.labels.shape[-1])
    if logits.shape[-2:] != expected:
        raise ValueError(
            f"`logits` must have shape [..., {expected[0]}, {expected[1]}] (sites, species codes), but have shape "
            f"{logits.shape}; leave out a mask class."
        )
    if occupancy is not None and jnp.shape(occupancy) != logits.shape[:-1]:
        raise ValueError(
            f"`occupancy` must have the shape {logits.shape[:-1]} of the logits, but has {jnp.shape(occupancy)}."
        )
    return logits


def _float_type(hamiltonian: Hamiltonian) -> jnp.dtype:
    """That of the tables, without the constant, which is float64 whatever they are."""
    return jnp.result_type(*(x for x in jax.tree.leaves(hamiltonian.terms) if jnp.issubdtype(x.dtype, jnp.floating)))
