"""The Cu-Au expansion on all 65 536 states of a 16-site cell in which clusters meet their own images.

Energies: CLEASE 1.2.0; see tests/data/README.md.
"""

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cuau
import jaxce
from cuau import DATA


@pytest.fixture(scope="module")
def expansion():
    return cuau.load_expansion()


@pytest.fixture(scope="module")
def small_cell(expansion):
    """Hamiltonian, all occupancies, all energies, and the bit of the state that each site is."""
    atoms = ase.io.read(DATA / "cuau_fcc_2x2x4_supercell.vasp")
    mapping = jaxce.map_structure(expansion.space.prim, atoms)
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    occupancies = np.empty((2**16, 16), dtype=np.int8)
    occupancies[:, mapping.site_of_atom] = 1 - bits
    bit_of_site = np.argsort(mapping.site_of_atom)
    hamiltonian = jaxce.build_hamiltonian(expansion, mapping.supercell)
    return hamiltonian, jnp.asarray(occupancies), np.load(DATA / "energies_2x2x4_all.npy"), bit_of_site


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
