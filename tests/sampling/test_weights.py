"""Changes of weights against differences of whole weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxce.sampling.weights import Weight, log_weight, log_weight_change


def slow_log_weight(energy, counts, weight):
    """By loops, in double precision."""
    result = -weight.beta * energy
    for row, code in np.ndindex(counts.shape):
        number = float(counts[row, code])
        if weight.chemical_potentials is not None:
            result += weight.beta * weight.chemical_potentials[row, code] * number
        if weight.stiffness is not None:
            result -= weight.stiffness[row, code] * (number - weight.centre[row, code]) ** 2
    return result


def random_case(seed, has_potentials, has_parabolas, num_sites=20):
    rng = np.random.default_rng(seed)
    counts, new = rng.integers(0, num_sites, size=(2, 3, 4))
    weight = Weight(
        rng.uniform(1, 40),
        rng.normal(size=(3, 4)) if has_potentials else None,
        rng.uniform(0, 2, size=(3, 4)) if has_parabolas else None,
        rng.uniform(0, num_sites, size=(3, 4)) if has_parabolas else None,
    )
    return rng.normal(scale=3, size=2), counts, new, weight


def on_device(weight, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), weight)


@pytest.mark.parametrize(
    ("has_potentials", "has_parabolas"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_a_change_is_the_difference_of_two_weights(has_potentials, has_parabolas):
    change_of, total_of = jax.jit(log_weight_change), jax.jit(log_weight)
    for seed in range(10):
        energies, counts, new, weight = random_case(seed, has_potentials, has_parabolas)
        device = on_device(weight, jnp.float64)
        of = lambda index, numbers: slow_log_weight(energies[index], numbers, weight)  # noqa: B023
        expected = of(1, new) - of(0, counts)
        integers = [jnp.asarray(array, jnp.int32) for array in (counts, new, new - counts)]
        found = change_of(jnp.asarray(energies[1] - energies[0]), integers[0], integers[2], device)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
        # And back again.
        back = change_of(jnp.asarray(energies[0] - energies[1]), integers[1], -integers[2], device)
        np.testing.assert_allclose(back, -found, rtol=1e-12, atol=1e-9)
        # Totals are right up to a constant.
        totals = [total_of(jnp.asarray(energies[i]), integers[i], device) for i in (0, 1)]
        np.testing.assert_allclose(totals[1] - totals[0], expected, rtol=1e-12, atol=1e-9)


def test_float32_keeps_the_digits_of_changes_in_a_million_sites():
    """Where a difference of totals has none left."""
    num_sites, kappa = 10**6, 200.0
    counts = np.array([[480_123, num_sites - 480_123]])
    change = np.array([[-1, 1]])
    weight = Weight(
        1 / 0.08, np.array([[0.0, 0.37]]), np.array([[0.0, kappa / num_sites]]), np.array([[0.0, 0.52 * num_sites]])
    )
    energies = np.array([-3.1e6, -3.1e6 + 0.0123])
    # The square is taken apart, as the totals cost digits in double precision too.
    stiffness, centre = weight.stiffness[0, 1], weight.centre[0, 1]
    expected = -weight.beta * (0.0123 - 0.37) - stiffness * (2 * (float(counts[0, 1]) - centre) + 1)
    found = log_weight_change(
        jnp.float32(0.0123),
        jnp.asarray(counts, jnp.int32),
        jnp.asarray(change, jnp.int32),
        on_device(weight, jnp.float32),
    )
    assert found.dtype == jnp.float32
    assert abs(float(found) - expected) < 1e-5
    total = lambda energy, numbers: float(
        log_weight(jnp.float32(energy), jnp.asarray(numbers, jnp.int32), on_device(weight, jnp.float32))
    )
    assert abs(total(energies[1], counts + change) - total(energies[0], counts) - expected) > 0.05


def test_what_an_ensemble_does_not_use_costs_nothing():
    counts = jnp.zeros((2, 3), jnp.int32)
    text = str(jax.make_jaxpr(log_weight_change)(jnp.zeros(()), counts, counts, Weight(jnp.ones(()))))
    assert "reduce_sum" not in text
