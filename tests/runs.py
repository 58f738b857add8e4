"""Results of runs that were never made: random numbers with a mean for each condition."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxce
from jaxce.sampling.results import MonteCarloResult

NUM_PRIMS = 4
PAIRS = ("Cu-Cu", "Cu-Au", "Au-Au")


def monte_carlo_result(temperature: Any, conditions: Any, num_samples: int = 40, **fields: Any) -> MonteCarloResult:
    """One chain for each temperature, with two shells of short-range order; fields can be replaced."""
    kelvin, conditions = np.asarray(temperature, dtype=float), np.asarray(conditions)
    rng = np.random.default_rng(0)
    shape = (len(kelvin), num_samples)
    gold = rng.integers(0, NUM_PRIMS + 1, size=shape)
    occupancy = jnp.zeros((len(kelvin), NUM_PRIMS), jnp.int8)
    order = rng.normal(size=(*shape, 2, 3))
    values = {
        "energy": 1e-3 * kelvin[:, None] + 0.1 * rng.normal(size=shape),
        "counts": np.stack([NUM_PRIMS - gold, gold, np.ones_like(gold)], axis=-1),
        "species": ("Cu", "Au", "O"),
        "work": None,
        "observables": {"short_range_order": order, "size": order[..., 0, 0]},
        "labels": {
            "short_range_order": (("shell", "species_pair"), {"shell": [2.7, 3.8], "species_pair": list(PAIRS)})
        },
        "temperature": kelvin,
        "conditions": conditions,
        "occupancy": occupancy,
        "acceptance_rate": np.full(len(kelvin), 0.5),
        "lowest_energy": np.zeros(len(kelvin)),
        "lowest_occupancy": occupancy,
        "energy_drift": np.zeros(len(kelvin)),
        "num_sweeps": 5 * num_samples,
        "sample_every": 5,
        "num_prims": NUM_PRIMS,
    }
    return MonteCarloResult(**(values | fields))


def tempering_result(temperatures: Any, num_ladders: int, **fields: Any) -> jaxce.TemperingResult:
    """Ladders with these temperatures."""
    kelvin = np.asarray(temperatures, dtype=float)
    num_rungs = len(kelvin)
    values = {
        "temperatures": kelvin,
        "exchange_rate": np.linspace(0.2, 0.8, num_rungs - 1),
        "round_trips": np.arange(num_ladders * num_rungs).reshape(num_ladders, num_rungs),
        "chains": monte_carlo_result(np.tile(kelvin, num_ladders), np.tile(np.arange(num_rungs), num_ladders)),
    }
    return jaxce.TemperingResult(**(values | fields))
