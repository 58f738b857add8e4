"""Convex hulls of energy over composition, and whether a model keeps the ground states of its data."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr
from scipy.spatial import ConvexHull

# Fractions closer than this are one composition: files hold five digits or more, and 1/N - 1/(N + 1) of a cell of N
# sites is larger up to 300 sites.
_COMPOSITION_TOLERANCE = 1e-5
# Facets are vertical where the energy's part of the unit normal is smaller, in units of the ranges of the data. It is
# the same number: two different compositions have no steeper facet between them.
_VERTICAL = 1e-5
# Structures of one kind in a summary.
_MOST_LISTED = 10
# Numbers of a block of planes times structures, 80 MB.
_BLOCK = 10_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class Hull:
    """The lower convex hull of energies over composition; energies in the unit that came in.

    Attributes:
        vertices: `[vertices]` structures at the corners of the hull, the ground states, ascending. Of structures that
            are equal in composition and energy, the first.
        energies_above_hull: `[structures]` energy against the mixture of ground states of the same composition; 0 on
            the hull.
        simplices: `[facets, dimensions + 1]` structures at the corners of each facet: the phases that coexist.
    """

    vertices: np.ndarray
    energies_above_hull: np.ndarray
    simplices: np.ndarray

    @property
    def num_dimensions(self) -> int:
        """Independent directions of composition in the data: 0 at one composition, 1 in a binary."""
        return self.simplices.shape[1] - 1


@dataclasses.dataclass(frozen=True, eq=False)
class GroundStates:
    """How the ground states of a model compare with those of its data; energies eV per prim.

    Structures within `tolerance` of a hull count as on it.

    Attributes:
        reference: hull of the reference energies.
        predicted: hull of the predicted energies.
        kept: reference ground states that are on the predicted hull.
        missed: reference ground states that are not, the worst first.
        missed_by: predicted energies above the predicted hull of those.
        invented: structures on the predicted hull that are above the reference hull, the worst first.
        invented_by: reference energies above the reference hull of those.
        ground_state_rmse: root mean square error of the predicted energies of the reference ground states.
        hull_rmse: root mean square difference of the two hulls, at the compositions of the structures.
        above_hull_rmse: root mean square error of the energies above hull, all structures.
        tolerance: see above.
    """

    reference: Hull
    predicted: Hull
    kept: np.ndarray
    missed: np.ndarray
    missed_by: np.ndarray
    invented: np.ndarray
    invented_by: np.ndarray
    ground_state_rmse: float
    hull_rmse: float
    above_hull_rmse: float
    tolerance: float

    @property
    def is_preserved(self) -> bool:
        """Whether no ground state is missed and none is invented."""
        return len(self.missed) == 0 and len(self.invented) == 0

    def to_dict(self) -> dict[str, Any]:
        """Lists and numbers of Python, for JSON; structures by their place in the arrays that came in."""
        return {
            "num_structures": len(self.reference.energies_above_hull),
            "num_dimensions": self.reference.num_dimensions,
            "reference_ground_states": self.reference.vertices.tolist(),
            "predicted_ground_states": self.predicted.vertices.tolist(),
            "kept": self.kept.tolist(),
            "missed": self.missed.tolist(),
            "missed_by_eV_per_prim": self.missed_by.tolist(),
            "invented": self.invented.tolist(),
            "invented_by_eV_per_prim": self.invented_by.tolist(),
            "ground_state_rmse_eV_per_prim": self.ground_state_rmse,
            "hull_rmse_eV_per_prim": self.hull_rmse,
            "above_hull_rmse_eV_per_prim": self.above_hull_rmse,
            "tolerance_eV_per_prim": self.tolerance,
        }

    def summary(self, names: Sequence[str] | None = None) -> str:
        """What is kept, missed and invented, and the errors, meV per prim.

        Args:
            names: `[structures]` what structures are called; without it, their numbers are given.
        """
        lines = [
            f"{len(self.reference.vertices)} reference ground states among {len(self.reference.energies_above_hull)} "
            f"structures, {self.reference.num_dimensions} independent composition variables: {len(self.kept)} kept, "
            f"{len(self.missed)} missed, {len(self.invented)} invented",
            f"{'':32}{'meV/prim':>12}",
        ]
        for name, error in (
            ("RMSE of ground states", self.ground_state_rmse),
            ("RMSE of the hull", self.hull_rmse),
            ("RMSE of energies above hull", self.above_hull_rmse),
        ):
            lines.append(f"{name:32}{1e3 * error:12.3f}")
        named = names or [f"structure {index}" for index in range(len(self.reference.energies_above_hull))]
        lines += _listed("missed", named, self.missed, self.missed_by, "the predicted hull")
        lines += _listed("invented", named, self.invented, self.invented_by, "the reference hull")
        return "\n".join(lines)


def _listed(kind: str, names: Sequence[str], structures: np.ndarray, energies: np.ndarray, hull: str) -> list[str]:
    shown = zip(structures[:_MOST_LISTED].tolist(), energies.tolist(), strict=False)
    lines = [f"{kind}: {names[index]}, {1e3 * energy:.3f} meV/prim above {hull}" for index, energy in shown]
    if len(structures) > _MOST_LISTED:
        lines.append(f"{kind}: {len(structures) - _MOST_LISTED} more, nearer to the hull")
    return lines


class _Points(NamedTuple):
    """The lowest structure of each composition, in units of the ranges of the data.

    Attributes:
        structures: `[points]` index of each in the caller's arrays.
        point_of_structure: `[structures]` the point of the same composition.
        coordinates: `[points, dimensions]` independent coordinates of composition, from 0 to 1.
        heights: `[points]` energies less their linear part, from -1 to 1.
        scale: energy of height 1.
    """

    structures: np.ndarray
    point_of_structure: np.ndarray
    coordinates: np.ndarray
    heights: np.ndarray
    scale: float


def lower_hull(concentrations: Any, energies: Any) -> Hull:
    """The lower convex hull of energies over composition.

    Components may depend on each other (fractions that add up to 1, charge balance): the hull is taken over as many
    coordinates as are independent in the data. The facets are those of Qhull (Barber, Dobkin and Huhdanpaa, ACM Trans.
    Math. Softw. 22, 469, 1996) that face down; the hull at a composition is the highest of their planes there.

    The number of facets grows fast with the dimension and the number of ground states. Measured for 5000 structures
    with random energies: 0.01 s in three dimensions, 1 s in five (300 ground states), 17 s in six (500). More
    dimensions, or thousands of ground states in five, are out of reach. Structures that lie on a facet within rounding
    (1e-12 of the range of energies or so) may or may not be among the vertices; either way they are as near it.

    Args:
        concentrations: `[structures, components]` fractions; differences below 1e-5 count as rounding. They must be
            parts of a fixed number of sites, as `concentrations_of` gives them.
        energies: `[structures]` eV per prim: per the unit of which concentrations are fractions, so that a mixture's
            energy is the mean.

    Raises:
        ValueError: if shapes disagree, there is no structure, or a number is not finite.
    """
    concentrations, energies = _checked_data(concentrations, energies)
    points = _lowest_points(concentrations, energies)
    if points.coordinates.shape[1] == 0:
        # One point, whose height is 0.
        simplices, planes = np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1))
    else:
        simplices, planes = _lower_facets(points)
    vertices = np.unique(simplices)
    depths = _highest_plane(planes, points.coordinates)
    above = points.scale * np.maximum(points.heights - depths, 0.0)
    # Exact where it is known.
    above[vertices] = 0.0
    lowest = energies[points.structures]
    return Hull(
        vertices=np.sort(points.structures[vertices]),
        energies_above_hull=energies - lowest[points.point_of_structure] + above[points.point_of_structure],
        simplices=points.structures[simplices],
    )


def ground_state_check(
    concentrations: Any,
    reference_energies: Any,
    predicted_energies: Any,
    tolerance: float | int = 1e-6,
    classes: Any = None,
) -> GroundStates:
    """Which ground states of the data a model keeps, misses and invents.

    A small error of energies does not make the right ground states: phase diagrams need that the structures at the
    corners of the reference hull are on the predicted one, and no others of the data (van de Walle and Ceder, J. Phase
    Equilib. 23, 348, 2002). Structures that are not in the data may still be lower.

    Args:
        concentrations: `[structures, components]` fractions, see `lower_hull`.
        reference_energies: `[structures]` eV per prim.
        predicted_energies: `[structures]` eV per prim.
        tolerance: structures that are no further above a hull count as on it, eV per prim.
        classes: `[structures]` equal for equivalent structures, such as `TrainingSet.equivalence_classes`: of those
            that the model invents, each class counts once, by its lowest reference energy. Otherwise copies of a
            ground state whose reference energies scatter count as invented. None if all differ.

    Raises:
        ValueError: as `lower_hull`, or if `tolerance` is negative.
    """
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` is an energy above the hull, at least 0 eV per prim, but is {tolerance}.")
    reference, predicted = (
        lower_hull(concentrations, reference_energies),
        lower_hull(concentrations, predicted_energies),
    )
    errors = np.asarray(predicted_energies, dtype=np.float64) - np.asarray(reference_energies, dtype=np.float64)
    above_errors = predicted.energies_above_hull - reference.energies_above_hull
    missed, missed_by = _above(predicted, reference.vertices, tolerance)
    # Not the corners only: the model may give several structures of one composition the same energy.
    on_predicted = np.flatnonzero(predicted.energies_above_hull <= tolerance)
    if classes is not None:
        on_predicted = _lowest_of_each(np.asarray(classes), np.asarray(reference_energies), on_predicted)
    invented, invented_by = _above(reference, on_predicted, tolerance)
    return GroundStates(
        reference=reference,
        predicted=predicted,
        kept=np.setdiff1d(reference.vertices, missed),
        missed=missed,
        missed_by=missed_by,
        invented=invented,
        invented_by=invented_by,
        ground_state_rmse=_root_mean_square(errors[reference.vertices]),
        hull_rmse=_root_mean_square(errors - above_errors),
        above_hull_rmse=_root_mean_square(above_errors),
        tolerance=float(tolerance),
    )


def _lowest_of_each(classes: np.ndarray, energies: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Those of `chosen` that are the lowest of all structures of their class; ascending."""
    by_energy = np.argsort(energies, kind="stable")
    _, first = np.unique(classes[by_energy], return_index=True)
    return np.intersect1d(chosen, by_energy[first])


