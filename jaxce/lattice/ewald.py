"""Coulomb energies of ions in a supercell by Ewald's method, as a matrix over (site, species).

The terms and their convergence parameters are those of pymatgen's `EwaldSummation` on the structure that holds every
allowed species of every site at once, so that energies are those of smol.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

from jaxce.lattice.prim import VACANCY, Prim
from jaxce.lattice.supercell import Supercell

# e^2 / (4 pi epsilon_0), eV angstrom, with the numbers of CODATA 2022. Those of `scipy.constants` change with its
# version, and with them the tenth digit of every energy.
COULOMB = 1e10 * 1.602176634e-19 / (4 * math.pi * 8.8541878188e-12)
TERMS = ("total", "real", "reciprocal", "point")
# Both sums are cut where their terms have fallen to 1e-12, as in pymatgen.
_DECAY = math.sqrt(12 * math.log(10))
# What a point in real space is compared with in pymatgen's default `eta`.
_REAL_SPACE_WEIGHT = 1 / math.sqrt(2)
# Entries of the matrix: 2 GiB in double precision.
_LARGEST_MATRIX = 2**28
# Distances or phases that are held at once.
_BLOCK = 2**21
# Closer than this (angstrom), two points are the same.
_SAME_POINT = 1e-8


@dataclasses.dataclass(frozen=True, kw_only=True)
class EwaldInteraction:
    """The Coulomb energy of point charges, periodic with the supercell, in tin-foil boundary conditions.

    A part of a model: `ClusterExpansion(space, coefficients, interactions=[...])`. For neutral cells the energy does
    not depend on `eta` or the cuts, unless these are set too small. For charged cells it does, and differs between
    supercells, unless `neutralize` is set.

    Attributes:
        charges: for each prim site the charge of each species in the order of its codes, in e; 0 for vacancies.
        coefficient: factor of the energy: 1 / (dielectric constant).
        eta: splits the sum into its two parts, 1 / angstrom^2; by default chosen for each supercell.
        real_space_cut: distance (angstrom) where the sum in real space ends; by default chosen with `eta`.
        recip_space_cut: the same for reciprocal space, 1 / angstrom.
        use_term: "total", or the one part that counts: "real", "reciprocal" or "point". A part has no physical meaning.
        neutralize: whether a uniform background neutralises the cell.

    Raises:
        ValueError: if a number is not finite or not positive where it must be, or `use_term` is unknown.
    """

    charges: Sequence[Sequence[float | int]]
    coefficient: float | int = 1.0
    eta: float | int | None = None
    real_space_cut: float | int | None = None
    recip_space_cut: float | int | None = None
    use_term: str = "total"
    neutralize: bool = False

    def __post_init__(self):
        # Tuples, so that equal interactions compare equal.
        object.__setattr__(self, "charges", tuple(tuple(float(q) for q in site) for site in self.charges))
        if not np.all(np.isfinite([self.coefficient, *itertools.chain.from_iterable(self.charges)])):
            raise ValueError(
                f"charges and `coefficient` must be finite, but came as {self.charges}, {self.coefficient}."
            )
        for name in ("eta", "real_space_cut", "recip_space_cut"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be positive, or None for the default, but is {value}.")
        if self.use_term not in TERMS:
            raise ValueError(f"`use_term` must be one of {TERMS}, not {self.use_term!r}.")
        if self.neutralize and self.use_term != "total":
            raise ValueError(f"a background belongs to the total energy, but `use_term` is {self.use_term!r}.")

    @classmethod
    def from_charges(cls, prim: Prim, charges: Mapping[str, float | int], **keywords: Any) -> "EwaldInteraction":
        """The interaction in which each species has one charge, whatever site it is on.

        Args:
            prim: the prim.
            charges: charge of every species of the prim, in e; a vacancy that is not named has none.
            **keywords: the other fields.

        Raises:
            ValueError: if a species has no charge, or the prim lacks one that is named.
        """
        named = {VACANCY: 0.0} | {prim.canonical_species(name): charge for name, charge in charges.items()}
        unknown = sorted(set(named) - set(prim.all_species) - {VACANCY})
        missing = sorted(set(prim.all_species) - set(named))
        if unknown or missing:
            raise ValueError(
                f"`charges` must name each of {list(prim.all_species)}, inactive sites included: "
                f"{missing} are missing, {unknown} are no species of the prim."
            )
        return cls(charges=[[named[name] for name in names] for names in prim.species], **keywords)

    def check_prim(self, prim: Prim) -> None:
        """Raise `ValueError` unless every species of every prim site has a charge."""
        counts = [len(site) for site in self.charges]
        if counts != prim.num_species.tolist():
            raise ValueError(
                f"an Ewald sum has charges for {counts} species on the sites of the prim, but these have "
                f"{prim.num_species.tolist()}: give one per species, inactive sites included."
            )

    def pair_arrays(self, supercell: Supercell) -> tuple[np.ndarray, np.ndarray]:
        """The energy as `sum_i linear[i] + sum_{i != j} matrix[i, j]` over occupied (site, species), eV.

        Returns:
            `[sites, species]` and `[sites, species, sites, species]`; 0 where a site has no such species.

        Raises:
            ValueError: if the charges do not fit the prim, or the matrix would not fit into memory.
        """
        self.check_prim(supercell.prim)
        num_species = int(supercell.prim.num_species.max())
        _check_size(supercell, num_species)
        charges = np.zeros((supercell.prim.num_sites, num_species))
        for row, site in zip(charges, self.charges, strict=True):
            row[: len(site)] = site
        charges = charges[supercell.prim_sites]
        potentials = self.coefficient * COULOMB * self._site_potentials(supercell)
        linear = charges**2 * np.diag(potentials)[:, None]
        np.fill_diagonal(potentials, 0)
        # A product at a time: no further array of the size of the result.
        matrix = np.multiply(charges[:, :, None, None], (potentials[:, :, None] * charges)[:, None])
        return linear, matrix

    def _site_potentials(self, supercell: Supercell) -> np.ndarray:
        """`[sites, sites]` energy of unit charges on two sites, in both orders, 1 / angstrom."""
        num_prims, num_prim_sites = supercell.num_prims, supercell.prim.num_sites
        coords, cells = supercell.prim.cart_coords(), supercell.cells
        vectors = (coords - coords[:, None])[:, :, None] + cells @ supercell.prim.lattice
        seen_from_origin = self._potentials(supercell, vectors.reshape(-1, 3))
        seen_from_origin = seen_from_origin.reshape(num_prim_sites, num_prim_sites, num_prims)
        # Between any two cells it is that between cell 0 and their difference.
        difference = supercell.cell_index(cells - cells[:, None])
        by_cells = seen_from_origin[:, :, difference]
        return by_cells.transpose(0, 2, 1, 3).reshape(supercell.num_sites, supercell.num_sites)

    def _potentials(self, supercell: Supercell, vectors: np.ndarray) -> np.ndarray:
        """`[vectors]` half the potential of a unit charge and its images at each vector, 1 / angstrom."""
        lattice = supercell.lattice
        volume = abs(np.linalg.det(lattice))
        eta = self.eta or self._default_eta(supercell)
        vectors = vectors - np.round(vectors @ np.linalg.inv(lattice)) @ lattice
        total = np.zeros(len(vectors))
        if self.use_term in ("total", "real"):
            total += _real_part(lattice, vectors, eta, self.real_space_cut or _DECAY / math.sqrt(eta))
        if self.use_term in ("total", "reciprocal"):
            total += _reciprocal_part(lattice, vectors, eta, self.recip_space_cut or 2 * _DECAY * math.sqrt(eta))
        if self.use_term in ("total", "point"):
            total[np.linalg.norm(vectors, axis=1) < _SAME_POINT] -= math.sqrt(eta / math.pi)
        if self.neutralize:
            total -= math.pi / (2 * volume * eta)
        return total

    def _default_eta(self, supercell: Supercell) -> float:
        """pymatgen's, for a structure with all species on all sites at once; a vacancy is none."""
        per_prim = sum(name != VACANCY for names in supercell.prim.species for name in names)
        volume = abs(np.linalg.det(supercell.lattice))
        return math.pi * (per_prim * supercell.num_prims * _REAL_SPACE_WEIGHT / volume**2) ** (1 / 3)


