"""Energies in another unit than stated betray themselves: they differ by a factor of the number of atoms."""

import warnings
from collections.abc import Sequence

import numpy as np

from jaxce.fitting.convex_hull import concentrations_of
from jaxce.lattice.structures import Mapping

# Another unit must describe all energies this many times better than the stated one.
_FACTOR = 5.0
# A single energy is suspicious if it is off by half its size, but right within this part of it in another unit.
_WRONG, _RIGHT = 0.5, 0.1
# Composition says something only if energies scatter about it by less than this part of their size.
_TELLING = 0.05
# At least this part of the energies must be right where single ones are called wrong.
_REGULAR = 0.7
# Smaller scatter is none.
_ROUNDING = 1e-9


def warn_of_wrong_units(
    mappings: Sequence[Mapping], totals: np.ndarray, num_atoms: np.ndarray, energies_per: str, names: Sequence[str]
) -> None:
    """Warn, with the evidence, where energies seem to be per atom, per prim or per structure other than stated.

    The judge is how well a linear function of composition describes energies per prim. It can tell total energies of
    electronic structure calculations, which are large; formation energies near 0 it cannot.

    Args:
        mappings: the structures.
        totals: `[structures]` eV per structure, as stated.
        num_atoms: `[structures]` atoms of each.
        energies_per: the stated unit.
        names: names of the structures.
    """
    num_prims = np.array([mapping.supercell.num_prims for mapping in mappings], dtype=float)
    num_atoms = np.maximum(num_atoms, 1)
    composition = np.column_stack([np.ones(len(mappings)), concentrations_of(mappings)[0]])
    # With fewer structures, composition describes any energies well.
    if len(np.unique(num_prims)) < 2 or len(mappings) < 2 * np.linalg.matrix_rank(composition) + 2:
        return
    stated = totals / num_prims
    scatter = _relative_scatter(composition, stated)
    as_if_wrong = {
        "structure": ("one atom or prim", _relative_scatter(composition, totals)),
        "atom": ("the whole structure", _relative_scatter(composition, totals / num_atoms / num_prims)),
        "prim": ("the whole structure", _relative_scatter(composition, stated / num_prims)),
    }
    unit, other = as_if_wrong[energies_per]
    if other * _FACTOR < scatter and other < _TELLING:
        warnings.warn(
            f"energies are stated per {energies_per}, but look as if they were of {unit}: composition alone then "
            f"describes them {scatter / max(other, _ROUNDING):.0f} times better. Check `energies_per`.",
            stacklevel=3,
        )
        return
    _warn_of_single_ones(composition, stated, num_prims, num_atoms, names)


def _relative_scatter(composition: np.ndarray, energies: np.ndarray) -> float:
    """Standard deviation from a linear function of composition, in units of the mean energy."""
    residual = energies - composition @ np.linalg.lstsq(composition, energies, rcond=None)[0]
    return float(np.sqrt(np.mean(residual**2)) / max(np.abs(energies).mean(), np.finfo(float).tiny))


def _warn_of_single_ones(
    composition: np.ndarray, stated: np.ndarray, num_prims: np.ndarray, num_atoms: np.ndarray, names: Sequence[str]
) -> None:
    expected = composition @ _robust_coefficients(composition, stated)
    # Not the median: the fit goes through as many energies as it has coefficients, so low residuals say little.
    if np.quantile(np.abs(stated - expected), _REGULAR) > _TELLING * np.median(np.abs(expected)):
        return
    wrong = np.abs(stated - expected) > _WRONG * np.abs(expected)
    factors = np.stack([num_prims, num_atoms, 1 / num_prims, 1 / num_atoms])
    is_right = np.any(np.abs(stated * factors - expected) < _RIGHT * np.abs(expected), axis=0)
    suspicious = np.flatnonzero(wrong & is_right)
    if len(suspicious):
        listed = "; ".join(
            f"{names[i]}: {stated[i]:.4f} eV per prim, expected {expected[i]:.4f}, "
            f"{num_prims[i]:.0f} prims, {num_atoms[i]} atoms"
            for i in suspicious[:5]
        )
        warnings.warn(
            f"{len(suspicious)} energies are off by the size of their cells, as if they were per atom or prim while "
            f"others are per structure, or the reverse ({listed}).",
            stacklevel=4,
        )


def _robust_coefficients(composition: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Coefficients of least absolute residuals, which single wrong energies do not move; reweighted least squares."""
    weights = np.ones(len(energies))
    coefficients = np.zeros(composition.shape[1])
    for _ in range(50):
        root = np.sqrt(weights)
        coefficients = np.linalg.lstsq(root[:, None] * composition, root * energies, rcond=None)[0]
        residual = np.abs(energies - composition @ coefficients)
        weights = 1 / np.maximum(residual, 1e-6 * np.abs(energies).max() + 1e-300)
    return coefficients
