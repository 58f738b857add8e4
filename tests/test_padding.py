"""Batches of unlike supercells against the same structures one by one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
PRIM = jaxce.Prim(FCC, [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]], [["A", "B", "X"], ["O", "X"], ["K"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 2.9, 4: 2.9})
EXPANSION = jaxce.ClusterExpansion(SPACE, np.random.default_rng(0).normal(size=SPACE.num_correlations))
# Of different size and symmetry; in the first two clusters meet their own images.
SUPERCELLS = [jaxce.Supercell(PRIM, t) for t in (1, [[1, 1, 0], [0, 2, 0], [0, 0, 1]], 2)]

energy = jax.jit(jaxce.energy)
relaxed_energy = jax.jit(jaxce.relaxed_energy)
substitution_energies = jax.jit(jaxce.substitution_energies)
all_swaps = jax.jit(jaxce.all_swap_energies)
all_swaps_of_batch = jax.jit(jax.vmap(jaxce.all_swap_energies, in_axes=(0, 0, None)))


@pytest.fixture(scope="module")
def structures():
    """Hamiltonian and occupancy of each supercell; the second also as its own second structure."""
    hamiltonians = [jaxce.build_hamiltonian(EXPANSION, supercell) for supercell in SUPERCELLS]
    pairs = [(h, random_occupancies(s, 1, seed=1)[0]) for h, s in zip(hamiltonians, SUPERCELLS, strict=True)]
    return [*pairs, (hamiltonians[1], random_occupancies(SUPERCELLS[1], 1, seed=2)[0])]


@pytest.fixture(scope="module", params=[None, 32], ids=["longest", "to 32"])
def batch(request, structures):
    return jaxce.pad_batch(structures, pad_to=request.param)


def test_sites_come_first_and_padding_last(batch, structures):
    padded = batch.occupancy.shape[1]
    assert padded in (24, 32)
    for row, mask, (_, occupancy) in zip(batch.occupancy, batch.site_mask, structures, strict=True):
        assert mask.tolist() == [site < len(occupancy) for site in range(padded)]
        assert row.tolist() == occupancy.tolist() + [0] * (padded - len(occupancy))


def test_energies_are_those_of_the_structures(batch, structures):
    expected = [energy(hamiltonian, jnp.asarray(occupancy)) for hamiltonian, occupancy in structures]
    np.testing.assert_allclose(energy(batch), expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_substitution_energies_are_those_of_the_structures_and_infinite_on_padding(batch, structures):
    changes = np.asarray(substitution_energies(batch))
    assert changes.shape == (*batch.occupancy.shape, 3)
    for row, (hamiltonian, occupancy) in zip(changes, structures, strict=True):
        expected = np.asarray(substitution_energies(hamiltonian, jnp.asarray(occupancy)))
        np.testing.assert_allclose(row[: len(occupancy)], expected, rtol=0, atol=2e-12)
        padding = row[len(occupancy) :]
        assert np.all(padding[:, 0] == 0)
        assert np.all(padding[:, 1:] == np.inf)


def test_relaxed_energies_are_those_of_the_structures_whatever_stands_on_padding(batch, structures):
    rng = np.random.default_rng(3)
    rows = []
    for supercell in (*SUPERCELLS, SUPERCELLS[1]):
        allowed = np.arange(3) < np.array([len(names) for names in supercell.species])[:, None]
        weights = rng.random((supercell.num_sites, 3)) * allowed
        rows.append(weights / weights.sum(axis=1, keepdims=True))
    # Padded sites hold anything: they belong to no term.
    probabilities = rng.random((*batch.occupancy.shape, 3))
    for index, values in enumerate(rows):
        probabilities[index, : len(values)] = values
    expected = [relaxed_energy(h, jnp.asarray(p)) for (h, _), p in zip(structures, rows, strict=True)]
    found = relaxed_energy(batch, jnp.asarray(probabilities))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


def test_swap_energies_are_those_of_the_structures_and_infinite_with_padding(batch, structures):
    swaps = np.asarray(all_swaps_of_batch(batch.hamiltonian, batch.occupancy, jnp.arange(6)))
    for row, (hamiltonian, occupancy) in list(zip(swaps, structures, strict=True))[1:]:
        expected = np.asarray(all_swaps(hamiltonian, jnp.asarray(occupancy), jnp.arange(6)))
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-11)
    # The first structure has three sites only; the others are padding.
    assert np.all(swaps[0, :3, 3:] == np.inf)
    assert np.all(swaps[0, 3:, :3] == np.inf)


def test_species_codes_on_padding_change_nothing(batch):
    filled = jnp.where(batch.site_mask, batch.occupancy, 1)
    np.testing.assert_array_equal(energy(batch.replace(occupancy=filled)), energy(batch))


def test_new_occupancies_need_no_new_compilation(structures):
    batch = jaxce.pad_batch(structures)
    traced = jax.jit(chex.assert_max_traces(jaxce.energy, n=1))
    first = traced(batch)
    changed = [
        (h, random_occupancies(s, 1, seed=9)[0])
        for (h, _), s in zip(structures, (*SUPERCELLS, SUPERCELLS[1]), strict=True)
    ]
    rebuilt = jaxce.pad_batch(changed)
    replaced = batch.replace(occupancy=rebuilt.occupancy)
    second = traced(replaced)
    assert np.any(np.asarray(first) != np.asarray(second))
    np.testing.assert_array_equal(second, traced(rebuilt))
    assert replaced.hamiltonian is batch.hamiltonian


def test_a_batch_refuses_occupancies_beside_its_own(batch):
    for function in (jaxce.energy, jaxce.substitution_energies):
        with pytest.raises(ValueError, match=r"batch\.replace\(occupancy="):
            function(batch, np.zeros_like(batch.occupancy))


def test_batches_padded_alike_share_compiled_code(structures):
    traced = jax.jit(chex.assert_max_traces(jaxce.energy, n=1))
    one, other = (jaxce.pad_batch(pairs, pad_to=32) for pairs in (structures[:3], structures[1:]))
    # Three structures each, whose largest is the same supercell.
    np.testing.assert_allclose(
        traced(one)[1:], traced(other)[:2], rtol=0, atol=1e-12 * float(jnp.abs(traced(one)).max())
    )


def test_a_batch_with_a_pair_term_is_padded_too():
    rng = np.random.default_rng(4)
    pairs = []
    for supercell in SUPERCELLS[:2]:
        slots = sum(len(names) for names in supercell.species)
        term = jaxce.build_pair_term(supercell, rng.normal(size=(slots, slots)))
        hamiltonian = jaxce.build_hamiltonian(EXPANSION, supercell, pair_terms=[term])
        pairs.append((hamiltonian, random_occupancies(supercell, 1, seed=5)[0]))
    batch = jaxce.pad_batch(pairs)
    expected = [energy(hamiltonian, jnp.asarray(occupancy)) for hamiltonian, occupancy in pairs]
    np.testing.assert_allclose(energy(batch), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    changes = substitution_energies(batch)
    for row, (hamiltonian, occupancy) in zip(changes, pairs, strict=True):
        alone = substitution_energies(hamiltonian, jnp.asarray(occupancy))
        np.testing.assert_allclose(row[: len(occupancy)], alone, rtol=0, atol=1e-11)


def test_a_batch_that_cannot_be_is_refused(structures):
    hamiltonian, occupancy = structures[1]
    with pytest.raises(ValueError, match="at least one structure"):
        jaxce.pad_batch([])
    with pytest.raises(ValueError, match="`pad_to` is 20, but the largest structure has 24 sites"):
        jaxce.pad_batch(structures, pad_to=20)
    wrong = [
        (occupancy[:-1], r"structure 1: the occupancy must be 6 integers, but has shape \(5,\)"),
        (occupancy[None], r"structure 1: .* shape \(1, 6\)"),
        (occupancy.astype(float), "structure 1: .* dtype float64"),
        (np.where(np.arange(6) == 0, 3, occupancy), r"structure 1: .* sites \[0\] are out of range: \[3\]"),
        (np.where(np.arange(6) == 2, -1, occupancy), r"structure 1: .* sites \[2\] are out of range: \[-1\]"),
        (np.where(np.arange(6) == 5, 1, 0), r"structure 1: .* sites \[5\] are out of range: \[1\]"),
    ]
    for codes, message in wrong:
        with pytest.raises(ValueError, match=message):
            jaxce.pad_batch([structures[0], (hamiltonian, codes)])


def test_models_that_differ_are_not_mixed(structures):
    supercell, occupancy = SUPERCELLS[0], structures[0][1]

    def hamiltonian_of(prim, cutoffs, **keywords):
        space = jaxce.ClusterSpace(prim, cutoffs)
        expansion = jaxce.ClusterExpansion(space, np.ones(space.num_correlations))
        return jaxce.build_hamiltonian(expansion, jaxce.Supercell(prim, 1), **keywords)

    # The third species of the first site is no longer one of the second site's.
    renamed = jaxce.Prim(FCC, PRIM.frac_coords, [["A", "B", "C"], ["O", "X"], ["K"]])
    mixed = [
        (hamiltonian_of(PRIM, {2: 4.1, 3: 2.9}), "different terms or cluster orders"),
        (hamiltonian_of(PRIM, {2: 4.1, 3: 2.9, 4: 2.9}, dtype=jnp.float32), "different dtypes"),
        (hamiltonian_of(renamed, {2: 4.1, 3: 2.9, 4: 2.9}), "their sites allow different species"),
        (
            hamiltonian_of(
                PRIM, {2: 4.1, 3: 2.9, 4: 2.9}, pair_terms=[jaxce.build_pair_term(supercell, np.zeros((6, 6)))]
            ),
            "different terms",
        ),
    ]
    for other, message in mixed:
        with pytest.raises(ValueError, match=f"structures 0 and 1 cannot be in one batch: .*{message}"):
            jaxce.pad_batch([structures[0], (other, occupancy)])
