import ase
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxce
from helpers import random_occupancies, slow_correlations
from jaxce.fitting import estimators

PRIM = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]]
)
SPACE = jaxce.ClusterSpace(PRIM, {2: 2.9})
CELLS = [1, [2, 1, 1], [[1, 1, 0], [0, 1, 0], [0, 0, 2]], [2, 2, 1], [3, 1, 1]]


@pytest.fixture(scope="module")
def data():
    """Structures in unlike cells (20 of them in one), and energies of a known expansion."""
    expansion = jaxce.ClusterExpansion(SPACE, np.random.default_rng(0).normal(size=SPACE.num_correlations))
    structures, energies = [], []
    for seed, cell in enumerate(CELLS):
        supercell = jaxce.Supercell(PRIM, cell)
        hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
        count = 24 if cell == [2, 2, 1] else 6
        occupancies = random_occupancies(supercell, count, seed)
        energies += jax.jit(jaxce.energy)(hamiltonian, jnp.asarray(occupancies)).tolist()
        structures += [jaxce.occupancy_to_ase(supercell, occupancy) for occupancy in occupancies]
    return expansion, structures, np.array(energies)


def test_transformer_gives_the_slow_correlations(data):
    _, structures, _ = data
    matrix = jaxce.CorrelationTransformer(SPACE).fit_transform(structures)
    assert matrix.shape == (len(structures), SPACE.num_correlations)
    for row in (0, 7, 15, 20, 45):
        mapping = jaxce.map_structure(PRIM, structures[row])
        expected = slow_correlations(SPACE, mapping.supercell, mapping.occupancy)
        np.testing.assert_allclose(matrix[row], expected, atol=1e-12)


def test_exact_data_are_recovered(data):
    _expansion, structures, energies = data
    result = jaxce.fit(SPACE, structures, energies, estimator=LinearRegression(), cv=5)
    np.testing.assert_allclose(result.train_predictions, result.energies_per_prim, atol=1e-10)
    assert result.train_rmse_per_prim < 1e-10
    assert result.cv_rmse_per_prim < 1e-8
    assert result.expansion.energy_of(structures[9]) == pytest.approx(energies[9], abs=1e-9)
    assert f"{len(structures)} structures" in result.report()


def test_default_estimator_predicts_what_its_expansion_gives(data):
    _, structures, energies = data
    noisy = energies + np.random.default_rng(1).normal(scale=0.01, size=len(energies))
    result = jaxce.fit(SPACE, structures, noisy)
    assert result.num_folds == 10
    assert result.train_rmse_per_prim < result.cv_rmse_per_prim < 0.1
    matrix = jaxce.CorrelationTransformer(SPACE).transform(structures)
    np.testing.assert_allclose(matrix @ result.expansion.coefficients, result.train_predictions, atol=1e-10)


def test_pipeline_and_from_sklearn_agree(data):
    _, structures, energies = data
    numbers = [len(jaxce.map_structure(PRIM, atoms).occupancy) / 2 for atoms in structures]
    model = make_pipeline(jaxce.CorrelationTransformer(SPACE), StandardScaler(), RidgeCV(alphas=[1e-3, 1.0]))
    assert np.all(np.isfinite(cross_val_score(model, structures, energies / numbers, cv=3)))
    model.fit(structures, energies / numbers)
    expansion = jaxce.io.from_sklearn(SPACE, model[1:])
    predicted = model.predict(structures) * numbers
    np.testing.assert_allclose([expansion.energy_of(a) for a in structures[::9]], predicted[::9], atol=1e-9)


def test_weights_decide_between_contradicting_energies(data):
    _, structures, energies = data
    twice = [*structures, *structures]
    contradicting = np.concatenate([energies, energies + 1.0])
    weights = np.repeat([1.0, 1e-9], len(structures))
    result = jaxce.fit(SPACE, twice, contradicting, estimator=LinearRegression(), weights=weights, cv=4)
    np.testing.assert_allclose(
        result.train_predictions[: len(structures)], result.energies_per_prim[: len(energies)], atol=1e-6
    )


