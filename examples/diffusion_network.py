"""What two diffusion examples share: a small network in Flax, its training, and samplers with it.

The network is not the point of the examples: bring your own. All sites share its weights, which depend on the distance
of two neighbours only, so that it commutes with every symmetry of the lattice.

Run: python examples/diffusion_network.py
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxce
from jaxce import diffusion


class Network(nnx.Module):
    """Logits `[..., sites, species]` of the clean species, given what is known of it, and the temperature."""

    def __init__(self, num_inputs: int, num_species: int, num_shells: int, width: int, depth: int, rngs: nnx.Rngs):
        self.embedding = nnx.Linear(num_inputs, width, rngs=rngs)
        self.layers = nnx.List([nnx.Linear((num_shells + 1) * width, width, rngs=rngs) for _ in range(depth)])
        self.scales = nnx.List([nnx.Linear(2, width, rngs=rngs) for _ in range(depth)])
        self.logits = nnx.Linear(width, num_species, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, inputs: jax.Array, conditions: jax.Array, neighbours: jax.Array) -> jax.Array:
        hidden = self.embedding(inputs)
        for layer, scale in zip(self.layers, self.scales, strict=True):
            messages = jnp.einsum("kij,...jd->...ikd", neighbours, hidden)
            together = jnp.concatenate([hidden[..., None, :], messages], axis=-2)
            together = layer(together.reshape(*hidden.shape[:-1], -1))
            hidden = hidden + nnx.gelu(together * (1 + scale(conditions)[..., None, :]))
        # Limited, as a network that has become sure of what is not so cannot be put right by weights.
        return 8 * jnp.tanh(self.logits(hidden) / 8)


def shells(supercell: jaxce.Supercell, cutoff: float) -> np.ndarray:
    """`[shells, sites, sites]` neighbours at each distance, divided by the square root of their number."""
    graph = diffusion.neighbour_graph(supercell, cutoff)
    distances, shell = np.unique(graph.distances.round(2), return_inverse=True)
    counts = np.zeros((len(distances), supercell.num_sites, supercell.num_sites), np.float32)
    np.add.at(counts, (shell, graph.receivers, graph.senders), 1)
    return counts / np.sqrt(np.maximum(counts.sum(axis=2).max(axis=1), 1))[:, None, None]


def new_network(noise: diffusion.ShuffleNoise, neighbours: np.ndarray, width: int, depth: int) -> tuple[Any, Any]:
    """The structure of a network, and its weights: a pytree, which goes into jitted functions as an argument."""
    num_kinds, num_species = noise.species.labels.shape[0], noise.species.labels.shape[-1]
    num_inputs = num_kinds + num_species + 1
    return nnx.split(Network(num_inputs, num_species, len(neighbours), width, depth, nnx.Rngs(0)), nnx.Param)


def logits_of(
    graphdef: Any, weights: Any, noise: diffusion.ShuffleNoise, neighbours: Any, state: Any, kelvin: Any
) -> jax.Array:
    """The network's logits for states of shuffle noise at temperatures `[...]`."""
    num_kinds, num_species = noise.species.labels.shape[0], noise.species.labels.shape[-1]
    known = jax.nn.one_hot(diffusion.known_occupancy(noise, state), num_species + 1)
    kinds = jnp.broadcast_to(jax.nn.one_hot(noise.species.kind, num_kinds), (*known.shape[:-1], num_kinds))
    # How much is hidden says what the noise time says, and more.
    hidden = jnp.mean(state.shuffled, axis=-1)
    conditions = jnp.stack([jnp.broadcast_to(1000.0 / kelvin, hidden.shape), hidden], axis=-1)
    return nnx.merge(graphdef, weights)(jnp.concatenate([kinds, known], axis=-1), conditions, neighbours)


