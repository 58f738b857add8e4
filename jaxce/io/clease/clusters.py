"""Clusters as CLEASE names them: by size, diameter, shape and decoration.

CLEASE knows no space group. Clusters of the same shape (fingerprint) have one name, whatever their sites are, and
points of a cluster that see the same distances may be exchanged. So a name may stand for several orbits, and its
decoration for several cluster functions of each.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxce.io.clease.settings import CleaseSettings
from jaxce.io.cluster_limits import check_reach
from jaxce.lattice.orbits import Orbit, build_orbits
from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import space_group

# Fingerprints (angstrom^2) within this are one shape, and distances are sorted by six decimals, as in CLEASE 1.2.
_SAME_SHAPE = 1e-9
_DECIMALS = 6
# A cutoff this close (angstrom) to a distance includes it or not by chance.
_ON_A_SHELL = 1e-7


class Shape(NamedTuple):
    """How CLEASE sees a cluster.

    Attributes:
        fingerprint: squares of the distances from the centre, largest first, then the other products, ascending.
        order: `[points]` the points as CLEASE lists them.
        groups: `[points]` number of the group of exchangeable points, in CLEASE's order.
        distances: `[points, points]` distances that each point sees, largest first, in CLEASE's order.
    """

    fingerprint: np.ndarray
    order: np.ndarray
    groups: np.ndarray
    distances: np.ndarray

    @property
    def diameter(self) -> float:
        """Twice the largest distance from the centre, angstrom; not the largest distance between two points."""
        return 2 * float(np.sqrt(self.fingerprint[0]))

    def decoration(self, labeling: np.ndarray) -> tuple[int, ...]:
        """CLEASE's numbers (from 0) of the site functions; the lowest of its equivalent decorations."""
        decoration = labeling[self.order] - 1
        for group in range(self.groups.max() + 1):
            decoration[self.groups == group] = np.sort(decoration[self.groups == group])
        return tuple(decoration.tolist())

    def num_decorations(self, decoration: tuple[int, ...]) -> int:
        """Number of different decorations that exchanges of points make of one."""
        number = 1
        for group in range(self.groups.max() + 1):
            chosen = [function for function, g in zip(decoration, self.groups, strict=True) if g == group]
            number *= math.factorial(len(chosen))
            for function in set(chosen):
                number //= math.factorial(chosen.count(function))
        return number


def clease_orbits(settings: CleaseSettings) -> tuple[Orbit, ...]:
    """All orbits of included sites within CLEASE's cutoffs.

    Raises:
        ValueError: if a cutoff lies on a distance between sites.
    """
    prim = settings.prim
    # Background atoms that are included have functions, though they have one species.
    names = [("A", "B") if included else ("A",) for included in settings.is_included]
    stand_in = Prim(prim.lattice, prim.frac_coords, names, labels=["/".join(names) for names in prim.species])
    num_functions = np.where(settings.is_included, len(settings.functions) - 1, 0)
    group = space_group(stand_in)
    check_reach(stand_in, dict(enumerate(settings.cutoffs, start=2)))
    orbits = build_orbits(stand_in, group, {}, num_functions)
    for order, cutoff in enumerate(settings.cutoffs, start=2):
        try:
            found = build_orbits(stand_in, group, {order: max(cutoff, _ON_A_SHELL) + _ON_A_SHELL}, num_functions)
        except ValueError:
            # No cluster of this order is that small, which CLEASE allows.
            continue
        orbits += tuple(orbit for orbit in found if orbit.order == order and _is_within(prim, orbit, cutoff))
    return orbits


def cluster_names(prim: Prim, orbits: Sequence[Orbit]) -> list[tuple[str, Shape]]:
    """For each orbit of one or more points its name without decoration, such as "c3_d0001_0", and its shape.

    Raises:
        ValueError: if coordinates are too rough for CLEASE's comparison of shapes, or a name has two meanings.
    """
    shapes = [_orbit_shape(prim, orbit) for orbit in orbits]
    names = ["c1"] * len(shapes)
    for order in {orbit.order for orbit in orbits} - {1}:
        chosen = [index for index, orbit in enumerate(orbits) if orbit.order == order]
        for index, name in zip(chosen, _names_of_order([shapes[index] for index in chosen]), strict=True):
            names[index] = f"c{order}_{name}"
    for name in set(names):
        alike = [index for index, other in enumerate(names) if other == name]
        if any(len(orbits[index].functions) > 1 for index in alike):
            _check_one_meaning(name, [shapes[index] for index in alike])
    return list(zip(names, shapes, strict=True))


