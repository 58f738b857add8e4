"""Orbits from lists of clusters whose first one says what the site functions refer to."""

import itertools

import numpy as np

from jaxce.lattice.orbits import Orbit, canonical_keys, point_keys, points_of_keys
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup


def labelled_orbit(prim: Prim, group: SpaceGroup, clusters: np.ndarray) -> Orbit:
    """The orbit of these clusters, its functions named by the points of the first one, in lexicographic order.

    Args:
        prim: the prim.
        group: its operations.
        clusters: `[clusters, order, 4]` all clusters of an orbit, up to translations.

    Raises:
        ValueError: if they are not the images of the first one.
    """
    representative = clusters[0]
    images, permutations = _images(group, representative)
    wanted = np.unique(canonical_keys(clusters), axis=0)
    if len(wanted) != len(clusters) or not np.array_equal(np.unique(canonical_keys(images), axis=0), wanted):
        raise ValueError(
            f"{len(images)} clusters are equivalent to {representative.tolist()}, but icet would list {len(clusters)}: "
            "its tolerances make this crystal ambiguous, so its orbits cannot be rebuilt."
        )
    functions = _classes(prim.num_species[representative[:, 0]] - 1, permutations)
    return Orbit(images, _diameter(prim, representative), functions)


def depends_on_representative(orbit: Orbit) -> bool:
    """Whether the functions could be in another order, had icet chosen or written its representative otherwise.

    Both depend on the order in which the symmetry operations are listed. True where an order of the points exists that
    would sort the functions in another way.
    """
    for order in itertools.permutations(range(orbit.order)):
        names = [min(rows[:, order].tolist()) for rows in orbit.functions]
        if names != sorted(names):
            return True
    return False


def _images(group: SpaceGroup, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All different images of a cluster, itself first, and the permutations of its points onto itself."""
    sites, offsets = group.apply(slice(None), cluster[:, 0], cluster[:, 1:])
    ordered = point_keys(np.concatenate([sites[..., None], offsets], axis=-1))
    own = point_keys(cluster)
    canonical = np.sort(ordered, axis=1)
    is_own = np.all(canonical == np.sort(own), axis=1)
    permutations = np.unique(np.argsort(own)[np.searchsorted(np.sort(own), ordered[is_own])], axis=0)
    rows = np.lexsort(np.concatenate([canonical, ordered], axis=1).T[::-1])
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = np.any(canonical[rows[1:]] != canonical[rows[:-1]], axis=1)
    others = rows[is_first & ~is_own[rows]]
    return points_of_keys(np.concatenate([own[None], ordered[others]])), permutations


def _classes(num_functions: np.ndarray, permutations: np.ndarray) -> tuple[np.ndarray, ...]:
    """Choices of site functions (from 1) in classes that the permutations map into each other."""
    choices = itertools.product(*(range(1, count + 1) for count in num_functions.tolist()))
    classes: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for choice in choices:
        # The permutations are a group, so either direction gives the same class.
        lowest = min(tuple(choice[i] for i in permutation) for permutation in permutations.tolist())
        classes.setdefault(lowest, []).append(choice)
    return tuple(np.array(rows) for _, rows in sorted(classes.items()))


def _diameter(prim: Prim, cluster: np.ndarray) -> float:
    positions = (prim.frac_coords[cluster[:, 0]] + cluster[:, 1:]) @ prim.lattice
    return float(np.linalg.norm(positions[:, None] - positions, axis=-1).max())
