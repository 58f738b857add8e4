"""Noise that keeps the composition by a random walk: pairs of sites of a sublattice exchange their species.

Two sites of a sublattice are chosen at a rate of n / 2 (n sites), independently of each other, so that they may be the
same. Each pair of different sites then exchanges at rate 1 / n, and where the species of a site has gone is a walk on
the complete graph: it is at home with probability 1/n + (1 - 1/n) e^-t, as if it were put on a random site at rate 1.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from jaxce.diffusion.exact_composition import exchanged_marginals, is_active, species_of, sublattice_sizes
from jaxce.diffusion.noise_times import kept, touched, with_times
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.site_species import check_occupancy
from jaxce.tables import Hamiltonian, SiteSpecies

# At t = log(n) + c the walk differs from uniform by 6 e^-c at most (Diaconis and Shahshahani 1981, in steps: n t / 2).
_LONGEST_BEYOND_MIXING = 25.0


@pytree
@dataclasses.dataclass(frozen=True, init=False)
class TranspositionNoise:
    """Random exchanges of two sites of a sublattice. There is no closed form for a whole occupancy, nor a posterior.

    Attributes:
        species: the species of the sites; may be given by a `Supercell` or a `Hamiltonian`.
    """

    species: SiteSpecies

    def __init__(self, species: Supercell | Hamiltonian | SiteSpecies):
        object.__setattr__(self, "species", species_of(species))

    def sample(
        self, key: Any, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Int[Array, "*batch sites"]:
        """A noised occupancy of each occupancy, at times that are a number or one per occupancy.

        A loop over exchanges, n t / 2 on average. Times beyond log(n) + 25 are cut there: what the distribution still
        differs from uniform is below 1e-10.
        """
        check_occupancy(len(self.species.kind), occupancy)
        occupancy, t = with_times(occupancy, t)
        number_key, walk_key = jax.random.split(key)
        num_active = jnp.sum(is_active(self.species)).astype(t.dtype)
        longest = jnp.log(num_active) + jnp.asarray(_LONGEST_BEYOND_MIXING, t.dtype)
        number = jax.random.poisson(number_key, jnp.minimum(t, longest) * num_active / 2, t.shape)
        walks = occupancy.reshape((-1, occupancy.shape[-1]))
        return self._exchanged(walk_key, walks, number.reshape(-1)).reshape(occupancy.shape)

    def site_marginals(
        self, occupancy: Int[ArrayLike, "*clean sites"], t: Num[ArrayLike, "..."]
    ) -> Float[Array, "*batch sites species"]:
        """Probability of each species code on each site at time t."""
        check_occupancy(len(self.species.kind), occupancy)
        occupancy, t = with_times(occupancy, t)
        sizes = jnp.broadcast_to(sublattice_sizes(self.species).astype(t.dtype), occupancy.shape)
        at_home = kept(t)[..., None] + touched(t)[..., None] / sizes
        return exchanged_marginals(self.species, occupancy, at_home)

    def _exchanged(
        self, key: Any, occupancy: Int[Array, "walks sites"], number: Int[Array, " walks"]
    ) -> Int[Array, "walks sites"]:
        """The occupancies after a number of exchanges each."""
        # Active sites first, each sublattice in one piece: a partner is drawn from the piece of the first site.
        kind = jnp.where(is_active(self.species), self.species.kind, len(self.species.num_species))
        order = jnp.argsort(kind, stable=True)
        begins = jnp.searchsorted(kind[order], kind[order], side="left").astype(jnp.int32)
        sizes = sublattice_sizes(self.species)[order]
        walks = jnp.arange(len(occupancy))
        num_active = jnp.sum(is_active(self.species))

        def exchange(step_occupancy):
            step, occupancy = step_occupancy
            first_key, second_key = jax.random.split(jax.random.fold_in(key, step))
            place = jax.random.randint(first_key, number.shape, 0, num_active, jnp.int32)
            partner = begins[place] + jax.random.randint(second_key, number.shape, 0, sizes[place], jnp.int32)
            # A walk that is over exchanges a site with itself.
            first, second = order[place], jnp.where(step < number, order[partner], order[place])
            old_first, old_second = occupancy[walks, first], occupancy[walks, second]
            return step + 1, occupancy.at[walks, first].set(old_second).at[walks, second].set(old_first)

        last = jnp.max(number, initial=0)
        start = (jnp.zeros((), number.dtype), occupancy)
        return jax.lax.while_loop(lambda state: state[0] < last, exchange, start)[1]
