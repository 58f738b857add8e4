"""Noise that keeps the composition: sites join a set, inside which species are permuted, each sublattice by itself.

Site i joins at a random time: it is in the shuffle set S_t with probability 1 - exp(-t), and once in it stays. At every
step of the forward process the species on S_t are permuted uniformly afresh. This is Markov in the occupancy and the
set together, not in the occupancy alone. The species on S_t are those of x_0 there, so with M(x, S) the number of
arrangements of the species of x on S (a product of multinomials) and n active sites

    q(x_t, S_t | x_0) = (1 - e^-t)^|S_t| e^(-t (n - |S_t|)) / M(x_0, S_t)    where x_t is x_0 outside S_t.

Bayes' rule, with q(x_t, S_t | x_s, S_s) = (1 - e^(s-t))^|S_t - S_s| e^((s-t) (n - |S_t|)) / M(x_0, S_t), gives

    q(x_s, S_s | x_t, S_t, x_0) = r^|S_s| (1 - r)^|S_t - S_s| / M(x_0, S_s),    r = (1 - e^-s) / (1 - e^-t),

for S_s within S_t and x_s that is x_0 outside S_s: each site of S_t leaves the set with probability 1 - r and shows
its species of x_0; the others are permuted. The arrangement of x_t on S_t says nothing about x_0.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Num

from jaxce.diffusion.conditional_decoding import decode_conditional, log_partition
from jaxce.diffusion.exact_composition import (
    check_counts_shape,
    count_species,
    exchanged_marginals,
    is_active,
    log_arrangements,
    ordered_occupancy,
    permuted,
    species_of,
    sublattice_sizes,
)
from jaxce.diffusion.noise_times import count_times_log, kept, touched, touched_before, with_times
from jaxce.diffusion.open_sites import at_least_single
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.site_species import check_occupancy
from jaxce.tables import Hamiltonian, SiteSpecies


class ShuffleState(NamedTuple):
    """An occupancy and its shuffle set: both are needed to go on.

    Attributes:
        occupancy: `[..., sites]` species codes.
        shuffled: `[..., sites]` which sites are in the shuffle set.
    """

    occupancy: Int[Array, "*batch sites"]
    shuffled: Bool[Array, "*batch sites"]


@pytree
@dataclasses.dataclass(frozen=True, init=False)
class ShuffleNoise:
    """Noise at exact composition, whose state is an occupancy and a shuffle set.

    Attributes:
        species: the species of the sites; may be given by a `Supercell` or a `Hamiltonian`.
    """

    species: SiteSpecies

    def __init__(self, species: Supercell | Hamiltonian | SiteSpecies):
        object.__setattr__(self, "species", species_of(species))

    def sample(self, key: Any, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]) -> ShuffleState:
        """A noised state of each occupancy, at times that are a number or one per occupancy."""
        occupancy, t = self._checked(occupancy, t)
        set_key, permutation_key = jax.random.split(key)
        shuffled = self._drawn_sites(set_key, jnp.broadcast_to(is_active(self.species), occupancy.shape), touched(t))
        return ShuffleState(permuted(permutation_key, self.species, occupancy, shuffled), shuffled)

    def log_probability(
        self, state: ShuffleState, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Float[Array, "*batch"]:
        """Log q(x_t, S_t | x_0); -inf where it cannot be."""
        occupancy, t, state = self._checked(occupancy, t, states=[state])
        everywhere = jnp.broadcast_to(is_active(self.species), occupancy.shape)
        return self._log_probability_within(everywhere, state, occupancy, jnp.log(touched(t)), -t)

    def site_marginals(
        self, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Float[Array, "*batch sites species"]:
        """Probability of each species code on each site at time t, whatever the shuffle set.

        On a sublattice with n sites, a site has the species that it had itself with probability e^-t + (1 - e^-nt) / n:
        the mean of 1 / |S_t| over the sets that hold it is (1 - e^-nt) / (n (1 - e^-t)). Otherwise it has that of any
        other site, with equal probabilities.
        """
        occupancy, t = self._checked(occupancy, t)
        sizes = jnp.broadcast_to(sublattice_sizes(self.species).astype(t.dtype), occupancy.shape)
        at_home = kept(t)[..., None] + touched(t[..., None] * sizes) / sizes
        return exchanged_marginals(self.species, occupancy, at_home)

    def posterior_sample(
        self,
        key: Any,
        state: ShuffleState,
        occupancy: Int[ArrayLike, "*clean sites"],
        t: Num[ArrayLike, "..."],
        s: Num[ArrayLike, "..."],
    ) -> ShuffleState:
        """A state at the earlier time s, drawn from q(x_s, S_s | x_t, S_t, x_0)."""
        occupancy, t, s, state = self._checked(occupancy, t, s, states=[state])
        set_key, permutation_key = jax.random.split(key)
        shuffled = self._drawn_sites(set_key, state.shuffled, touched_before(t, s))
        return ShuffleState(permuted(permutation_key, self.species, occupancy, shuffled), shuffled)

    def posterior_log_probability(
        self,
        earlier: ShuffleState,
        state: ShuffleState,
        occupancy: Int[ArrayLike, "*clean sites"],
        t: Num[ArrayLike, "..."],
        s: Num[ArrayLike, "..."],
    ) -> Float[Array, "*batch"]:
        """Log q(x_s, S_s | x_t, S_t, x_0); -inf where `earlier` cannot be. `state` must be possible at time t."""
        occupancy, t, s, earlier, state = self._checked(occupancy, t, s, states=[earlier, state])
        stays = touched_before(t, s)
        return self._log_probability_within(state.shuffled, earlier, occupancy, jnp.log(stays), jnp.log1p(-stays))

    def reverse_step(
        self,
        key: Any,
        state: ShuffleState,
        logits: Float[ArrayLike, "*denoised sites species"],
        t: Num[ArrayLike, "..."],
        s: Num[ArrayLike, "..."],
        decode: Callable[..., Any] = decode_conditional,
    ) -> ShuffleState:
        """A state at the earlier time s, with x_0 on the shuffle set drawn from a denoiser's logits.

        The composition of every sublattice is kept exactly. Sites outside the set show x_0 already; their logits count
        for nothing.

        Args:
            key: random key, consumed.
            state: the state at time t.
            logits: of the clean species.
            t: the time of `state`.
            s: the earlier time.
            decode: draws x_0 at exact composition: `decode_conditional`, `decode_sequential` or `decode_gumbel`.
        """
        decode_key, posterior_key = jax.random.split(key)
        _, t, s, state = self._checked(state.occupancy, t, s, states=[state])
        counts = count_species(self.species, state.occupancy)
        clean, _ = decode(decode_key, self.species, logits, counts, _known(state))
        return self.posterior_sample(posterior_key, state, clean.astype(state.occupancy.dtype), t, s)

    def reverse_log_probability(
        self,
        earlier: ShuffleState,
        state: ShuffleState,
        logits: Float[ArrayLike, "*denoised sites species"],
        t: Num[ArrayLike, "..."],
        s: Num[ArrayLike, "..."],
    ) -> Float[Array, "*batch"]:
        """Log-probability of what `reverse_step` with `decode_conditional` draws, all decodings summed.

        The sites that leave the set show what was decoded there. What was decoded on the others does not show: it is
        summed over by the same recursion that decodes.
        """
        batch = jnp.shape(logits)[:-2]
        _, t, s, earlier, state = self._checked(state.occupancy, t, s, states=[earlier, state], batch=batch)
        stays = touched_before(t, s)
        counts = count_species(self.species, state.occupancy)
        # All decodings that show these species: those of the released sites, times any of the others.
        is_released = state.shuffled & ~earlier.shuffled
        logits = at_least_single(jnp.broadcast_to(jnp.asarray(logits), (*state.occupancy.shape, counts.shape[-1])))
        shown = jnp.take_along_axis(logits, earlier.occupancy[..., None].astype(jnp.int32), axis=-1)
        of_released = jnp.sum(jnp.where(is_released, shown[..., 0], 0), axis=-1)
        of_others = log_partition(self.species, logits, counts, _known(earlier))
        of_all = log_partition(self.species, logits, counts, _known(state))
        log_state = self._log_probability_within(
            state.shuffled, earlier, earlier.occupancy, jnp.log(stays), jnp.log1p(-stays)
        )
        is_shown = earlier.occupancy == state.occupancy.astype(earlier.occupancy.dtype)
        keeps = jnp.all(state.shuffled | is_shown, axis=-1) & (of_all > -jnp.inf)
        keeps &= jnp.all(count_species(self.species, earlier.occupancy) == counts, axis=(-2, -1))
        log_decoded = of_released + of_others - jnp.where(keeps, of_all, 0)
        return jnp.where(keeps, log_decoded.astype(log_state.dtype) + log_state, -jnp.inf)

    def all_shuffled(self, occupancy: Int[ArrayLike, "*batch sites"]) -> ShuffleState:
        """The state at infinite time, all sites joined, of an occupancy such as `jaxce.random_occupancy` draws."""
        occupancy, _ = self._checked(occupancy, 0.0)
        return ShuffleState(occupancy, jnp.broadcast_to(is_active(self.species), occupancy.shape))

    def prior(
        self, key: Any, counts: Int[ArrayLike, "*composed sublattices species"], shape: tuple[int, ...] = ()
    ) -> ShuffleState:
        """States at infinite time: uniform over all arrangements of an exact composition, everything shuffled.

        Args:
            key: random key, consumed.
            counts: sites of each active sublattice with each species code (`composition_counts`); leading axes are the
                last ones of the result's.
            shape: leading axes of the result.
        """
        check_counts_shape(self.species, counts)
        counts = jnp.asarray(counts, jnp.int32)
        batch = jnp.broadcast_shapes(shape, counts.shape[:-2])
        ordered = ordered_occupancy(self.species, jnp.broadcast_to(counts, (*batch, *counts.shape[-2:])))
        state = self.all_shuffled(ordered)
        return ShuffleState(permuted(key, self.species, state.occupancy, state.shuffled), state.shuffled)

    def prior_log_probability(
        self, counts: Int[ArrayLike, "*composed sublattices species"]
    ) -> Float[Array, "*composed"]:
        """Log-probability of each state that `prior` draws: minus the logarithm of the number of arrangements."""
        check_counts_shape(self.species, counts)
        return -log_arrangements(jnp.asarray(counts))

    def _checked(
        self, occupancy: Any, *times: Any, states: Sequence[ShuffleState] = (), batch: tuple[int, ...] = ()
    ) -> tuple[Any, ...]:
        """All with the leading axes that they have together."""
        for array in (occupancy, *(state.occupancy for state in states)):
            check_occupancy(len(self.species.kind), array)
        parts = [part for state in states for part in state]
        batch = jnp.broadcast_shapes(batch, *(jnp.shape(part)[:-1] for part in parts))
        occupancy, *floats = with_times(occupancy, *times, batch=batch)
        to_batch = lambda part: jnp.broadcast_to(jnp.asarray(part), occupancy.shape)
        return occupancy, *floats, *(ShuffleState(*map(to_batch, state)) for state in states)

    def _drawn_sites(
        self, key: Any, candidates: Bool[Array, "*batch sites"], probability: Float[Array, "*batch"]
    ) -> Bool[Array, "*batch sites"]:
        uniform = jax.random.uniform(key, candidates.shape, probability.dtype)
        return candidates & (uniform < probability[..., None])

    def _log_probability_within(
        self,
        within: Bool[Array, "*batch sites"],
        state: ShuffleState,
        occupancy: Int[Array, "*batch sites"],
        log_in: Float[Array, "*batch"],
        log_out: Float[Array, "*batch"],
    ) -> Float[Array, "*batch"]:
        """Of a set that takes each site of `within` by itself, and of how species of `occupancy` are arranged on it."""
        size = jnp.sum(state.shuffled, axis=-1)
        outside = jnp.sum(within & ~state.shuffled, axis=-1)
        counts = count_species(self.species, occupancy, state.shuffled)
        log_set = count_times_log(size, log_in) + count_times_log(outside, log_out)
        is_possible = jnp.all(within | ~state.shuffled, axis=-1)
        is_possible &= jnp.all(state.shuffled | (state.occupancy == occupancy.astype(state.occupancy.dtype)), axis=-1)
        is_possible &= jnp.all(count_species(self.species, state.occupancy, state.shuffled) == counts, axis=(-2, -1))
        return jnp.where(is_possible, log_set - log_arrangements(counts).astype(log_set.dtype), -jnp.inf)


def _known(state: ShuffleState) -> Int[Array, "*batch sites"]:
    """The species codes that a state shows of x_0, -1 where the shuffle set hides it."""
    return jnp.where(state.shuffled, -1, state.occupancy.astype(jnp.int32))
