"""The energy polynomial against slow loops, and products of integer functions against their values."""

import itertools

import numpy as np
import pytest

from helpers import random_occupancies, site_lookup, slow_energy
from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.polynomial import energy_polynomial, folded, integer_site_functions
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
QUATERNARY = Prim(FCC, [[0, 0, 0]], [["A", "B", "C", "D"]])
MIXED = Prim(
    FCC,
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]],
    [["A", "B", "X"], ["O", "X"], ["K"]],
)
FEWER_FUNCTIONS = [[[0.3, -1.0, 2.0]], [[1.0, 4.0]], None]
CASES = {
    "trigonometric": (QUATERNARY, {2: 2.9, 3: 2.9, 4: 2.9}, "trigonometric", 1),
    "legendre": (QUATERNARY, {2: 2.9, 3: 2.9}, "legendre", [[2, 1, 0], [0, 1, 0], [0, 0, 1]]),
    "chebyshev": (MIXED, {2: 2.9, 3: 2.9}, "chebyshev", [[1, 1, 0], [0, 2, 0], [0, 0, 1]]),
    "indicator": (MIXED, {2: 2.9, 3: 2.9}, "indicator", 1),
    "fewer functions than species": (MIXED, {2: 2.9, 3: 2.9}, FEWER_FUNCTIONS, [1, 1, 2]),
}


def polynomial_of(space, coefficients):
    return energy_polynomial(space.orbits, coefficients / space.multiplicities, space.site_functions)


def slow_value(polynomial, supercell, occupancy):
    """Energy per supercell by loops over terms and cells."""
    find = site_lookup(supercell)
    cells = [supercell.offsets[n] for n in range(supercell.num_sites) if supercell.prim_sites[n] == 0]
    total = polynomial.constant * len(cells)
    for points, functions, weights in zip(polynomial.points, polynomial.functions, polynomial.weights, strict=True):
        for term, labels, weight in zip(points, functions, weights, strict=True):
            for cell in cells:
                product = 1
                for point, label in zip(term, labels, strict=True):
                    table = integer_site_functions(len(supercell.prim.species[point[0]]))
                    product *= table[label, occupancy[find(point[0], point[1:] + cell)]]
                total += weight * product
    return total


@pytest.mark.parametrize("name", CASES)
def test_the_polynomial_is_the_energy(name):
    prim, cutoffs, basis, transformation = CASES[name]
    space, supercell = ClusterSpace(prim, cutoffs, basis), Supercell(prim, transformation)
    coefficients = np.random.default_rng(0).normal(size=space.num_correlations)
    polynomial = polynomial_of(space, coefficients)
    for occupancy in random_occupancies(supercell, 3, seed=1):
        expected = slow_energy(space, coefficients, supercell, occupancy)
        assert slow_value(polynomial, supercell, occupancy) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_each_product_is_listed_once(name):
    prim, cutoffs, basis, _ = CASES[name]
    space = ClusterSpace(prim, cutoffs, basis)
    polynomial = polynomial_of(space, np.ones(space.num_correlations))
    for order, (points, functions) in enumerate(zip(polynomial.points, polynomial.functions, strict=True), start=1):
        assert points.shape[1:] == (order, 4)
        assert np.all(functions >= 1)
        named = set()
        for term, labels in zip(points, functions, strict=True):
            rows = np.column_stack([term, labels])
            rows[:, 1:4] -= rows[:, 1:4].min(axis=0)
            named.add(tuple(sorted(map(tuple, rows.tolist()))))
        assert len(named) == len(points)


def test_which_terms_exist_does_not_depend_on_the_coefficients():
    space = ClusterSpace(MIXED, {2: 2.9, 3: 2.9}, "chebyshev")
    sparse = np.zeros(space.num_correlations)
    sparse[4] = 1
    one, other = polynomial_of(space, np.ones(space.num_correlations)), polynomial_of(space, sparse)
    for left, right in zip(one.points + one.functions, other.points + other.functions, strict=True):
        np.testing.assert_array_equal(left, right)
    assert sum(np.count_nonzero(weights) for weights in other.weights) < sum(map(len, other.weights))


def test_the_empty_cluster_alone_is_a_constant():
    space = ClusterSpace(Prim(FCC, [[0, 0, 0]], [["A"]]), {})
    assert polynomial_of(space, np.array([3.5])) == (3.5, (), (), (), ())


@pytest.mark.parametrize("num_species", [2, 3, 4])
def test_integer_functions_are_independent_and_start_with_the_constant(num_species):
    table = integer_site_functions(num_species)
    assert np.all(table[0] == 1)
    assert set(np.unique(table)) <= {-1, 0, 1}
    assert np.linalg.matrix_rank(table) == num_species


def test_folded_terms_have_the_same_values_and_name_each_site_once():
    # Sites 0 and 1 hold two species, site 2 three; up to four factors on them.
    species = np.array([2, 2, 3])
    tables = [integer_site_functions(int(count)) for count in species]
    factors = [(site, label) for site in range(3) for label in range(1, species[site])]
    states = list(itertools.product(*(range(count) for count in species)))
    for order in (2, 3, 4):
        terms = np.array(list(itertools.product(factors, repeat=order)))
        sites, labels = folded(terms[..., 0], terms[..., 1], species[terms[..., 0]])
        for term, new_sites, new_labels in zip(terms, sites, labels, strict=True):
            expected = [np.prod([tables[s][f, state[s]] for s, f in term]) for state in states]
            vanishes = np.any(new_labels < 0)
            kept = list(zip(new_sites, new_labels, strict=True))
            values = [0 if vanishes else np.prod([tables[s][f, state[s]] for s, f in kept]) for state in states]
            assert values == expected
            named = new_sites[new_labels != 0]
            assert vanishes or len(set(named)) == len(named)
