"""Site functions against values written out by hand, and what is refused."""

import numpy as np
import pytest

from jaxce.lattice.prim import Prim
from jaxce.lattice.site_basis import (
    check_equal_on_equivalent_sites,
    named_site_functions,
    orthonormalised,
    prim_site_functions,
)

ROOT = np.sqrt(3) / 2
# Two sites with three and two species, one inactive.
PRIM = Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0]], [["A", "B", "Va"], ["C", "D"], ["K"]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trigonometric", [[1, 1], [-1, 1]]),
        ("trigonometric", [[1, 1, 1], [-1, 0.5, 0.5], [0, -ROOT, ROOT]]),
        ("trigonometric", [[1, 1, 1, 1], [-1, 0, 1, 0], [0, -1, 0, 1], [-1, 1, -1, 1]]),
        ("indicator", [[1, 1], [1, 0]]),
        ("indicator", [[1, 1, 1], [1, 0, 0], [0, 1, 0]]),
        ("chebyshev", [[1, 1, 1], [-1, 0, 1], [1, -1, 1]]),
        ("legendre", [[1, 1, 1], [-1, 0, 1], [1, -0.5, 1]]),
        ("polynomial", [[1, 1, 1], [-1, 0, 1], [1, 0, 1]]),
        ("polynomial", [[1, 1, 1, 1], [-1, -1 / 3, 1 / 3, 1], [1, 1 / 9, 1 / 9, 1], [-1, -1 / 27, 1 / 27, 1]]),
    ],
)
def test_named_bases_have_their_known_values(name, expected):
    found = named_site_functions(name, len(expected))
    np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("name", ["trigonometric", "indicator", "chebyshev", "legendre", "polynomial"])
def test_a_site_with_one_species_has_the_constant_alone(name):
    np.testing.assert_array_equal(named_site_functions(name, 1), [[1]])


@pytest.mark.parametrize("name", ["trigonometric", "indicator", "chebyshev", "legendre", "polynomial"])
@pytest.mark.parametrize("measure", [[0.2, 0.3, 0.5], [1 / 3] * 3, [0.1, 0.2, 0.3, 0.4]])
def test_orthonormalised_functions_are_orthonormal_and_span_the_same(name, measure):
    functions = named_site_functions(name, len(measure))
    result = orthonormalised(functions, np.array(measure))
    np.testing.assert_allclose(result @ np.diag(measure) @ result.T, np.eye(len(measure)), atol=1e-13)
    np.testing.assert_allclose(result[0], 1, atol=1e-13)
    # Gram-Schmidt: function k is made of the first k + 1 ones.
    mixing = result @ np.linalg.inv(functions)
    np.testing.assert_allclose(np.triu(mixing, k=1), 0, atol=1e-12)


def test_a_uniform_measure_is_the_default():
    uniform = [[1 / 3] * 3, {"C": 0.5, "D": 0.5}, None]
    for one, other in zip(
        prim_site_functions(PRIM, "indicator", True),
        prim_site_functions(PRIM, "indicator", True, uniform),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-14)


def test_a_measure_by_species_is_the_measure_in_code_order():
    by_species = prim_site_functions(PRIM, "legendre", True, [{"VO": 0.5, "A": 0.2, "B": 0.3}, None, None])
    by_code = prim_site_functions(PRIM, "legendre", True, [[0.2, 0.3, 0.5], [0.5, 0.5], [1.0]])
    for one, other in zip(by_species, by_code, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [table.shape for table in by_code] == [(3, 3), (2, 2), (1, 1)]


def test_given_functions_come_after_the_constant():
    given = [[[1, 2, 3.5]], np.array([[0.25, -1]]), None]
    tables = prim_site_functions(PRIM, given)
    np.testing.assert_array_equal(tables[0], [[1, 1, 1], [1, 2, 3.5]])
    np.testing.assert_array_equal(tables[1], [[1, 1], [0.25, -1]])
    np.testing.assert_array_equal(tables[2], [[1]])
    np.testing.assert_array_equal(prim_site_functions(PRIM, [*given[:2], np.zeros((0, 1))])[2], [[1]])
    assert not any(table.flags.writeable for table in tables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sinusoid",), r"must be one of \['chebyshev'.*came as 'sinusoid'"),
        (([[[1, 2, 3]]],), r"one array per site \(3\), but has 1"),
        (([[[1, 2]], [[0, 1]], None],), r"site 0 .* shape \[functions, 3\].*\(1, 2\)"),
        (([[1, 2, 3], [[0, 1]], None],), r"site 0 .* shape \(3,\)"),
        (([[[1, 2, np.nan]], [[0, 1]], None],), "site 0 must be finite"),
        (([None, [[0, 1]], None],), "site 0 must be finite"),
        (([[[2, 2, 2]], [[0, 1]], None],), "site 0 and the constant are linearly dependent"),
        (([[[0, 1, 2], [1, 0, 0], [0, 1, 0]], [[0, 1]], None],), "at most 2 independent functions"),
        (([[[0, 1, 2]], [[0, 1]], [[2.0]]],), "site 2 and the constant are linearly dependent"),
        (("indicator", False, [None] * 3), "orthonormal=True"),
        (("indicator", True, [None] * 2), r"one entry per site \(3\), but has 2"),
        (("indicator", True, [[0.5, 0.5], None, None]), "site 0 must be 3 positive numbers"),
        (("indicator", True, [[0.5, 0.5, 0.5], None, None]), "add up to 1"),
        (("indicator", True, [[1.0, 0.0, 0.0], None, None]), "positive"),
        (("indicator", True, [[np.nan, 0.5, 0.5], None, None]), "positive"),
        (("indicator", True, [{"A": 0.5, "B": 0.5}, None, None]), "positive"),
        (("indicator", True, [None, {"C": 0.5, "E": 0.5}, None]), r"names \['E'\], but the site holds \['C', 'D'\]"),
    ],
)
def test_functions_that_do_not_fit_the_prim_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        prim_site_functions(PRIM, *arguments)


def test_equivalent_sites_must_have_the_same_functions():
    tables = [named_site_functions(name, 2) for name in ("indicator", "trigonometric", "indicator")]
    check_equal_on_equivalent_sites(tables, np.array([0, 1, 0]))
    with pytest.raises(ValueError, match="sites 0 and 1 are symmetry-equivalent but have different site functions"):
        check_equal_on_equivalent_sites(tables, np.array([0, 0, 2]))
