import numpy as np
import pytest

from jaxce.fitting.one_standard_error import choose_penalty

# Means 9, 5, 4, 4; the errors of row 2 have standard deviation 2, so their mean has 2 / sqrt(4) = 1.
ERRORS = np.array([[8, 10, 9, 9], [5, 5, 5, 5], [4 - np.sqrt(3), 4 + np.sqrt(3)] * 2, [4, 4, 4, 4.0]])


def test_best_is_the_strongest_penalty_of_the_smallest_mean():
    assert choose_penalty(ERRORS) == 2
    assert choose_penalty(ERRORS[[3, 2, 1, 0]]) == 0
    assert choose_penalty(ERRORS - np.eye(4)[3][:, None] * 0.1) == 3


@pytest.mark.parametrize(("second", "expected"), [(4.99, 1), (5.01, 2)])
def test_one_standard_error_by_hand(second, expected):
    errors = ERRORS.copy()
    errors[1] = second
    assert choose_penalty(errors, "one_standard_error") == expected


def test_a_worse_model_in_between_is_passed_over():
    errors = ERRORS[[1, 0, 2]]
    errors[0] = 4.5
    assert choose_penalty(errors, "one_standard_error") == 0


def test_folds_count_by_their_weight():
    errors = [[0, 3], [2, 0.0]]
    assert choose_penalty(errors) == 1
    assert choose_penalty(errors, fold_weights=[3, 1]) == 0
    # The smallest mean is 1.0 +- 0.5; weights that are all alike change nothing.
    errors = [[1.49, 1.49], [0.5, 1.5]]
    assert choose_penalty(errors, "one_standard_error", [1, 1]) == choose_penalty(errors, "one_standard_error") == 0
    assert choose_penalty(errors, "one_standard_error", [7, 7]) == 0
    assert choose_penalty([[1.51, 1.51], [0.5, 1.5]], "one_standard_error", [7, 7]) == 1


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="`rule` must be"):
        choose_penalty(ERRORS, "one-standard-error")
    with pytest.raises(ValueError, match="must be finite"):
        choose_penalty([[1.0, np.nan]])
    with pytest.raises(ValueError, match="at least 2 folds"):
        choose_penalty([[1.0], [2.0]], "one_standard_error")
