"""A generative model trained on energies alone, without data: 16-site Cu-Au, where the partition function is exact.

The model fills the sites in a random order, each with a species that depends on those before (absorbing noise, one site
per step). It is trained on its own samples x to make ln q(x) + E(x) / kT the same for all (VarGrad: L. Richter et al.,
NeurIPS 2020), cooled from infinite temperature so that it does not settle in one mode. Where that is reached, q is the
Boltzmann distribution; weights correct what is left.

Run: python examples/diffusion_energy_only.py [--short]
"""

import functools
import sys
import time
from typing import Any

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.console import Console
from rich.table import Table

import jaxce
from jaxce import diffusion

# ln Z at all chemical potentials 0, energies relative to the pure phases; summed over all 65536 states.
EXACT = {500: 15.6017, 680: 12.5425, 1200: 10.7872}
BATCH_SIZE = 512


class Network(nnx.Module):
    """Logits `[..., sites, species]` of masked sites, from all that is known, the temperature and the progress."""

    def __init__(self, num_sites: int, width: int, rngs: nnx.Rngs):
        self.first = nnx.Linear(3 * num_sites + 1, width, rngs=rngs)
        self.second = nnx.Linear(width, width, rngs=rngs)
        self.last = nnx.Linear(width, 2 * num_sites, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, occupancy: jax.Array, inverse_kelvin: jax.Array) -> jax.Array:
        known = jax.nn.one_hot(occupancy, 3).reshape(*occupancy.shape[:-1], -1)
        hidden = nnx.gelu(self.first(jnp.concatenate([known, inverse_kelvin[..., None]], axis=-1)))
        hidden = hidden + nnx.gelu(self.second(hidden))
        return self.last(hidden).reshape(*occupancy.shape, 2)


def drawn(graphdef: Any, weights: Any, key: Any, inverse_kelvin: jax.Array, num_sites: int) -> Any:
    """Occupancies `[samples, sites]`, the orders in which they were filled, and their log-probabilities in these."""
    order_key, key = jax.random.split(key)
    num_samples = len(inverse_kelvin)
    order = jax.random.permutation(
        order_key, jnp.tile(jnp.arange(num_sites), (num_samples, 1)), axis=1, independent=True
    )
    network = nnx.merge(graphdef, weights)

    def fill(occupancy: jax.Array, step: Any) -> Any:
        key, site = step
        logits = network(occupancy, inverse_kelvin)[jnp.arange(num_samples), site]
        code = jax.random.categorical(key, logits)
        log_probability = jnp.take_along_axis(jax.nn.log_softmax(logits), code[:, None], axis=-1)[:, 0]
        return occupancy.at[jnp.arange(num_samples), site].set(code), log_probability

    masked = jnp.full((num_samples, num_sites), 2)
    occupancy, log_probabilities = jax.lax.scan(fill, masked, (jax.random.split(key, num_sites), order.T))
    return occupancy, order, jnp.sum(log_probabilities, axis=0)


def log_probability(graphdef: Any, weights: Any, occupancy: Any, order: Any, inverse_kelvin: Any) -> jax.Array:
    """Ln q of occupancies that were filled in these orders, all steps at once: what gradients are taken of."""
    num_sites = occupancy.shape[-1]
    place = jnp.argsort(order, axis=-1)
    # [samples, steps, sites]: what is known before each step.
    known = jnp.where(place[:, None, :] < jnp.arange(num_sites)[:, None], occupancy[:, None, :], 2)
    conditions = jnp.broadcast_to(inverse_kelvin[:, None], known.shape[:-1])
    log_probabilities = jax.nn.log_softmax(nnx.merge(graphdef, weights)(known, conditions))
    of_site = jnp.take_along_axis(log_probabilities, order[..., None, None], axis=-2)[..., 0, :]
    codes = jnp.take_along_axis(occupancy, order, axis=-1)
    return jnp.sum(jnp.take_along_axis(of_site, codes[..., None], axis=-1), axis=(-2, -1))