def test_structures_that_do_not_fit_are_reported_and_the_others_used(data):
    _, structures, energies = data
    alien = ase.Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=PRIM.lattice, pbc=True)
    alien.info["id"] = "rock salt"
    with pytest.warns(UserWarning, match="1 of 49 structures could not be mapped"):
        result = jaxce.fit(SPACE, [alien, *structures], [0.0, *energies], estimator=LinearRegression(), cv=5)
    assert [(f.index, f.name) for f in result.failures] == [(0, "rock salt")]
    assert "Na" in result.failures[0].reason
    assert result.used.tolist() == list(range(1, len(structures) + 1))
    assert "rock salt" in result.report()
    with pytest.raises(ValueError, match=r"structure 0 \(rock salt\)"):
        jaxce.CorrelationTransformer(SPACE).transform([alien, *structures[:2]])


def test_bad_input_is_refused(data):
    _, structures, energies = data
    with pytest.raises(ValueError, match="one number for each"):
        jaxce.fit(SPACE, structures, energies[:-1])
    with pytest.raises(ValueError, match="must be finite"):
        jaxce.fit(SPACE, structures, np.where(np.arange(len(energies)) == 3, np.nan, energies))
    with pytest.raises(ValueError, match="`cv` must lie"):
        jaxce.fit(SPACE, structures, energies, cv=1000)
    with pytest.raises(ValueError, match="not linear"):
        jaxce.fit(SPACE, structures, energies, estimator=RandomForestRegressor(5, random_state=0), cv=3)
    with pytest.raises(ValueError, match="features"):
        jaxce.io.from_sklearn(SPACE, LinearRegression().fit(np.eye(3), np.ones(3)))


def noisy(energies, size=0.01):
    return energies + size * np.random.default_rng(1).normal(size=len(energies))


def num_prims(structures):
    return np.array([len(jaxce.map_structure(PRIM, atoms).occupancy) / 2 for atoms in structures])


def test_predict_gives_energies_and_deviations_of_whole_structures(data):
    expansion, structures, energies = data
    result = jaxce.fit(SPACE, structures, noisy(energies))
    supercell = jaxce.Supercell(PRIM, [3, 2, 1])
    new = [jaxce.occupancy_to_ase(supercell, occupancy) for occupancy in random_occupancies(supercell, 4, 9)]
    for chosen in (new, structures[::7]):
        mean, deviation = result.predict(chosen)
        np.testing.assert_allclose(mean, [result.expansion.energy_of(atoms) for atoms in chosen], atol=1e-9)
        matrix = jaxce.CorrelationTransformer(SPACE).transform(chosen)
        sizes = num_prims(chosen)
        expected = result.estimator.predict(matrix, return_std=True, sizes=sizes)[1] * sizes
        assert deviation is not None
        np.testing.assert_allclose(deviation, expected, rtol=1e-6)
    mean, deviation = result.predict(new)
    assert deviation is not None
    assert np.all(np.abs(mean - [expansion.energy_of(atoms) for atoms in new]) < 5 * deviation)


def test_predict_without_posterior_has_no_deviations(data):
    _, structures, energies = data
    result = jaxce.fit(SPACE, structures, energies, estimator=LinearRegression())
    mean, deviation = result.predict(structures[:3])
    np.testing.assert_allclose(mean, energies[:3], atol=1e-8)
    assert deviation is None
    assert result.posterior is result.calibration is result.cv_standard_deviations is None
    with pytest.raises(ValueError, match="LinearRegression has no posterior"):
        result.sample_posterior(jax.random.key(0), 2)


def test_predict_refuses_what_does_not_fit(data):
    _, structures, energies = data
    result = jaxce.fit(SPACE, structures, energies, estimator=LinearRegression())
    alien = ase.Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=PRIM.lattice, pbc=True)
    with pytest.raises(ValueError, match=r"structure 1 \(.*Na.*\) cannot be mapped"):
        result.predict([structures[0], alien])


