"""What structures determine, against NumPy, least squares, and cases where it is known by hand."""

import json

import numpy as np
import pytest

import jaxce
from helpers import random_occupancies
from jaxce.fitting.correlation_matrix import correlation_matrix

CHAIN = jaxce.Prim(np.diag([3.0, 8.0, 8.0]), [[0, 0, 0]], [["Cu", "Au"]])
# Constant, point, and pairs of the first three neighbours of a chain.
SPACE = jaxce.ClusterSpace(CHAIN, {2: 7.0}, "trigonometric")
NEIGHBOURS = jaxce.ClusterSpace(CHAIN, {2: 9.1})


def matrix_of(space, cells, count, seed=0):
    structures = [
        jaxce.Candidate(supercell, row)
        for number, supercell in enumerate(jaxce.Supercell(CHAIN, [cell, 1, 1]) for cell in cells)
        for row in random_occupancies(supercell, count, seed + number)
    ]
    return correlation_matrix(space, structures)


def test_enough_different_structures_determine_all():
    matrix = matrix_of(SPACE, [3, 4, 5, 6, 7], 6)
    found = jaxce.design_diagnostics(SPACE, matrix)
    lengths = np.sqrt(np.sum(matrix**2, axis=0))
    assert (found.num_structures, found.num_correlations, found.rank) == (30, 4, 4)
    assert np.linalg.matrix_rank(matrix) == 4
    assert found.condition_number == pytest.approx(np.linalg.cond(matrix / lengths), rel=1e-9)
    assert found.aliased == ()
    assert found.nearly_aliased == ()
    assert found.undetermined.tolist() == []
    # Leverage: the diagonal of the matrix that takes energies to the predictions of least squares.
    hat = matrix @ np.linalg.pinv(matrix)
    np.testing.assert_allclose(found.leverage, np.diag(hat), atol=1e-10)
    assert found.leverage.sum() == pytest.approx(4)


def test_leverage_of_a_structure_that_nothing_else_resembles_is_one():
    pure = matrix_of(SPACE, [1], 1)
    pure[:] = [1, -1, 1, 1]
    others = np.tile([1.0, 1.0, 1.0, 1.0], (5, 1))
    found = jaxce.design_diagnostics(SPACE, np.concatenate([others, pure]))
    np.testing.assert_allclose(found.leverage, [0.2] * 5 + [1.0], atol=1e-12)
    assert found.rank == 2


def test_one_size_of_cells_aliases_pairs():
    # In cells of three sites, the third neighbour is the site itself (a constant), and the second is the first.
    matrix = matrix_of(NEIGHBOURS, [3], 20)
    diameters = NEIGHBOURS.to_dataframe()["diameter"].tolist()
    np.testing.assert_allclose(diameters, [0, 0, 3, 6, 8, 8.544, 9], atol=1e-3)
    # Chains side by side at 8 angstrom are alike.
    found = jaxce.design_diagnostics(NEIGHBOURS, matrix)
    assert {tuple(group.tolist()) for group in found.aliased} == {(0, 4, 6), (2, 3, 5)}
    assert found.rank == np.linalg.matrix_rank(matrix) == 3
    assert found.undetermined.tolist() == [0, 2, 3, 4, 5, 6]
    assert found.condition_number == np.inf
    assert found.leverage.sum() == pytest.approx(3)
    text = found.summary()
    assert text.startswith("rank 3 of 7 functions, condition number inf, largest leverage 0.")
    assert "not determined by these structures alone: 0, 2, 3, 4, 5 and 1 more" in text
    assert "equal in all structures but for a factor: [0, 4, 6], [2, 3, 5]" in text


def test_another_size_lifts_the_aliasing_along_the_chain():
    matrix = matrix_of(SPACE, [3, 4], 20)
    assert jaxce.design_diagnostics(SPACE, matrix).aliased == ()
    assert jaxce.design_diagnostics(SPACE, matrix).rank == 4


