"""A structure as it was read, before it is known which of its numbers is the energy."""

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

from ase.calculators.calculator import CalculatorError, PropertyNotImplementedError


class Frame(NamedTuple):
    """A structure and all that its file says of it.

    Attributes:
        name: where it came from.
        atoms: the `ase.Atoms`.
        energy: the energy that its file gives it, eV; None where there is none.
        values: everything else that is named in the file; an energy may be among it.
    """

    name: str
    atoms: Any
    energy: Any
    values: Mapping[str, Any]


class ReadFailure(NamedTuple):
    """A file, or an entry of one, that gave no structure with an energy.

    Attributes:
        name: where it was.
        reason: what is wrong.
    """

    name: str
    reason: str


def frame_from_atoms(name: str, atoms: Any, values: Mapping[str, Any]) -> Frame:
    """The frame of atoms as ASE reads them; results of the calculator are among its values, after `values`."""
    results = {} if atoms.calc is None else getattr(atoms.calc, "results", {})
    return Frame(name, atoms, _calculated_energy(atoms), {**results, **values})


def _calculated_energy(atoms: Any) -> float | None:
    """The energy extrapolated to zero smearing where the program gives it."""
    if atoms.calc is None:
        return None
    try:
        return float(atoms.get_potential_energy())
    except (CalculatorError, PropertyNotImplementedError):
        return None


def is_number(value: Any) -> bool:
    """Whether a value is one real number (NaN counts)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def frame_energy(frame: Frame, key: str | None) -> float:
    """The energy of a frame: its own, or the value of that name.

    Raises:
        ValueError: if there is none, or it is not a finite number.
    """
    value = frame.energy if key is None else frame.values.get(key)
    what = "energy" if key is None else f"{key!r}"
    if value is None:
        raise ValueError(f"it has no {what}; {listed_numbers(frame.values)}")
    if not is_number(value):
        raise ValueError(f"its {what} is no number: {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"its {what} is not finite: {float(value)}")
    return float(value)


def listed_numbers(values: Mapping[str, Any]) -> str:
    """The names under which an energy may be found, the likely ones first."""
    found = [name for name, value in values.items() if is_number(value)]
    if not found:
        return "no numbers stand beside it"
    likely_first = sorted(found, key=lambda name: ("energy" not in name.lower(), name))
    more = ", ..." if len(found) > 12 else ""
    return "the numbers beside it are " + ", ".join(repr(name) for name in likely_first[:12]) + more
