"""The primitive cell: where sites are and which species each may hold."""

import collections
import itertools
import string
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

VACANCY = "X"
VACANCY_ALIASES = ("X", "Va", "VA", "Vac", "VAC", "vac", "VO", "V_O", "vacancy", "Vacancy")
# Two sites closer than this (angstrom) are one site written twice.
_SMALLEST_DISTANCE = 1e-2
# With longer vectors (angstrom) rounding exceeds any tolerance, and spglib may look for symmetry without end.
_LONGEST_VECTOR = 1e6


class Sublattice(NamedTuple):
    """Sites that hold the same species in the same order.

    Attributes:
        name: short name, such as "A".
        species: allowed species; the position is the species code.
        sites: site indices, ascending.
    """

    name: str
    species: tuple[str, ...]
    sites: np.ndarray


class Prim:
    """A cell with the species allowed on each of its sites.

    The cell is taken as it is, also when a smaller one would describe the same crystal; `reduce_to_primitive` finds
    that one. A cell whose shape is less symmetric than the crystal has fewer operations and hence more orbits. The
    order of the species on a site defines their codes: the first has code 0. Sites with one species are inactive; they
    keep their place and count as sites.

    Args:
        lattice: `[3, 3]` lattice vectors in rows, angstrom.
        frac_coords: `[sites, 3]` fractional coordinates.
        species: allowed species of each site. A species is a label: a chemical symbol, with the oxidation
            state where that tells two apart ("Mn3+"). A vacancy is the species "X".
        labels: one string per site; sites with different labels are never symmetry-equivalent.
        sublattice_names: names of the active sublattices, in the order of their first site.
        vacancy_aliases: further names for the vacancy, besides `VACANCY_ALIASES`.
        symprec: distance (angstrom) within which atoms are equal for the symmetry search.

    Raises:
        ValueError: if the lattice is singular or longer than 1e6 angstrom, shapes disagree, two sites coincide, or
            species repeat.
    """

    def __init__(
        self,
        lattice: Any,
        frac_coords: Any,
        species: Sequence[Sequence[str]],
        labels: Sequence[str] | None = None,
        sublattice_names: Sequence[str] | None = None,
        *,
        vacancy_aliases: Sequence[str] = (),
        symprec: float | int = 1e-5,
    ):
        self.lattice = _checked_lattice(lattice)
        self.frac_coords = _checked_coords(frac_coords)
        self.num_sites = len(self.frac_coords)
        self.vacancy_aliases = tuple(vacancy_aliases)
        self.species = self._checked_species(species)
        self.labels = self._checked_labels(labels)
        self.symprec = float(symprec)
        _check_no_coinciding_sites(self.lattice, self.frac_coords)
        self.sublattices = self._named_sublattices(sublattice_names)

    @classmethod
    def from_ase(cls, atoms: Any, species: Mapping[str, Sequence[str]], **keywords: Any) -> "Prim":
        """The prim whose cell and sites are those of `atoms`.

        Args:
            atoms: an `ase.Atoms`; each atom is a site.
            species: allowed species for each chemical symbol in `atoms`; symbols not named are inactive.
            **keywords: passed to `Prim`.

        Raises:
            ValueError: if `species` names a symbol that `atoms` lacks.
        """
        symbols = list(atoms.get_chemical_symbols())
        unused = sorted(set(species) - set(symbols))
        if unused:
            raise ValueError(
                f"`species` names {unused}, but the atoms are {sorted(set(symbols))}: "
                "its keys must be symbols of the atoms that stand on the sites."
            )
        allowed = [species.get(symbol, (symbol,)) for symbol in symbols]
        return cls(np.array(atoms.cell), atoms.get_scaled_positions(wrap=False), allowed, **keywords)

    @property
    def num_species(self) -> np.ndarray:
        """`[sites]` number of species allowed on each site."""
        return np.array([len(names) for names in self.species])

    @property
    def active_sites(self) -> np.ndarray:
        """Indices of the sites with more than one species."""
        return np.flatnonzero(self.num_species > 1)

    @property
    def all_species(self) -> tuple[str, ...]:
        """Every species of the prim, once, in the order of first appearance."""
        return tuple(dict.fromkeys(itertools.chain.from_iterable(self.species)))

    def canonical_species(self, name: str) -> str:
        """`name`, or "X" where it is an alias of the vacancy."""
        return VACANCY if name in VACANCY_ALIASES or name in self.vacancy_aliases else name

    def cart_coords(self) -> np.ndarray:
        """`[sites, 3]` Cartesian coordinates, angstrom."""
        return self.frac_coords @ self.lattice

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Prim)
            and np.array_equal(self.lattice, other.lattice)
            and np.array_equal(self.frac_coords, other.frac_coords)
            and self.species == other.species
            and self.labels == other.labels
            # It decides the space group, so prims that differ in it have different clusters.
            and self.symprec == other.symprec
        )

    def __hash__(self) -> int:
        return hash((self.lattice.tobytes(), self.frac_coords.tobytes(), self.species, self.labels, self.symprec))

    def __repr__(self) -> str:
        sites = ", ".join(f"{len(s.sites)} x ({'/'.join(s.species)})" for s in self.sublattices)
        inactive = self.num_sites - len(self.active_sites)
        return f"Prim({self.num_sites} sites: {sites}{f', {inactive} inactive' if inactive else ''})"

    def _checked_species(self, species: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
        if len(species) != self.num_sites:
            raise ValueError(
                f"`species` needs one sequence for each of the {self.num_sites} sites, but has {len(species)}."
            )
        checked = []
        for site, names in enumerate(species):
            # A set has no order, so it would give no codes.
            if isinstance(names, str | Set) or not names or not all(isinstance(n, str) and n for n in names):
                raise ValueError(
                    f"the species of site {site} must be a sequence of symbols such as ['Sr', 'La'], "
                    f"but came as {names!r}."
                )
            canonical = tuple(self.canonical_species(name) for name in names)
            if len(set(canonical)) != len(canonical):
                raise ValueError(f"site {site} lists a species twice: {list(names)} (vacancy aliases count as X).")
            checked.append(canonical)
        return tuple(checked)

    def _checked_labels(self, labels: Sequence[str] | None) -> tuple[str, ...]:
        if labels is None:
            return ("",) * self.num_sites
        if len(labels) != self.num_sites:
            raise ValueError(f"`labels` needs one string for each of the {self.num_sites} sites, not {len(labels)}.")
        return tuple(str(label) for label in labels)

    def _named_sublattices(self, names: Sequence[str] | None) -> tuple[Sublattice, ...]:
        sites_of: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
        for site in self.active_sites:
            sites_of[self.species[site]].append(int(site))
        if names is None:
            names = list(itertools.islice(_letters(), len(sites_of)))
        if len(names) != len(sites_of) or len(set(names)) != len(names):
            raise ValueError(
                f"`sublattice_names` needs {len(sites_of)} different names, one for each of "
                f"{list(sites_of)}, but came as {list(names)}."
            )
        return tuple(
            Sublattice(name, species, np.array(sites))
            for name, (species, sites) in zip(names, sites_of.items(), strict=True)
        )


def _letters():
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_uppercase, repeat=length):
            yield "".join(letters)