def _check_one_meaning(name: str, shapes: list[Shape]) -> None:
    """Clusters of one fingerprint may differ all the same; the decoration would then depend on which comes first."""
    if not all(np.allclose(shape.distances, shapes[0].distances) for shape in shapes):
        raise ValueError(
            f"CLEASE has one name, {name}, for clusters that are not congruent, so its decorations have no definite "
            "meaning: such a model cannot be read."
        )


def _names_of_order(shapes: list[Shape]) -> list[str]:
    """Number of the diameter among all of this order, and of the shape among those of this diameter."""
    diameters = np.unique(np.round([shape.diameter for shape in shapes], _DECIMALS))
    number = [int(np.argmin(np.abs(diameters - shape.diameter))) for shape in shapes]
    names = [""] * len(shapes)
    for diameter in set(number):
        members = [index for index, n in enumerate(number) if n == diameter]
        members.sort(key=functools.cmp_to_key(lambda a, b: _compared(shapes[a], shapes[b])))
        suffix = 0
        for previous, index in zip([members[0], *members], members, strict=False):
            suffix += _compared(shapes[previous], shapes[index]) != 0
            names[index] = f"d{diameter:04d}_{suffix}"
    return names


def _compared(first: Shape, second: Shape) -> int:
    """-1, 0 or 1 as the first fingerprint comes before the second, is the same, or comes after it."""
    difference = first.fingerprint - second.fingerprint
    different = np.flatnonzero(np.abs(difference) > _SAME_SHAPE)
    return int(np.sign(difference[different[0]])) if len(different) else 0


def _is_within(prim: Prim, orbit: Orbit, cutoff: float) -> bool:
    """Whether CLEASE has the clusters; it compares twice the distance from the centre, never less than the diameter."""
    diameter = _shapes(prim, orbit.clusters[:1])[0].diameter
    if abs(diameter - cutoff) < _ON_A_SHELL:
        raise ValueError(
            f"the largest diameter of clusters of {orbit.order} sites, {cutoff} angstrom, is that of some clusters, so "
            "rounding decided in CLEASE whether they count. Compare the names in the file of ECIs with the clusters, "
            'and pass settings with a "max_cluster_dia" 0.001 larger or smaller.'
        )
    return diameter < cutoff


def _orbit_shape(prim: Prim, orbit: Orbit) -> Shape:
    shape, *others = _shapes(prim, orbit.clusters)
    if any(_compared(shape, other) for other in others):
        raise ValueError(
            f"symmetry-equivalent clusters of {orbit} differ in shape by more than CLEASE allows (1e-9 angstrom^2), so "
            "it gives them different names: the coordinates of the prim have too few digits."
        )
    return shape


def _shapes(prim: Prim, clusters: np.ndarray) -> list[Shape]:
    positions = (prim.frac_coords[clusters[..., 0]] + clusters[..., 1:]) @ prim.lattice
    return [_shape(points) for points in positions]


def _shape(points: np.ndarray) -> Shape:
    centred = points - points.mean(axis=0)
    products = centred @ centred.T
    above = np.triu_indices(len(points), k=1)
    fingerprint = np.concatenate([np.sort(np.diag(products))[::-1], np.sort(products[above])])
    seen = np.linalg.norm(points[:, None] - points[None], axis=-1).round(_DECIMALS)
    seen = np.sort(seen, axis=1)[:, ::-1]
    # The point whose nearest neighbour is farthest comes first, then by the second nearest, and so on.
    order = np.lexsort(seen.T)[::-1]
    seen = seen[order]
    is_alike = np.isclose(seen[:, None], seen[None]).all(axis=-1)
    return Shape(fingerprint, order, is_alike.argmax(axis=1), seen)
