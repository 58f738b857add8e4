"""Blocks of structures, of one supercell and of many, against loops over clusters."""

import jax
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, slow_correlations
from jaxce.fitting.correlation_matrix import correlation_matrix

FCC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
ROCK_SALT = jaxce.Prim(FCC.lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]])
INACTIVE = jaxce.Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ti"], ["O", "X"]])
SPACES = {
    "fcc": jaxce.ClusterSpace(FCC, {2: 4.1, 3: 2.9}),
    "rock salt": jaxce.ClusterSpace(ROCK_SALT, {2: 2.9, 3: 2.9}),
    "inactive": jaxce.ClusterSpace(INACTIVE, {2: 5.7}, "indicator"),
}


def candidates(supercell, count, seed):
    return [jaxce.Candidate(supercell, row) for row in random_occupancies(supercell, count, seed)]


def slow_matrix(space, structures):
    return np.array([slow_correlations(space, supercell, occupancy) for supercell, occupancy in structures])


@pytest.mark.parametrize("name", SPACES)
def test_supercells_of_many_sizes_have_the_slow_correlations(name):
    space = SPACES[name]
    cells = [
        1,
        [2, 1, 1],
        [3, 1, 1],
        [[1, 1, 0], [0, 1, 0], [0, 0, 2]],
        [[2, 1, 0], [0, 1, 1], [-1, 0, 3]],
        [2, 2, 1],
        2,
    ]
    structures = [s for seed, cell in enumerate(cells) for s in candidates(jaxce.Supercell(space.prim, cell), 2, seed)]
    # Twenty of one supercell, between the others.
    structures[5:5] = candidates(jaxce.Supercell(space.prim, [1, 2, 1]), 20, 7)
    matrix = correlation_matrix(space, structures)
    assert matrix.dtype == np.float64
    np.testing.assert_allclose(matrix, slow_matrix(space, structures), atol=1e-12)


@pytest.mark.parametrize("count", [15, 16, 17, 128, 129, 1024, 1100])
def test_blocks_of_one_supercell_are_filled_to_the_last_row(count):
    space = SPACES["fcc"]
    supercell = jaxce.Supercell(FCC, [2, 2, 1])
    structures = candidates(supercell, count, count)
    patterns = np.array([occupancy @ 2 ** np.arange(4) for _, occupancy in structures])
    _, first, inverse = np.unique(patterns, return_index=True, return_inverse=True)
    expected = slow_matrix(space, [structures[row] for row in first])[inverse]
    np.testing.assert_allclose(correlation_matrix(space, structures), expected, atol=1e-12)


def test_more_unlike_supercells_than_fit_into_a_block():
    space = SPACES["fcc"]
    cells = [cell for size in (5, 6, 7) for cell in jaxce.distinct_supercells(FCC, size)]
    turned = [jaxce.Supercell(FCC, cell.transformation[[1, 2, 0]]) for cell in cells]
    structures = [s for seed, cell in enumerate(cells + turned) for s in candidates(cell, 2, seed)]
    structures = [structures[row] for row in np.random.default_rng(0).permutation(len(structures))]
    assert len({s.supercell.transformation.tobytes() for s in structures}) > 30
    assert len(structures) > 64
    np.testing.assert_allclose(correlation_matrix(space, structures), slow_matrix(space, structures), atol=1e-12)


def test_other_vectors_of_one_lattice_have_site_orders_of_their_own():
    space = SPACES["fcc"]
    supercell = jaxce.Supercell(FCC, [2, 2, 1])
    sheared = jaxce.Supercell(FCC, [[2, 2, 0], [0, 2, 0], [0, 0, 1]])
    structures = candidates(supercell, 3, 0) + candidates(sheared, 3, 1)
    np.testing.assert_allclose(correlation_matrix(space, structures), slow_matrix(space, structures), atol=1e-12)


def test_double_precision_where_jax_has_single():
    space = SPACES["rock salt"]
    small, large = jaxce.Supercell(ROCK_SALT, [3, 1, 1]), jaxce.Supercell(ROCK_SALT, [2, 2, 1])
    structures = candidates(small, 3, 0) + candidates(large, 20, 1)
    jax.config.update("jax_enable_x64", False)
    try:
        matrix = correlation_matrix(space, structures)
        assert jax.numpy.ones(1).dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_allclose(matrix, slow_matrix(space, structures), atol=1e-12)


def test_no_structures_make_an_empty_matrix():
    assert correlation_matrix(SPACES["fcc"], []).shape == (0, SPACES["fcc"].num_correlations)


def test_structures_of_another_prim_are_refused():
    other = jaxce.Prim(FCC.lattice * 1.01, [[0, 0, 0]], [["Cu", "Au"]])
    structures = candidates(jaxce.Supercell(FCC, 2), 2, 0) + candidates(jaxce.Supercell(other, 2), 1, 0)
    with pytest.raises(ValueError, match=r"structures \[2\] are mapped to another prim"):
        correlation_matrix(SPACES["fcc"], structures)
