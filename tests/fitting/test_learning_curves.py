"""Learning curves against fits made by hand."""

import json
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

import jaxce

PRIM = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 2.9})


class RecordedRidge(Ridge):
    """Ridge that keeps what it was fitted to, in the order of the fits."""

    fits: ClassVar = []

    def fit(self, X, y, sample_weight=None):
        RecordedRidge.fits.append((np.array(X), np.array(y), sample_weight))
        return super().fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def data():
    """Forty different structures, noisy energies of a known expansion, and weights."""
    pairs = [
        (supercell, occupancy)
        for supercell, occupancies in jaxce.enumerate_structures(PRIM, [5, 6])
        for occupancy in occupancies
    ][::2][:40]
    structures = [jaxce.occupancy_to_ase(*pair) for pair in pairs]
    generator = np.random.default_rng(0)
    matrix = jaxce.CorrelationTransformer(SPACE).transform(structures)
    energies = matrix @ generator.normal(size=SPACE.num_correlations) + 0.01 * generator.normal(size=len(structures))
    return jaxce.map_training_data(
        PRIM, structures, energies, energies_per="prim", weights=generator.uniform(0.5, 2, size=len(structures))
    )


def rows_of(data, energies):
    """Rows of the structures of these energies, which are all different."""
    return [int(np.flatnonzero(data.energies_per_prim == energy)[0]) for energy in energies]


def rmse(errors):
    return np.sqrt(np.mean(np.square(errors)))


def test_errors_are_those_of_fits_made_by_hand(data):
    RecordedRidge.fits.clear()
    sizes, num_repeats = [4, 9, 20, 32], 3
    curve = jaxce.learning_curve(SPACE, data, RecordedRidge(alpha=0.1), sizes=sizes, num_repeats=num_repeats)
    assert curve.sizes.tolist() == sizes
    assert curve.train_rmse.shape == curve.test_rmse.shape == (4, 3)
    matrix = jaxce.fit_training_set(SPACE, data, Ridge(), cv=2).matrix
    energies = data.energies_per_prim
    fits = list(RecordedRidge.fits)
    assert len(fits) == len(sizes) * num_repeats
    orders = []
    for repeat in range(num_repeats):
        own = fits[repeat * len(sizes) : (repeat + 1) * len(sizes)]
        largest = rows_of(data, own[-1][1])
        orders.append(largest)
        # The structures that are never fitted in this repeat are tested.
        test = np.setdiff1d(np.arange(40), largest)
        assert len(test) == 8
        for number, size in enumerate(sizes):
            rows = largest[:size]
            np.testing.assert_array_equal(own[number][0], matrix[rows])
            np.testing.assert_array_equal(own[number][1], energies[rows])
            np.testing.assert_array_equal(own[number][2], data.weights[rows])
            model = Ridge(alpha=0.1).fit(matrix[rows], energies[rows], data.weights[rows])
            expected = [rmse(model.predict(matrix[r]) - energies[r]) for r in (rows, test)]
            np.testing.assert_allclose(curve.train_rmse[number, repeat], expected[0], rtol=1e-10)
            np.testing.assert_allclose(curve.test_rmse[number, repeat], expected[1], rtol=1e-10)
    assert len({tuple(sorted(order)) for order in orders}) == num_repeats


def test_default_sizes_are_equally_spaced_in_the_logarithm(data):
    curve = jaxce.learning_curve(SPACE, data, Ridge(), num_repeats=2, test_fraction=0.25)
    assert curve.sizes[0] == 10
    assert curve.sizes[-1] == 30
    assert len(curve.sizes) == 7
    np.testing.assert_allclose(curve.sizes[1:] / curve.sizes[:-1], 3 ** (1 / 6), rtol=0.07)
    few = jaxce.learning_curve(SPACE, data.rows(np.arange(6)), Ridge(), num_repeats=1)
    assert few.sizes.tolist() == [5]


def test_errors_of_exact_data_vanish_once_all_coefficients_are_determined(data):
    matrix = jaxce.fit_training_set(SPACE, data, Ridge(), cv=2).matrix
    energies = matrix @ np.arange(1.0, SPACE.num_correlations + 1)
    structures = [jaxce.occupancy_to_ase(m.supercell, m.occupancy) for m in data.mappings]
    exact = jaxce.map_training_data(PRIM, structures, energies, energies_per="prim")
    curve = jaxce.learning_curve(SPACE, exact, LinearRegression(), sizes=[3, 30], num_repeats=4)
    assert np.all(curve.test_rmse[0] > 1e-3)
    assert np.all(curve.test_rmse[1] < 1e-10)


def test_default_estimator_learns(data):
    curve = jaxce.learning_curve(SPACE, data, sizes=[4, 32], num_repeats=3)
    assert curve.test_rmse[1].mean() < 0.5 * curve.test_rmse[0].mean()


def test_seed_decides_the_choice(data):
    first, again, other = (
        jaxce.learning_curve(SPACE, data, Ridge(), sizes=[8], num_repeats=2, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.test_rmse, again.test_rmse)
    assert not np.array_equal(first.test_rmse, other.test_rmse)


def test_no_structure_that_is_tested_is_equivalent_to_one_that_is_fitted():
    # Each structure three times: with copies among the fitted ones, the test errors of a space that can describe all
    # would be near 0. The energies follow no expansion.
    generator = np.random.default_rng(1)
    pairs = [(cell, row) for cell, rows in jaxce.enumerate_structures(PRIM, [5]) for row in rows][:12]
    atoms = [jaxce.occupancy_to_ase(*pair) for pair in pairs]
    energies = np.tile(generator.normal(size=12), 3)
    data = jaxce.map_training_data(PRIM, atoms * 3, energies, energies_per="prim")
    space = jaxce.ClusterSpace(PRIM, {2: 8.1, 3: 5.0})
    curve = jaxce.learning_curve(space, data, Ridge(alpha=1e-8), sizes=[27], num_repeats=6, test_fraction=0.25)
    assert np.median(curve.train_rmse) < 1e-6
    assert np.all(curve.test_rmse > 0.5)
    one = jaxce.map_training_data(PRIM, atoms[:1] * 10, np.zeros(10), energies_per="prim")
    with pytest.raises(ValueError, match="none is left to test on"):
        jaxce.learning_curve(space, one, Ridge(), sizes=[5])


def test_sizes_outside_the_data_are_refused(data):
    for sizes in ([1, 5], [5, 33]):
        with pytest.raises(ValueError, match=r"must lie between 2 and 32, the structures left to fit, but are \["):
            jaxce.learning_curve(SPACE, data, Ridge(), sizes=sizes)


def test_dictionary_is_valid_json(data):
    curve = jaxce.learning_curve(SPACE, data, Ridge(), sizes=[4, 8], num_repeats=2)
    content = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert content["sizes"] == [4, 8]
    np.testing.assert_array_equal(content["test_rmse_eV_per_prim"], curve.test_rmse)
    np.testing.assert_array_equal(content["train_rmse_eV_per_prim"], curve.train_rmse)
