"""Probabilities of the steps of reverse processes, and those of the one that leads to the uniform distribution.

That one is what weights compare with: it leads from `noise.prior` to every occupancy with equal probability.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxce.diffusion.exact_composition import count_species, log_arrangements
from jaxce.diffusion.reverse_process import Noise, occupancy_of
from jaxce.diffusion.shuffle_noise import ShuffleNoise
from jaxce.diffusion.site_noise import denoised_probabilities
from jaxce.diffusion.uniform_noise import UniformNoise


def reverse_log_probability(
    noise: Noise,
    earlier: Any,
    state: Any,
    logits: Float[Array, "*batch sites species"],
    t: Float[Array, ""],
    s: Float[Array, ""],
) -> Float[Array, "*batch"]:
    """Log-probability of what `noise.reverse_step` draws: the state at the earlier time s.

    Args:
        noise: the noise.
        earlier: the state at the earlier time s.
        state: the state at time t.
        logits: of the clean species, given `state`.
        t: the later time.
        s: the earlier time.
    """
    if isinstance(noise, ShuffleNoise):
        return noise.reverse_log_probability(earlier, state, logits, t, s)
    posterior = noise.posterior_logits(state, denoised_probabilities(noise.species, logits), t, s)
    chosen = jnp.take_along_axis(posterior, earlier[..., None].astype(jnp.int32), axis=-1)
    return jnp.sum(chosen, axis=(-2, -1))


def uniform_logits(noise: Noise, state: Any, t: Float[Array, "..."]) -> Float[Array, "*batch sites species"]:
    """What an ideal denoiser knows of clean occupancies that are uniformly distributed."""
    if isinstance(noise, UniformNoise):
        # Bayes' rule: the noise is symmetric.
        return jnp.log(noise.site_marginals(state, t))
    return jnp.zeros((*occupancy_of(state).shape, noise.species.labels.shape[-1]), t.dtype)


def uniform_log_probability(
    noise: Noise, earlier: Any, state: Any, t: Float[Array, ""], s: Float[Array, ""]
) -> Float[Array, "*batch"]:
    """`reverse_log_probability` with `uniform_logits`."""
    if not isinstance(noise, ShuffleNoise):
        return reverse_log_probability(noise, earlier, state, uniform_logits(noise, state, t), t, s)
    # The released sites show one of the arrangements that were possible: no recursion is needed.
    log_state = noise.posterior_log_probability(earlier, state, earlier.occupancy, t, s)
    left, all_of_set = (
        log_arrangements(count_species(noise.species, codes, shuffled)) for codes, shuffled in (earlier, state)
    )
    return log_state + (left - all_of_set).astype(t.dtype)


def log_number_of_occupancies(noise: Noise, state: Any, dtype: Any) -> Float[Array, "*batch"]:
    """Logarithm of the number of occupancies that a reverse process may lead to; of the composition, if it is kept."""
    if isinstance(noise, ShuffleNoise):
        return log_arrangements(count_species(noise.species, state.occupancy)).astype(dtype)
    species = noise.species
    log_number = jnp.sum(jnp.log(species.num_species[species.kind].astype(dtype)))
    return jnp.broadcast_to(log_number, occupancy_of(state).shape[:-1])
