"""Energies of formation: what is left of energies once reference phases of the same composition are taken off."""

import collections
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.lattice.prim import VACANCY_ALIASES

_FORMULA = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d*)?|\.\d+)?")
# Relative to the atoms of a structure; amounts are small integers and decimals of a few digits.
_TOLERANCE = 1e-8


def formation_energies(structures: Sequence[Any], energies: Any, references: Mapping[str, Any]) -> np.ndarray:
    """Energies of structures minus those of the references that make up the same atoms, eV per structure.

    The amounts of the references solve a linear system, so they may be negative: a reference is a zero of the energy,
    not a phase that takes part in a reaction.

    Args:
        structures: `ase.Atoms`. "Mn3+" counts as Mn; vacancies count as nothing.
        energies: `[structures]` eV per structure.
        references: eV per formula unit of each reference, such as {"SrTiO3": -42.1, "SrFeO2.5": -33.2}.

    Returns:
        `[structures]` eV per structure.

    Raises:
        ValueError: if a formula cannot be read, energies are not finite numbers, one for each structure or
            reference, references are combinations of each other, or a structure is no combination of them.
    """
    totals = _finite(energies, len(structures), "energies")
    reference_energies = _finite(list(references.values()), len(references), "references")
    amounts = [formula_amounts(formula) for formula in references]
    counts = [_element_counts(atoms) for atoms in structures]
    elements = sorted(set().union(*amounts, *counts))
    matrix = _amount_matrix(amounts, elements)
    _check_independent(matrix, list(references))
    compositions = _amount_matrix(counts, elements)
    solution = np.linalg.lstsq(matrix, compositions, rcond=None)[0]
    _check_spanned(compositions - matrix @ solution, compositions, elements, structures, list(references))
    return totals - reference_energies @ solution


def formula_amounts(formula: str) -> dict[str, float]:
    """Atoms of each element in a formula without brackets, such as "SrFeO2.5".

    Raises:
        ValueError: if it is no such formula.
    """
    if not re.fullmatch(f"(?:{_FORMULA.pattern})+", formula):
        raise ValueError(f"{formula!r} is no formula of elements and amounts, such as 'SrTiO3' or 'SrFeO2.5'.")
    amounts: dict[str, float] = collections.defaultdict(float)
    for element, amount in _FORMULA.findall(formula):
        amounts[element] += float(amount or 1)
    return dict(amounts)


def _element_counts(atoms: Any) -> dict[str, float]:
    labels = atoms.arrays["species"] if "species" in atoms.arrays else atoms.get_chemical_symbols()
    counts = collections.Counter(str(label) for label in labels)
    elements: dict[str, float] = collections.defaultdict(float)
    for label, count in counts.items():
        if label not in VACANCY_ALIASES:
            match = _FORMULA.match(label)
            elements[match.group(1) if match else label] += count
    return dict(elements)


def _amount_matrix(amounts: Sequence[Mapping[str, float]], elements: Sequence[str]) -> np.ndarray:
    """`[elements, formulas]` atoms of each element."""
    return np.array([[amount.get(element, 0.0) for amount in amounts] for element in elements]).reshape(
        len(elements), len(amounts)
    )


def _finite(values: Any, count: int, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,) or count == 0 or not np.all(np.isfinite(array)):
        raise ValueError(
            f"`{name}` needs one finite energy for each of {count}, and at least one, but is {values!r:.200}."
        )
    return array


def _check_independent(matrix: np.ndarray, formulas: Sequence[str]) -> None:
    for last in range(len(formulas)):
        if np.linalg.matrix_rank(matrix[:, : last + 1]) <= last:
            raise ValueError(
                f"the composition of the reference {formulas[last]!r} is a combination of those of "
                f"{list(formulas[:last])}, so amounts are not defined: leave one of them out."
            )


def _check_spanned(
    residuals: np.ndarray,
    compositions: np.ndarray,
    elements: Sequence[str],
    structures: Sequence[Any],
    formulas: Sequence[str],
) -> None:
    wrong = np.flatnonzero(np.any(np.abs(residuals) > _TOLERANCE * np.maximum(compositions.sum(axis=0), 1), axis=0))
    if not len(wrong):
        return
    known = set().union(*(formula_amounts(formula) for formula in formulas))
    missing = [element for place, element in enumerate(elements) if element not in known and compositions[place].any()]
    first = wrong[0]
    left = {
        element: round(float(r), 6) for element, r in zip(elements, residuals[:, first], strict=True) if abs(r) > 1e-6
    }
    raise ValueError(
        f"{len(wrong)} structures are no combination of the references {list(formulas)}"
        + (f", which lack the elements {missing}" if missing else "")
        + f": of structure {first} ({structures[first].get_chemical_formula()}) these atoms are left over or missing: "
        f"{left}. Add a reference that has them."
    )
