"""Sample weights: structures that matter less, or are less on the lattice, count less."""

import numpy as np

from jaxce.fitting.convex_hull import concentrations_of, lower_hull
from jaxce.fitting.training_set import TrainingSet


def structure_weights(
    data: TrainingSet, *, above_hull: float | int | None = None, strain: float | int | None = None
) -> np.ndarray:
    """`[structures]` weights exp(-energy above hull / scale) exp(-(strain / scale)^2 / 2), of mean 1.

    Low energies decide ground states and phase diagrams (van de Walle and Ceder, J. Phase Equilib. 23, 348 (2002));
    strongly strained structures are hardly on the lattice any more. `data.with_weights(...)` takes the weights.

    Args:
        data: the structures.
        above_hull: scale of the energy above the convex hull, eV per prim; None leaves energies out.
        strain: scale of the largest principal strain, the change of volume taken off; None leaves strains out.

    Raises:
        ValueError: if a scale is not positive, or both are None.
    """
    scales = [scale for scale in (above_hull, strain) if scale is not None]
    if not scales or min(scales) <= 0:
        raise ValueError(f"give a positive `above_hull` or `strain`, not {above_hull} and {strain}.")
    exponents = np.zeros(len(data))
    if above_hull is not None:
        hull = lower_hull(concentrations_of(data.mappings)[0], data.energies_per_prim)
        exponents -= hull.energies_above_hull / above_hull
    if strain is not None:
        exponents -= 0.5 * (_shape_strains(data) / strain) ** 2
    weights = np.exp(exponents - np.max(exponents))
    return weights / weights.mean()


def _shape_strains(data: TrainingSet) -> np.ndarray:
    """`[structures]` largest principal strain at constant volume: mere expansion leaves the lattice as it is."""
    stretches = np.array([1 + np.linalg.eigvalsh(mapping.strain) for mapping in data.mappings])
    return np.abs(stretches / np.cbrt(np.prod(stretches, axis=1, keepdims=True)) - 1).max(axis=1)