def _check_size(supercell: Supercell, num_species: int) -> None:
    entries = (supercell.num_sites * num_species) ** 2
    if entries > _LARGEST_MATRIX:
        largest = math.isqrt(_LARGEST_MATRIX) // num_species
        raise ValueError(
            f"the Coulomb energies of {supercell} would be a matrix of {entries * 8 / 2**30:.1f} GiB, "
            f"(sites x species)^2; with {num_species} species per site at most {largest} sites are possible."
        )


def _real_part(lattice: np.ndarray, vectors: np.ndarray, eta: float | int, cut: float | int) -> np.ndarray:
    reach = cut + np.linalg.norm(vectors, axis=1).max()

    def summed(block: np.ndarray, images: np.ndarray) -> np.ndarray:
        distances = np.linalg.norm(block[:, None] + images, axis=-1)
        counts = (distances > _SAME_POINT) & (distances <= cut)
        terms = np.zeros_like(distances)
        terms[counts] = scipy.special.erfc(math.sqrt(eta) * distances[counts]) / distances[counts]
        return terms.sum(axis=1) / 2

    return _in_blocks(summed, vectors, _points_within(lattice, reach))


def _reciprocal_part(lattice: np.ndarray, vectors: np.ndarray, eta: float | int, cut: float | int) -> np.ndarray:
    points = _points_within(2 * math.pi * np.linalg.inv(lattice).T, cut)
    points = points[np.linalg.norm(points, axis=1) > _SAME_POINT]
    squares = np.sum(points**2, axis=1)
    weights = np.exp(-squares / (4 * eta)) / squares * 2 * math.pi / abs(np.linalg.det(lattice))
    return _in_blocks(lambda block, waves: np.cos(block @ waves.T) @ weights, vectors, points)


def _points_within(lattice: np.ndarray, radius: float | int) -> np.ndarray:
    """`[points, 3]` lattice points in a sphere around the origin."""
    # As many cells along each vector as the radius spans lattice planes.
    extent = np.ceil(radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int)
    slabs = np.array(list(itertools.product(*(range(-n, n + 1) for n in extent[1:]))))
    found = []
    for first in range(-extent[0], extent[0] + 1):
        points = np.insert(slabs, 0, first, axis=1) @ lattice
        found.append(points[np.linalg.norm(points, axis=1) <= radius])
    return np.concatenate(found)


def _in_blocks(function: Callable, vectors: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`function(vectors, points)` for some vectors at a time."""
    size = max(1, _BLOCK // max(1, len(points)))
    return np.concatenate([function(vectors[start : start + size], points) for start in range(0, len(vectors), size)])