@pytest.mark.parametrize("factory", [lambda: None, estimators.bayesian_ridge], ids=["physical prior", "bayesian ridge"])
def test_spread_of_posterior_draws_is_the_predicted_deviation(data, factory):
    """The noise aside, which no expansion has."""
    _, structures, energies = data
    result = jaxce.fit(SPACE, structures, noisy(energies), estimator=factory(), cv=3)
    count = 4000
    samples = result.sample_posterior(jax.random.key(1), count)
    assert len(samples) == count
    predicted = samples.coefficients @ result.matrix.T
    posterior, (_, with_noise), sizes = result.posterior, result.predict(structures), num_prims(structures)
    assert posterior is not None
    assert with_noise is not None
    noise = posterior.noise.variances(result.matrix, sizes)
    deviation = np.sqrt((with_noise / sizes) ** 2 - noise)
    np.testing.assert_allclose(predicted.std(axis=0), deviation, rtol=5 / np.sqrt(2 * count))
    assert np.all(np.abs(predicted.mean(axis=0) - result.train_predictions) < 5 * deviation / np.sqrt(count))


def test_calibration_is_that_of_the_held_out_predictions(data):
    _, structures, energies = data
    result = jaxce.fit(SPACE, structures, noisy(energies, 0.02))
    calibration, deviations = result.calibration, result.cv_standard_deviations
    assert calibration is not None
    assert deviations is not None
    z_scores = (result.energies_per_prim - result.cv_predictions) / deviations
    assert calibration.z_score_std == pytest.approx(np.sqrt(np.mean(z_scores**2)))
    assert 0.6 < calibration.z_score_std < 1.5
    groups = calibration.coverage_90_of
    sizes, counts = np.unique(num_prims(structures).astype(int), return_counts=True)
    assert [groups[f"{size} prims"][1] for size in sizes] == counts.tolist()
    assert any("Ni" in name for name in groups)


def test_test_structures_are_kept_apart(data):
    _, structures, energies = data
    result = jaxce.fit(SPACE, structures, noisy(energies), test_fraction=0.25, seed=3)
    held_out = np.setdiff1d(np.arange(48), result.used)
    classes = jaxce.map_training_data(PRIM, structures, energies).equivalence_classes
    assert not set(classes[held_out]) & set(classes[result.used])
    # A whole class of equivalent structures comes in at a time.
    assert 12 <= len(held_out) < 12 + max(np.bincount(classes))
    kept = [structures[i] for i in result.used]
    alone = jaxce.fit(SPACE, kept, noisy(energies)[result.used], cv=3)
    np.testing.assert_array_equal(result.expansion.coefficients, alone.expansion.coefficients)
    test_structures = [structures[i] for i in held_out]
    mean, deviation = alone.predict(test_structures)
    sizes = num_prims(test_structures)
    test = result.test
    assert test is not None
    assert test.standard_deviations is not None
    assert deviation is not None
    np.testing.assert_allclose(test.predicted, mean / sizes, atol=1e-10)
    np.testing.assert_allclose(test.standard_deviations * sizes, deviation, rtol=1e-8)
    np.testing.assert_allclose(test.reference, (noisy(energies) / num_prims(structures))[held_out])
    assert test.num_prims.tolist() == sizes.tolist()
    assert jaxce.fit(SPACE, structures, energies, cv=3).test is None
    other = jaxce.fit(SPACE, structures, energies, cv=3, test_fraction=0.25, seed=4)
    assert other.used.tolist() != result.used.tolist()
    # Ever so small, a fraction is at least one structure.
    assert jaxce.fit(SPACE, structures, energies, cv=3, test_fraction=1e-6).test is not None
    with pytest.raises(ValueError, match="`test_fraction` must be"):
        jaxce.fit(SPACE, structures, energies, test_fraction=1.0)


def test_failures_stay_with_the_training_structures(data):
    _, structures, energies = data
    alien = ase.Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=PRIM.lattice, pbc=True)
    with pytest.warns(UserWarning, match="1 of 49 structures could not be mapped"):
        result = jaxce.fit(SPACE, [alien, *structures], [0.0, *energies], cv=3, test_fraction=0.25)
    assert [failure.index for failure in result.failures] == [0]
    assert 0 not in result.used


