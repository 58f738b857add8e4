import numpy as np
import pytest

from jaxce.io.casm.formulas import SiteFunction, function_indices, parsed_formula

HALF = np.sqrt(0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", [(1.0, ())]),
        ("0", []),
        ("-1/4", [(-0.25, ())]),
        (r"\phi_{2,0}(s_{0})\phi_{3,1}(s_{1})", [(1.0, (((2, 0), 0), ((3, 1), 1)))]),
        (r"\phi_3_0(s_0)\phi_2_0(s_1)", [(1.0, (((3, 0), 0), ((2, 0), 1)))]),
        (
            r"\sqrt{1/2}(\phi_{0,0}(s_{0})\phi_{0,1}(s_{1})-2\phi_{0,1}(s_{0})\phi_{0,0}(s_{1}))",
            [(HALF, (((0, 0), 0), ((0, 1), 1))), (-2 * HALF, (((0, 1), 0), ((0, 0), 1)))],
        ),
        (r"[(\phi) * (\phi)]", [(1.0, (((), None), ((), None)))]),
        (
            r"\sqrt{1/2} * [(\phi_{1}) * (\phi_{2})] + -1/2 * [(\phi_{2}) * (\phi_{1})]",
            [(HALF, (((1,), None), ((2,), None))), (-0.5, (((2,), None), ((1,), None)))],
        ),
        # casm-bset leaves a coefficient of 1 out, but not the star behind it.
        (
            r"[(\phi_{1,1}) * (\phi_{0,2})] +  * [(\phi_{1,2}) * (\phi_{0,1})]",
            [(1.0, (((1, 1), None), ((0, 2), None))), (1.0, (((1, 2), None), ((0, 1), None)))],
        ),
        (r"(2/54)^{1/3}\phi_{0,0}(s_{0})^{2} ", [(1 / 3, (((0, 0), 0), ((0, 0), 0)))]),
    ],
    ids=["one", "zero", "number", "casm 1", "casm 0.2", "sum", "positions", "casm 2 sum", "bare star", "powers"],
)
def test_formulas_are_sums_of_products(text, expected):
    terms = parsed_formula(text)
    assert [tuple(term.functions) for term in terms] == [
        tuple(SiteFunction(*function) for function in functions) for _, functions in expected
    ]
    np.testing.assert_allclose([term.coefficient for term in terms], [value for value, _ in expected], rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r"\sqrt{1/2}(e_1\phi_{0,0}(s_{0}))", "no variables of strain"),
        (r"dx_{0}\phi_{0,0}(s_{0})", "no variables of strain"),
        ("__import__('os')", "cannot be read at"),
        ("", "no factors"),
        (r"\phi_{0,0}(s_{0})+", "no factors"),
        (r"(\phi_{0,0}(s_{0})", "was expected"),
        (r"[(\phi_{1}) * (\phi_{1}))", "was expected"),
        (r"\phi_{0,0}(s_{0}))", "the end was expected"),
        ("1.2.3", "behind another factor"),
        ("1/0", "divides by zero"),
        ("1e999", "too large"),
        (r"\phi_{0,0}(s_{0})^{1/2}", "the power"),
        (r"\phi_{0,0}(s_{0})^99999999", "the power"),
        ("(" * 5000 + ")" * 5000, "deep"),
        ("(1" + "+1" * 999 + ")" + "(1" + "+1" * 999 + ")", "terms"),
        ("1" * 100_001, "characters"),
    ],
    ids=[
        "strain", "displacement", "code", "empty", "end", "open", "mixed", "closed", "digits", "zero", "large", "root",
        "power", "deep", "wide", "long",
    ],
)  # fmt: skip
def test_other_formulas_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsed_formula(text)


@pytest.mark.parametrize(
    ("name", "indices"),
    [(r"\phi_{0,1}", (0, 1)), (r"\phi_2_0", (2, 0)), (r"\phi", ()), (r"\psi_{0,1}", None), (r"\phi_{0,1}x", None)],
)
def test_names_of_site_functions(name, indices):
    assert function_indices(name) == indices
