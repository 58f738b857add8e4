"""Observables against loops over sites, and how they are named and checked before a run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, slow_correlations
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.accumulators import Histogram, Moments
from jaxce.sampling.observables import (
    check_shapes,
    composition,
    correlation_vector,
    named_observables,
    site_occupancy,
)
from jaxce.sampling.order_parameters import long_range_order, short_range_order
from jaxce.sampling.structure_factors import structure_factor

# Three species, two species on two sites, and an inactive site; magnesium is on both sublattices.
OXIDE = Prim(
    np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]]),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]],
    [["Ni", "Mg", "Co"], ["Ti"], ["Mg", "X"], ["Mg", "X"]],
)
CELL = Supercell(OXIDE, [[1, 1, 0], [-1, 2, 0], [0, 0, 2]])
OCCUPANCIES = random_occupancies(CELL, 5, 0).astype(np.int8)


@pytest.fixture(scope="module")
def every_observable():
    space = jaxce.ClusterSpace(OXIDE, {2: 3.0})
    return named_observables(
        [
            composition(CELL),
            site_occupancy(CELL),
            correlation_vector(jaxce.build_tables(space, CELL)),
            short_range_order(CELL, num_shells=2, sublattice="A"),
            long_range_order(CELL, OCCUPANCIES[0]),
            structure_factor(CELL, [0, 0, 0.5], {"Mg": 1.0}),
        ]
    )


def test_composition_equals_counting():
    observable = composition(CELL)
    assert observable.coords == {"sublattice": ["A", "B"], "species": ["Ni", "Mg", "Co", "X"]}
    values = observable(OCCUPANCIES)
    for chain, occupancy in enumerate(OCCUPANCIES):
        for place, sublattice in enumerate(CELL.sublattices):
            held = [CELL.species[site][occupancy[site]] for site in sublattice.sites]
            expected = [held.count(name) / len(held) for name in observable.coords["species"]]
            np.testing.assert_allclose(values[chain, place], expected, rtol=0, atol=1e-15)


def test_site_occupancy_is_one_for_what_is_there():
    observable = site_occupancy(CELL)
    names = observable.coords["species"]
    assert names == ["Ni", "Mg", "Co", "Ti", "X"]
    assert observable.coords["site"] == list(range(CELL.num_sites))
    expected = [[[float(CELL.species[s][c] == name) for name in names] for s, c in enumerate(o)] for o in OCCUPANCIES]
    np.testing.assert_array_equal(observable(OCCUPANCIES), expected)


def test_correlation_vectors_equal_loops_over_clusters():
    space = jaxce.ClusterSpace(OXIDE, {2: 3.0})
    observable = correlation_vector(jaxce.build_tables(space, CELL))
    expected = [slow_correlations(space, CELL, occupancy) for occupancy in OCCUPANCIES]
    np.testing.assert_allclose(observable(OCCUPANCIES), expected, rtol=0, atol=1e-12)
    assert observable.coords == {"correlation": list(range(space.num_correlations))}


def test_labels_fit_the_values(every_observable):
    for name, shape in check_shapes(every_observable, *OCCUPANCIES.shape).items():
        observable = every_observable[name]
        assert shape == tuple(len(observable.coords[dim]) for dim in observable.dims)
        assert observable.name == name


def test_compiled_and_eager_values_are_equal_and_tables_are_arguments(every_observable):
    occupancies = jnp.asarray(OCCUPANCIES)

    def measured(observables, occupancies):
        return {name: observable(occupancies) for name, observable in observables.items()}

    compiled = jax.jit(measured)(every_observable, occupancies)
    for name, observable in every_observable.items():
        np.testing.assert_allclose(compiled[name], observable(occupancies), rtol=0, atol=1e-14)
    # What is closed over would be a constant of the program; only the places of species pairs may be.
    constants = jax.make_jaxpr(measured)(every_observable, occupancies).consts
    assert max((np.size(constant) for constant in constants), default=0) < 10


def test_observables_of_single_precision_are_right_to_rounding(every_observable):
    expected = {name: np.asarray(observable(OCCUPANCIES)) for name, observable in every_observable.items()}
    jax.config.update("jax_enable_x64", False)
    try:
        space = jaxce.ClusterSpace(OXIDE, {2: 3.0})
        found = named_observables(
            [
                composition(CELL),
                site_occupancy(CELL),
                correlation_vector(jaxce.build_tables(space, CELL)),
                short_range_order(CELL, num_shells=2, sublattice="A"),
                long_range_order(CELL, OCCUPANCIES[0]),
                structure_factor(CELL, [0, 0, 0.5], {"Mg": 1.0}),
            ]
        )
        for name, observable in found.items():
            value = jax.jit(lambda observable, occupancies: observable(occupancies))(observable, OCCUPANCIES)
            assert value.dtype == jnp.float32
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=2e-6)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_occupancies_of_another_supercell_are_refused(every_observable):
    for observable in every_observable.values():
        for wrong in (OCCUPANCIES[:, 1:], OCCUPANCIES[0], OCCUPANCIES.astype(float)):
            # Under test the types are checked before the function looks at them.
            with pytest.raises(Exception, match=r"chains, 24\]|type-check|violates"):
                observable(wrong)


@pytest.mark.parametrize("make", [composition, lambda cell: short_range_order(cell, num_shells=1)])
def test_crystals_without_a_choice_of_species_are_refused(make):
    with pytest.raises(ValueError, match="nothing to measure"):
        make(Supercell(Prim(np.eye(3), [[0, 0, 0]], [["A"]]), 2))


def mean_code(occupancy):
    return jnp.mean(occupancy.astype(float), axis=1)


def test_observables_go_by_their_own_names_or_those_of_a_mapping():
    listed = named_observables([composition(CELL), Moments(mean_code)])
    assert list(listed) == ["composition", "mean_code"]
    assert list(named_observables({"first": mean_code, "second": lambda o: o})) == ["first", "second"]
    assert named_observables([]) == {}


def test_named_functions_pass_into_a_compiled_function_and_out_again():
    edges = [0.0, 1.0, 2.0]
    named = named_observables({"plain": mean_code, "moments": Moments(mean_code), "bins": Histogram(mean_code, edges)})
    returned, values = jax.jit(lambda named, o: (named, {k: f(o) for k, f in named.items()}))(named, OCCUPANCIES)
    for value in values.values():
        np.testing.assert_allclose(value, OCCUPANCIES.mean(axis=1), rtol=0, atol=1e-14)
    assert returned["bins"].edges == (0.0, 1.0, 2.0)
    assert jax.tree.structure(named) == jax.tree.structure(named_observables(named))


def test_the_same_functions_compile_once():
    traces = []

    @jax.jit
    def measured(named, occupancies):
        traces.append(None)
        return named["mean_code"](occupancies)

    for _ in range(3):
        measured(named_observables([Histogram(mean_code, [0, 1])]), OCCUPANCIES)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "observables",
    [[lambda o: o], [Moments(lambda o: o)], [functools.partial(mean_code)], [mean_code, Moments(mean_code)]],
    ids=["lambda", "wrapped lambda", "partial", "twice"],
)
def test_missing_and_repeated_names_ask_for_a_mapping(observables):
    with pytest.raises(ValueError, match="pass a mapping"):
        named_observables(observables)


@pytest.mark.parametrize("observables", [mean_code, "composition", 3, {"one": 1.0}, {1: mean_code}, {"": mean_code}])
def test_what_is_no_collection_of_functions_is_refused(observables):
    with pytest.raises(ValueError, match="observable"):
        named_observables(observables)


def test_shapes_of_one_chain_are_found():
    named = named_observables({"mean": mean_code, "raw": Moments(lambda o: o)})
    assert check_shapes(named, 3, 8) == {"mean": (), "raw": (8,)}


@pytest.mark.parametrize(
    "function",
    [lambda o: jnp.mean(o.astype(float)), lambda o: o[0], lambda o: (o, o), lambda o: 1.0, lambda o: None],
    ids=["no chains", "one chain", "tuple", "number", "nothing"],
)
def test_functions_that_do_not_return_a_value_for_each_chain_are_refused(function):
    with pytest.raises(ValueError, match=r"must return \[chains, ...\]; wrap a function of one occupancy in jax.vmap"):
        check_shapes(named_observables({"wrong": function}), 3, 8)


def test_complex_values_are_refused():
    with pytest.raises(ValueError, match="real numbers"):
        check_shapes(named_observables({"wave": lambda o: jnp.exp(1j * o.astype(complex))}), 3, 8)


def test_errors_inside_a_function_say_which_observable_it_was():
    with pytest.raises(TypeError) as raised:
        check_shapes(named_observables({"broken": lambda o: o @ None}), 3, 8)
    assert any("'broken'" in note for note in raised.value.__notes__)
