import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline

import jaxce
from helpers import random_occupancies
from jaxce.fitting import estimators
from jaxce.fitting.cluster_groups import sub_cluster_groups
from jaxce.fitting.correlation_matrix import correlation_matrix

PRIM = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg", "Co"], ["O", "X"]]
)
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 2.9})

WITH_RULE = {
    "lasso": estimators.lasso,
    "adaptive_lasso": estimators.adaptive_lasso,
    "elastic_net": estimators.elastic_net,
    "orthogonal_matching_pursuit": estimators.orthogonal_matching_pursuit,
    "group_lasso": lambda **keywords: estimators.group_lasso(SPACE, **keywords),
    "hierarchical_lasso": lambda **keywords: estimators.hierarchical_lasso(SPACE, **keywords),
}
WITHOUT_WEIGHTS = {"ard": estimators.ard, "recursive_elimination": estimators.recursive_elimination}
ALL = {
    **WITH_RULE,
    **WITHOUT_WEIGHTS,
    "least_squares": estimators.least_squares,
    "ridge": estimators.ridge,
    "bayesian_ridge": estimators.bayesian_ridge,
}
all_factories = pytest.mark.parametrize("factory", ALL.values(), ids=ALL)
factories_with_rule = pytest.mark.parametrize("factory", WITH_RULE.values(), ids=WITH_RULE)


@pytest.fixture(scope="module")
def data():
    """Correlations in four cells, and energies of a sparse expansion with noise, about 20 meV in size."""
    random = np.random.default_rng(0)
    mappings = []
    for seed, cell in enumerate([[2, 1, 1], [2, 2, 1], [3, 1, 1], [2, 2, 2]]):
        supercell = jaxce.Supercell(PRIM, cell)
        for occupancy in random_occupancies(supercell, 25, seed):
            mappings.append(jaxce.map_structure(PRIM, jaxce.occupancy_to_ase(supercell, occupancy), supercell))
    matrix = correlation_matrix(SPACE, mappings)
    coefficients = np.where(random.uniform(size=SPACE.num_correlations) < 0.3, random.normal(size=len(matrix.T)), 0)
    coefficients[0] = 100.0
    return matrix, 0.02 * matrix @ coefficients + 1e-3 * random.normal(size=len(matrix))


def fit_parameters(model, weights):
    name = f"{model.steps[-1][0]}__sample_weight" if isinstance(model, Pipeline) else "sample_weight"
    return {name: weights}


def functions_of(model):
    """Which functions, the constant aside, the model uses."""
    coefficients = jaxce.io.from_sklearn(SPACE, model).coefficients
    return 1 + np.flatnonzero(np.abs(coefficients[1:]) > 1e-12)


@all_factories
def test_its_expansion_predicts_the_same(factory, data):
    matrix, energies = data
    model = factory().fit(matrix, energies)
    coefficients = jaxce.io.from_sklearn(SPACE, model).coefficients
    np.testing.assert_allclose(matrix @ coefficients, model.predict(matrix), rtol=0, atol=1e-10)
    errors = model.predict(matrix) - energies
    assert np.sqrt(np.mean(errors**2)) < 0.1 * np.std(energies)


@all_factories
def test_the_constant_is_not_penalised(factory, data):
    matrix, energies = data
    low, high = (factory().fit(matrix, energies + shift).predict(matrix) for shift in (0.0, 7.0))
    np.testing.assert_allclose(high - 7.0, low, atol=1e-6)
    assert np.mean(low) == pytest.approx(np.mean(energies), abs=1e-9)


@all_factories
def test_units_of_energy_do_not_matter(factory, data):
    matrix, energies = data
    in_ev, in_mev = factory().fit(matrix, energies), factory().fit(matrix, 1e3 * energies)
    np.testing.assert_allclose(in_mev.predict(matrix), 1e3 * in_ev.predict(matrix), rtol=1e-6)


@all_factories
def test_can_be_cloned_unfitted(factory):
    model = factory()
    assert repr(clone(model)) == repr(model)


@pytest.mark.parametrize("name", sorted(set(ALL) - set(WITHOUT_WEIGHTS)))
def test_weights_decide_between_contradicting_energies(name, data):
    matrix, energies = data
    twice = np.vstack([matrix, matrix])
    contradicting = np.concatenate([energies, energies - 3.0])
    weights = np.repeat([1.0, 1e-9], len(energies))
    model = ALL[name]()
    model.fit(twice, contradicting, **fit_parameters(model, weights))
    np.testing.assert_allclose(model.predict(matrix), energies, atol=0.02)


@pytest.mark.parametrize("name", sorted(WITHOUT_WEIGHTS))
def test_what_takes_no_weights_says_so(name, data):
    matrix, energies = data
    assert "Takes no sample weights" in str(ALL[name].__doc__)
    model = ALL[name]()
    with pytest.raises((TypeError, ValueError), match="sample_weight"):
        model.fit(matrix, energies, **fit_parameters(model, np.ones(len(energies))))


@factories_with_rule
def test_one_standard_error_is_no_less_sparse(factory, data):
    matrix, energies = data
    counts = [len(functions_of(factory(rule=rule).fit(matrix, energies))) for rule in ("best", "one_standard_error")]
    assert counts[0] > counts[1] > 0
    with pytest.raises(ValueError, match="`rule`"):
        factory(rule="first").fit(matrix, energies)


@factories_with_rule
def test_folds_are_shuffled_with_a_fixed_seed(factory, data):
    matrix, energies = data
    by_number, by_splitter = factory(cv=3), factory(cv=KFold(3, shuffle=True, random_state=0))
    np.testing.assert_array_equal(
        by_number.fit(matrix, energies).predict(matrix), by_splitter.fit(matrix, energies).predict(matrix)
    )


def test_functions_of_an_orbit_come_together(data):
    matrix, energies = data
    model = estimators.group_lasso(SPACE, rule="one_standard_error").fit(matrix, energies)
    is_in = model[-1].coef_ != 0
    owners = SPACE.orbit_of_correlation
    for index in range(1, len(SPACE.orbits)):
        assert len(set(is_in[owners == index])) == 1
    assert 0 < is_in.sum() < len(is_in) - 1


def test_clusters_come_with_their_sub_clusters():
    """Energies of a triplet alone: the lasso takes it alone, the hierarchical lasso with its pairs and points."""
    random = np.random.default_rng(5)
    matrix = np.hstack([np.ones((150, 1)), random.normal(size=(150, SPACE.num_correlations - 1))])
    energies = matrix[:, -1] + 0.1 * random.normal(size=150)
    plain = estimators.lasso(rule="one_standard_error").fit(matrix, energies)[-1]
    assert np.flatnonzero(plain.coef_).tolist() == [SPACE.num_correlations - 1]
    closed = estimators.hierarchical_lasso(SPACE, rule="one_standard_error").fit(matrix, energies)[-1]
    used = np.flatnonzero(closed.coef_)
    for group, orbit in zip(sub_cluster_groups(SPACE), range(1, len(SPACE.orbits)), strict=True):
        if np.any(closed.coef_[SPACE.orbit_of_correlation == orbit]):
            assert set(group) <= set(used)
    assert len(SPACE.orbits) - 2 in closed.selected_groups_
