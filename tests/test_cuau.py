"""The Cu-Au expansion on all 65 536 states of a 16-site cell in which clusters meet their own images.

Energies: CLEASE 1.2.0; see tests/data/README.md.
"""

import ase.build
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cuau
import jaxce


@pytest.fixture(scope="module")
def expansion():
    return cuau.load_expansion()


@pytest.fixture(scope="module")
def small_cell(expansion):
    """Hamiltonian, all occupancies, all energies, and the bit of the state that each site is."""
    supercell, occupancies, energies, bit_of_site = cuau.all_states()
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    return hamiltonian, jnp.asarray(occupancies), energies, bit_of_site


def test_all_energies(small_cell):
    hamiltonian, occupancies, energies, _ = small_cell
    np.testing.assert_allclose(jax.jit(jaxce.energy)(hamiltonian, occupancies), energies, rtol=0, atol=1e-9)


def test_every_flip_is_the_gradient_of_the_relaxed_energy(small_cell):
    hamiltonian, occupancies, energies, bit_of_site = small_cell

    @jax.jit
    def flips_by_gradient(hamiltonian, occupancies):
        probabilities = jax.nn.one_hot(occupancies, 2)
        gradient = jax.grad(lambda p: jnp.sum(jaxce.relaxed_energy(hamiltonian, p)))(probabilities)
        return jnp.sum(gradient * (1 - 2 * probabilities), axis=-1)

    states = np.arange(2**16)[:, None]
    expected = energies[states ^ (1 << bit_of_site)] - energies[states]
    np.testing.assert_allclose(flips_by_gradient(hamiltonian, occupancies), expected, rtol=0, atol=1e-9)
    changes = np.asarray(jax.jit(jaxce.substitution_energies)(hamiltonian, occupancies))
    codes = np.asarray(occupancies)[..., None].astype(int)
    np.testing.assert_allclose(np.take_along_axis(changes, 1 - codes, axis=2)[..., 0], expected, rtol=0, atol=1e-9)
    assert np.all(np.take_along_axis(changes, codes, axis=2) == 0)


def test_every_swap_is_a_difference_of_the_table(small_cell):
    hamiltonian, occupancies, energies, bit_of_site = small_cell
    swaps = jax.jit(lambda h, o: jaxce.all_swap_energies(h, o, jnp.arange(16)))(hamiltonian, occupancies)
    bits = 1 << bit_of_site
    pair = bits[:, None] | bits[None, :]
    codes = np.asarray(occupancies)
    states = np.arange(2**16)
    expected = np.zeros((2**16, 16, 16))
    for i in range(16):
        for j in range(16):
            is_unlike = codes[:, i] != codes[:, j]
            expected[is_unlike, i, j] = energies[states[is_unlike] ^ pair[i, j]] - energies[states[is_unlike]]
    np.testing.assert_allclose(swaps, expected, rtol=0, atol=1e-9)
    some = jnp.arange(0, 2**16, 997)
    single = jax.jit(jaxce.swap_energy)(hamiltonian, occupancies[some], 3, 12)
    np.testing.assert_allclose(single, expected[some, 3, 12], rtol=0, atol=1e-9)


def test_the_shipped_model_is_the_one_that_agrees_with_clease(expansion):
    shipped = jaxce.datasets.load_cuau_model()
    assert shipped.space.prim == expansion.space.prim
    np.testing.assert_array_equal(shipped.coefficients, expansion.coefficients)


def test_formation_energies_of_the_pure_phases_are_0_and_nothing_else_changes(expansion):
    shifted = jaxce.datasets.load_cuau_formation_model()
    for symbol in ("Cu", "Au"):
        assert shifted.energy_of(ase.build.bulk(symbol, "fcc", a=3.8)) == pytest.approx(0, abs=1e-12)
    np.testing.assert_array_equal(shifted.coefficients[2:], expansion.coefficients[2:])
