"""Fields of single sites against differences of slow energies, in cells where clusters meet their own images."""

import itertools

import numpy as np
import pytest

from helpers import random_occupancies, slow_energy, substituted
from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.environments import site_environments
from jaxce.lattice.polynomial import energy_polynomial, integer_site_functions
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
MIXED = Prim(FCC, [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]], [["A", "B", "X"], ["O", "X"], ["K"]])
BINARY = Prim(FCC, [[0, 0, 0]], [["A", "B"]])
CASES = {
    "one prim": (MIXED, {2: 4.1, 3: 2.9}, 1),
    "sheared": (MIXED, {2: 2.9, 3: 2.9}, [[1, 1, 0], [0, 2, 0], [0, 0, 1]]),
    "quadruplets": (BINARY, {2: 2.9, 3: 2.9, 4: 2.9}, [[2, 1, 0], [0, 1, 1], [-1, 0, 2]]),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    prim, cutoffs, transformation = CASES[request.param]
    space, supercell = ClusterSpace(prim, cutoffs), Supercell(prim, transformation)
    coefficients = np.random.default_rng(0).normal(size=space.num_correlations)
    polynomial = energy_polynomial(space.orbits, coefficients / space.multiplicities, space.site_functions)
    return space, coefficients, supercell, polynomial, site_environments(polynomial, supercell)


def field(environments, supercell, occupancy, site):
    """Field of each function of a site, by loops."""
    num_functions = environments.linear.shape[1]
    vector = []
    for neighbour in environments.neighbours[site]:
        values = np.zeros(num_functions)
        if neighbour >= 0:
            table = integer_site_functions(len(supercell.species[neighbour]))[1:, occupancy[neighbour]]
            values[: len(table)] = table
        vector += values.tolist()
    vector = np.array(vector)
    table = environments.tables[supercell.prim_sites[site]]
    width = environments.quadratic.shape[-1]
    result = environments.linear[table] + environments.pair[table] @ vector
    result = result + np.array([vector[:width] @ q @ vector[:width] for q in environments.quadratic[table]])
    for columns, weights in environments.higher:
        for term, weight in zip(columns[table], weights[table].T, strict=True):
            result = result + weight * np.prod(vector[term])
    return result


def test_fields_are_differences_of_slow_energies(case):
    space, coefficients, supercell, _, environments = case
    occupancy = random_occupancies(supercell, 1, seed=1)[0]
    start = slow_energy(space, coefficients, supercell, occupancy)
    for site in range(supercell.num_sites):
        functions = integer_site_functions(len(supercell.species[site]))[1:]
        fields = field(environments, supercell, occupancy, site)[: len(functions)]
        for code in range(functions.shape[1]):
            change = slow_energy(space, coefficients, supercell, substituted(occupancy, site, code)) - start
            assert fields @ (functions[:, code] - functions[:, occupancy[site]]) == pytest.approx(change, abs=1e-10)


def test_no_site_is_its_own_neighbour(case):
    supercell, environments = case[2], case[4]
    assert not np.any(environments.neighbours == np.arange(supercell.num_sites)[:, None])
    for row in environments.neighbours:
        occupied = row[row >= 0]
        assert len(set(occupied.tolist())) == len(occupied)


def test_the_folded_constant_is_the_mean_over_all_states_of_a_binary():
    space, supercell = (
        ClusterSpace(BINARY, {2: 4.1, 3: 2.9, 4: 2.9}),
        Supercell(BINARY, [[2, 1, 0], [0, 1, 0], [0, 0, 1]]),
    )
    coefficients = np.random.default_rng(2).normal(size=space.num_correlations)
    polynomial = energy_polynomial(space.orbits, coefficients / space.multiplicities, space.site_functions)
    states = itertools.product(range(2), repeat=supercell.num_sites)
    mean = np.mean([slow_energy(space, coefficients, supercell, state) for state in states])
    constant = site_environments(polynomial, supercell).constant
    assert constant != 0
    assert polynomial.constant * supercell.num_prims + constant == pytest.approx(mean, abs=1e-10)
