"""Structures of ASE and occupancies of a lattice: ideal or relaxed, in any orientation and order of atoms."""

import dataclasses
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import ase
import numpy as np
from ase.data import chemical_symbols
from ase.geometry import get_distances, minkowski_reduce
from scipy.optimize import linear_sum_assignment

from jaxce.lattice.atom_kinds import AtomKinds, symbol_of_label
from jaxce.lattice.prim import VACANCY, Prim
from jaxce.lattice.supercell import Supercell, hermite_normal_form
from jaxce.lattice.supercell_search import candidate_transformations, strain_size, stretch_and_rotation

# Of an atom that is in doubt, the second nearest site is further than the assigned one by less than this part of the
# smallest distance between two sites that allow the same species.
_CLEAR_MARGIN = 0.2
# Atoms that claim the same site are assigned by optimal matching up to this number of sites.
_LARGEST_MATCHING = 2000
_SHIFT_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class Mapping:
    """A structure on its lattice.

    Displacements are in the ideal frame: strain, rotation and a rigid shift of the whole crystal are taken off.

    Attributes:
        supercell: the supercell.
        occupancy: `[sites]` species codes, int8.
        site_of_atom: `[atoms]` site of each of the caller's atoms, explicit vacancies included.
        displacements: `[atoms, 3]` atom minus site, angstrom.
        strain: `[3, 3]` Biot strain of the cell, in the ideal frame.
        rotation: `[3, 3]` rotation that follows the stretch: cell = ideal cell @ (1 + strain) @ rotation.
        shift: `[3]` rigid shift that was taken off, angstrom.
        ambiguous: atoms whose site is in doubt: another allowed site is nearer, or nearly as near.
    """

    supercell: Supercell
    occupancy: np.ndarray
    site_of_atom: np.ndarray
    displacements: np.ndarray
    strain: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray
    ambiguous: tuple[int, ...]

    @property
    def atom_of_site(self) -> np.ndarray:
        """`[sites]` the caller's atom on each site; -1 where there is none."""
        atoms = np.full(self.supercell.num_sites, -1)
        atoms[self.site_of_atom] = np.arange(len(self.site_of_atom))
        return atoms

    def report(self) -> str:
        """What was found, in a few lines."""
        lengths = np.linalg.norm(self.displacements, axis=1)
        principal = np.linalg.eigvalsh(self.strain)
        lines = [
            f"{self.supercell}: {len(self.site_of_atom)} atoms, {np.sum(self.atom_of_site < 0)} sites without an atom",
            f"displacements: rms {np.sqrt(np.mean(lengths**2)):.3f} A, largest {lengths.max():.3f} A "
            f"(atom {lengths.argmax()}); rigid shift {np.linalg.norm(self.shift):.3f} A",
            "principal strains: "
            + ", ".join(f"{100 * value:+.2f} %" for value in principal)
            + f"; volume {100 * (np.prod(1 + principal) - 1):+.2f} %",
        ]
        if self.ambiguous:
            lines.append(f"atoms whose site is in doubt: {list(self.ambiguous)}")
        return "\n".join(lines)


class Failure(NamedTuple):
    """A structure that could not be mapped.

    Attributes:
        index: its place in the list.
        name: its `info["id"]` or `info["name"]`, or else its formula.
        reason: what is wrong.
    """

    index: int
    name: str
    reason: str


class MappedStructures(NamedTuple):
    """Mappings of a list of structures; None where one failed.

    Attributes:
        mappings: a `Mapping` or None for each structure.
        failures: the structures that failed, with the reason.
    """

    mappings: list[Mapping | None]
    failures: list[Failure]


class _Assignment(NamedTuple):
    """Sites of atoms for one cell and shift; arrays per atom."""

    sites: np.ndarray
    displacements: np.ndarray
    shift: np.ndarray
    is_doubtful: np.ndarray


