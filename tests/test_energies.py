"""Energies and differences against slow loops, on cells small enough that clusters meet their own images."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, slow_correlations, slow_energy, substituted
from jaxce.site_species import check_occupancy
from jaxce.tables import check_hamiltonian

QUATERNARY = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Ni", "Pd", "Ag"]], sublattice_names=["M"]
)
ROCKSALT = jaxce.Prim(
    np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]]),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]],
    [["Ni", "Mg", "X"], ["O", "X"], ["K"]],
)
PEROVSKITE = jaxce.Prim(
    3.9 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3],
)
CASES = {
    "quaternary, one site": (QUATERNARY, {2: 4.1, 3: 2.9, 4: 2.9}, "trigonometric", 1),
    "quaternary, sheared": (QUATERNARY, {2: 2.9, 3: 2.9, 4: 2.9}, "legendre", [[2, 1, 0], [0, 1, 0], [0, 0, 1]]),
    "two sublattices and an inactive site": (
        ROCKSALT,
        {2: 4.3, 3: 3.0},
        "indicator",
        [[1, 1, 0], [0, 2, 0], [0, 0, 1]],
    ),
    "perovskite": (PEROVSKITE, {2: 4.0, 3: 4.0}, "trigonometric", [1, 1, 2]),
}

energy = jax.jit(jaxce.energy)
correlations = jax.jit(jaxce.correlations)
relaxed_energy = jax.jit(jaxce.relaxed_energy)
gradient = jax.jit(jax.grad(lambda p, h: jnp.sum(jaxce.relaxed_energy(h, p))))
substitution_energies = jax.jit(jaxce.substitution_energies)
swap_energy = jax.jit(jaxce.swap_energy)
all_swap_energies = jax.jit(jaxce.all_swap_energies)
substitution_correlations = jax.jit(jaxce.substitution_correlations)
swap_correlations = jax.jit(jaxce.swap_correlations)


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    """Expansion, supercell, Hamiltonian and four occupancies."""
    prim, cutoffs, basis, transformation = CASES[request.param]
    space = jaxce.ClusterSpace(prim, cutoffs, basis)
    expansion = jaxce.ClusterExpansion(space, np.random.default_rng(1).normal(size=space.num_correlations))
    supercell = jaxce.Supercell(prim, transformation)
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    return expansion, supercell, hamiltonian, jnp.asarray(random_occupancies(supercell, 4, seed=2))


def test_energies_and_correlations_equal_the_slow_ones(case):
    expansion, supercell, hamiltonian, occupancies = case
    space = expansion.space
    vectors = correlations(jaxce.build_tables(space, supercell), occupancies)
    expected = [slow_correlations(space, supercell, occupancy) for occupancy in np.asarray(occupancies)]
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-12)
    expected = [slow_energy(space, expansion.coefficients, supercell, o) for o in np.asarray(occupancies)]
    np.testing.assert_allclose(energy(hamiltonian, occupancies), expected, rtol=0, atol=1e-10)


def test_every_substitution_energy_is_a_difference_of_energies(case):
    _expansion, supercell, hamiltonian, occupancies = case
    changes = np.asarray(substitution_energies(hamiltonian, occupancies))
    start = np.asarray(occupancies[0])
    moves = [(s, c) for s in range(supercell.num_sites) for c in range(len(supercell.species[s]))]
    changed = jnp.asarray(np.stack([substituted(start, site, code) for site, code in moves]))
    expected = energy(hamiltonian, changed) - energy(hamiltonian, occupancies[0])
    np.testing.assert_allclose([changes[0, s, c] for s, c in moves], expected, rtol=0, atol=1e-10)
    assert np.isfinite(changes).sum() == len(occupancies) * len(moves)
    assert np.all(changes[~np.isfinite(changes)] == np.inf)


def test_substitution_energies_are_the_gradient_of_the_relaxed_energy(case):
    _, supercell, hamiltonian, occupancies = case
    num_species = max(len(names) for names in supercell.species)
    one_hot = jax.nn.one_hot(occupancies, num_species)
    np.testing.assert_allclose(
        relaxed_energy(hamiltonian, one_hot), energy(hamiltonian, occupancies), rtol=0, atol=1e-10
    )
    slopes = gradient(one_hot, hamiltonian)
    slopes -= jnp.take_along_axis(slopes, occupancies[..., None].astype(int), axis=-1)
    changes = substitution_energies(hamiltonian, occupancies)
    # One is summed in floats, the other in integers.
    slopes = jnp.where(jnp.isfinite(changes), slopes, jnp.inf)
    np.testing.assert_allclose(slopes, changes, rtol=0, atol=1e-12)


def test_relaxed_energy_is_the_expectation_over_independent_sites():
    _expansion, supercell, hamiltonian = _tiny_binary()
    probabilities = np.random.default_rng(3).dirichlet([1, 1], size=supercell.num_sites)
    states = (np.arange(2**supercell.num_sites)[:, None] >> np.arange(supercell.num_sites)) & 1
    weights = np.prod(np.where(states == 1, probabilities[:, 1], probabilities[:, 0]), axis=1)
    expected = weights @ np.asarray(energy(hamiltonian, jnp.asarray(states)))
    assert relaxed_energy(hamiltonian, jnp.asarray(probabilities)) == pytest.approx(expected, abs=1e-10)


def test_swaps_and_their_reverse(case):
    _expansion, supercell, hamiltonian, occupancies = case
    sites = jnp.arange(supercell.num_sites)
    table = np.asarray(all_swap_energies(hamiltonian, occupancies, sites))
    i, j = np.indices((supercell.num_sites,) * 2)
    single = swap_energy(hamiltonian, occupancies[:, None, None, :], i, j)
    np.testing.assert_allclose(single, table, rtol=0, atol=1e-10)
    names = np.array([[supercell.species[s][c] for s, c in enumerate(row)] for row in np.asarray(occupancies)])
    for row, occupancy in enumerate(np.asarray(occupancies)):
        swapped, expected = [], []
        for a, b in zip(i.ravel(), j.ravel(), strict=True):
            allowed = names[row, b] in supercell.species[a] and names[row, a] in supercell.species[b]
            assert np.isfinite(table[row, a, b]) == allowed
            if allowed:
                new = substituted(occupancy, a, supercell.species[a].index(names[row, b]))
                swapped.append(substituted(new, b, supercell.species[b].index(names[row, a])))
                expected.append(table[row, a, b])
        # One shape for all cases of the loop: pad with the occupancy itself.
        padded = np.stack(swapped + [occupancy] * (supercell.num_sites**2 - len(swapped)))
        changes = energy(hamiltonian, jnp.asarray(padded)) - energy(hamiltonian, jnp.asarray(occupancy))
        np.testing.assert_allclose(np.array(changes)[: len(expected)], expected, rtol=0, atol=1e-10)


def test_changes_of_correlations_are_differences(case):
    expansion, supercell, _, occupancies = case
    tables = jaxce.build_tables(expansion.space, supercell)
    site = jnp.asarray([0, supercell.num_sites - 1, supercell.num_sites // 2, 0])
    code = jnp.zeros(4, int)
    changed = jnp.stack(
        [o.at[s].set(c) for o, s, c in zip(occupancies, site, code.astype(occupancies.dtype), strict=True)]
    )
    expected = correlations(tables, changed) - correlations(tables, occupancies)
    np.testing.assert_allclose(substitution_correlations(tables, occupancies, site, code), expected, atol=1e-13)
    i, j = 0, supercell.num_prims - 1
    swapped = occupancies.at[:, i].set(occupancies[:, j]).at[:, j].set(occupancies[:, i])
    expected = correlations(tables, swapped) - correlations(tables, occupancies)
    np.testing.assert_allclose(swap_correlations(tables, occupancies, i, j), expected, atol=1e-13)


def test_blocks_and_vmap_change_nothing():
    expansion, supercell, hamiltonian = _tiny_binary()
    tables = jaxce.build_tables(expansion.space, supercell)
    occupancies = jnp.asarray(random_occupancies(supercell, 150, seed=4)).reshape(3, 50, supercell.num_sites)
    for function, argument in ((jaxce.energy, hamiltonian), (jaxce.correlations, tables)):
        whole = jax.jit(function)(argument, occupancies)
        one_by_one = jax.jit(jax.vmap(jax.vmap(function, (None, 0)), (None, 0)))(argument, occupancies)
        np.testing.assert_allclose(whole, one_by_one, rtol=0, atol=1e-12)
    whole = substitution_energies(hamiltonian, occupancies)
    np.testing.assert_allclose(whole[2, 49], substitution_energies(hamiltonian, occupancies[2, 49]), atol=1e-12)


def test_new_coefficients_need_no_new_compilation():
    expansion, supercell, _hamiltonian = _tiny_binary()
    traced = chex.assert_max_traces(jaxce.energy, n=1)
    jitted = jax.jit(traced)
    occupancy = jnp.zeros(supercell.num_sites, jnp.int8)
    sparse = expansion.coefficients * (np.arange(len(expansion.coefficients)) < 2)
    values = [
        jitted(jaxce.build_hamiltonian(jaxce.ClusterExpansion(expansion.space, c), supercell), occupancy)
        for c in (expansion.coefficients, 2 * expansion.coefficients, sparse)
    ]
    assert float(values[1]) == pytest.approx(2 * float(values[0]), abs=1e-10)


def test_energy_is_linear_in_the_weights_of_the_hamiltonian():
    _expansion, supercell, hamiltonian = _tiny_binary()
    probabilities = jnp.full((supercell.num_sites, 2), 0.5)
    slope = jax.jit(jax.grad(lambda h: jaxce.relaxed_energy(h, probabilities), allow_int=True))(hamiltonian)
    term, term_slope = hamiltonian.terms[0], slope.terms[0]
    total = sum(
        jnp.sum(getattr(term, name) * getattr(term_slope, name)) for name in ("linear", "pair", "quadratic")
    ) + sum(jnp.sum(a.weights * b.weights) for a, b in zip(term.higher, term_slope.higher, strict=True))
    expected = relaxed_energy(hamiltonian, probabilities) - hamiltonian.constant - term.folded_constant
    assert total == pytest.approx(float(expected), abs=1e-10)


def test_correlations_do_not_depend_on_supercell_translation_or_rotation():
    space = jaxce.ClusterSpace(PEROVSKITE, {2: 4.0, 3: 4.0})
    supercell = jaxce.Supercell(PEROVSKITE, [1, 1, 2])
    occupancy = jnp.asarray(random_occupancies(supercell, 1, seed=5)[0])
    tables = jaxce.build_tables(space, supercell)
    vector = correlations(tables, occupancy)
    moved = jnp.stack([jnp.zeros_like(occupancy).at[p].set(occupancy) for p in supercell.symmetry_permutations])
    np.testing.assert_allclose(correlations(tables, moved), jnp.tile(vector, (len(moved), 1)), atol=1e-13)
    larger = jaxce.Supercell(PEROVSKITE, [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    repeated = occupancy[supercell.site_index(larger.prim_sites, larger.offsets)]
    np.testing.assert_allclose(correlations(jaxce.build_tables(space, larger), repeated), vector, atol=1e-13)


def test_a_pair_term_adds_its_matrix():
    expansion, supercell, plain = _tiny_binary()
    rng = np.random.default_rng(6)
    slots = 2 * supercell.num_sites
    matrix = rng.normal(size=(slots, slots))
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell, pair_terms=[jaxce.build_pair_term(supercell, matrix)])
    occupancies = jnp.asarray(random_occupancies(supercell, 3, seed=7))
    occupied = np.zeros((3, slots))
    occupied[np.arange(3)[:, None], 2 * np.arange(supercell.num_sites) + np.asarray(occupancies)] = 1
    expected = energy(plain, occupancies) + np.einsum("ka,ab,kb->k", occupied, matrix, occupied)
    np.testing.assert_allclose(energy(hamiltonian, occupancies), expected, atol=1e-10)
    changes = substitution_energies(hamiltonian, occupancies)
    flipped = occupancies.at[:, 4].set(1 - occupancies[:, 4])
    expected = energy(hamiltonian, flipped) - energy(hamiltonian, occupancies)
    np.testing.assert_allclose(changes[jnp.arange(3), 4, 1 - occupancies[:, 4]], expected, atol=1e-10)
    sites = jnp.arange(supercell.num_sites)
    table = all_swap_energies(hamiltonian, occupancies, sites)
    single = swap_energy(hamiltonian, occupancies[:, None, None, :], sites[:, None], sites[None, :])
    np.testing.assert_allclose(table, single, atol=1e-10)
    swapped = occupancies.at[:, 1].set(occupancies[:, 5]).at[:, 5].set(occupancies[:, 1])
    np.testing.assert_allclose(
        table[:, 1, 5], energy(hamiltonian, swapped) - energy(hamiltonian, occupancies), atol=1e-10
    )


def test_a_supercell_of_another_prim_is_refused():
    expansion, _, _ = _tiny_binary()
    with pytest.raises(ValueError, match="defined on"):
        jaxce.build_hamiltonian(expansion, jaxce.Supercell(PEROVSKITE, 1))
    with pytest.raises(ValueError, match="shape"):
        jaxce.build_pair_term(jaxce.Supercell(PEROVSKITE, 1), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="float"):
        jaxce.build_hamiltonian(expansion, jaxce.Supercell(expansion.space.prim, 1), dtype=jnp.int32)


def _tiny_binary():
    """An fcc binary in a cell of eight sites, quadruplets included."""
    prim = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
    space = jaxce.ClusterSpace(prim, {2: 4.1, 3: 4.1, 4: 3.0})
    expansion = jaxce.ClusterExpansion(space, np.random.default_rng(0).normal(size=space.num_correlations))
    supercell = jaxce.Supercell(prim, 2)
    return expansion, supercell, jaxce.build_hamiltonian(expansion, supercell)


def test_wrong_shapes_are_refused_before_anything_is_compiled():
    expansion, supercell, hamiltonian = _tiny_binary()
    tables = jaxce.build_tables(expansion.space, supercell)
    short, one_hot = jnp.zeros(5, int), jnp.zeros((supercell.num_sites, 2))
    for function, first in (
        (jaxce.energy, hamiltonian),
        (jaxce.substitution_energies, hamiltonian),
        (jaxce.correlations, tables),
        (lambda h, o: jaxce.swap_energy(h, o, 0, 1), hamiltonian),
        (lambda h, o: jaxce.all_swap_energies(h, o, jnp.arange(2)), hamiltonian),
        (lambda t, o: jaxce.swap_correlations(t, o, 0, 1), tables),
        (lambda t, o: jaxce.substitution_correlations(t, o, 0, 1), tables),
    ):
        with pytest.raises(ValueError, match=r"shape \[..., 8\].*shape \(5,\)"):
            jax.jit(function)(first, short)
    with pytest.raises(ValueError, match=r"\[..., 8, 2\]"):
        jaxce.relaxed_energy(hamiltonian, one_hot[:3])


@pytest.mark.parametrize("leading", [(0,), (2, 0)])
def test_a_batch_may_be_empty(leading):
    expansion, supercell, hamiltonian = _tiny_binary()
    tables = jaxce.build_tables(expansion.space, supercell)
    none = np.zeros((*leading, 8), dtype=np.int8)
    functions = len(expansion.coefficients)
    assert jaxce.energy(hamiltonian, none).shape == leading
    assert jaxce.substitution_energies(hamiltonian, none).shape == (*leading, 8, 2)
    assert jaxce.swap_energy(hamiltonian, none, 0, 1).shape == leading
    assert jaxce.all_swap_energies(hamiltonian, none, np.arange(3)).shape == (*leading, 3, 3)
    assert jaxce.relaxed_energy(hamiltonian, np.zeros((*leading, 8, 2))).shape == leading
    assert jaxce.correlations(tables, none).shape == (*leading, functions)
    assert jaxce.swap_correlations(tables, none, 0, 1).shape == (*leading, functions)


# The tests check types too, and would refuse some of these first.
def test_what_is_no_model_no_occupancy_or_no_list_of_sites_is_refused():
    expansion, _, hamiltonian = _tiny_binary()
    occupancy = np.zeros(8, dtype=np.int8)
    all_swaps = inspect.unwrap(jaxce.all_swap_energies)
    for call, message in (
        (lambda: jaxce.energy(hamiltonian), "array of species codes, .* but is NoneType"),
        (lambda: check_occupancy(8, [0] * 8), "but is list"),
        (lambda: check_hamiltonian(expansion), "build_hamiltonian.*not ClusterExpansion"),
        (lambda: all_swaps(hamiltonian, occupancy, 3), r"\[n\] site numbers, but has shape \(\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_gradients_work_under_vmap_and_twice():
    _, supercell, hamiltonian = _tiny_binary()
    probabilities = jnp.asarray(np.random.default_rng(8).dirichlet([1, 1], size=(3, supercell.num_sites)))
    slopes = jax.jit(jax.vmap(jax.grad(jaxce.relaxed_energy, argnums=1), (None, 0)))(hamiltonian, probabilities)
    np.testing.assert_allclose(slopes, gradient(probabilities, hamiltonian), atol=1e-12)
    direction = jnp.asarray(np.random.default_rng(9).normal(size=probabilities.shape[1:]))
    along = lambda t: jaxce.relaxed_energy(hamiltonian, probabilities[0] + t * direction)
    second = jax.jit(jax.grad(jax.grad(along)))(0.0)
    step = 1e-3
    expected = (along(step) - 2 * along(0.0) + along(-step)) / step**2
    assert float(second) == pytest.approx(float(expected), rel=1e-4)
