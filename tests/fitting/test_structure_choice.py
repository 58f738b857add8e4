"""Greedy choices against brute force with determinants and covariances of NumPy."""

import collections

import jax
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.fitting.noise_model import constant_noise
from jaxce.fitting.posterior import Posterior

PRIM = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 2.9})
COUNT = SPACE.num_correlations
ROCK_SALT = jaxce.Prim(PRIM.lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]])


@pytest.fixture(scope="module")
def candidates():
    return jaxce.enumerated_candidates(PRIM, 6)


def random_matrix(rows, seed):
    matrix = np.random.default_rng(seed).uniform(-1, 1, size=(rows, COUNT))
    matrix[:, 0] = 1
    return matrix


def random_posterior(seed):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(COUNT, COUNT)) * np.geomspace(1, 0.05, COUNT)
    return Posterior(generator.normal(size=COUNT), root @ root.T, constant_noise(0.09))


def greedy(matrix, prior_precision, noise, number, gain_of):
    """Rows and gains, each from the whole precision matrix of what was taken before."""
    rows, gains = [], []
    for _ in range(number):
        precision = prior_precision + matrix[rows].T @ matrix[rows] / noise
        gain = np.array([-np.inf if row in rows else gain_of(precision, matrix[row]) for row in range(len(matrix))])
        rows.append(int(gain.argmax()))
        gains.append(gain.max())
    return rows, gains


def determinant_gain(noise):
    def gain(precision, row):
        after = np.linalg.slogdet(precision + np.outer(row, row) / noise)[1]
        return (after - np.linalg.slogdet(precision)[1]) / 2

    return gain


def variance_gain(noise, targets):
    def mean_variance(precision):
        return np.mean(np.einsum("ij,ij->i", targets @ np.linalg.inv(precision), targets))

    return lambda precision, row: mean_variance(precision) - mean_variance(precision + np.outer(row, row) / noise)


