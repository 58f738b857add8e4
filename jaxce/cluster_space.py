"""The cluster space: a prim, its orbits and their cluster functions. What a model is defined on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jaxce.lattice.orbits import Orbit, build_orbits, merged_orbit
from jaxce.lattice.prim import Prim
from jaxce.lattice.site_basis import check_equal_on_equivalent_sites, prim_site_functions
from jaxce.lattice.symmetry import space_group


class ClusterSpace:
    """Orbits within cutoffs and their cluster functions, in a fixed order.

    The correlation vector has one entry per cluster function: orbit by orbit, in each orbit function by function;
    entry 0 is the empty cluster's. Orbits are sorted by order, diameter, multiplicity and the canonical form of
    their clusters (`jaxce.lattice.orbits`).

    Args:
        prim: the prim.
        cutoffs: for each order from 2 on, the largest distance between two sites of a cluster, angstrom, inclusive.
            A higher order may have the larger cutoff. Orders 0 and 1 are always present.
        site_basis: "trigonometric", "indicator", "chebyshev", "legendre", "polynomial", or one array
            `[functions without the constant, species]` per site (None for an inactive site).
        orthonormal: whether the site functions are orthonormalised.
        measure: weights of the species on each site for that (arrays in code order, or dicts); uniform without it.

    Attributes:
        prim: the prim.
        site_functions: for each prim site `[functions, species]`, row 0 the constant 1.
        orbits: the orbits, the empty cluster's first.
        metadata: how the space was made; kept in files, not used.

    Raises:
        ValueError: if a cutoff is not positive or admits no cluster, or the site basis does not fit the prim.
    """

    def __init__(
        self,
        prim: Prim,
        cutoffs: Mapping[int, float | int],
        site_basis: str | Sequence[Any] = "trigonometric",
        *,
        orthonormal: bool = False,
        measure: Sequence[Any] | None = None,
    ):
        group = space_group(prim)
        site_functions = prim_site_functions(prim, site_basis, orthonormal, measure)
        check_equal_on_equivalent_sites(site_functions, group.site_orbits)
        num_functions = np.array([len(table) - 1 for table in site_functions])
        self.prim = prim
        self.site_functions = site_functions
        self.orbits = build_orbits(prim, group, cutoffs, num_functions)
        self.metadata = {
            "cutoffs": {str(order): float(cutoff) for order, cutoff in sorted(cutoffs.items())},
            "site_basis": site_basis if isinstance(site_basis, str) else "user",
            "orthonormal": orthonormal,
        }

    @classmethod
    def from_orbits(
        cls,
        prim: Prim,
        site_functions: Sequence[np.ndarray],
        orbits: Iterable[Orbit],
        metadata: Mapping[str, Any] | None = None,
    ) -> "ClusterSpace":
        """A space with exactly these orbits and functions; nothing is rebuilt or re-sorted."""
        space = cls.__new__(cls)
        space.prim = prim
        space.site_functions = tuple(site_functions)
        space.orbits = tuple(orbits)
        space.metadata = dict(metadata or {})
        return space

    @property
    def num_correlations(self) -> int:
        """Length of the correlation vector."""
        return sum(len(orbit.functions) for orbit in self.orbits)

    @property
    def num_clusters_per_prim(self) -> int:
        """Clusters of all orbits per prim, the empty one not counted."""
        return sum(orbit.multiplicity for orbit in self.orbits if orbit.order)

    @property
    def multiplicities(self) -> np.ndarray:
        """`[correlations]` clusters per prim times equivalent labelings; coefficient = ECI x this."""
        return np.concatenate([orbit.function_multiplicities for orbit in self.orbits])

    @property
    def orbit_of_correlation(self) -> np.ndarray:
        """`[correlations]` index of the orbit that each entry belongs to."""
        return np.repeat(np.arange(len(self.orbits)), [len(orbit.functions) for orbit in self.orbits])

    def to_dataframe(self) -> pd.DataFrame:
        """One row per correlation: orbit, order, diameter (angstrom), multiplicities, sublattices, site functions."""
        names = {int(site): s.name for s in self.prim.sublattices for site in s.sites}
        rows = [
            {
                "orbit": index,
                "order": orbit.order,
                "diameter": orbit.diameter,
                "orbit_multiplicity": orbit.multiplicity,
                "multiplicity": orbit.multiplicity * len(labelings),
                "sublattices": "-".join(names[int(site)] for site in orbit.clusters[0, :, 0]),
                "functions": "-".join(str(function) for function in labelings[0]),
            }
            for index, orbit in enumerate(self.orbits)
            for labelings in orbit.functions
        ]
        return pd.DataFrame(rows).rename_axis("correlation")

    def without_orbits(self, indices: Iterable[int]) -> "ClusterSpace":
        """The space without the orbits of these indices (into `orbits`).

        Raises:
            ValueError: if an index does not exist or is the empty cluster's 0.
        """
        removed = _checked_indices(indices, len(self.orbits), "orbit")
        return self._with_orbits([orbit for index, orbit in enumerate(self.orbits) if index not in removed])

    def without_correlations(self, indices: Iterable[int]) -> "ClusterSpace":
        """The space without these entries of the correlation vector; orbits left without functions go too.

        Raises:
            ValueError: if an index does not exist or is the empty cluster's 0.
        """
        removed = _checked_indices(indices, self.num_correlations, "correlation")
        orbits, start = [], 0
        for orbit in self.orbits:
            kept = tuple(f for i, f in enumerate(orbit.functions, start) if i not in removed)
            start += len(orbit.functions)
            if kept:
                orbits.append(Orbit(orbit.clusters, orbit.diameter, kept))
        return self._with_orbits(orbits)

    def with_merged_orbits(self, groups: Iterable[Sequence[int]]) -> "ClusterSpace":
        """The space with each group of orbits merged into one, in the place of the group's first.

        Raises:
            ValueError: if orbits of a group differ in order, functions or site functions, or an index does not exist.
        """
        orbits: list[Orbit | None] = list(self.orbits)
        for group in groups:
            members = [orbits[i] for i in sorted(_checked_indices(group, len(orbits), "orbit"), key=list(group).index)]
            if None in members or len(members) < 2:
                raise ValueError(f"a merge needs at least two orbits that are in no other group, but came as {group}.")
            self._check_same_site_functions([orbit for orbit in members if orbit is not None])
            for index in group:
                orbits[index] = None
            orbits[group[0]] = merged_orbit([orbit for orbit in members if orbit is not None])
        return self._with_orbits([orbit for orbit in orbits if orbit is not None])

    def __repr__(self) -> str:
        table = self.to_dataframe().to_string(max_rows=40, float_format="{:.4f}".format)
        return f"ClusterSpace of {self.prim}\n{self.num_correlations} correlations, {len(self.orbits)} orbits\n{table}"

    def _check_same_site_functions(self, orbits: Sequence[Orbit]) -> None:
        """A merged orbit has one coefficient for products of the same functions, so each point needs the same table."""
        tables = [[self.site_functions[site] for site in orbit.clusters[0, :, 0]] for orbit in orbits]
        for other in tables[1:]:
            if not all(np.array_equal(a, b) for a, b in zip(tables[0], other, strict=False)):
                raise ValueError(
                    f"orbits whose points have different site functions cannot be merged: {orbits}. Do their sites "
                    "allow other species, or come the points in another order?"
                )

    def _with_orbits(self, orbits: Iterable[Orbit]) -> "ClusterSpace":
        return ClusterSpace.from_orbits(self.prim, self.site_functions, orbits, self.metadata)


def _checked_indices(indices: Iterable[int], count: int, what: str) -> set[int]:
    given = [int(index) for index in indices]
    wrong = sorted(index for index in given if not 0 < index < count)
    if wrong or len(set(given)) != len(given):
        raise ValueError(
            f"{what} indices must be different and lie in 1..{count - 1} (0, the empty cluster, stays), not {given}."
        )
    return set(given)