def test_fewer_structures_than_functions():
    matrix = matrix_of(NEIGHBOURS, [5, 7], 2)
    found = jaxce.design_diagnostics(NEIGHBOURS, matrix)
    assert found.rank == np.linalg.matrix_rank(matrix) <= 4
    np.testing.assert_allclose(found.leverage, np.diag(matrix @ np.linalg.pinv(matrix)), atol=1e-10)
    # A coefficient is determined if its unit vector lies in the span of the rows.
    seen = np.linalg.pinv(matrix) @ matrix
    expected = np.flatnonzero(np.abs(np.diag(seen) - 1) > 1e-10)
    assert found.undetermined.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_undetermined_coefficients_are_those_outside_the_span(seed):
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(12, 4))
    matrix[:, 0] = 1
    matrix[:, 3] = matrix[:, :3] @ np.where(generator.random(3) < 0.5, 0, generator.normal(size=3))
    found = jaxce.design_diagnostics(SPACE, matrix)
    seen = np.linalg.pinv(matrix) @ matrix
    assert found.undetermined.tolist() == np.flatnonzero(np.abs(np.diag(seen) - 1) > 1e-8).tolist()
    assert found.rank == 3


def test_zero_columns_and_negative_multiples_are_aliased():
    generator = np.random.default_rng(0)
    matrix = np.column_stack([np.ones(10), generator.normal(size=10), np.zeros(10), np.zeros(10)])
    found = jaxce.design_diagnostics(SPACE, matrix)
    assert [group.tolist() for group in found.aliased] == [[2, 3]]
    assert found.undetermined.tolist() == [2, 3]
    matrix[:, 2:] = matrix[:, [1]] * [-0.3, 0.0]
    found = jaxce.design_diagnostics(SPACE, matrix)
    assert [group.tolist() for group in found.aliased] == [[1, 2]]
    assert found.undetermined.tolist() == [1, 2, 3]
    assert [(first, second) for first, second, _ in found.nearly_aliased] == [(1, 2)]
    assert found.nearly_aliased[0][2] == pytest.approx(-1)


def test_nearly_equal_correlations_are_listed_the_closest_first():
    generator = np.random.default_rng(1)
    base = generator.normal(size=200)
    noise = generator.normal(size=(200, 2))
    matrix = np.column_stack([np.ones(200), 5 + base, base + 0.1 * noise[:, 0], -base + 0.02 * noise[:, 1]])
    found = jaxce.design_diagnostics(SPACE, matrix)
    expected = np.corrcoef(matrix[:, 1:].T)
    assert [(first, second) for first, second, _ in found.nearly_aliased] == [(1, 3), (1, 2), (2, 3)]
    for first, second, value in found.nearly_aliased:
        assert value == pytest.approx(expected[first - 1, second - 1], abs=1e-12)
    assert found.aliased == ()
    assert found.rank == 4
    assert "hard to tell apart: 1 and 3 (-0.99" in found.summary()


def test_scale_of_a_column_does_not_matter():
    matrix = matrix_of(SPACE, [3, 4, 5], 8)
    found = jaxce.design_diagnostics(SPACE, matrix)
    scaled = jaxce.design_diagnostics(SPACE, matrix * [1, 1e-6, 1e6, -3])
    assert scaled.rank == found.rank == 4
    assert scaled.condition_number == pytest.approx(found.condition_number, rel=1e-6)
    np.testing.assert_allclose(scaled.leverage, found.leverage, atol=1e-9)


def test_many_structures_take_little_memory():
    # A square matrix of structures would be 72 GB.
    matrix = np.tile(matrix_of(SPACE, [3, 4, 5], 10), (3000, 1))
    found = jaxce.design_diagnostics(SPACE, matrix)
    assert found.leverage.shape == (90000,)
    assert found.leverage.sum() == pytest.approx(4)


def test_dictionary_is_valid_json_also_without_full_rank():
    content = jaxce.design_diagnostics(NEIGHBOURS, matrix_of(NEIGHBOURS, [3], 4)).to_dict()
    assert content["condition_number"] is None
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_another_number_of_columns_is_refused():
    with pytest.raises(ValueError, match=r"needs 4 columns, one per correlation, but has shape \(5, 7\)"):
        jaxce.design_diagnostics(SPACE, np.ones((5, 7)))
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        jaxce.design_diagnostics(SPACE, np.ones(4))