def test_bootstrap_fits_structures_drawn_with_replacement(data):
    _, structures, energies = data
    result = jaxce.fit(SPACE, structures, noisy(energies, 0.1), estimator=RidgeCV([1e-6]), cv=3)
    samples = result.bootstrap(200, seed=5)
    assert len(samples) == 200
    np.testing.assert_array_equal(samples.coefficients[:3], result.bootstrap(3, seed=5).coefficients)
    assert not np.allclose(samples.coefficients[:3], result.bootstrap(3, seed=6).coefficients)
    # The spread is that of least squares with errors of the size of each structure's own.
    predicted = samples.coefficients @ result.matrix.T
    assert np.median(np.abs(predicted.mean(axis=0) - result.train_predictions)) < 0.01
    hat = result.matrix @ np.linalg.pinv(result.matrix)
    residuals = result.energies_per_prim - hat @ result.energies_per_prim
    expected = np.sqrt(hat**2 @ residuals**2)
    assert 0.8 < np.median(predicted.std(axis=0) / expected) < 2.0


def test_bootstrap_keeps_weights_with_their_structures(data):
    """Structures of no weight may have any energy."""
    _, structures, energies = data
    twice = [*structures, *structures]
    wrong = np.concatenate([energies, energies + 1.0])
    weights = np.repeat([1.0, 1e-12], len(structures))
    samples = jaxce.fit(SPACE, twice, wrong, estimator=RidgeCV([1e-9]), weights=weights, cv=3).bootstrap(5)
    matrix = jaxce.CorrelationTransformer(SPACE).transform(structures)
    errors = samples.coefficients @ matrix.T - energies / num_prims(structures)
    assert np.median(np.abs(errors)) < 1e-4


def test_one_composition_is_said_to_leave_the_points_open(data):
    expansion, _, _ = data
    supercell = jaxce.Supercell(PRIM, [2, 2, 1])
    random = np.random.default_rng(3)
    metals, anions = [0, 1, 2, 0], [0, 0, 1, 0]
    occupancies = [np.concatenate([random.permutation(metals), random.permutation(anions)]) for _ in range(12)]
    structures = [jaxce.occupancy_to_ase(supercell, occupancy) for occupancy in occupancies]
    energies = [expansion.energy_of(atoms) for atoms in structures]
    with pytest.warns(UserWarning, match="all 12 structures have one composition: the 3 point coefficients"):
        result = jaxce.fit(SPACE, structures, energies, cv=2)
    np.testing.assert_allclose(result.train_predictions, result.energies_per_prim, atol=1e-2)


def test_least_squares_that_has_no_unique_answer_is_refused(data):
    _, structures, energies = data
    few, few_energies = structures[:6], energies[:6]
    for estimator in (LinearRegression(), make_pipeline(StandardScaler(), LinearRegression())):
        with pytest.raises(ValueError, match=rf"6 structures determine \d of {SPACE.num_correlations} coefficients"):
            jaxce.fit(SPACE, few, few_energies, estimator=estimator, cv=2)
    assert np.isfinite(jaxce.fit(SPACE, structures[:8], energies[:8], cv=2).cv_rmse_per_prim)


def test_equivalent_structures_stay_in_one_fold(data):
    """Otherwise a fit would know the energy of what it has to predict."""
    _, structures, energies = data
    result = jaxce.fit(SPACE, [structures[30]] * 3 + structures, [energies[30] + 5.0] * 3 + list(energies), cv=8)
    copies = result.cv_predictions[[0, 1, 2, 33]]
    np.testing.assert_allclose(copies, copies[0], rtol=1e-12)
    clean = jaxce.fit(SPACE, structures, energies, cv=8)
    assert copies[0] == pytest.approx(clean.expansion.energy_of(structures[30]) / 4, abs=0.2)


def test_spaces_of_another_prim_are_refused(data):
    _, structures, energies = data
    other = jaxce.Prim(PRIM.lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Co", "Mg"], ["O", "X"]])
    training_set = jaxce.map_training_data(PRIM, structures, energies)
    with pytest.raises(ValueError, match="but the cluster space is on"):
        jaxce.fit_training_set(jaxce.ClusterSpace(other, {2: 2.9}), training_set)
