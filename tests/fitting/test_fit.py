import ase
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
        energies += jaxce.energy(hamiltonian, jnp.asarray(occupancies)).tolist()
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