def map_structure(
    prim: Prim,
    atoms: Any,
    supercell: Supercell | None = None,
    *,
    max_displacement: float | int | None = None,
    max_strain: float | int = 0.2,
) -> Mapping:
    """Find the site of every atom of a structure.

    Atoms may be in any order, outside the cell, displaced; the cell may be strained, rotated, left-handed; the crystal
    may be shifted as a whole; vacancies may be absent or explicit atoms of symbol "X".

    Args:
        prim: the prim.
        atoms: an `ase.Atoms`. Species are `atoms.arrays["species"]` where present, else chemical symbols.
        supercell: the supercell, if it is known; otherwise it is found.
        max_displacement: largest distance of an atom from its site, angstrom; by default half the smallest distance
            between two sites that allow the same species.
        max_strain: largest principal strain.

    Raises:
        ValueError: if the structure is no supercell of the prim, an atom is too far from an allowed site, two atoms
            claim one site, or a site that cannot be vacant has no atom.
    """
    cell = np.array(atoms.cell)
    if abs(np.linalg.det(cell)) < 1e-6 or not np.all(atoms.pbc):
        raise ValueError(
            "the structure must be periodic along three independent vectors: set `atoms.cell` and `atoms.pbc`."
        )
    kinds = AtomKinds(prim, atoms)
    limit = _exchange_distance(prim) / 2 if max_displacement is None else float(max_displacement)
    best, first_error = None, None
    for transformation, candidate in _cells(prim, kinds, cell, supercell, max_strain):
        try:
            assignment = _assigned(prim, candidate, transformation, atoms, kinds, limit)
        except ValueError as error:
            first_error = first_error or error
            continue
        cost = float(np.sum(assignment.displacements**2))
        if best is None or cost < best[0] - 1e-6:
            best = (cost, transformation, candidate, assignment)
        if not np.any(assignment.is_doubtful):
            break
    if best is None:
        raise first_error or ValueError(_no_supercell(prim, cell, kinds, supercell, max_strain))
    return _mapping(prim, cell, kinds, *best[1:])


def map_structures(
    prim: Prim, structures: Sequence[Any], supercells: Sequence[Supercell] | None = None, **keywords: Any
) -> MappedStructures:
    """`map_structure` for a list; a structure that fails is reported, and the others are not lost."""
    cells = [None] * len(structures) if supercells is None else supercells
    mappings: list[Mapping | None] = []
    failures = []
    for index, (atoms, supercell) in enumerate(zip(structures, cells, strict=True)):
        try:
            mappings.append(map_structure(prim, atoms, supercell, **keywords))
        except ValueError as error:
            mappings.append(None)
            name = str(atoms.info.get("id") or atoms.info.get("name") or atoms.get_chemical_formula())
            failures.append(Failure(index, name, str(error)))
    return MappedStructures(mappings, failures)


def occupancy_from_ase(supercell: Supercell, atoms: Any) -> np.ndarray:
    """`[sites]` species codes of a structure in a known supercell; see `map_structure`."""
    return map_structure(supercell.prim, atoms, supercell).occupancy


def occupancy_to_ase(supercell: Supercell, occupancy: Any, keep_vacancies: bool = False) -> ase.Atoms:
    """The ideal structure of an occupancy, as `ase.Atoms` in site order.

    Args:
        supercell: the supercell.
        occupancy: `[sites]` species codes.
        keep_vacancies: whether vacancies become atoms of symbol "X" or are left out.

    Raises:
        ValueError: if the occupancy does not fit the supercell, or a species is no chemical element.
    """
    codes = checked_occupancy(supercell, occupancy)
    labels = np.array([names[code] for names, code in zip(supercell.species, codes, strict=True)])
    kept = np.ones(len(labels), dtype=bool) if keep_vacancies else labels != VACANCY
    symbols = [symbol_of_label(label) for label in labels[kept]]
    unknown = sorted({symbol for symbol in symbols if symbol not in chemical_symbols})
    if unknown:
        raise ValueError(f"{unknown} are no chemical elements, so ASE cannot hold this structure.")
    atoms = ase.Atoms(symbols, positions=supercell.cart_coords[kept], cell=supercell.lattice, pbc=True)
    if any(symbol != label for symbol, label in zip(symbols, labels[kept], strict=True)):
        atoms.set_array("species", labels[kept])
    return atoms