@pytest.mark.parametrize("seed", range(3))
def test_determinants_with_a_posterior_are_those_of_brute_force(seed):
    matrix, posterior = random_matrix(40, seed), random_posterior(seed)
    choice = jaxce.choose_structures(SPACE, matrix, 12, posterior=posterior)
    noise = posterior.noise_variance
    rows, gains = greedy(matrix, np.linalg.inv(posterior.covariance), noise, 12, determinant_gain(noise))
    assert choice.rows.tolist() == rows
    np.testing.assert_allclose(choice.gains, gains, rtol=1e-6)
    # D-optimal greedy gains never grow.
    assert np.all(np.diff(choice.gains) <= 1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_variances_with_a_posterior_are_those_of_brute_force(seed):
    matrix, posterior = random_matrix(40, seed), random_posterior(seed)
    choice = jaxce.choose_structures(SPACE, matrix, 12, posterior=posterior, criterion="variance")
    noise = posterior.noise_variance
    rows, gains = greedy(matrix, np.linalg.inv(posterior.covariance), noise, 12, variance_gain(noise, matrix))
    assert choice.rows.tolist() == rows
    np.testing.assert_allclose(choice.gains, gains, rtol=1e-6)
    by_determinant = jaxce.choose_structures(SPACE, matrix, 12, posterior=posterior)
    assert choice.rows.tolist() != by_determinant.rows.tolist()


def test_known_structures_count_without_a_posterior():
    matrix, known = random_matrix(40, 3), random_matrix(COUNT + 3, 4)
    choice = jaxce.choose_structures(SPACE, matrix, 10, known=known)
    precision = known.T @ known + 1e-6 * np.eye(COUNT)
    rows, gains = greedy(matrix, precision, 1.0, 10, determinant_gain(1.0))
    assert choice.rows.tolist() == rows
    np.testing.assert_allclose(choice.gains, gains, rtol=1e-6)
    assert choice.rows.tolist() != jaxce.choose_structures(SPACE, matrix, 10).rows.tolist()


def test_without_anything_known_the_determinant_of_the_chosen_grows_fastest():
    matrix = random_matrix(30, 5)
    choice = jaxce.choose_structures(SPACE, matrix, COUNT + 3)
    rows, gains = greedy(matrix, 1e-6 * np.eye(COUNT), 1.0, COUNT + 3, determinant_gain(1.0))
    assert choice.rows.tolist() == rows
    np.testing.assert_allclose(choice.gains, gains, rtol=1e-6)
    determinants = np.exp(2 * np.cumsum(choice.gains))
    expected = np.linalg.det(np.eye(COUNT) + 1e6 * matrix[choice.rows].T @ matrix[choice.rows])
    assert determinants[-1] == pytest.approx(expected, rel=1e-5)
    worse = matrix[: COUNT + 3]
    assert np.linalg.slogdet(worse.T @ worse)[1] < np.linalg.slogdet(matrix[rows].T @ matrix[rows])[1]


def test_condition_numbers_are_those_of_numpy():
    matrix, known = random_matrix(30, 6), random_matrix(2, 7)
    choice = jaxce.choose_structures(SPACE, matrix, COUNT + 2, known=known)
    for number, value in enumerate(choice.condition_numbers):
        stacked = np.concatenate([known, matrix[choice.rows[: number + 1]]])
        if len(stacked) < COUNT:
            assert value == np.inf
        else:
            assert value == pytest.approx(np.linalg.cond(stacked), rel=1e-9)
    assert np.isfinite(choice.condition_numbers).sum() == 5


def test_candidates_give_the_same_choice_as_their_correlations(candidates):
    matrix = correlation_matrix(SPACE, candidates)
    from_objects = jaxce.choose_structures(SPACE, candidates, 8)
    np.testing.assert_array_equal(from_objects.rows, jaxce.choose_structures(SPACE, matrix, 8).rows)
    atoms = [jaxce.occupancy_to_ase(*candidates[row]) for row in from_objects.rows]
    mappings = jaxce.map_structures(PRIM, atoms).mappings
    from_mappings = jaxce.choose_structures(SPACE, mappings, 8)
    assert sorted(from_mappings.rows.tolist()) == list(range(8))


def test_equal_correlations_are_taken_once_and_known_ones_never(candidates):
    matrix = correlation_matrix(SPACE, candidates)
    different = len(np.unique(np.round(matrix, 8), axis=0))
    assert different < len(matrix)
    known = matrix[::7]
    left = np.unique(np.round(matrix, 8), axis=0)
    left = [row for row in left if np.abs(known - row).max(axis=1).min() > 1e-6]
    choice = jaxce.choose_structures(SPACE, np.concatenate([matrix, matrix]), len(left), known=known)
    assert len(set(choice.rows.tolist())) == len(left)
    # The first of equal ones.
    assert choice.rows.max() < len(matrix)
    taken = matrix[choice.rows]
    assert len(np.unique(np.round(taken, 8), axis=0)) == len(left)
    assert np.abs(taken[:, None] - known).max(axis=2).min() > 1e-6
    with pytest.raises(ValueError, match=rf"{len(left) + 1} structures are wanted, but {len(left)} of the"):
        jaxce.choose_structures(SPACE, np.concatenate([matrix, matrix]), len(left) + 1, known=known)


def test_the_same_structure_in_a_larger_cell_is_known(candidates):
    known = correlation_matrix(SPACE, candidates)
    doubled = [
        jaxce.map_structure(PRIM, jaxce.occupancy_to_ase(*candidate).repeat((1, 1, 2))) for candidate in candidates[:40]
    ]
    with pytest.raises(ValueError, match="1 structures are wanted, but 0 of the 40 candidates"):
        jaxce.choose_structures(SPACE, doubled, 1, known=known)


def test_a_fit_tells_what_is_open(candidates):
    generator = np.random.default_rng(0)
    matrix = correlation_matrix(SPACE, candidates)
    fitted = generator.permutation(len(candidates))[:12]
    energies = matrix @ generator.normal(size=COUNT) + 0.01 * generator.normal(size=len(matrix))
    atoms = [jaxce.occupancy_to_ase(*candidates[row]) for row in fitted]
    result = jaxce.fit(SPACE, atoms, energies[fitted], energies_per="prim", cv=3)
    choice = jaxce.choose_structures(SPACE, candidates, 3, known=result.matrix, posterior=result.posterior)
    assert not set(choice.rows.tolist()) & set(fitted.tolist())
    variances = np.einsum("ij,ij->i", matrix @ result.posterior.covariance, matrix)
    # The first is the one whose prediction is the most uncertain.
    assert variances[choice.rows[0]] == pytest.approx(variances.max())
    gain = 0.5 * np.log(1 + variances.max() / result.posterior.noise_variance)
    assert choice.gains[0] == pytest.approx(gain, rel=1e-9)


def test_choice_is_the_same_in_single_precision(candidates):
    expected = jaxce.choose_structures(SPACE, candidates, 9)
    jax.config.update("jax_enable_x64", False)
    try:
        single = jaxce.choose_structures(SPACE, candidates, 9)
    finally:
        jax.config.update("jax_enable_x64", True)
    np.testing.assert_array_equal(single.rows, expected.rows)
    np.testing.assert_array_equal(single.gains, expected.gains)
    assert single.gains.dtype == np.float64


def test_bad_arguments_are_refused(candidates):
    with pytest.raises(ValueError, match="0 structures are wanted"):
        jaxce.choose_structures(SPACE, candidates, 0)
    with pytest.raises(ValueError, match=rf"need {COUNT} entries, but have shapes \(5, 3\)"):
        jaxce.choose_structures(SPACE, np.ones((5, 3)), 1)
    with pytest.raises(ValueError, match=rf"need {COUNT} entries, .* and \(2, 3\)"):
        jaxce.choose_structures(SPACE, candidates, 1, known=np.ones((2, 3)))
    with pytest.raises(ValueError, match="`posterior` is of 2 coefficients"):
        jaxce.choose_structures(SPACE, candidates, 1, posterior=Posterior(np.zeros(2), np.eye(2), constant_noise(1.0)))
    # Its type is checked under test before its value is.
    with pytest.raises(Exception, match="criterion"):
        jaxce.choose_structures(SPACE, candidates, 1, criterion="trace")


def test_enumerated_candidates_are_the_enumerated_structures():
    candidates = jaxce.enumerated_candidates(PRIM, [3, 4], composition={"Cu": (0, 0.5)})
    pairs = [
        (supercell, row)
        for supercell, rows in jaxce.enumerate_structures(PRIM, [3, 4], composition={"Cu": (0, 0.5)})
        for row in rows
    ]
    assert len(candidates) == len(pairs) > 5
    for candidate, (supercell, row) in zip(candidates, pairs, strict=True):
        assert candidate.supercell.transformation.tolist() == supercell.transformation.tolist()
        assert candidate.occupancy.tolist() == row.tolist()
    keys = {jaxce.canonical_key(*candidate) for candidate in candidates}
    assert len(keys) == len(candidates)


def test_random_candidates_are_uniform_in_composition_shape_and_arrangement():
    count = 6000
    candidates = jaxce.random_candidates(jax.random.key(0), ROCK_SALT, 3, count)
    compositions, shapes, arrangements = collections.Counter(), collections.Counter(), collections.Counter()
    for supercell, occupancy in candidates:
        assert occupancy.dtype == np.int8
        numbers = np.bincount(occupancy[:3], minlength=3).tolist()
        compositions[(*numbers, int(occupancy[3:].sum()))] += 1
        shapes[supercell.transformation.tobytes()] += 1
        if numbers == [1, 1, 1]:
            arrangements[tuple(occupancy[:3].tolist())] += 1
    # Three sites of three species have 10 compositions, three sites of two species 4.
    assert len(compositions) == 40
    assert len(shapes) == len(jaxce.distinct_supercells(ROCK_SALT, 3))
    assert len(arrangements) == 6
    for counter in (compositions, shapes, arrangements):
        values = np.array(list(counter.values()))
        expected = values.sum() / len(values)
        # Chi squared: its mean is the number of classes less one, its variance twice that.
        chi_squared = np.sum((values - expected) ** 2) / expected
        degrees = len(values) - 1
        assert chi_squared < degrees + 5 * np.sqrt(2 * degrees)


def test_random_candidates_are_reproducible_and_differ_between_keys():
    first, again, other = (jaxce.random_candidates(jax.random.key(seed), ROCK_SALT, 4, 20) for seed in (1, 1, 2))
    assert [jaxce.canonical_key(*c) for c in first] == [jaxce.canonical_key(*c) for c in again]
    assert all(np.array_equal(a.occupancy, b.occupancy) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a.occupancy, b.occupancy) for a, b in zip(first, other, strict=True))
    assert all(candidate.supercell.num_prims == 4 for candidate in first)
    split = jaxce.random_candidates(jax.random.split(jax.random.key(1))[0], ROCK_SALT, 4, 20)
    assert any(not np.array_equal(a.occupancy, b.occupancy) for a, b in zip(first, split, strict=True))


def test_inactive_sites_of_random_candidates_have_code_zero():
    prim = jaxce.Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ti"], ["O", "X"]])
    for supercell, occupancy in jaxce.random_candidates(jax.random.key(3), prim, 5, 30):
        assert np.all(occupancy[supercell.prim_sites == 0] == 0)
        jaxce.occupancy_to_ase(supercell, occupancy)


def test_any_objects_with_supercell_and_occupancy_are_candidates():
    supercell = jaxce.Supercell(PRIM, [2, 2, 1])
    kind = collections.namedtuple("Kind", "occupancy supercell")
    found = [kind(row, supercell) for row in np.unique(random_occupancies(supercell, 9, 0), axis=0)]
    expected = [jaxce.Candidate(supercell, entry.occupancy) for entry in found]
    choice = jaxce.choose_structures(SPACE, found, 2)
    np.testing.assert_array_equal(choice.rows, jaxce.choose_structures(SPACE, expected, 2).rows)
