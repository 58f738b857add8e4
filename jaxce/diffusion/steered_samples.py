"""Sequential Monte Carlo along reverse processes: weighted clean occupancies from a denoiser that need not be right.

Particles go through the reverse process side by side, gain weights, and are drawn anew from these when few still count
(`steer`). The target is chosen by what the weights compare with:

- `steered_sample`: the denoiser's own distribution times exp(reward), as for a property that the data did not have;
- `boltzmann_sample`: exp(reward) alone, such as -E / kT, whatever the denoiser has learned. The weight of a path is
  exp(reward) times its probability in the reverse process that leads to the uniform distribution, over that in the one
  which it was drawn from. Times the number of occupancies, its mean is the partition function.

Both are exact for many particles, with any guide, number of steps, and rewards in between; these decide how many
particles it takes. Returned are `SteeredParticles`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxce.diffusion.conditions import ChemicalPotentials, inverse_temperature, site_potentials
from jaxce.diffusion.feynman_kac import SteeredParticles, steer
from jaxce.diffusion.reverse_probabilities import (
    log_number_of_occupancies,
    reverse_log_probability,
    uniform_log_probability,
    uniform_logits,
)
from jaxce.diffusion.reverse_process import (
    Denoiser,
    Guide,
    Noise,
    as_state,
    as_times,
    denoised,
    guided,
    known_occupancy,
    occupancy_of,
)
from jaxce.diffusion.site_noise import denoised_probabilities, one_hot
from jaxce.energies import relaxed_energy
from jaxce.tables import Hamiltonian

# (state, logits of the denoiser, t [particles]) -> [particles]. At t = 0 it must be exact.
LogReward = Callable[[Any, Any, Any], Any]


def steered_sample(
    key: Any,
    noise: Noise,
    denoiser: Denoiser,
    times: Float[ArrayLike, " times"],
    state: Any,
    log_reward: LogReward,
    guide: Guide | None = None,
    *,
    resample_below: float = 0.5,
) -> SteeredParticles:
    """Weighted particles of the unguided reverse process times exp(reward); `log_z` is the log of its mean.

    Args:
        key: random key, consumed.
        noise: the noise.
        denoiser: as in `reverse_sample`.
        times: as there.
        state: `[particles, ...]` independent states at the first time, as `noise.prior(...)` draws.
        log_reward: `(state, logits, t) -> [particles]`: at time 0 the logarithm of the reward of a clean occupancy, at
            others what may be expected of it then. `energy_reward` makes one.
        guide: proposes better steps; the weights take it back, so that it changes only how fast this converges.
        resample_below: particles are drawn anew if their effective size falls below this part of their number.

    Raises:
        ValueError: as `reverse_sample`, and if all particles die.
    """

    def log_ratio(step: Any, t: Any, s: Any, state: Any, earlier: Any, logits: Any, proposal: Any) -> Any:
        if guide is None:
            return jnp.zeros(occupancy_of(state).shape[:-1], t.dtype)
        probability = lambda logits: reverse_log_probability(noise, earlier, state, logits, t, s)
        return probability(logits) - probability(proposal)

    return _particles(key, noise, denoiser, times, state, log_reward, guide, log_ratio, resample_below)


def boltzmann_sample(
    key: Any,
    noise: Noise,
    denoiser: Denoiser,
    times: Float[ArrayLike, " times"],
    state: Any,
    log_reward: LogReward,
    guide: Guide | None = None,
    *,
    resample_below: float = 0.0,
) -> SteeredParticles:
    """Weighted particles of exp(reward), and `log_z`: the log of its sum over all occupancies, an estimate of ln Z.

    The denoiser is a proposal only. With `ShuffleNoise` the sum is over the occupancies of the particles' composition,
    which has to be the same for all. Arguments as of `steered_sample`; `state` must be drawn from `noise.prior`.

    By default particles are never drawn anew: before the end, a trained network knows better than any simple reward
    which of them are good, and weights at noisy states favour those that it takes for unlikely. Then only the reward at
    time 0 matters. Draw anew, `resample_below=0.5`, where the network knows little.
    """

    def log_ratio(step: Any, t: Any, s: Any, state: Any, earlier: Any, logits: Any, proposal: Any) -> Any:
        uniform = uniform_log_probability(noise, earlier, state, t, s)
        ratio = uniform - reverse_log_probability(noise, earlier, state, proposal, t, s)
        return jnp.where(step == 0, ratio + log_number_of_occupancies(noise, state, ratio.dtype), ratio)

    return _particles(key, noise, denoiser, times, state, log_reward, guide, log_ratio, resample_below)


def energy_reward(
    noise: Noise,
    hamiltonian: Hamiltonian,
    temperature: ArrayLike,
    chemical_potentials: ChemicalPotentials | None = None,
) -> LogReward:
    """The reward -(E - sum mu N) / kT for `boltzmann_sample`, or for `steered_sample` to tilt a model by an energy.

    At noisy states it is a lower bound (Gibbs and Bogoliubov) of the log of the mean of exp(reward) over all that may
    become of them: from the exact mean energy under the denoiser's independent probabilities, less what these know. The
    bound is loose for correlated sites, so that it is not for drawing particles of a well-trained network anew.
    Make it inside the jitted function, of which Hamiltonian and temperature are arguments.

    Args:
        noise: the noise.
        hamiltonian: the Hamiltonian.
        temperature: kelvin; a number or one per particle.
        chemical_potentials: species -> mu, eV per atom, or sublattice -> {species -> mu}; a number or one per particle.
    """
    floats = [leaf.dtype for leaf in jax.tree.leaves(hamiltonian.terms) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def log_reward(state: Any, logits: Any, t: Any) -> Any:
        unlearned = _clean_probabilities(noise, state, uniform_logits(noise, state, t).astype(logits.dtype), t)
        probabilities = _clean_probabilities(noise, state, logits, t)
        energy = relaxed_energy(hamiltonian, probabilities.astype(jnp.result_type(*floats)))
        if chemical_potentials is not None:
            mu = site_potentials(hamiltonian.species, chemical_potentials, energy.shape, energy.dtype)
            energy -= jnp.sum(probabilities.astype(mu.dtype) * mu, axis=(-2, -1))
        known = jnp.sum(jax.scipy.special.rel_entr(probabilities, unlearned), axis=(-2, -1))
        return -(energy * inverse_temperature(temperature, energy.shape, energy.dtype)).astype(t.dtype) - known

    return log_reward


def _clean_probabilities(noise: Noise, state: Any, logits: Any, t: Any) -> Float[Array, "*batch sites species"]:
    """Of the species on each site in the clean occupancy: certain where the state shows it, else the denoiser's."""
    known, num_species = known_occupancy(noise, state), logits.shape[-1]
    # Uniform noise shows nothing before time 0, and then everything.
    codes = state if known is None else known
    is_known = jnp.broadcast_to((t == 0)[..., None], codes.shape) if known is None else codes < num_species
    probabilities = denoised_probabilities(noise.species, logits)
    return jnp.where(is_known[..., None], one_hot(codes, num_species, logits.dtype), probabilities)


def _particles(
    key: Any,
    noise: Noise,
    denoiser: Denoiser,
    times: Any,
    state: Any,
    log_reward: LogReward,
    guide: Guide | None,
    log_ratio: Callable[..., Any],
    resample_below: float,
) -> SteeredParticles:
    """`steer` with states that carry the denoiser's logits, which moves and rewards both use."""
    times, state = as_times(times), as_state(noise, state)
    with_logits = lambda state, t: (state, denoised(denoiser, noise, state, t))

    def move(key: Any, carried: Any, step: Any) -> Any:
        (state, logits), t, s = carried, times[step], times[step + 1]
        proposal = guided(guide, noise, state, logits, t)
        earlier = noise.reverse_step(key, state, proposal, t, s)
        return with_logits(earlier, s), log_ratio(step, t, s, state, earlier, logits, proposal)

    def reward(carried: Any, step: Any) -> Any:
        state, logits = carried
        return log_reward(state, logits, jnp.broadcast_to(times[step], occupancy_of(state).shape[:-1]))

    found = steer(key, with_logits(state, times[0]), move, reward, len(times) - 1, resample_below=resample_below)
    return found._replace(states=occupancy_of(found.states[0]))
