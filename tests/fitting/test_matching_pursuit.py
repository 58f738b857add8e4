import numpy as np
import pytest
from sklearn.linear_model import OrthogonalMatchingPursuitCV
from sklearn.model_selection import KFold, LeaveOneGroupOut
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxce.fitting.matching_pursuit import MatchingPursuitOnPath
from jaxce.fitting.one_standard_error import choose_penalty

RANDOM = np.random.default_rng(4)
X = RANDOM.normal(size=(100, 25))
TRUTH = np.zeros(25)
TRUTH[[1, 9, 17, 24]] = [2.0, -1.0, 0.7, 0.4]
Y = X @ TRUTH + 1.0 + 0.2 * RANDOM.normal(size=100)


@parametrize_with_checks([MatchingPursuitOnPath()])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def greedy(matrix, targets, count):
    """Column by column, with a full least-squares fit each time."""
    matrix, targets = matrix - matrix.mean(axis=0), targets - targets.mean()
    chosen, residual, coefficients = [], targets, np.zeros(matrix.shape[1])
    for _ in range(count):
        chosen.append(int(np.argmax(np.abs(matrix.T @ residual))))
        coefficients = np.zeros(matrix.shape[1])
        coefficients[chosen] = np.linalg.lstsq(matrix[:, chosen], targets, rcond=None)[0]
        residual = targets - matrix @ coefficients
    return coefficients


def test_takes_column_after_column():
    model = MatchingPursuitOnPath().fit(X, Y)
    np.testing.assert_allclose(model.coef_, greedy(X, Y, model.n_nonzero_coefs_), atol=1e-10)
    assert model.fold_errors_.shape == (26, 5)
    assert model.n_nonzero_coefs_ == np.argmin(np.mean(model.fold_errors_, axis=1)) >= 4
    few = MatchingPursuitOnPath(max_functions=2).fit(X, Y)
    np.testing.assert_allclose(few.coef_, greedy(X, Y, 2), atol=1e-10)


def test_chooses_as_scikit_learn_does():
    theirs = OrthogonalMatchingPursuitCV(cv=KFold(5, shuffle=True, random_state=0), max_iter=25).fit(X, Y)
    ours = MatchingPursuitOnPath().fit(X, Y)
    assert ours.n_nonzero_coefs_ == theirs.n_nonzero_coefs_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-10)


def test_one_standard_error_takes_fewer_columns():
    best, fewer = (MatchingPursuitOnPath(rule=rule).fit(X, Y) for rule in ("best", "one_standard_error"))
    assert fewer.n_nonzero_coefs_ == choose_penalty(best.fold_errors_, "one_standard_error") < best.n_nonzero_coefs_
    assert set(np.flatnonzero(TRUTH)) <= set(np.flatnonzero(fewer.coef_)) < set(np.flatnonzero(best.coef_))


def test_dependent_columns_and_exact_data_end_the_pursuit_quietly():
    twice = np.hstack([X, X, np.zeros((100, 1))])
    model = MatchingPursuitOnPath().fit(twice, X @ TRUTH)
    np.testing.assert_allclose(model.predict(twice), X @ TRUTH, atol=1e-10)
    assert model.n_nonzero_coefs_ == 4
    # The last model stays for all larger numbers.
    np.testing.assert_allclose(model.fold_errors_[4:], 0, atol=1e-20)


def test_weights_are_repetitions():
    counts = RANDOM.integers(0, 4, size=100)
    rows, kept, fold = np.repeat(np.arange(100), counts), np.flatnonzero(counts), np.arange(100) % 4
    weighted = MatchingPursuitOnPath(cv=list(LeaveOneGroupOut().split(X[kept], groups=fold[kept])))
    repeated = MatchingPursuitOnPath(cv=list(LeaveOneGroupOut().split(X[rows], groups=fold[rows])))
    weighted.fit(X[kept], Y[kept], sample_weight=counts[kept])
    repeated.fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)
    assert weighted.intercept_ == pytest.approx(repeated.intercept_)
