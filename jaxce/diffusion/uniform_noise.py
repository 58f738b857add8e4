"""Uniform noise (D3PM: Austin et al. 2021, in continuous time): every site takes random species by itself."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from jaxce.diffusion.exact_composition import species_of
from jaxce.diffusion.noise_times import kept, touched
from jaxce.diffusion.site_noise import (
    checked,
    clean_probabilities,
    log_probability_of,
    normalised_log,
    one_hot,
    per_site,
    reverse_step,
    uniform_codes,
)
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.site_species import is_allowed
from jaxce.tables import Hamiltonian, SiteSpecies


@pytree
@dataclasses.dataclass(frozen=True, init=False)
class UniformNoise:
    """A touched site takes any of its species with equal probability, also the one that it had.

    Attributes:
        species: the species of the sites; may be given by a `Supercell` or a `Hamiltonian`.
    """

    species: SiteSpecies

    def __init__(self, species: Supercell | Hamiltonian | SiteSpecies):
        object.__setattr__(self, "species", species_of(species))

    def sample(
        self, key: Any, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Int[Array, "*batch sites"]:
        """A noised occupancy of each occupancy, at times that are a number or one per occupancy."""
        occupancy, t = checked(self.species, occupancy, t)
        touch_key, species_key = jax.random.split(key)
        is_touched = jax.random.uniform(touch_key, occupancy.shape, t.dtype) < touched(t)[..., None]
        return jnp.where(is_touched, uniform_codes(species_key, self.species, occupancy), occupancy)

    def site_marginals(
        self, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Float[Array, "*batch sites species"]:
        """Probability of each species code on each site at time t."""
        occupancy, t = checked(self.species, occupancy, t)
        clean = one_hot(occupancy, self.species.labels.shape[-1], t.dtype)
        return per_site(kept(t)) * clean + per_site(touched(t)) * self._uniform(clean)

    def log_probability(
        self,
        noised: Int[ArrayLike, "*noised sites"],
        occupancy: Int[ArrayLike, "*clean sites"],
        t: Num[ArrayLike, "..."],
    ) -> Float[Array, "*batch"]:
        """Log q(x_t | x_0); -inf where it cannot be."""
        return log_probability_of(self.site_marginals(occupancy, t), noised)

    def posterior_logits(
        self, noised: Int[ArrayLike, "*noised sites"], clean: Any, t: Num[ArrayLike, "..."], s: Num[ArrayLike, "..."]
    ) -> Float[Array, "*batch sites species"]:
        """Log q(x_s | x_t, x_0) of each site for an earlier time s, averaged over x_0; normalised.

        Args:
            noised: x_t.
            clean: x_0 as an occupancy, or a denoiser's probabilities of it given x_t.
            t: the time of `noised`.
            s: the earlier time.
        """
        noised, t, s = checked(self.species, noised, t, s)
        present = one_hot(noised, self.species.labels.shape[-1], t.dtype)
        clean = clean_probabilities(self.species, clean, present)
        uniform = self._uniform(present)
        from_clean = per_site(kept(t)) * present + per_site(touched(t)) * uniform
        # What cannot have led to x_t has no part.
        weights = jnp.where(from_clean > 0, clean / jnp.where(from_clean > 0, from_clean, 1), 0)
        total = jnp.sum(weights, axis=-1, keepdims=True)
        earlier = per_site(kept(s)) * weights + per_site(touched(s)) * total * uniform
        step = per_site(kept(t - s)) * present + per_site(touched(t - s)) * uniform
        return normalised_log(earlier * step)

    def reverse_step(
        self,
        key: Any,
        noised: Int[ArrayLike, "*noised sites"],
        logits: Float[ArrayLike, "*denoised sites species"],
        t: Num[ArrayLike, "..."],
        s: Num[ArrayLike, "..."],
    ) -> Int[Array, "*batch sites"]:
        """An occupancy at the earlier time s, drawn with a denoiser's logits of the clean species."""
        return reverse_step(self, key, noised, logits, t, s)

    def prior(self, key: Any, shape: tuple[int, ...] = ()) -> Int[Array, "*shape sites"]:
        """Occupancies at infinite time: every species of a site equally likely."""
        zeros = jnp.zeros((*shape, len(self.species.kind)), jnp.int8)
        return uniform_codes(key, self.species, zeros)

    def prior_log_probability(self) -> Float[Array, ""]:
        """Log-probability of each occupancy that `prior` draws."""
        return -jnp.sum(jnp.log(self.species.num_species[self.species.kind].astype(jnp.result_type(float))))

    def _uniform(self, like: Float[Array, "*batch sites species"]) -> Float[Array, "*batch sites species"]:
        allowed = is_allowed(self.species).astype(like.dtype)
        return jnp.broadcast_to(allowed / jnp.sum(allowed, axis=-1, keepdims=True), like.shape)