def train(key: Any, hamiltonian: jaxce.Hamiltonian, graphdef: Any, weights: Any, num_steps: int) -> Any:
    """The weights after so many steps of Adam, at all temperatures from 450 K on together."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_onecycle_schedule(num_steps, 3e-3, pct_start=0.1))
    )
    num_sites = len(hamiltonian.species.kind)

    @functools.partial(jax.jit, static_argnames="num")
    def some_steps(keys, progress, weights, state, hamiltonian, num):
        def step(carry, key_progress):
            (weights, state), (key, progress) = carry, key_progress
            kelvin_key, draw_key = jax.random.split(key)
            # From all particles at infinite temperature to all between 450 K and there, in three fifths of the steps.
            largest = jnp.minimum(progress / 0.6, 1.0) / 0.45
            beta = largest * jax.random.uniform(kelvin_key, (BATCH_SIZE // 64,), minval=0.3)
            beta = jnp.repeat(beta, 64)
            occupancy, order, log_q = drawn(graphdef, weights, draw_key, beta, num_sites)
            log_weights = -jaxce.energy(hamiltonian, occupancy) * beta / (1000 * ase.units.kB) - log_q
            groups = log_weights.reshape(-1, 64)
            advantage = (groups - jnp.mean(groups, axis=1, keepdims=True)).ravel()
            loss = lambda weights: -jnp.mean(advantage * log_probability(graphdef, weights, occupancy, order, beta))
            updates, state = optimizer.update(jax.grad(loss)(weights), state, weights)
            return (optax.apply_updates(weights, updates), state), jnp.mean(jnp.var(groups, axis=1))

        return jax.lax.scan(step, (weights, state), (keys, progress))

    state, num = optimizer.init(weights), num_steps // 10
    for part, part_key in enumerate(jax.random.split(key, 10)):
        progress = (part * num + jnp.arange(num)) / num_steps
        keys = jax.random.split(part_key, num)
        (weights, state), losses = some_steps(keys, progress, weights, state, hamiltonian, num)
        print(f"step {(part + 1) * num:5d}: variance of the log weights {np.mean(losses):.4f}")
    return weights


def main(width: int, num_steps: int, num_samples: int) -> None:
    model = jaxce.datasets.load_cuau_formation_model()
    supercell = jaxce.Supercell(model.space.prim, (2, 2, 4))
    hamiltonian = jaxce.build_hamiltonian(model, supercell)
    graphdef, weights = nnx.split(Network(supercell.num_sites, width, nnx.Rngs(0)), nnx.Param)
    began = time.perf_counter()
    weights = train(jax.random.key(0), hamiltonian, graphdef, weights, num_steps)
    print(f"{num_steps} steps in {time.perf_counter() - began:.0f} s, without a single structure as data")

    sample = jax.jit(lambda weights, key, beta: drawn(graphdef, weights, key, beta, supercell.num_sites))
    ordered = diffusion.ordered_variants(supercell, ground_state(supercell))
    table = Table("K", "ln Z exact", "ln Z by weights", "ELBO", "reverse KL, nats", "ESS", "modes evenly (1 = yes)")
    for number, (kelvin, exact) in enumerate(EXACT.items()):
        beta = jnp.full(num_samples, 1000.0 / kelvin)
        occupancy, _, log_q = sample(weights, jax.random.key(number + 1), beta)
        energies = np.asarray(jax.jit(jaxce.energy)(hamiltonian, occupancy))
        logs = diffusion.log_importance_weights(log_q, energies, kelvin)
        estimate, bound = diffusion.log_z_estimate(logs), diffusion.elbo(logs)
        size = diffusion.effective_sample_fraction(logs)
        found = np.bincount(diffusion.variant_of(supercell, ordered, occupancy), minlength=len(ordered) + 1)
        evenly = diffusion.entropic_mode_coverage(found[:-1]) if found[:-1].any() else np.nan
        divergence = diffusion.reverse_kl(logs, exact)
        row = (kelvin, f"{exact:.4f}", estimate, bound, divergence, f"{size:.3f}", f"{evenly:.3f}")
        table.add_row(*map(str, row))
    Console(width=120).print(table)


def ground_state(supercell: jaxce.Supercell) -> np.ndarray:
    """L1_0: layers of Cu and Au in turn."""
    return np.round(supercell.cart_coords[:, 2] / 1.9).astype(int) % 2


if __name__ == "__main__":
    main(32, 200, 4096) if "--short" in sys.argv else main(256, 4000, 65536)