def loss_of(
    graphdef: Any, weights: Any, noise: diffusion.ShuffleNoise, neighbours: Any, batch: Any, key: Any
) -> jax.Array:
    """Minus the log-probability of the clean species, per hidden site.

    On condition of the composition, as the sampler decodes: with a plain cross-entropy the sampler would be biased.
    """
    occupancy, kelvin = batch
    time_key, noise_key = jax.random.split(key)
    times = -jnp.log(jax.random.uniform(time_key, kelvin.shape, minval=1e-6, maxval=1.0))
    state = noise.sample(noise_key, occupancy, times)
    logits = logits_of(graphdef, weights, noise, neighbours, state, kelvin)
    known = jnp.where(state.shuffled, -1, occupancy)
    counts = diffusion.count_species(noise.species, occupancy)
    log_probability = diffusion.conditional_log_probability(noise.species, logits, counts, occupancy, known)
    return -jnp.mean(log_probability / jnp.maximum(jnp.sum(state.shuffled, axis=-1), 1))


def train(
    key: Any,
    graphdef: Any,
    weights: Any,
    noise: diffusion.ShuffleNoise,
    neighbours: np.ndarray,
    occupancies: np.ndarray,
    kelvin: np.ndarray,
    num_steps: int,
    batch_size: int,
) -> Any:
    """The weights after so many steps of Adam with a falling rate; the loss is printed ten times."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_onecycle_schedule(num_steps, 3e-3, pct_start=0.2))
    )

    @functools.partial(jax.jit, static_argnames="num")
    def some_steps(key, weights, state, noise, neighbours, occupancies, kelvin, num):
        def step(carry, key):
            weights, state = carry
            rows_key, loss_key = jax.random.split(key)
            rows = jax.random.randint(rows_key, (batch_size,), 0, len(kelvin))
            batch = (occupancies[rows], kelvin[rows])
            of_weights = lambda weights: loss_of(graphdef, weights, noise, neighbours, batch, loss_key)
            loss, gradient = jax.value_and_grad(of_weights)(weights)
            updates, state = optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, updates), state), loss

        return jax.lax.scan(step, (weights, state), jax.random.split(key, num))

    state, data = optimizer.init(weights), (jnp.asarray(occupancies), jnp.asarray(kelvin, jnp.float32))
    for part, part_key in enumerate(jax.random.split(key, 10)):
        (weights, state), losses = some_steps(part_key, weights, state, noise, neighbours, *data, num_steps // 10)
        print(f"step {(part + 1) * (num_steps // 10):5d}: loss {np.mean(losses):.4f} nats per hidden site")
    return weights


@functools.partial(jax.jit, static_argnames=("graphdef", "num_steps", "num_samples"))
def reverse(
    key: Any,
    noise: diffusion.ShuffleNoise,
    weights: Any,
    neighbours: Any,
    counts: Any,
    kelvin: Any,
    *,
    graphdef: Any,
    num_steps: int,
    num_samples: int,
) -> jax.Array:
    """Occupancies from the network alone. Whatever has a number is an argument: no compilation for another one."""
    start_key, key = jax.random.split(key)
    denoiser = lambda state, t: logits_of(graphdef, weights, noise, neighbours, state, kelvin)
    start = noise.prior(start_key, counts, (num_samples,))
    return diffusion.reverse_sample(key, noise, denoiser, diffusion.reverse_times(num_steps), start)


@functools.partial(jax.jit, static_argnames=("graphdef", "num_steps", "num_samples"))
def weighted(
    key: Any,
    noise: diffusion.ShuffleNoise,
    hamiltonian: jaxce.Hamiltonian,
    weights: Any,
    neighbours: Any,
    counts: Any,
    kelvin: Any,
    *,
    graphdef: Any,
    num_steps: int,
    num_samples: int,
) -> diffusion.SteeredParticles:
    """Guided particles, with weights that make them right for exp(-E / kT) whatever the network has learned."""
    start_key, key = jax.random.split(key)
    denoiser = lambda state, t: logits_of(graphdef, weights, noise, neighbours, state, kelvin)
    reward, guide = diffusion.energy_reward(noise, hamiltonian, kelvin), guide_of(noise, hamiltonian, kelvin)
    start = noise.prior(start_key, counts, (num_samples,))
    return diffusion.boltzmann_sample(key, noise, denoiser, diffusion.reverse_times(num_steps), start, reward, guide)


def guide_of(noise: diffusion.ShuffleNoise, hamiltonian: jaxce.Hamiltonian, kelvin: Any) -> diffusion.Guide:
    """From the network's logits, where all is hidden, to those of the exact energies for the last hidden site."""

    def guide(state: Any, logits: jax.Array, t: jax.Array) -> jax.Array:
        share = (1 - jnp.mean(state.shuffled, axis=-1)) ** 2
        known = diffusion.known_occupancy(noise, state)
        tilted = diffusion.relaxed_tilted_logits(hamiltonian, known, logits, kelvin, strength=share)
        return tilted - share[..., None, None] * logits

    return guide


