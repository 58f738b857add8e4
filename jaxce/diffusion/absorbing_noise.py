"""Absorbing noise (D3PM: Austin et al. 2021, in continuous time): every site is masked by itself."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from jaxce.diffusion.exact_composition import is_active, species_of
from jaxce.diffusion.noise_times import touched, touched_before
from jaxce.diffusion.site_noise import (
    checked,
    clean_probabilities,
    log_probability_of,
    normalised_log,
    one_hot,
    per_site,
    reverse_step,
)
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.tables import Hamiltonian, SiteSpecies


@pytree
@dataclasses.dataclass(frozen=True, init=False)
class AbsorbingNoise:
    """A touched site is masked: it takes one further code, `mask_code`, which all sites share.

    Attributes:
        species: the species of the sites; may be given by a `Supercell` or a `Hamiltonian`.
    """

    species: SiteSpecies

    def __init__(self, species: Supercell | Hamiltonian | SiteSpecies):
        object.__setattr__(self, "species", species_of(species))

    @property
    def mask_code(self) -> int:
        """Code of a masked site: the length of the species axis."""
        return self.species.labels.shape[-1]

    def sample(
        self, key: Any, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Int[Array, "*batch sites"]:
        """A noised occupancy of each occupancy, at times that are a number or one per occupancy."""
        occupancy, t = checked(self.species, occupancy, t)
        is_touched = jax.random.uniform(key, occupancy.shape, t.dtype) < touched(t)[..., None]
        is_masked = is_touched & jnp.broadcast_to(is_active(self.species), occupancy.shape)
        return jnp.where(is_masked, jnp.asarray(self.mask_code, occupancy.dtype), occupancy)

    def site_marginals(
        self, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Float[Array, "*batch sites codes"]:
        """Probability of each species code, and last of the mask, on each site at time t."""
        occupancy, t = checked(self.species, occupancy, t)
        clean = one_hot(occupancy, self.mask_code, t.dtype)
        masked = jnp.where(jnp.broadcast_to(is_active(self.species), occupancy.shape), touched(t)[..., None], 0)
        return jnp.concatenate([(1 - masked)[..., None] * clean, masked[..., None]], axis=-1)

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
    ) -> Float[Array, "*batch sites codes"]:
        """Log q(x_s | x_t, x_0) of each site for an earlier time s, averaged over x_0; normalised, the mask last.

        Args:
            noised: x_t.
            clean: x_0 as an occupancy, or a denoiser's probabilities of it given x_t.
            t: the time of `noised`.
            s: the earlier time.
        """
        noised, t, s = checked(self.species, noised, t, s)
        present = one_hot(noised, self.mask_code + 1, t.dtype)
        is_certain = jnp.issubdtype(jnp.result_type(clean), jnp.integer)
        clean = clean_probabilities(self.species, clean, present[..., :-1])
        still_masked = jnp.broadcast_to(per_site(touched_before(t, s)), (*noised.shape, 1))
        revealed = jnp.concatenate([(1 - still_masked) * clean, still_masked], axis=-1)
        # A site that shows its species had it before, whatever a denoiser says of it.
        shown = present * jnp.concatenate([clean, still_masked], axis=-1) if is_certain else present
        return normalised_log(jnp.where((noised == self.mask_code)[..., None], revealed, shown))

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
        """Occupancies at infinite time: all active sites masked. Nothing is random in it."""
        del key
        masked = jnp.where(is_active(self.species), jnp.int8(self.mask_code), jnp.int8(0))
        return jnp.broadcast_to(masked, (*shape, len(masked)))