def checked_occupancy(supercell: Supercell, occupancy: Any) -> np.ndarray:
    """`occupancy` as an array, after its length and codes are checked.

    Raises:
        ValueError: if it is not one integer per site, or codes are out of range.
    """
    codes = np.asarray(occupancy)
    if codes.shape != (supercell.num_sites,) or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"one occupancy of {supercell.num_sites} integers is wanted, but came with shape {codes.shape} and dtype "
            f"{codes.dtype}; give batches one at a time."
        )
    numbers = supercell.prim.num_species[supercell.prim_sites]
    wrong = np.flatnonzero((codes < 0) | (codes >= numbers))
    if len(wrong):
        raise ValueError(
            f"the species codes of sites {wrong[:10].tolist()} are {codes[wrong[:10]].tolist()}, but these sites have "
            f"{numbers[wrong[:10]].tolist()} species."
        )
    return codes


def _exchange_distance(prim: Prim) -> float:
    """Smallest distance between two sites that one atom could stand on."""
    atoms = [set(names) - {VACANCY} for names in prim.species]
    may_exchange = np.array([[bool(first & second) for second in atoms] for first in atoms])
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    difference = prim.frac_coords[:, None, None] - prim.frac_coords[None, :, None] + shifts
    distances = np.linalg.norm(difference @ prim.lattice, axis=-1)
    return float(distances[(distances > 1e-3) & may_exchange[:, :, None]].min())


def _cells(
    prim: Prim, kinds: AtomKinds, cell: np.ndarray, supercell: Supercell | None, max_strain: float | int
) -> Iterator[tuple[np.ndarray, Supercell]]:
    """Transformations that the cell may be, with their supercells."""
    if supercell is not None:
        if supercell.prim != prim:
            raise ValueError("`supercell` is a supercell of another prim.")
        # The negative of a transformation spans the same lattice; it is what a left-handed cell needs.
        for transformation in (supercell.transformation, -supercell.transformation):
            ideal = transformation @ prim.lattice
            if np.linalg.det(ideal) * np.linalg.det(cell) > 0 and strain_size(ideal, cell) <= max_strain:
                yield transformation, supercell
        hermite = hermite_normal_form(supercell.transformation)
        for transformation in candidate_transformations(prim.lattice, cell, supercell.num_prims, max_strain):
            if np.array_equal(hermite_normal_form(transformation), hermite):
                yield transformation, supercell
        return
    for num_prims in _numbers_of_prims(prim, kinds, abs(np.linalg.det(cell))):
        for transformation in candidate_transformations(prim.lattice, cell, num_prims, max_strain):
            yield transformation, Supercell(prim, transformation)


