"""Order parameters against loops over pairs of sites, and ordered phases whose values are known by hand."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import random_occupancies
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.order_parameters import long_range_order, short_range_order

FCC_LATTICE = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
FCC = Prim(FCC_LATTICE, [[0, 0, 0]], [["Cu", "Au"]])
TERNARY = Prim(FCC_LATTICE, [[0, 0, 0]], [["Cu", "Au", "X"]])
BCC = Prim(1.5 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1.0]]), [[0, 0, 0]], [["Fe", "Al"]])
# Two sublattices, one of them with two sites; skew, so that symmetry hides no mistake.
SKEW = Prim(
    np.array([[3.0, 0.2, 0], [0.5, 3.3, 0.1], [0, 0.7, 3.9]]),
    [[0.1, 0, 0], [0.4, 0.5, 0.6], [0.9, 0.7, 0.3]],
    [["A", "B"], ["A", "C", "D"], ["A", "C", "D"]],
)
# Sites of one sublattice with unlike numbers of neighbours: a chain of two, and one that hangs on it.
HANGING = Prim(np.diag([4.0, 9, 9]), [[0, 0, 0], [0.5, 0, 0], [0, 2 / 9, 0]], [["A", "B"]] * 3)


def slow_short_range_order(supercell, sites, num_species, occupancy, distances):
    """`[shells, species, species]` by going from every site to every image of every site."""
    positions = supercell.cart_coords
    reach = max(distances) + 0.1
    extent = np.ceil((reach + 30) * np.linalg.norm(np.linalg.inv(supercell.lattice), axis=0)).astype(int)
    images = np.array(list(itertools.product(*(range(-n, n + 1) for n in extent)))) @ supercell.lattice
    counts = np.zeros((len(distances), num_species, num_species))
    for i, j in itertools.product(sites, sites):
        found = np.linalg.norm(positions[j] + images - positions[i], axis=1)
        for shell, distance in enumerate(distances):
            counts[shell, occupancy[i], occupancy[j]] += np.sum(np.abs(found - distance) < 1e-3)
    values = np.empty_like(counts)
    for shell, table in enumerate(counts):
        for i, j in np.ndindex(*table.shape):
            of_i, of_j = table[i].sum(), table[j].sum()
            values[shell, i, j] = 1 - (table[i, j] / of_i) / (of_j / table.sum()) if of_i and of_j else np.nan
    return values


@pytest.mark.parametrize(
    ("prim", "transformation", "sublattice"),
    [
        (FCC, 1, None),
        (FCC, [2, 1, 1], None),
        (TERNARY, [[1, 1, 0], [-1, 2, 0], [0, 0, 2]], None),
        (SKEW, [2, 1, 2], "A"),
        (SKEW, [[2, 0, 0], [1, 1, 0], [0, 1, 2]], "B"),
        (HANGING, [3, 1, 1], None),
    ],
)
def test_short_range_order_equals_loops_over_pairs(prim, transformation, sublattice):
    supercell = Supercell(prim, transformation)
    observable = short_range_order(supercell, num_shells=4, sublattice=sublattice)
    chosen = next(s for s in supercell.sublattices if s.name == (sublattice or "A"))
    occupancies = random_occupancies(supercell, 4, 1)
    num_species = len(chosen.species)
    slow = [
        slow_short_range_order(supercell, chosen.sites, num_species, occupancy, observable.coords["shell"])
        for occupancy in occupancies
    ]
    first, second = np.triu_indices(num_species)
    expected = np.stack(slow)[:, :, first, second]
    np.testing.assert_allclose(observable(occupancies.astype(np.int8)), expected, rtol=0, atol=1e-12)
    labels = [f"{i}-{j}" for i, j in itertools.combinations_with_replacement(chosen.species, 2)]
    assert observable.coords["species_pair"] == labels


def test_short_range_order_of_a_uniform_lattice_is_cowleys():
    supercell = Supercell(TERNARY, 2)
    occupancies = np.random.default_rng(2).permuted(np.tile([0, 0, 0, 1, 1, 1, 2, 2], (6, 1)), axis=1)
    observable = short_range_order(supercell, cutoff=2.9)
    for occupancy, found in zip(occupancies, observable(occupancies.astype(np.int8)), strict=True):
        shares = np.bincount(occupancy, minlength=3) / 8
        neighbours = np.zeros((3, 3))
        offsets = [np.array(o) for o in itertools.product((-1, 0, 1), repeat=3)]
        near = [o for o in offsets if abs(np.linalg.norm(o @ FCC_LATTICE) - np.sqrt(8)) < 1e-6]
        assert len(near) == 12
        for site, offset in itertools.product(range(8), near):
            neighbours[occupancy[site], occupancy[supercell.site_index(0, supercell.offsets[site] + offset)]] += 1
        given = neighbours / neighbours.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[0], (1 - given / shares)[np.triu_indices(3)], rtol=0, atol=1e-12)


def test_shells_have_their_distances_and_neighbours():
    observable = short_range_order(Supercell(FCC, 1), num_shells=5)
    assert observable.coordination == (12, 6, 24, 12, 24)
    np.testing.assert_allclose(observable.coords["shell"], 4 * np.sqrt([0.5, 1, 1.5, 2, 2.5]), atol=1e-6)
    by_cutoff = short_range_order(Supercell(FCC, 1), cutoff=4 * np.sqrt(2.5))
    assert by_cutoff.labels == observable.labels
    np.testing.assert_array_equal(by_cutoff.neighbours, observable.neighbours)
    assert short_range_order(Supercell(HANGING, 1), num_shells=1).coordination == (2,)


def l1_2(supercell):
    """Au at the corners of the cubic cells: where all offsets have the same parity."""
    return np.all(supercell.offsets % 2 == supercell.offsets[:, :1] % 2, axis=1).astype(np.int8)


def b2(supercell):
    return (supercell.offsets.sum(axis=1) % 2).astype(np.int8)


def test_l1_2_has_its_known_short_range_order():
    supercell = Supercell(FCC, 4)
    occupancy = l1_2(supercell)
    assert occupancy.mean() == 0.25
    # Gold has copper as all 12 first neighbours and gold as all second ones.
    unlike = short_range_order(supercell, num_shells=2)(occupancy[None])[0, :, 1]
    np.testing.assert_allclose(unlike, [-1 / 3, 1], rtol=0, atol=1e-14)


def test_b2_has_its_known_short_range_order():
    supercell = Supercell(BCC, 2)
    values = short_range_order(supercell, num_shells=2)(b2(supercell)[None])[0]
    np.testing.assert_allclose(values, [[1, -1, 1], [-1, 1, -1]], rtol=0, atol=1e-14)


def test_pairs_with_an_absent_species_are_undefined():
    supercell = Supercell(TERNARY, 2)
    values = np.asarray(short_range_order(supercell, num_shells=1)(np.zeros((1, 8), np.int8)))
    assert values[0, 0, 0] == 0
    assert np.isnan(values[0, 0, 1:]).all()


def test_random_alloys_have_no_order():
    supercell = Supercell(FCC, 20)
    occupancies = np.random.default_rng(3).integers(0, 2, size=(3, 8000)).astype(np.int8)
    observable = short_range_order(supercell, num_shells=3)
    values = np.asarray(observable(occupancies))
    # The parameter is a mean over as many products of independent signs as there are bonds.
    errors = 1 / np.sqrt(8000 * np.array(observable.coordination) / 2)
    assert np.all(np.abs(values) < 5 * errors[None, :, None])
    order = np.asarray(long_range_order(supercell, occupancies[0])(occupancies[1:]))
    assert np.all(np.abs(order[..., 0]) < 5 / np.sqrt(8000))
    np.testing.assert_allclose(order[..., 1], 0.5, atol=2.5 / np.sqrt(8000))


def test_short_range_order_of_large_cells_does_not_hold_all_pairs_at_once():
    observable = short_range_order(Supercell(FCC, 2), num_shells=3)
    num_bonds, num_chains, num_sites = len(observable.shell), 16, 10**6
    large = dataclasses.replace(
        observable, num_sites=num_sites, neighbours=jax.ShapeDtypeStruct((num_bonds, num_sites), jnp.int32)
    )
    lowered = jax.jit(lambda f, o: f(o)).lower(large, jax.ShapeDtypeStruct((num_chains, num_sites), jnp.int8))
    # One byte for each pair of sites would be 336 MB; versions of XLA need 80 to 164 MB.
    memory = lowered.compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < num_bonds * num_chains * num_sites / 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "either"),
        ({"cutoff": 3.0, "num_shells": 1}, "either"),
        ({"cutoff": 1.0}, r"nearest is at 2.8284"),
        ({"cutoff": -1.0}, r"nearest is at"),
        ({"num_shells": 0}, "whole number"),
        ({"num_shells": 1, "sublattice": "B"}, r"\['A'\]"),
    ],
)
def test_shells_that_mean_nothing_are_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        short_range_order(Supercell(FCC, 2), **keywords)


def test_one_of_several_sublattices_must_be_named():
    with pytest.raises(ValueError, match=r"\['A', 'B'\]"):
        short_range_order(Supercell(SKEW, 2), num_shells=1)


@pytest.mark.parametrize("prim", [FCC, TERNARY, SKEW])
def test_long_range_order_equals_loops_over_sites(prim):
    supercell = Supercell(prim, [2, 3, 1])
    reference, *occupancies = random_occupancies(supercell, 6, 0)
    values = long_range_order(supercell, reference)(np.array(occupancies, dtype=np.int8))
    for occupancy, found in zip(occupancies, values, strict=True):
        for sublattice, (order, overlap) in zip(supercell.sublattices, found, strict=True):
            matches = [occupancy[site] == reference[site] for site in sublattice.sites]
            chance, spread, num_sites = 0.0, 1.0, len(matches)
            for code in range(len(sublattice.species)):
                share = sum(reference[site] == code for site in sublattice.sites) / num_sites
                chance += share * sum(occupancy[site] == code for site in sublattice.sites) / num_sites
                spread -= share**2
            assert overlap == pytest.approx(sum(matches) / num_sites, abs=1e-12)
            assert order == pytest.approx((sum(matches) / num_sites - chance) / spread, abs=1e-12)


def test_long_range_order_of_two_species_is_that_of_bragg_and_williams():
    supercell = Supercell(BCC, 4)
    reference = b2(supercell)
    occupancies = random_occupancies(supercell, 5, 5)
    order = long_range_order(supercell, reference)(occupancies.astype(np.int8))[:, 0, 0]
    right = [[np.mean(o[reference == code] == code) for code in (0, 1)] for o in occupancies]
    np.testing.assert_allclose(order, np.sum(right, axis=1) - 1, rtol=0, atol=1e-12)


def test_the_reference_has_order_one_and_its_antiphase_minus_one():
    supercell = Supercell(BCC, 2)
    reference = b2(supercell)
    observable = long_range_order(supercell, reference)
    assert observable(np.stack([reference, 1 - reference]))[:, 0].tolist() == [[1, 1], [-1, 0]]
    assert observable.coords == {"sublattice": ["A"], "quantity": ["order_parameter", "overlap"]}


def test_all_arrangements_of_a_composition_have_no_order_on_average():
    supercell = Supercell(TERNARY, [3, 2, 1])
    arrangements = np.array(sorted(set(itertools.permutations([0, 0, 1, 1, 2, 1]))), dtype=np.int8)
    values = long_range_order(supercell, np.array([0, 1, 2, 0, 1, 0]))(arrangements)
    assert abs(float(values[:, 0, 0].mean())) < 1e-12


def test_a_reference_of_one_species_has_no_order_parameter():
    supercell = Supercell(FCC, [3, 1, 1])
    values = np.asarray(long_range_order(supercell, np.zeros(3, int))(np.array([[0, 0, 0], [0, 1, 0]], np.int8)))
    assert np.isnan(values[..., 0]).all()
    np.testing.assert_allclose(values[:, 0, 1], [1, 2 / 3])


@pytest.mark.parametrize(
    "reference", [np.zeros(7, int), np.zeros((1, 8), int), np.zeros(8), np.full(8, 2), -np.ones(8, int)]
)
def test_references_that_are_no_occupancies_are_refused(reference):
    with pytest.raises(ValueError, match="reference"):
        long_range_order(Supercell(FCC, 2), reference)
