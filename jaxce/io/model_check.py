"""Whether a model that was read gives the energies that its user knows."""

from collections.abc import Iterable
from typing import Any

import ase
import numpy as np


def check_model(expansion: Any, pairs: Iterable[tuple[ase.Atoms, Any]], tolerance: Any = 1e-6) -> float:
    """The largest deviation of a model from known energies, eV per structure.

    Args:
        expansion: the model: whatever has `energy_of`.
        pairs: structures and their energies, eV per structure, as the program gave them from which the model comes.
        tolerance: largest deviation that is accepted, eV per structure.

    Raises:
        ValueError: if a structure does not fit the prim, or an energy deviates by more.
    """
    pairs = list(pairs)
    if not pairs:
        raise ValueError("`check` has no structures: give a list of (ase.Atoms, energy in eV of the structure).")
    wanted = np.array([float(value) for _, value in pairs])
    found = np.array([expansion.energy_of(atoms) for atoms, _ in pairs])
    deviations = np.abs(found - wanted)
    if not np.all(deviations <= tolerance):
        raise ValueError(_report(pairs, wanted, found, tolerance))
    return float(deviations.max())


def _report(pairs: list[tuple[ase.Atoms, Any]], wanted: np.ndarray, found: np.ndarray, tolerance: Any) -> str:
    deviations = np.abs(found - wanted)
    worst = np.argsort(-deviations, kind="stable")[:5]
    listed = "; ".join(
        f"structure {i} ({pairs[i][0].get_chemical_formula()}): {found[i]:.9g} in place of {wanted[i]:.9g} eV"
        for i in worst
    )
    count = np.sum(~(deviations <= tolerance))
    return (
        f"the model does not give the energies of `check`: {count} of {len(pairs)} deviate by more than "
        f"{tolerance:g} eV ({listed}). Are they eV of whole structures, and from the same model? If so, the file was "
        "misunderstood: please report it."
    )