def _numbers_of_prims(prim: Prim, kinds: AtomKinds, volume: float) -> list[int]:
    """How many prims the structure may hold, the likeliest first."""
    is_filled = np.array([VACANCY not in names for names in prim.species])
    filling = {name for names, filled in zip(prim.species, is_filled, strict=True) if filled for name in names}
    elsewhere = {name for names, filled in zip(prim.species, is_filled, strict=True) if not filled for name in names}
    if filling and not filling & elsewhere:
        fills = np.array([bool(filling & set(options)) for options in kinds.options])
        count, per_prim = int(np.sum(fills[kinds.kind])), int(is_filled.sum())
        if count == 0 or count % per_prim:
            raise ValueError(
                f"the structure has {count} atoms of {sorted(filling)}, but each prim has {per_prim} sites that only "
                f"these fill, so their number must be a multiple of {per_prim}."
            )
        return [count // per_prim]
    num_atoms = int(np.sum(kinds.names != VACANCY))
    lowest = max(1, -(-num_atoms // prim.num_sites))
    highest = num_atoms // int(is_filled.sum()) if is_filled.any() else max(lowest, 8 * num_atoms)
    if highest < lowest:
        raise ValueError(
            f"{num_atoms} atoms fit no supercell: a prim takes from {int(is_filled.sum())} to {prim.num_sites} atoms."
        )
    by_volume = volume / abs(np.linalg.det(prim.lattice))
    guesses = range(max(lowest, int(by_volume * 0.7)), min(highest, int(by_volume * 1.4) + 1) + 1)
    return sorted(guesses, key=lambda n: abs(np.log(by_volume / n)))[:5] or [lowest]


def _assigned(
    prim: Prim, supercell: Supercell, transformation: np.ndarray, atoms: Any, kinds: AtomKinds, limit: float
) -> _Assignment:
    """The sites of all atoms for one orientation, with the rigid shift that fits best."""
    ideal = atoms.get_scaled_positions(wrap=False) @ transformation @ prim.lattice
    found = _with_shift(prim, supercell, ideal, kinds, np.zeros(3))
    if not _is_good(found, limit):
        others = [_with_shift(prim, supercell, ideal, kinds, s) for s in _possible_shifts(prim, ideal, kinds)]
        found = min([found, *others], key=lambda a: (_num_conflicts(a), float(np.sum(a.displacements**2))))
    if _num_conflicts(found) and supercell.num_sites <= _LARGEST_MATCHING and len(kinds) <= supercell.num_sites:
        found = _matched(prim, supercell, ideal, kinds, found)
    _check(prim, supercell, kinds, found, limit)
    return found


def _with_shift(
    prim: Prim, supercell: Supercell, ideal: np.ndarray, kinds: AtomKinds, shift: np.ndarray
) -> _Assignment:
    """Nearest sites after a shift is taken off, which is then refined to leave no mean displacement."""
    for _ in range(20):
        sites, displacements, is_doubtful = _nearest_sites(prim, supercell, ideal - shift, kinds)
        mean = displacements[np.all(np.isfinite(displacements), axis=1)].mean(axis=0)
        if not np.linalg.norm(mean) > _SHIFT_TOLERANCE:
            break
        shift = shift + mean
    return _Assignment(sites, displacements, shift, is_doubtful)


def _nearest_sites(
    prim: Prim, supercell: Supercell, positions: np.ndarray, kinds: AtomKinds
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each atom the nearest site that allows it, the displacement, and whether another is nearly as near."""
    reduced, change = minkowski_reduce(prim.lattice)
    inverse = np.linalg.inv(reduced)
    around = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    difference = (positions[:, None] - prim.cart_coords()) @ inverse
    offsets = np.round(difference)[:, :, None] + around
    vectors = (difference[:, :, None] - offsets) @ reduced
    distances = np.linalg.norm(vectors, axis=-1)
    distances[kinds.codes[kinds.kind] == -1] = np.inf
    flat = distances.reshape(len(positions), -1)
    nearest, second = np.argpartition(flat, 1, axis=1)[:, :2].T if flat.shape[1] > 1 else np.zeros((2, len(flat)), int)
    rows = np.arange(len(positions))
    site, image = np.divmod(nearest, len(around))
    lattice_offsets = np.round(offsets[rows, site, image] @ change).astype(np.int64)
    margin = flat[rows, second] - flat[rows, nearest]
    return (
        supercell.site_index(site, lattice_offsets),
        np.where(np.isfinite(flat[rows, nearest])[:, None], vectors[rows, site, image], np.inf),
        ~(margin >= _CLEAR_MARGIN * _exchange_distance(prim)),
    )


def _possible_shifts(prim: Prim, ideal: np.ndarray, kinds: AtomKinds) -> Iterable[np.ndarray]:
    """Shifts that put an atom of the rarest kind onto a site that allows it; lattice vectors make no difference."""
    rarest = int(np.argmin(np.bincount(kinds.kind)))
    atom = int(np.argmax(kinds.kind == rarest))
    for site in np.flatnonzero(kinds.codes[rarest] != -1):
        yield ideal[atom] - prim.cart_coords()[site]


def _num_conflicts(assignment: _Assignment) -> int:
    return len(assignment.sites) - len(np.unique(assignment.sites))


def _is_good(assignment: _Assignment, limit: float) -> bool:
    return _num_conflicts(assignment) == 0 and bool(np.all(np.linalg.norm(assignment.displacements, axis=1) <= limit))


def _matched(prim: Prim, supercell: Supercell, ideal: np.ndarray, kinds: AtomKinds, found: _Assignment) -> _Assignment:
    """One site for each atom, with the least sum of squared displacements."""
    with warnings.catch_warnings():
        # ASE 3.29 sets the shape of an array, of which NumPy 2.5 warns.
        warnings.simplefilter("ignore", DeprecationWarning)
        vectors, distances = get_distances(supercell.cart_coords, ideal - found.shift, cell=supercell.lattice, pbc=True)
    is_allowed = kinds.codes[kinds.kind][:, supercell.prim_sites] != -1
    cost = np.where(is_allowed, distances.T**2, 1e6)
    rows, sites = linear_sum_assignment(cost)
    is_doubtful = found.is_doubtful | (sites != found.sites)
    return _Assignment(sites, vectors[sites, rows], found.shift, is_doubtful)


def _check(prim: Prim, supercell: Supercell, kinds: AtomKinds, found: _Assignment, limit: float) -> None:
    codes = kinds.codes[kinds.kind, supercell.prim_sites[found.sites]]
    refused = np.flatnonzero(codes == -1)
    if len(refused):
        listed = ", ".join(
            f"atom {a} ({kinds.names[a]}) near site {found.sites[a]} ({'/'.join(supercell.species[found.sites[a]])})"
            for a in refused[:10]
        )
        raise ValueError(f"{len(refused)} atoms find no free site of {supercell} that allows their species: {listed}.")
    lengths = np.linalg.norm(found.displacements, axis=1)
    far = np.flatnonzero(~(lengths <= limit))
    if len(far):
        listed = ", ".join(f"atom {a} ({kinds.names[a]}): {lengths[a]:.2f} A" for a in far[:10])
        raise ValueError(
            f"{len(far)} atoms are farther than {limit:.2f} A from any free site that allows their species, in "
            f"the best assignment to {supercell} ({listed}). Is a species on a site that does not allow it, do two "
            "atoms claim one site, or is this another lattice? A larger `max_displacement` accepts more."
        )
    order = np.argsort(found.sites, kind="stable")
    repeated = np.flatnonzero(np.diff(found.sites[order]) == 0)
    if len(repeated):
        pairs = ", ".join(
            f"atoms {order[k]} and {order[k + 1]} claim site {found.sites[order[k]]}" for k in repeated[:10]
        )
        raise ValueError(f"{len(kinds)} atoms do not fit the {supercell.num_sites} sites of {supercell}: {pairs}.")
    unclear = np.flatnonzero(codes == -2)
    if len(unclear):
        atom = unclear[0]
        raise ValueError(
            f"atom {atom} ({kinds.names[atom]}) may be any of {list(kinds.options[kinds.kind[atom]])}: say which in "
            '`atoms.arrays["species"]`.'
        )
    empty = np.setdiff1d(np.arange(supercell.num_sites), found.sites)
    missing = [int(site) for site in empty if VACANCY not in supercell.species[site]]
    if missing:
        raise ValueError(
            f"{len(missing)} sites of {supercell} have no atom and cannot be vacant: "
            + ", ".join(f"{site} ({'/'.join(supercell.species[site])})" for site in missing[:10])
        )


def _mapping(
    prim: Prim,
    cell: np.ndarray,
    kinds: AtomKinds,
    transformation: np.ndarray,
    supercell: Supercell,
    found: _Assignment,
) -> Mapping:
    stretch, rotation = stretch_and_rotation(transformation @ prim.lattice, cell)
    vacancy = np.array([names.index(VACANCY) if VACANCY in names else 0 for names in prim.species])
    occupancy = vacancy[supercell.prim_sites]
    occupancy[found.sites] = kinds.codes[kinds.kind, supercell.prim_sites[found.sites]]
    return Mapping(
        supercell=supercell,
        occupancy=occupancy.astype(np.int8),
        site_of_atom=found.sites,
        displacements=found.displacements,
        strain=stretch - np.eye(3),
        rotation=rotation,
        shift=found.shift,
        ambiguous=tuple(np.flatnonzero(found.is_doubtful).tolist()),
    )


def _no_supercell(
    prim: Prim, cell: np.ndarray, kinds: AtomKinds, supercell: Supercell | None, max_strain: float | int
) -> str:
    wanted = "a supercell of the prim" if supercell is None else f"{supercell}"
    ratio = abs(np.linalg.det(cell)) / abs(np.linalg.det(prim.lattice))
    return (
        f"the cell {np.round(cell, 3).tolist()} is not {wanted}, with strains up to {100 * max_strain:.0f} %: its "
        f"volume is {ratio:.3f} prims and it holds {len(kinds)} atoms."
    )
