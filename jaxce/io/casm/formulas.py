r"""The LaTeX-like formulas of CASM's cluster functions.

CASM before version 2 names the point of each site function, `\sqrt{1/2}(\phi_{0,0}(s_{0})\phi_{0,1}(s_{1})+...)`;
the oldest files write `\phi_0_1(s_1)`. CASM 2 (casm-bset) lists the site functions of a product in the order of the
points, `\sqrt{1/2} * [(\phi_{1}) * (\phi_{2})] + ...`, and leaves out indices that it does not need.
"""

import math
import re
from typing import NamedTuple, NoReturn

# Formulas of four- and five-point clusters of many species have some thousand characters.
_LONGEST = 100_000
_MOST_TERMS = 10_000
_DEEPEST = 20
_HIGHEST_POWER = 8

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SITE_FUNCTION = r"\\phi(?:_\{(?P<braced>\d+(?:,\d+)?)\}|(?P<plain>(?:_\d+)+))?"
_TOKEN = re.compile(
    rf"\s*(?:(?P<root>\\sqrt\{{(?P<radicand>{_NUMBER}(?:/{_NUMBER})?)\}})"
    rf"|(?P<number>{_NUMBER}(?:/{_NUMBER})?)"
    rf"|(?P<function>{_SITE_FUNCTION})(?:\(s_(?:\{{(?P<point>\d+)\}}|(?P<plain_point>\d+))\))?"
    rf"|\^(?P<power>\d+|\{{{_NUMBER}(?:/{_NUMBER})?\}})"
    r"|(?P<mark>[-+*()\[\]]))"
)
_CLOSING = {"(": ")", "[": "]"}


class SiteFunction(NamedTuple):
    r"""One `\phi` of a formula.

    Attributes:
        indices: what is written below it: nothing, one number, or sublattice and function.
        point: the point of the cluster that it is evaluated on; None where its place in the product says that.
    """

    indices: tuple[int, ...]
    point: int | None


class Term(NamedTuple):
    """A coefficient times site functions."""

    coefficient: float
    functions: tuple[SiteFunction, ...]


def parsed_formula(text: str) -> list[Term]:
    """The terms of a formula; their sum is the function on the prototype cluster.

    Raises:
        ValueError: if the formula is not of the forms above. Strain, displacement and spin variables are not.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a cluster function may have {_LONGEST} characters, but {text!r:.80}... has {len(text)}.")
    parser = _Parser(text)
    terms = parser.sum_until(None)
    return [term for term in terms if term.coefficient != 0]


def function_indices(name: str) -> tuple[int, ...] | None:
    r"""The indices of a site function's name, such as `\phi_{0,1}` or `\phi_0_1`; None if it is no such name."""
    match = re.fullmatch(_SITE_FUNCTION, name)
    return _indices(match) if match else None


class _Parser:
    """Recursive descent over the tokens: sums of products of factors."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    def sum_until(self, closing: str | None) -> list[Term]:
        """The terms up to a closing bracket, or up to the end."""
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"brackets are more than {_DEEPEST} deep")
        terms: list[Term] = []
        while True:
            sign = self._sign()
            terms += [Term(sign * term.coefficient, term.functions) for term in self._product()]
            if self._mark() not in ("+", "-"):
                break
        if self._mark() != closing or (closing is None and self.place < len(self.tokens)):
            self._fail(f"{closing or 'the end'} was expected after {self.place} parts")
        self.place += 1
        self.depth -= 1
        return terms

    def _sign(self) -> int:
        sign = 1
        while self._mark() in ("+", "-"):
            sign *= -1 if self._mark() == "-" else 1
            self.place += 1
        return sign

    def _product(self) -> list[Term]:
        """Factors side by side or with stars between them; casm-bset writes a star also before a sole bracket."""
        product = None
        while self.place < len(self.tokens) and self._mark() not in ("+", "-", ")", "]"):
            if self._mark() == "*":
                self.place += 1
            elif product is not None and self.tokens[self.place]["number"]:
                self._fail("a number stands behind another factor")
            factor = self._factor()
            product = factor if product is None else self._times(product, factor)
        if product is None:
            self._fail("a product has no factors")
        return product

    def _factor(self) -> list[Term]:
        if self.place == len(self.tokens):
            self._fail("it ends where a factor was expected")
        token = self.tokens[self.place]
        self.place += 1
        if token["mark"] in _CLOSING:
            base = self.sum_until(_CLOSING[token["mark"]])
        elif token["number"]:
            base = [Term(self._ratio(token["number"]), ())]
        elif token["root"]:
            base = [Term(math.sqrt(self._ratio(token["radicand"])), ())]
        elif token["function"]:
            point = token["point"] or token["plain_point"]
            base = [Term(1.0, (SiteFunction(_indices(token), None if point is None else int(point)),))]
        else:
            self._fail(f"{token[0].strip()!r} stands where a factor was expected")
        if self.place < len(self.tokens) and self.tokens[self.place]["power"]:
            self.place += 1
            return self._raised(base, self.tokens[self.place - 1]["power"].strip("{}"))
        return base

    def _raised(self, base: list[Term], power: str) -> list[Term]:
        exponent = self._ratio(power)
        if exponent < 1 and len(base) == 1 and not base[0].functions and base[0].coefficient > 0:
            return [Term(base[0].coefficient ** exponent, ())]
        if exponent not in range(1, _HIGHEST_POWER + 1):
            self._fail(f"the power {power} is none of 1 to {_HIGHEST_POWER}")
        raised = base
        for _ in range(int(exponent) - 1):
            raised = self._times(raised, base)
        return raised

    def _times(self, first: list[Term], second: list[Term]) -> list[Term]:
        if len(first) * len(second) > _MOST_TERMS:
            self._fail(f"it has more than {_MOST_TERMS} terms")
        return [Term(a.coefficient * b.coefficient, a.functions + b.functions) for a in first for b in second]

    def _mark(self) -> str | None:
        return self.tokens[self.place]["mark"] if self.place < len(self.tokens) else None

    def _ratio(self, text: str) -> float:
        numerator, _, denominator = text.partition("/")
        if denominator and float(denominator) == 0:
            self._fail("it divides by zero")
        ratio = float(numerator) / float(denominator or 1)
        if not math.isfinite(ratio):
            self._fail("a number is too large")
        return ratio

    def _fail(self, reason: str) -> NoReturn:
        raise ValueError(f"the formula {self.text!r:.200} cannot be read: {reason}.")


def _tokens(text: str) -> list[re.Match[str]]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(
                f"the formula {text!r:.200} cannot be read at {text[place : place + 20]!r}: jaxce reads site functions "
                "of occupations only, no variables of strain, displacement or spin."
            )
        tokens.append(match)
        place = match.end()
    return tokens


def _indices(match: re.Match[str]) -> tuple[int, ...]:
    written = (match["braced"] or "").replace(",", "_") or match["plain"] or ""
    return tuple(int(number) for number in written.split("_") if number)