def all_samples(
    num_sweeps: int,
    noise: Any,
    hamiltonian: Any,
    weights: Any,
    neighbours: Any,
    counts: Any,
    kelvin: float,
    **sizes: Any,
) -> dict[str, tuple[np.ndarray, np.ndarray | None, float]]:
    """Name of a sampler -> occupancies, log weights, and seconds (without compilation)."""
    keys = jax.random.split(jax.random.key(2), 4)
    network, kelvin_array = (weights, neighbours, counts), jnp.asarray(kelvin, float)
    codes, seconds = _timed(reverse, keys[0], noise, *network, kelvin_array, **sizes)
    found = {"network": (np.asarray(codes), None, seconds)}

    particles, before = _timed(weighted, keys[1], noise, hamiltonian, *network, kelvin_array, **sizes)
    diffusion.check_alive(particles.effective_sample_size)
    codes, log_weights = np.asarray(particles.states), np.asarray(particles.log_weights)
    found["guided"] = (codes, None, before)
    found["guided + weights"] = (codes, log_weights, before)

    # Sequential Monte Carlo: drawn by their weights, then moved.
    began = time.perf_counter()
    start = codes[np.asarray(diffusion.resample(keys[2], log_weights))]
    result = jaxce.run_monte_carlo(
        keys[3], hamiltonian, start, temperature=kelvin, num_sweeps=num_sweeps, sample_every=num_sweeps, method="fields"
    )
    seconds = before + time.perf_counter() - began
    found[f"SMC, {num_sweeps} sweeps"] = (np.asarray(result.occupancy), None, seconds)
    return found


def row_of(found: diffusion.Evaluation, per_prim: np.ndarray, log_weights: np.ndarray | None) -> list[str]:
    """Cells of a table: mean and standard deviation of the energy, and some of what `evaluate` says."""
    share = shares(log_weights, len(per_prim))
    mean = np.sum(share * per_prim)
    energy, order = found.distances["energy"], found.distances["short_range_order"]
    size = "" if found.effective_sample_fraction is None else f"{found.effective_sample_fraction:.3f}"
    return [
        f"{1e3 * mean:.2f}",
        f"{1e3 * np.sqrt(np.sum(share * (per_prim - mean) ** 2)):.2f}",
        f"{energy.value:.4f} ({energy.floor:.4f})",
        f"{order.value:.4f} ({order.floor:.4f})",
        size,
    ]


def shares(log_weights: np.ndarray | None, num_samples: int) -> np.ndarray:
    """The weights, which add up to 1."""
    weights = np.ones(num_samples) if log_weights is None else np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


# Samplers, compiled once: all temperatures have the same shapes.
_COMPILED: dict[Any, Any] = {}


def _timed(function: Any, *arguments: Any, **sizes: Any) -> tuple[Any, float]:
    """What a jitted function returns, and the seconds that it takes once it is compiled."""
    if function not in _COMPILED:
        _COMPILED[function] = function.lower(*arguments, **sizes).compile()
    compiled = _COMPILED[function]
    began = time.perf_counter()
    return jax.block_until_ready(compiled(*arguments)), time.perf_counter() - began


def main() -> None:
    """Say what this file is."""
    supercell = jaxce.Supercell(jaxce.datasets.load_cuau_model().space.prim, 2)
    noise, neighbours = diffusion.ShuffleNoise(supercell), shells(supercell, 5.5)
    graphdef, weights = new_network(noise, neighbours, 48, 3)
    state = diffusion.ShuffleState(jnp.zeros((1, 8), jnp.int8), jnp.ones((1, 8), bool))
    shape = logits_of(graphdef, weights, noise, neighbours, state, jnp.full(1, 680.0)).shape
    number = sum(leaf.size for leaf in jax.tree.leaves(weights))
    print(f"the network of the diffusion examples: {number} weights, logits {shape}, {len(neighbours)} shells")


if __name__ == "__main__":
    main()