def _checked_lattice(lattice: Any) -> np.ndarray:
    array = np.array(lattice, dtype=float)
    if array.shape != (3, 3) or not np.all(np.isfinite(array)):
        raise ValueError(f"`lattice` must be a 3x3 array of finite numbers (rows are vectors), not {lattice!r}.")
    if np.abs(array).max() > _LONGEST_VECTOR:
        raise ValueError(
            f"`lattice` is in angstrom and may have no number above {_LONGEST_VECTOR:g}, but is {array.tolist()}: "
            "is the unit right?"
        )
    if abs(np.linalg.det(array)) < 1e-6:
        raise ValueError(f"`lattice` must have three independent vectors, but its volume is 0: {array.tolist()}")
    array.setflags(write=False)
    return array


def _checked_coords(frac_coords: Any) -> np.ndarray:
    array = np.array(frac_coords, dtype=float)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0 or not np.all(np.isfinite(array)):
        raise ValueError(f"`frac_coords` must be a [sites, 3] array of finite numbers, but has shape {array.shape}.")
    array.setflags(write=False)
    return array


def _check_no_coinciding_sites(lattice: np.ndarray, frac_coords: np.ndarray) -> None:
    difference = frac_coords[:, None] - frac_coords[None, :]
    difference -= np.round(difference)
    distances = np.linalg.norm(difference @ lattice, axis=-1)
    first, second = np.nonzero(np.triu(distances < _SMALLEST_DISTANCE, k=1))
    if len(first):
        raise ValueError(
            f"sites {first[0]} and {second[0]} coincide ({frac_coords[first[0]].tolist()}): "
            "give one site with all its species instead."
        )
