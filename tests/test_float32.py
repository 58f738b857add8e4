"""Single precision on the perovskite model: totals near -1300 eV, differences of a few meV."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce


@pytest.fixture(scope="module")
def perovskite():
    """The 160-site supercell, its Hamiltonian in both precisions, and 64 occupancies."""
    expansion = jaxce.datasets.load_perovskite_model()
    supercell = jaxce.Supercell(expansion.space.prim, (2, 4, 4))
    composition = {"La": 8, "Sr": 24, "Fe": 8, "Ti": 24, "O": 92, "X": 4}
    occupancies = jaxce.random_occupancy(jax.random.key(0), supercell, composition, (64,))
    single, double = (jaxce.build_hamiltonian(expansion, supercell, dtype=t) for t in (jnp.float32, jnp.float64))
    return single, double, occupancies


def test_energies_are_right_to_1_mev(perovskite):
    single, double, occupancies = perovskite
    energies = jax.jit(jaxce.energy)(single, occupancies)
    assert energies.dtype == jnp.float32
    np.testing.assert_allclose(energies, jax.jit(jaxce.energy)(double, occupancies), rtol=0, atol=1e-3)


def test_without_the_constant_energies_are_right_to_a_quarter_of_that(perovskite):
    single, double, occupancies = perovskite
    assert single.constant.dtype == np.float64
    energies = [
        np.asarray(jax.jit(jaxce.energy)(dataclasses.replace(h, constant=np.zeros(())), o))
        for h, o in ((single, occupancies), (double, occupancies))
    ]
    # Four times the spacing of single precision at these energies.
    np.testing.assert_allclose(*energies, rtol=0, atol=2.5e-4)


def test_differences_are_right_to_a_tenth_of_a_mev(perovskite):
    single, double, occupancies = perovskite
    changes = jax.jit(jaxce.substitution_energies)
    expected = changes(double, occupancies)
    np.testing.assert_allclose(changes(single, occupancies), expected, rtol=0, atol=1e-4)
    swaps = jax.jit(lambda h, o: jaxce.all_swap_energies(h, o, jnp.arange(64, 160)))
    np.testing.assert_allclose(swaps(single, occupancies[:8]), swaps(double, occupancies[:8]), rtol=0, atol=1e-4)


def test_correlations_are_right_to_rounding(perovskite):
    _, _, occupancies = perovskite
    space = jaxce.datasets.load_perovskite_model().space
    supercell = jaxce.Supercell(space.prim, (2, 4, 4))
    single, double = (
        jax.jit(jaxce.correlations)(jaxce.build_tables(space, supercell, dtype=t), occupancies)
        for t in (jnp.float32, jnp.float64)
    )
    # Counts of products are exact integers; only the final division rounds.
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-7)
