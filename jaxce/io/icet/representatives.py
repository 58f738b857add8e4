"""Orbits from lists of clusters, of which the first one says what the site functions refer to."""

import itertools
import math

import numpy as np

from jaxce.lattice.orbits import Orbit, point_keys, points_of_keys
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup

# Choices of functions on the points of a cluster; more come of a file that is no model.
_MOST_CHOICES = 100_000


def labelled_orbit(prim: Prim, group: SpaceGroup, clusters: np.ndarray) -> Orbit:
    """The orbit of these clusters, with functions that are named by the points of the first one.

    As in icet, the functions come in lexicographic order, and the points of every other cluster in the first
    permutation of those that are listed that makes them an image of the first cluster's.

    Args:
        prim: the prim.
        group: its operations.
        clusters: `[clusters, order, 4]` all clusters of an orbit, up to translations.

    Raises:
        ValueError: if they are not the images of the first one.
    """
    representative = clusters[0]
    sites, offsets = group.apply(slice(None), representative[:, 0], representative[:, 1:])
    images = point_keys(np.concatenate([sites[..., None], offsets], axis=-1))
    listed = point_keys(clusters)
    owners = _owners(images, listed)
    # For each point of an image, its place among the listed points of that cluster.
    permutations = (listed[owners][:, None, :] == images[:, :, None]).argmax(axis=-1)
    rows = np.lexsort(np.concatenate([owners[:, None], permutations], axis=1).T[::-1])
    first = rows[np.searchsorted(owners[rows], np.arange(len(listed)))]
    own = np.unique(permutations[owners == 0], axis=0)
    functions = _classes(prim.num_species[representative[:, 0]] - 1, own)
    return Orbit(points_of_keys(images[first]), _diameter(prim, representative), functions)


def depends_on_representative(orbit: Orbit) -> bool:
    """Whether the functions could be in another order, had icet chosen or written its representative otherwise.

    Both depend on the order in which the symmetry operations are listed. True where an order of the points exists that
    would sort the functions in another way.
    """
    if len(orbit.functions) == 1:
        return False
    for order in itertools.permutations(range(orbit.order)):
        names = [min(rows[:, order].tolist()) for rows in orbit.functions]
        if names != sorted(names):
            return True
    return False


def _owners(images: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """`[images]` the listed cluster that each image is."""
    both = np.sort(np.concatenate([listed, images]), axis=1)
    distinct, number = np.unique(both, axis=0, return_inverse=True)
    of_listed, of_images = np.split(number.reshape(-1), [len(listed)])
    if not len(listed) == len(distinct) == len(np.unique(of_images)) == len(np.unique(of_listed)):
        raise ValueError(
            f"{len(np.unique(of_images))} clusters are equivalent in an orbit of which icet lists {len(listed)}: "
            "`symprec` and `position_tolerance` do not agree about this crystal, so that its orbits cannot be rebuilt."
        )
    return np.argsort(of_listed)[of_images]


def _classes(num_functions: np.ndarray, permutations: np.ndarray) -> tuple[np.ndarray, ...]:
    """Choices of site functions (from 1) in classes that the permutations map into each other."""
    counts = num_functions.tolist()
    if math.prod(counts) > _MOST_CHOICES:
        raise ValueError(f"an orbit has {math.prod(counts)} choices of functions on its {len(counts)} points.")
    choices = itertools.product(*(range(1, count + 1) for count in counts))
    classes: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for choice in choices:
        # The permutations are a group, so either direction gives the same class.
        lowest = min(tuple(choice[i] for i in permutation) for permutation in permutations.tolist())
        classes.setdefault(lowest, []).append(choice)
    return tuple(np.array(rows) for _, rows in sorted(classes.items()))


def _diameter(prim: Prim, cluster: np.ndarray) -> float:
    positions = (prim.frac_coords[cluster[:, 0]] + cluster[:, 1:]) @ prim.lattice
    return float(np.linalg.norm(positions[:, None] - positions, axis=-1).max())
