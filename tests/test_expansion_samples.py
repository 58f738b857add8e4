import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, slow_energy
from jaxce.expansion_samples import ExpansionSamples

PRIM = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]]
)
SPACE = jaxce.ClusterSpace(PRIM, {2: 2.9, 3: 2.9})
SUPERCELL = jaxce.Supercell(PRIM, [2, 2, 1])
ENERGIES = jax.jit(jax.vmap(jaxce.energy, in_axes=(0, None)))
ENERGY, CHANGES = jax.jit(jaxce.energy), jax.jit(jaxce.substitution_energies)


@pytest.fixture(scope="module")
def samples():
    """Four expansions; some have only points, or nothing at all."""
    coefficients = np.random.default_rng(0).normal(size=(4, SPACE.num_correlations))
    coefficients[1, 4:] = 0
    coefficients[2] = 0
    return ExpansionSamples(SPACE, coefficients)


def test_is_a_sequence_of_expansions(samples):
    assert len(samples) == len(list(samples)) == 4
    for index, expansion in enumerate(samples):
        np.testing.assert_array_equal(expansion.coefficients, samples.coefficients[index])
        np.testing.assert_array_equal(samples[index].coefficients, samples.coefficients[index])
    np.testing.assert_array_equal(samples[-1].coefficients, samples.coefficients[3])
    np.testing.assert_allclose(samples.mean.coefficients, sum(e.coefficients for e in samples) / 4)
    with pytest.raises(IndexError):
        samples[4]


@pytest.mark.parametrize("cell", [[2, 2, 1], [[1, 1, 0], [0, 1, 0], [0, 0, 3]]])
def test_mapped_energies_are_those_of_each_hamiltonian(samples, cell):
    supercell = jaxce.Supercell(PRIM, cell)
    occupancies = random_occupancies(supercell, 3, 1)
    hamiltonians = samples.hamiltonians(supercell)
    energies = ENERGIES(hamiltonians, jnp.asarray(occupancies))
    assert energies.shape == (4, 3)
    for row, expansion in enumerate(samples):
        hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
        np.testing.assert_allclose(energies[row], ENERGY(hamiltonian, jnp.asarray(occupancies)), atol=1e-10)
        expected = slow_energy(SPACE, expansion.coefficients, supercell, occupancies[0])
        np.testing.assert_allclose(energies[row, 0], expected, atol=1e-10)


def test_mapped_changes_are_those_of_each_hamiltonian(samples):
    """Also the tables for moves have the leading axis."""
    occupancy = jnp.asarray(random_occupancies(SUPERCELL, 1, 2)[0])
    hamiltonians = samples.hamiltonians(SUPERCELL)
    changes = jax.jit(jax.vmap(jaxce.substitution_energies, in_axes=(0, None)))(hamiltonians, occupancy)
    for row, expansion in enumerate(samples):
        expected = CHANGES(jaxce.build_hamiltonian(expansion, SUPERCELL), occupancy)
        np.testing.assert_allclose(changes[row], expected, atol=1e-10)


def test_hamiltonians_have_the_float_type_that_was_asked_for(samples):
    hamiltonians = samples.hamiltonians(SUPERCELL, jnp.float32)
    occupancy = jnp.asarray(random_occupancies(SUPERCELL, 1, 3)[0])
    energies = ENERGIES(hamiltonians, occupancy)
    assert energies.dtype == jnp.float32
    expected = [slow_energy(SPACE, e.coefficients, SUPERCELL, np.asarray(occupancy)) for e in samples]
    np.testing.assert_allclose(energies, expected, atol=1e-3)


def test_one_sample_keeps_its_axis(samples):
    single = ExpansionSamples(SPACE, samples.coefficients[:1]).hamiltonians(SUPERCELL)
    all_four = samples.hamiltonians(SUPERCELL)
    assert jax.tree.structure(single) == jax.tree.structure(all_four)
    for leaf, four in zip(jax.tree.leaves(single), jax.tree.leaves(all_four), strict=True):
        assert leaf.shape == (1, *four.shape[1:])
        np.testing.assert_array_equal(leaf[0], four[0])


@pytest.mark.parametrize(
    "coefficients",
    [
        np.zeros((0, SPACE.num_correlations)),
        np.zeros(SPACE.num_correlations),
        np.zeros((2, SPACE.num_correlations + 1)),
        np.full((2, SPACE.num_correlations), np.nan),
    ],
    ids=["no samples", "one axis", "too many", "not finite"],
)
def test_bad_coefficients_are_refused(coefficients):
    with pytest.raises(ValueError, match=rf"\[samples, {SPACE.num_correlations}\]"):
        ExpansionSamples(SPACE, coefficients)


def test_samples_share_their_interactions(samples):
    charges = {"Ni": 2, "Mg": 2, "Co": 2, "O": -2}
    ewald = jaxce.EwaldInteraction.from_charges(PRIM, charges, neutralize=True)
    ionic = ExpansionSamples(SPACE, samples.coefficients, [ewald])
    assert ionic.mean.interactions == ionic[0].interactions == (ewald,)
    occupancy = jnp.asarray(random_occupancies(SUPERCELL, 1, 1)[0])
    coulomb = ENERGIES(ionic.hamiltonians(SUPERCELL), occupancy) - ENERGIES(samples.hamiltonians(SUPERCELL), occupancy)
    linear, matrix = ewald.pair_arrays(SUPERCELL)
    sites, codes = np.arange(SUPERCELL.num_sites), np.asarray(occupancy)
    expected = linear[sites, codes].sum() + matrix[sites, codes][:, sites, codes].sum()
    np.testing.assert_allclose(coulomb, expected, atol=1e-9)
