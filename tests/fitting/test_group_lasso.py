import numpy as np
import pytest
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxce.fitting.group_lasso
from jaxce.fitting.elastic_net import ElasticNetOnPath
from jaxce.fitting.group_lasso import GroupLasso, _duality_gap, _layout, _Quadratic

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(80, 12)) @ (np.eye(12) + 0.3 * RANDOM.normal(size=(12, 12)))
GROUPS = [[0, 1, 2], [3], [4, 5], [6, 7, 8, 9], [11, 10]]
TRUTH = np.zeros(12)
TRUTH[[0, 1, 2, 3, 10, 11]] = [1.0, -1.0, 0.5, 1.5, 0.7, -0.4]
Y = X @ TRUTH + 5.0 + 0.5 * RANDOM.normal(size=80)
# Clusters with their sub-clusters: points 0, pairs 1 to 3, triplets 4 and 5.
NESTED = [[0], [0, 1], [0, 2], [0, 3], [0, 1, 2, 4], [0, 3, 5]]


def one_penalty(groups, fraction, **keywords):
    """A model at this fraction of the penalty that leaves nothing: the other end of the path is never best."""
    return GroupLasso(groups, num_penalties=2, smallest_penalty=fraction, tol=1e-13, **keywords)


@parametrize_with_checks([GroupLasso(num_penalties=15)])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("fraction", [0.6, 0.2, 0.02])
def test_fulfils_the_optimality_conditions(fraction):
    weights = RANDOM.uniform(0.2, 2.0, size=80)
    model = one_penalty(GROUPS, fraction).fit(X, Y, sample_weight=weights)
    assert model.alpha_ == pytest.approx(fraction * model.alphas_[0])
    residual = weights / weights.sum() * (Y - model.predict(X))
    assert residual.sum() == pytest.approx(0, abs=1e-12)
    slope = X.T @ residual
    for number, group in enumerate(GROUPS):
        limit, part = model.alpha_ * np.sqrt(len(group)), model.coef_[group]
        if number in model.selected_groups_:
            np.testing.assert_allclose(slope[group], limit * part / np.linalg.norm(part), atol=1e-5 * limit)
        else:
            assert np.linalg.norm(slope[group]) <= limit
            assert not np.any(part)


def test_the_path_begins_where_the_first_group_comes_in():
    nothing = one_penalty(GROUPS, 1 - 1e-9).fit(X, Y)
    assert np.abs(nothing.coef_).max() < 1e-6
    assert one_penalty(GROUPS, 0.99).fit(X, Y).selected_groups_.tolist() in [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("fraction", [0.7, 0.3])
def test_of_orthogonal_columns_has_a_closed_form(fraction):
    matrix = np.linalg.qr(np.hstack([np.ones((80, 1)), X]))[0][:, 1:] * np.sqrt(80)
    model = one_penalty(GROUPS, fraction).fit(matrix, Y)
    projections = matrix.T @ Y / 80
    for group in GROUPS:
        length = np.linalg.norm(projections[group])
        shrinkage = max(0.0, 1 - model.alpha_ * np.sqrt(len(group)) / length)
        np.testing.assert_allclose(model.coef_[group], shrinkage * projections[group], atol=1e-7)


def test_single_columns_are_the_lasso():
    lasso = ElasticNetOnPath(num_penalties=50, tol=1e-10).fit(X, Y)
    model = GroupLasso(tol=1e-12).fit(X, Y)
    assert model.alpha_ == pytest.approx(lasso.alpha_)
    np.testing.assert_allclose(model.coef_, lasso.coef_, atol=1e-5)
    np.testing.assert_allclose(model.fold_errors_, lasso.fold_errors_, rtol=1e-4)


def test_true_groups_are_found():
    matrix = RANDOM.normal(size=(300, 40))
    truth = np.zeros(40)
    truth[[4, 5, 6, 7, 20, 21, 22, 23]] = RANDOM.normal(size=8)
    groups = np.arange(40).reshape(10, 4).tolist()
    model = GroupLasso(groups, rule="one_standard_error").fit(matrix, matrix @ truth + RANDOM.normal(size=300) * 0.5)
    assert model.selected_groups_.tolist() == [1, 5]
    np.testing.assert_array_equal(np.flatnonzero(model.coef_), np.flatnonzero(truth))


@pytest.mark.parametrize("fraction", [0.5, 0.1])
def test_overlapping_groups_reach_the_minimum_of_the_latent_penalty(fraction):
    matrix, targets = X[:, :6] - X[:, :6].mean(axis=0), Y - Y.mean()
    model = one_penalty(NESTED, fraction).fit(matrix, targets)
    columns, factors = np.concatenate(NESTED), np.sqrt([len(group) for group in NESTED])
    ends = np.cumsum([len(group) for group in NESTED])[:-1]

    def objective(parts):
        # Smooth, so that a general minimiser can have it.
        lengths = np.array([np.sqrt(part @ part + 1e-12) for part in np.split(parts, ends)])
        residual = targets - matrix[:, columns] @ parts
        slopes = [a * part / n for a, part, n in zip(factors, np.split(parts, ends), lengths, strict=True)]
        value = residual @ residual / 160 + model.alpha_ * factors @ lengths
        return value, -matrix[:, columns].T @ residual / 80 + model.alpha_ * np.concatenate(slopes)

    start = RANDOM.normal(size=len(columns))
    options = {"maxiter": 20_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-9}
    found = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    expected = np.bincount(columns, found.x)
    np.testing.assert_allclose(model.coef_, expected, atol=2e-4)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 5.0])