def concentrations_of(mappings: Sequence[Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Fractions of the species on each active sublattice, `[structures, components]`, and the components' names.

    No species is left out, so the fractions of a sublattice add up to 1. A name is that of the sublattice and the
    species: "A:Sr".

    Args:
        mappings: objects with `supercell` and `occupancy`, such as `Mapping` or `Candidate`.

    Raises:
        ValueError: if there is no structure or the prims differ.
    """
    if not mappings:
        raise ValueError("concentrations need at least one mapped structure, but `mappings` is empty.")
    prim = mappings[0].supercell.prim
    unlike = [index for index, mapping in enumerate(mappings) if mapping.supercell.prim != prim]
    if unlike:
        raise ValueError(
            f"all structures must be mapped to one prim, but those of {unlike[:10]} differ from that of 0."
        )
    names = tuple(f"{sublattice.name}:{name}" for sublattice in prim.sublattices for name in sublattice.species)
    rows = [np.concatenate([np.zeros(0), *_sublattice_fractions(mapping)]) for mapping in mappings]
    return np.stack(rows), names


def _sublattice_fractions(mapping: Any) -> Iterator[np.ndarray]:
    for sublattice in mapping.supercell.sublattices:
        counts = np.bincount(mapping.occupancy[sublattice.sites], minlength=len(sublattice.species))
        yield counts / len(sublattice.sites)


def _checked_data(concentrations: Any, energies: Any) -> tuple[np.ndarray, np.ndarray]:
    concentrations, energies = np.asarray(concentrations, dtype=np.float64), np.asarray(energies, dtype=np.float64)
    if concentrations.ndim != 2 or energies.shape != concentrations.shape[:1] or len(energies) == 0:
        raise ValueError(
            "a hull needs concentrations `[structures, components]` and energies `[structures]` of at least one "
            f"structure, but they have shapes {concentrations.shape} and {energies.shape}; write a single "
            "concentration x as x[:, None]."
        )
    wrong = np.flatnonzero(~(np.isfinite(energies) & np.all(np.isfinite(concentrations), axis=1)))
    if len(wrong):
        raise ValueError(f"concentrations and energies must be finite, but those of {wrong[:10].tolist()} are not.")
    return concentrations, energies


def _lowest_points(concentrations: np.ndarray, energies: np.ndarray) -> _Points:
    snapped = np.empty_like(concentrations)
    for component in range(concentrations.shape[1]):
        snapped[:, component] = _snapped(concentrations[:, component])
    order = np.argsort(energies, kind="stable")
    # The first of each composition in this order is its lowest.
    _, first, group = np.unique(snapped[order], axis=0, return_index=True, return_inverse=True)
    point_of_structure = np.empty(len(energies), dtype=np.int64)
    point_of_structure[order] = group.reshape(-1)
    structures = order[first]
    coordinates = _independent_coordinates(snapped[structures])
    # A linear function of composition shifts no structure against the hull, and would cost digits.
    design = np.column_stack([np.ones(len(coordinates)), coordinates])
    lowest = energies[structures]
    heights = lowest - design @ np.linalg.lstsq(design, lowest, rcond=None)[0]
    scale = float(np.abs(heights).max())
    if scale <= 1e-12 * np.abs(energies).max():
        heights, scale = np.zeros_like(heights), 1.0
    return _Points(structures, point_of_structure, coordinates, heights / scale, scale)


def _snapped(values: np.ndarray) -> np.ndarray:
    """The values with those that differ by rounding made equal."""
    order = np.argsort(values, kind="stable")
    is_first = np.diff(values[order], prepend=-np.inf) > _COMPOSITION_TOLERANCE
    snapped = np.empty_like(values)
    snapped[order] = values[order][is_first][np.cumsum(is_first) - 1]
    return snapped


def _independent_coordinates(concentrations: np.ndarray) -> np.ndarray:
    """`[points, dimensions]` components on which all others depend linearly, each scaled to 0..1."""
    if concentrations.size == 0:
        return np.zeros((len(concentrations), 0))
    _, triangle, columns = qr(concentrations - concentrations[0], mode="economic", pivoting=True)
    # A diagonal entry is a norm over all points.
    limit = _COMPOSITION_TOLERANCE * np.sqrt(len(concentrations))
    kept = np.sort(columns[: np.count_nonzero(np.abs(np.diag(triangle)) > limit)])
    independent = concentrations[:, kept]
    lowest = independent.min(axis=0)
    return (independent - lowest) / (independent.max(axis=0) - lowest)


def _lower_facets(points: _Points) -> tuple[np.ndarray, np.ndarray]:
    """Corners `[facets, dimensions + 1]` and planes `[facets, 1 + dimensions]`: constant and slopes of the height."""
    count = len(points.heights)
    # A lid makes the body solid where all energies are coplanar, and takes high energies off the hull.
    bottom = np.column_stack([points.coordinates, points.heights])
    lid = np.column_stack([points.coordinates, np.full(count, 2.0)])
    body = ConvexHull(np.concatenate([bottom, lid]))
    is_lower = body.equations[:, -2] < -_VERTICAL
    equations = body.equations[is_lower]
    planes = -equations[:, [-1, *range(equations.shape[1] - 2)]] / equations[:, [-2]]
    return body.simplices[is_lower], planes


def _highest_plane(planes: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """`[points]` the hull: a convex function is the highest of its tangent planes."""
    design = np.column_stack([np.ones(len(coordinates)), coordinates])
    block = max(1, _BLOCK // len(planes))
    return np.concatenate(
        [np.max(design[start : start + block] @ planes.T, axis=1) for start in range(0, len(design), block)]
    )


def _above(hull: Hull, structures: np.ndarray, tolerance: float | int) -> tuple[np.ndarray, np.ndarray]:
    """Those of the structures that lie above the hull, the highest first, and by how much."""
    energies = hull.energies_above_hull[structures]
    order = [index for index in np.argsort(-energies, kind="stable") if energies[index] > tolerance]
    return structures[order], energies[order]


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
