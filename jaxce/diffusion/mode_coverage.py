"""Which modes of a distribution samples have reached: variants of ordered states, bins of histograms."""

from typing import Any

import numpy as np

from jaxce.lattice.structures import checked_occupancy
from jaxce.lattice.supercell import Supercell


def ordered_variants(supercell: Supercell, ordered_state: Any) -> np.ndarray:
    """`[variants, sites]` all that symmetry makes of an ordered occupancy; they have the same weight in equilibrium.

    Raises:
        ValueError: if the state is no occupancy of the supercell.
    """
    codes = checked_occupancy(supercell, ordered_state)
    # The species of a site moves to where the operation puts it.
    origins = np.argsort(supercell.symmetry_permutations, axis=1)
    return np.unique(codes[origins], axis=0).astype(np.int8)


def variant_of(supercell: Supercell, variants: np.ndarray, occupancies: Any) -> np.ndarray:
    """`[samples]` the variant that each occupancy is nearest to, or their number if it is near none.

    Near is who agrees on more active sites than halfway between all and what is expected by chance, of a random
    occupancy of the variant's composition.

    Args:
        supercell: the supercell.
        variants: of `ordered_variants`.
        occupancies: `[samples, sites]` species codes.
    """
    codes = np.asarray(occupancies)
    groups = [sublattice.sites for sublattice in supercell.sublattices]
    active = np.concatenate(groups)
    agreement = np.stack([np.mean(codes[:, active] == variant[active], axis=1) for variant in variants], axis=1)
    # All variants have the composition of the first.
    by_chance = sum(np.sum(np.bincount(variants[0, sites]) ** 2) / len(sites) for sites in groups) / len(active)
    is_near = np.max(agreement, axis=1) > (1 + by_chance) / 2
    return np.where(is_near, np.argmax(agreement, axis=1), len(variants))


def coverage(weights: Any, reference_weights: Any, share: float = 0.5) -> float:
    """Part of the reference that lies in modes where the samples have at least `share` of the reference's weight.

    1 if every mode is covered; 0.5 if one of two equal modes is lost. Modes weigh as much as they do in the reference,
    so that bins which the reference itself hardly visits decide nothing.

    Args:
        weights: `[modes]` weight or number of the samples in each mode.
        reference_weights: `[modes]` those of the reference.
        share: of the reference's weight.

    Raises:
        ValueError: if the shapes differ, a weight is negative or NaN, or all are 0.
    """
    found, wanted = normalized(weights), normalized(reference_weights)
    if found.shape != wanted.shape:
        raise ValueError(f"weights of the same modes are wanted, but have the shapes {found.shape} and {wanted.shape}.")
    return float(np.sum(wanted[found >= share * wanted]))


def entropic_mode_coverage(weights: Any) -> float:
    """Entropy of the samples over modes of equal weight, over its largest value: 1 if all are reached equally often.

    0 if only one is (D. Blessing et al., ICML 2024, arXiv:2406.07423). NaN if there is but one mode.

    Raises:
        ValueError: as `coverage`.
    """
    found = normalized(weights).ravel()
    if len(found) == 1:
        return float("nan")
    present = found[found > 0]
    return float(-np.sum(present * np.log(present)) / np.log(len(found)))


def normalized(weights: Any) -> np.ndarray:
    """The weights of a histogram as probabilities.

    Raises:
        ValueError: if a weight is negative or not finite, or all are 0.
    """
    values = np.asarray(weights, dtype=np.float64)
    if not np.all(np.isfinite(values)) or np.any(values < 0) or not np.sum(values) > 0:
        raise ValueError("the weights of a histogram must be finite, not negative and not all 0.")
    return values / np.sum(values)
