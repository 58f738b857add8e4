"""The transformer by the rules of scikit-learn; its values are tested in test_fit.py and test_correlation_matrix.py."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import jaxce
from helpers import random_occupancies

PRIM = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Ni", "Mg"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1})


@pytest.fixture(scope="module")
def structures():
    found = []
    for seed, cell in enumerate([(2, 1, 1), (2, 2, 1), (3, 1, 2)]):
        supercell = jaxce.Supercell(PRIM, cell)
        found += [jaxce.occupancy_to_ase(supercell, o) for o in random_occupancies(supercell, 8, seed)]
    return found


def test_scikit_learn_accepts_it():
    """Its tags say that it takes no arrays of numbers, so most checks do not apply; the tests below take structures."""
    with pytest.warns(SkipTestWarning, match="Can't test estimator"):
        estimator_checks.check_estimator(jaxce.CorrelationTransformer(SPACE))


@pytest.mark.parametrize(
    "name",
    [
        "check_no_attributes_set_in_init",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_set_params",
        "check_mixin_order",
        "check_parameters_default_constructible",
    ],
)
def test_checks_that_need_no_data_pass(name):
    getattr(estimator_checks, name)("CorrelationTransformer", jaxce.CorrelationTransformer(SPACE))


def test_it_depends_on_nothing_but_the_structure(structures):
    transformer = jaxce.CorrelationTransformer(SPACE)
    matrix = transformer.fit_transform(structures)
    np.testing.assert_array_equal(transformer.fit(structures).transform(structures), matrix)
    np.testing.assert_array_equal(transformer.transform(structures[::-1]), matrix[::-1])
    np.testing.assert_array_equal(np.vstack([transformer.transform([atoms]) for atoms in structures[:5]]), matrix[:5])
    np.testing.assert_array_equal(transformer.transform(tuple(structures)), matrix)
    for copy in (clone(transformer), pickle.loads(pickle.dumps(transformer))):
        np.testing.assert_array_equal(copy.transform(structures), matrix)


def test_it_names_its_columns(structures):
    transformer = jaxce.CorrelationTransformer(SPACE).set_output(transform="pandas")
    table = transformer.fit_transform(structures[:3])
    assert list(table.columns) == [f"correlation_{i}" for i in range(SPACE.num_correlations)]


@pytest.mark.slow
def test_pipelines_and_searches_take_structures(structures):
    rng = np.random.default_rng(0)
    truth = jaxce.ClusterExpansion(SPACE, rng.normal(size=SPACE.num_correlations))
    energies = np.array([truth.energy_of(atoms) / len(atoms) for atoms in structures])
    steps = [("correlations", jaxce.CorrelationTransformer(SPACE)), ("scaler", StandardScaler()), ("ridge", Ridge())]
    scores = cross_validate(Pipeline(steps), structures, energies, cv=2, scoring="neg_root_mean_squared_error")
    assert np.all(np.isfinite(scores["test_score"]))
    wider = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 2.9})
    grid = {"ridge__alpha": [1e-10, 1.0], "correlations__space": [SPACE, wider]}
    search = GridSearchCV(Pipeline(steps), grid, cv=2, error_score="raise").fit(structures, energies)
    assert search.best_params_["ridge__alpha"] == 1e-10
    best = search.best_estimator_
    expansion = jaxce.io.from_sklearn(best["correlations"].space, best[1:])
    predicted = [expansion.energy_of(atoms) / len(atoms) for atoms in structures]
    np.testing.assert_allclose(predicted, best.predict(structures), atol=1e-10)


@pytest.mark.parametrize("wrong", [[], [[1.0, 2.0]], np.ones((3, 2)), 3, None])
def test_what_is_no_list_of_structures_is_refused(wrong):
    transformer = jaxce.CorrelationTransformer(SPACE)
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match=r"list of at least one `ase\.Atoms`"):
            method(wrong)
