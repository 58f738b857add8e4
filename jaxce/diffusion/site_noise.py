"""What noises that treat every site by itself share.

An active site is untouched at time t with probability exp(-t); inactive sites never change. A denoiser gives
probabilities of the clean species of each site, `[..., sites, species]`, where an occupancy stands for certainty.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.diffusion.exact_composition import species_of
from jaxce.diffusion.noise_times import with_times
from jaxce.diffusion.open_sites import at_least_single
from jaxce.lattice.supercell import Supercell
from jaxce.site_species import check_occupancy, is_allowed
from jaxce.tables import Hamiltonian, SiteSpecies


def denoised_probabilities(
    crystal: Supercell | Hamiltonian | SiteSpecies, logits: Float[ArrayLike, "*batch sites species"]
) -> Float[Array, "*batch sites species"]:
    """The softmax of a denoiser's logits over the species that each site allows, in float32 at least."""
    logits = at_least_single(jnp.asarray(logits))
    allowed = jnp.broadcast_to(is_allowed(species_of(crystal)), logits.shape)
    return jax.nn.softmax(logits, axis=-1, where=allowed)


def checked(species: SiteSpecies, occupancy: Any, *times: Any) -> tuple[Array, ...]:
    check_occupancy(len(species.kind), occupancy)
    return with_times(occupancy, *times)


def clean_probabilities(species: SiteSpecies, clean: Any, like: Array) -> Float[Array, "*batch sites species"]:
    expected = species.labels.shape[-1]
    if jnp.issubdtype(jnp.result_type(clean), jnp.integer):
        check_occupancy(len(species.kind), clean)
        return jnp.broadcast_to(one_hot(jnp.asarray(clean), expected, like.dtype), like.shape)
    if jnp.shape(clean)[-2:] != (len(species.kind), expected):
        raise ValueError(
            f"`clean` must be an occupancy of integers [..., {len(species.kind)}] or probabilities of shape "
            f"[..., {len(species.kind)}, {expected}] (sites, species), but has shape {jnp.shape(clean)}."
        )
    return jnp.broadcast_to(jnp.asarray(clean).astype(like.dtype), like.shape)


def reverse_step(noise: Any, key: Any, noised: Any, logits: Any, t: Any, s: Any) -> Int[Array, "*batch sites"]:
    posterior = noise.posterior_logits(noised, denoised_probabilities(noise.species, logits), t, s)
    return jax.random.categorical(key, posterior).astype(jnp.result_type(noised))


def uniform_codes(key: Any, species: SiteSpecies, like: Int[Array, "*batch sites"]) -> Int[Array, "*batch sites"]:
    num_species = jnp.broadcast_to(species.num_species[species.kind], like.shape)
    return jax.random.randint(key, like.shape, 0, num_species).astype(like.dtype)


def one_hot(codes: Int[Array, "*batch sites"], num_codes: int, dtype: Any) -> Float[Array, "*batch sites codes"]:
    return jax.nn.one_hot(codes, num_codes, dtype=dtype)


def per_site(values: Float[Array, "*batch"]) -> Float[Array, "*batch 1 1"]:
    return values[..., None, None]


def log_probability_of(marginals: Float[Array, "*clean sites codes"], noised: Any) -> Float[Array, "*batch"]:
    check_occupancy(marginals.shape[-2], noised)
    noised = jnp.asarray(noised)
    batch = jnp.broadcast_shapes(noised.shape, marginals.shape[:-1])
    present = one_hot(jnp.broadcast_to(noised, batch), marginals.shape[-1], marginals.dtype)
    return jnp.sum(_log(jnp.sum(present * jnp.broadcast_to(marginals, present.shape), axis=-1)), axis=-1)


def normalised_log(weights: Float[Array, "*batch sites codes"]) -> Float[Array, "*batch sites codes"]:
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return _log(weights / jnp.where(total > 0, total, 1))


def _log(probability: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logarithm; -inf at 0, where its derivative is 0 instead of infinite."""
    is_possible = probability > 0
    return jnp.where(is_possible, jnp.log(jnp.where(is_possible, probability, 1)), -jnp.inf)