def test_duality_gap_is_that_of_the_scaled_residual(alpha):
    matrix, targets, layout = X[:, :6] - X[:, :6].mean(axis=0), Y - Y.mean(), _layout(NESTED, 6)
    parts = RANDOM.normal(size=len(layout.columns))
    residual = targets - matrix @ np.bincount(layout.columns, parts)
    pieces = np.split(parts, layout.starts[1:])
    primal = residual @ residual / 160
    primal += alpha * sum(np.sqrt(len(piece)) * np.linalg.norm(piece) for piece in pieces)
    # The largest multiple of the residual, up to 1, that is allowed in the dual problem.
    largest = max(np.linalg.norm(matrix[:, group].T @ residual / 80) / np.sqrt(len(group)) for group in NESTED)
    point = min(1, alpha / largest) * residual
    dual = (targets @ targets - (targets - point) @ (targets - point)) / 160
    error = _Quadratic(matrix.T @ matrix / 80, matrix.T @ targets / 80, float(targets @ targets / 80))
    assert _duality_gap(layout, error, alpha, parts) == pytest.approx(primal - dual, rel=1e-10)
    assert primal > dual


@pytest.mark.parametrize("fraction", [0.8, 0.5, 0.3, 0.1])
def test_columns_of_overlapping_groups_are_a_union_of_groups(fraction):
    truth = np.array([0.0, 0, 0, 0, 0, 2.0])
    targets = X[:, :6] @ truth + 0.3 * RANDOM.normal(size=80)
    model = one_penalty(NESTED, fraction).fit(X[:, :6], targets)
    used = set(np.flatnonzero(model.coef_).tolist())
    assert used == {column for group in model.selected_groups_ for column in NESTED[group]}
    assert {0, 3, 5} <= used
    assert not ElasticNetOnPath(num_penalties=2, smallest_penalty=0.8).fit(X[:, :6], targets).coef_[3]


def test_weights_are_repetitions():
    counts = RANDOM.integers(0, 4, size=80)
    rows, kept, fold = np.repeat(np.arange(80), counts), np.flatnonzero(counts), np.arange(80) % 4
    weighted = GroupLasso(GROUPS, cv=list(LeaveOneGroupOut().split(X[kept], groups=fold[kept])))
    repeated = GroupLasso(GROUPS, cv=list(LeaveOneGroupOut().split(X[rows], groups=fold[rows])))
    weighted.fit(X[kept], Y[kept], sample_weight=counts[kept])
    repeated.fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.fold_errors_, repeated.fold_errors_, rtol=1e-8)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)


def test_columns_in_no_group_stay_out():
    model = GroupLasso([[0, 1], [3]]).fit(X, Y)
    assert set(np.flatnonzero(model.coef_)) == {0, 1, 3}


@pytest.mark.parametrize("groups", [[[0, 1], []], [[0, 0]], [[12]], [[-1]], [[0.5]], [[[0]]], []])
def test_wrong_groups_are_refused(groups):
    with pytest.raises(ValueError, match="`groups`"):
        GroupLasso(groups).fit(X, Y)


def test_a_search_that_does_not_converge_warns(monkeypatch):
    monkeypatch.setattr(jaxce.fitting.group_lasso, "_MOST_ITERATIONS", 5)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        GroupLasso(GROUPS, tol=1e-13).fit(X, Y)
