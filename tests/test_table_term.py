"""Tables over environments against loops over centres, also where a site is in one environment several times."""

import itertools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, site_lookup, substituted
from jaxce.table_build import EnvironmentTable, build_table_hamiltonian

SITES = [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5]]
PRIM = jaxce.Prim(np.diag([3.0, 3.2, 3.5]), SITES, [["A", "B", "C"], ["O", "X"], ["K"]])
# A centre with many neighbours, and one with a neighbour that is always the same.
POINTS = [
    np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, -1, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0], [1, -1, 0, 0], [0, 0, 2, 0]]),
    np.array([[1, 0, 0, 0], [2, 0, 0, 1]]),
]
SHAPES = [tuple(PRIM.num_species[points[:, 0]]) for points in POINTS]
TABLES = [
    EnvironmentTable(points, np.random.default_rng(i).normal(size=shape))
    for i, (points, shape) in enumerate(zip(POINTS, SHAPES, strict=True))
]
CONSTANT = -2.5
# In the first, sites repeat.
TRANSFORMATIONS = {"two prims": [[1, 1, 0], [0, 2, 0], [0, 0, 1]], "roomy": [3, 3, 2]}

energy = jax.jit(jaxce.energy)
substitution_energies = jax.jit(jaxce.substitution_energies)
relaxed_energy_and_gradient = jax.jit(jax.value_and_grad(lambda h, p: jnp.sum(jaxce.relaxed_energy(h, p)), argnums=1))


def slow_energy(supercell, occupancy):
    find = site_lookup(supercell)
    total = 0.0
    for cell in np.unique(supercell.offsets, axis=0):
        total += CONSTANT
        for points, energies in TABLES:
            state = tuple(int(occupancy[find(point[0], point[1:] + cell)]) for point in points)
            total += energies[state]
    return total


class Case(NamedTuple):
    supercell: Any
    hamiltonian: Any
    occupancies: np.ndarray


def case_of(name):
    supercell = jaxce.Supercell(PRIM, TRANSFORMATIONS[name])
    hamiltonian = build_table_hamiltonian(TABLES, CONSTANT, supercell)
    return Case(supercell, hamiltonian, random_occupancies(supercell, 2, seed=0))


@pytest.fixture(scope="module", params=TRANSFORMATIONS)
def case(request):
    return case_of(request.param)


def test_energy_is_that_of_loops(case):
    expected = [slow_energy(case.supercell, occupancy) for occupancy in case.occupancies]
    np.testing.assert_allclose(energy(case.hamiltonian, case.occupancies), expected, rtol=0, atol=1e-12)


def test_substitution_energies_are_differences_of_loops(case):
    found = np.asarray(substitution_energies(case.hamiltonian, case.occupancies))
    for changes, occupancy in zip(found, case.occupancies, strict=False):
        before = slow_energy(case.supercell, occupancy)
        for site in range(0, case.supercell.num_sites, 5):
            count = len(case.supercell.species[site])
            expected = [slow_energy(case.supercell, substituted(occupancy, site, s)) - before for s in range(count)]
            np.testing.assert_allclose(changes[site, :count], expected, rtol=0, atol=1e-12)
            assert changes[site, occupancy[site]] == 0
            assert np.all(changes[site, count:] == np.inf)


def test_swaps_one_by_one_and_all_at_once_are_differences_of_energies(case):
    occupancy = case.occupancies[0]
    sites = np.random.default_rng(1).permutation(case.supercell.num_sites)[:8]
    found = np.asarray(jax.jit(jaxce.all_swap_energies)(case.hamiltonian, occupancy, sites))
    i, j = (index.ravel() for index in np.meshgrid(sites, sites, indexing="ij"))
    one_by_one = jax.jit(jaxce.swap_energy)(case.hamiltonian, occupancy, i, j)
    np.testing.assert_allclose(found.ravel(), one_by_one, rtol=0, atol=1e-12)
    species = case.supercell.species
    swapped = np.repeat(occupancy[None], len(i), axis=0)
    swapped[np.arange(len(i)), i], swapped[np.arange(len(i)), j] = occupancy[j], occupancy[i]
    is_allowed = np.array([species[a] == species[b] for a, b in zip(i, j, strict=True)])
    expected = np.array(energy(case.hamiltonian, np.where(is_allowed[:, None], swapped, occupancy)))
    expected -= np.asarray(energy(case.hamiltonian, occupancy[None]))
    np.testing.assert_allclose(found.ravel(), np.where(is_allowed, expected, np.inf), rtol=0, atol=1e-12)
    assert np.any(is_allowed & (np.abs(expected) > 0.1))


