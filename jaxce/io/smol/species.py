"""The species of smol's files and the order that gives them their codes.

smol sorts the species of a site by pymatgen's rules. These are no order in the mathematical sense (a charge of zero is
neither before nor after a positive one), so they are repeated here comparison by comparison.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaxce.io.pymatgen_json import species_label
from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES

# Pauling's scale with pymatgen's values. Elements without a value come after all others.
ELECTRONEGATIVITIES = {
    **{"H": 2.2, "Li": 0.98, "Be": 1.57, "B": 2.04, "C": 2.55, "N": 3.04, "O": 3.44, "F": 3.98, "Na": 0.93, "Mg": 1.31},
    **{
        "Al": 1.61,
        "Si": 1.9,
        "P": 2.19,
        "S": 2.58,
        "Cl": 3.16,
        "K": 0.82,
        "Ca": 1.0,
        "Sc": 1.36,
        "Ti": 1.54,
        "V": 1.63,
    },
    **{"Cr": 1.66, "Mn": 1.55, "Fe": 1.83, "Co": 1.88, "Ni": 1.91, "Cu": 1.9, "Zn": 1.65, "Ga": 1.81, "Ge": 2.01},
    **{"As": 2.18, "Se": 2.55, "Br": 2.96, "Kr": 3.0, "Rb": 0.82, "Sr": 0.95, "Y": 1.22, "Zr": 1.33, "Nb": 1.6},
    **{"Mo": 2.16, "Tc": 1.9, "Ru": 2.2, "Rh": 2.28, "Pd": 2.2, "Ag": 1.93, "Cd": 1.69, "In": 1.78, "Sn": 1.96},
    **{"Sb": 2.05, "Te": 2.1, "I": 2.66, "Xe": 2.6, "Cs": 0.79, "Ba": 0.89, "La": 1.1, "Ce": 1.12, "Pr": 1.13},
    **{"Nd": 1.14, "Pm": 1.13, "Sm": 1.17, "Eu": 1.2, "Gd": 1.2, "Tb": 1.1, "Dy": 1.22, "Ho": 1.23, "Er": 1.24},
    **{"Tm": 1.25, "Yb": 1.1, "Lu": 1.27, "Hf": 1.3, "Ta": 1.5, "W": 2.36, "Re": 1.9, "Os": 2.2, "Ir": 2.2, "Pt": 2.28},
    **{
        "Au": 2.54,
        "Hg": 2.0,
        "Tl": 1.62,
        "Pb": 2.33,
        "Bi": 2.02,
        "Po": 2.0,
        "At": 2.2,
        "Rn": 2.2,
        "Fr": 0.7,
        "Ra": 0.9,
    },
    **{"Ac": 1.1, "Th": 1.3, "Pa": 1.5, "U": 1.38, "Np": 1.36, "Pu": 1.28, "Am": 1.3, "Cm": 1.3, "Bk": 1.3, "Cf": 1.3},
    **{"Es": 1.3, "Fm": 1.3, "Md": 1.3, "No": 1.3, "Lr": 1.3},
}
_WITHOUT = ("He", "Ne", "Ar", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og")
# smol's own symbol of the vacancy, and what it calls it in text.
_SMOL_VACANCY, _VACANCY_TEXT = "A", "vac"
# A site whose occupations sum to less may be vacant.
_FULL = 0.99
_TEXT = re.compile(r"(?P<symbol>[A-Z][a-z]?)(?P<size>[0-9.]*)(?P<sign>[+-]?)(?:,spin=(?P<spin>-?[0-9.]+))?")
# Text has two digits of a charge.
_CHARGE_DIGITS = 0.006


class Species(NamedTuple):
    """A species of pymatgen.

    Attributes:
        symbol: of the element; "X" for a vacancy.
        charge: oxidation state; None where there is none.
        spin: None where there is none.
    """

    symbol: str
    charge: float | int | None = None
    spin: float | int | None = None

    @property
    def label(self) -> str:
        """What a prim calls it, such as "Mn3+"."""
        return species_label({"element": self.symbol, "oxidation_state": self.charge, "spin": self.spin})

    @property
    def electronegativity(self) -> float:
        """Pauling's; that of a vacancy is 0, as of all that is no element."""
        return 0.0 if self.symbol == VACANCY else ELECTRONEGATIVITIES.get(self.symbol, float("inf"))

    @property
    def is_element(self) -> bool:
        """Whether it has neither charge nor spin."""
        return self.charge is None and self.spin is None


def species_of_entry(entry: Mapping[str, Any]) -> Species:
    """The species of an entry of a structure's site.

    Raises:
        ValueError: if it is no element and no vacancy.
    """
    spin = entry.get("spin", (entry.get("properties") or {}).get("spin"))
    return _checked(entry["element"], entry.get("oxidation_state"), spin, entry["element"])


def species_of_text(text: str) -> Species:
    """The species that pymatgen prints so: "Mn3+", "O2-", "Cu", "Mn3+,spin=4", "vacA0+".

    Raises:
        ValueError: if it is none.
    """
    if _VACANCY_TEXT in text.lower():
        return Species(VACANCY)
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no species as pymatgen prints it, such as Mn3+.")
    charge = float(match["size"] or 1) * (-1 if match["sign"] == "-" else 1) if match["sign"] else None
    return _checked(match["symbol"], charge, float(match["spin"]) if match["spin"] else None, text)


def _checked(symbol: str, charge: Any, spin: Any, text: str) -> Species:
    if symbol in (_SMOL_VACANCY, *VACANCY_ALIASES):
        if charge or spin:
            raise ValueError(f"{text} with charge {charge} stands for no element, so jaxce has no atoms for it.")
        return Species(VACANCY)
    if symbol not in ELECTRONEGATIVITIES and symbol not in _WITHOUT:
        raise ValueError(f"{text!r} is neither an element nor a vacancy.")
    return Species(symbol, charge, spin)


def in_code_order(occupations: Iterable[tuple[Species, float | int]]) -> list[Species]:
    """The species of a site in the order of smol's codes, with the vacancy last that smol adds to a site not full.

    A vacancy that is written among the species comes first, as its electronegativity is 0.

    Args:
        occupations: species and their occupations, in the order of the file, which decides where the rules do not.
    """
    occupations = list(occupations)
    ordered = sorted((species for species, _ in occupations), key=functools.cmp_to_key(_compared))
    is_full = sum(amount for _, amount in occupations) >= _FULL
    return ordered if is_full else [*ordered, Species(VACANCY)]


def place_of(species: Species, among: list[Species]) -> int:
    """Index of a species among others, where charges may have been rounded to two digits.

    Raises:
        ValueError: if it is not there.
    """
    for place, other in enumerate(among):
        same_charge = abs((species.charge or 0) - (other.charge or 0)) < _CHARGE_DIGITS
        if species.symbol == other.symbol and species.spin == other.spin and same_charge:
            return place
    raise ValueError(f"{species.label} is not among the species of its site, {[other.label for other in among]}.")


def _compared(first: Species, other: Species) -> int:
    return -1 if _is_before(first, other) else int(_is_before(other, first))


def _is_before(first: Species, other: Species) -> bool:
    """Whether pymatgen sorts one before the other: by electronegativity, symbol, charge if not zero, else spin."""
    if first.electronegativity != other.electronegativity:
        return first.electronegativity < other.electronegativity
    if first.symbol != other.symbol:
        return first.symbol < other.symbol
    if first.is_element or other.is_element:
        return not first.is_element
    if first.charge:
        return first.charge < (other.charge or 0)
    return first.spin is not None and other.spin is not None and first.spin < other.spin
