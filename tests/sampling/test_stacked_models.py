"""One model for each chain, such as draws from a posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies

PRIM = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Ni", "Mg", "Co"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 2.9})
SUPERCELL = jaxce.Supercell(PRIM, (3, 2, 2))


@pytest.fixture(scope="module")
def samples():
    coefficients = np.random.default_rng(0).normal(size=(4, SPACE.num_correlations))
    return jaxce.ExpansionSamples(SPACE, coefficients)


@pytest.mark.parametrize(
    "method",
    ["auto", pytest.param("environment", marks=pytest.mark.slow), pytest.param("fields", marks=pytest.mark.slow)],
)
def test_each_chain_goes_as_with_its_own_model_alone(samples, method):
    starts = np.repeat(random_occupancies(SUPERCELL, 1, 0), 4, axis=0)
    keywords = {"temperature": 8000.0, "num_sweeps": 30, "sample_every": 3, "method": method}
    together = jaxce.run_monte_carlo(jax.random.key(0), samples.hamiltonians(SUPERCELL), starts, **keywords)
    for chain, expansion in enumerate(samples):
        hamiltonian = jaxce.build_hamiltonian(expansion, SUPERCELL)
        alone = jaxce.run_monte_carlo(jax.random.key(0), hamiltonian, starts, **keywords)
        np.testing.assert_allclose(together.energy[chain], alone.energy[chain], atol=1e-10)
        np.testing.assert_array_equal(together.occupancy[chain], alone.occupancy[chain])
        assert together.lowest_energy[chain] == pytest.approx(alone.lowest_energy[chain], abs=1e-10)
    assert len({round(float(energy), 6) for energy in together.energy[:, -1]}) == 4


def test_energies_are_those_of_each_model(samples):
    occupancies = random_occupancies(SUPERCELL, 5, 1)
    energies = jax.vmap(jaxce.energy, in_axes=(0, None))(samples.hamiltonians(SUPERCELL), jnp.asarray(occupancies))
    for row, expansion in zip(energies, samples, strict=True):
        expected = jax.jit(jaxce.energy)(jaxce.build_hamiltonian(expansion, SUPERCELL), jnp.asarray(occupancies))
        np.testing.assert_allclose(row, expected, atol=1e-10)


def test_wrong_stacks_are_refused(samples):
    hamiltonians = samples.hamiltonians(SUPERCELL)
    starts = random_occupancies(SUPERCELL, 3, 0)
    with pytest.raises(ValueError, match="4 models need as many chains"):
        jaxce.run_monte_carlo(jax.random.key(0), hamiltonians, starts, temperature=900.0)
    with pytest.raises(ValueError, match="share one model"):
        jaxce.run_tempering(jax.random.key(0), hamiltonians, starts[:1], temperatures=[900.0, 1000.0])
    other = jaxce.Supercell(PRIM, (2, 3, 2))
    mixed = [jaxce.build_hamiltonian(samples[0], cell) for cell in (SUPERCELL, other)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *mixed)
    with pytest.raises(ValueError, match="one supercell"):
        jaxce.run_monte_carlo(jax.random.key(0), stacked, starts[:2], temperature=900.0)