def test_relaxed_energy_is_the_mean_over_all_occupancies():
    """Of independent sites, by enumeration; in this cell the environments meet themselves."""
    case = case_of("two prims")
    numbers = PRIM.num_species[case.supercell.prim_sites]
    probabilities = np.random.default_rng(2).uniform(size=(2, len(numbers), 3)) * (np.arange(3) < numbers[:, None])
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    occupancies = np.array(list(itertools.product(*(range(n) for n in numbers))))
    energies = [slow_energy(case.supercell, occupancy) for occupancy in occupancies]
    weights = np.prod(probabilities[:, np.arange(len(numbers)), occupancies], axis=2)
    found = relaxed_energy_and_gradient(case.hamiltonian, probabilities)[0]
    np.testing.assert_allclose(found, np.sum(weights @ energies), rtol=0, atol=1e-12)


def test_gradient_of_the_relaxed_energy_is_the_substitution_energies_at_definite_occupancies(case):
    one_hot = np.eye(3)[case.occupancies]
    total, gradient = relaxed_energy_and_gradient(case.hamiltonian, one_hot)
    np.testing.assert_allclose(total, np.sum(energy(case.hamiltonian, case.occupancies)), rtol=0, atol=1e-12)
    changes = np.asarray(substitution_energies(case.hamiltonian, case.occupancies))
    present = np.take_along_axis(gradient, case.occupancies[..., None].astype(int), axis=-1)
    is_allowed = np.isfinite(changes)
    np.testing.assert_allclose((gradient - present)[is_allowed], changes[is_allowed], rtol=0, atol=1e-12)


def test_gradient_of_the_relaxed_energy_is_that_of_finite_differences(case):
    rng = np.random.default_rng(4)
    probabilities, direction = rng.uniform(size=(2, 2, case.supercell.num_sites, 3))
    step = 1e-4 * direction
    above, below = (relaxed_energy_and_gradient(case.hamiltonian, probabilities + s)[0] for s in (step, -step))
    gradient = relaxed_energy_and_gradient(case.hamiltonian, probabilities)[1]
    np.testing.assert_allclose(above - below, 2 * np.sum(gradient * step), rtol=1e-6)


def test_unlike_supercells_form_a_batch_and_padding_changes_nothing():
    cases = [case_of(name) for name in TRANSFORMATIONS]
    batch = jaxce.pad_batch([(case.hamiltonian, case.occupancies[0]) for case in cases], pad_to=60)
    expected = [slow_energy(case.supercell, case.occupancies[0]) for case in cases]
    np.testing.assert_allclose(energy(batch), expected, rtol=0, atol=1e-12)
    changes = np.asarray(substitution_energies(batch))
    for row, case in zip(changes, cases, strict=True):
        alone = np.asarray(substitution_energies(case.hamiltonian, case.occupancies))[0]
        np.testing.assert_allclose(row[: len(alone)], alone, rtol=0, atol=1e-12)


def test_new_numbers_need_no_new_compilation():
    supercell = jaxce.Supercell(PRIM, 1)
    chex.clear_trace_counter()
    traced = jax.jit(chex.assert_max_traces(jaxce.energy, n=1))
    occupancies = random_occupancies(supercell, 2, seed=0)
    for scale in (1.0, 2.0):
        tables = [table._replace(energies=scale * table.energies) for table in TABLES]
        traced(build_table_hamiltonian(tables, scale * CONSTANT, supercell), occupancies)


def test_a_table_that_does_not_fit_is_refused():
    supercell = jaxce.Supercell(PRIM, 2)
    build = lambda points, energies: build_table_hamiltonian([EnvironmentTable(points, energies)], 0.0, supercell)
    with pytest.raises(ValueError, match=r"shape \(2, 1\)"):
        build(POINTS[1], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="finite"):
        build(POINTS[1], np.full((2, 1), np.nan))
    with pytest.raises(ValueError, match="nothing to look up"):
        build(np.array([[2, 0, 0, 0]]), np.zeros(1))
    with pytest.raises(ValueError, match="33554432 states is too large"):
        build(np.array([[1, 0, 0, i] for i in range(25)]), np.broadcast_to(0.0, (2,) * 25))
