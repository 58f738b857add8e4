"""The primitive cell that icet derives from a structure, and its symmetry operations in the order of spglib."""

import json
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import ase
import numpy as np
import spglib
from ase.data import atomic_numbers

from jaxce.lattice.prim import Prim
from jaxce.lattice.symmetry import SpaceGroup

_MOST_ATOMS = 20_000
_MOST_PRIM_SITES = 1000


def read_structure(content: bytes) -> ase.Atoms:
    """The structure of an ASE database in JSON with one row: cell, numbers and positions; nothing else is looked at.

    Raises:
        ValueError: if it is no such database, is not periodic, or a number is none.
    """
    try:
        rows = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the structure is not JSON that can be read, or was cut off: {error}") from error
    row = rows.get("1") if isinstance(rows, dict) else None
    if not isinstance(row, dict):
        raise ValueError('the structure should be a database of ASE with the row "1", but has none.')
    numbers = _array(row, "numbers", (None,), np.float64)
    if not 0 < len(numbers) <= _MOST_ATOMS or not np.all(np.isin(numbers, np.arange(119))):
        raise ValueError(f"the structure has {len(numbers)} atoms, or atomic numbers that no element has.")
    positions = _array(row, "positions", (len(numbers), 3), np.float64)
    cell = _array(row, "cell", (3, 3), np.float64)
    if not np.all(np.isfinite(positions)) or not 1e-6 < abs(np.linalg.det(cell)) < np.inf:
        raise ValueError("the structure has positions that are no numbers, or a cell without volume.")
    pbc = _array(row, "pbc", (3,), np.bool_) if "pbc" in row else np.ones(3, dtype=bool)
    if not pbc.all():
        raise ValueError(f"the structure is periodic along {pbc.tolist()}; icet needs all three directions.")
    return ase.Atoms(numbers.astype(np.int64), positions=positions, cell=cell, pbc=True)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number.")


def _array(row: Mapping[str, Any], key: str, shape: tuple[int | None, ...], dtype: Any) -> np.ndarray:
    """An array of a row: in lists, or as ASE writes arrays and cells since version 3.18."""
    value = row.get(key)
    if isinstance(value, dict) and "array" in value:
        value = value["array"]
    wanted: list[int] | None = None
    if isinstance(value, dict) and isinstance(value.get("__ndarray__"), list) and len(value["__ndarray__"]) == 3:
        wanted, _, value = value["__ndarray__"]
    try:
        array = np.array(value, dtype=dtype).reshape(wanted if wanted is not None else -1)
        array = array.reshape([-1 if n is None else n for n in shape])
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"the structure has `{key}` of another form: {reprlib.repr(value)}.") from error
    return array


def allowed_species(structure: ase.Atoms, given: Sequence[Any]) -> list[tuple[str, ...]]:
    """Symbols allowed on each atom's site, by atomic number as icet codes them; the vacancy X is first.

    Args:
        structure: the structure.
        given: symbols for all sites, or a sequence of them for each site.

    Raises:
        ValueError: if a symbol is no element, is repeated, or the number of sites differs.
    """
    sites = [given] * len(structure) if isinstance(given[0], str) else given
    if len(sites) != len(structure):
        raise ValueError(f"`chemical_symbols` has {len(sites)} lists, but the structure has {len(structure)} atoms.")
    for names in {tuple(names) for names in sites}:
        unknown = [name for name in names if name not in atomic_numbers]
        if unknown or len(set(names)) != len(names):
            raise ValueError(f"`chemical_symbols` must be different chemical elements, or X, but has {list(names)}.")
    return [tuple(sorted(names, key=atomic_numbers.__getitem__)) for names in sites]


def primitive_lattice(
    structure: ase.Atoms, species: Sequence[tuple[str, ...]], symprec: float
) -> tuple[Prim, SpaceGroup]:
    """The primitive cell of a structure and its operations, both in spglib's order of sites and operations.

    icet's orbits depend on these orders, so they are kept as they come; `jaxce.lattice.symmetry` sorts them.

    Args:
        structure: the structure.
        species: allowed species of each atom's site.
        symprec: tolerance of the symmetry search, angstrom.

    Raises:
        ValueError: if spglib finds no symmetry.
    """
    kinds = sorted({tuple(sorted(names)) for names in species})
    decorated = structure.copy()
    decorated.numbers = [kinds.index(tuple(sorted(names))) + 1 for names in species]
    lattice, coords, numbers = _ask_spglib(
        spglib.standardize_cell, decorated, symprec, to_primitive=True, no_idealize=True
    )
    if len(numbers) > _MOST_PRIM_SITES:
        raise ValueError(f"its primitive cell has {len(numbers)} sites, more than {_MOST_PRIM_SITES}.")
    primitive = ase.Atoms(numbers, scaled_positions=np.round(coords, 12), cell=lattice, pbc=True)
    # As icet does; a site that rounding puts below 0 or at 1 would otherwise count as one of another cell.
    primitive.wrap()
    operations = _ask_spglib(spglib.get_symmetry, primitive, symprec)
    names_of = {kinds.index(tuple(sorted(names))) + 1: names for names in species}
    sites = [names_of[number] for number in primitive.numbers.tolist()]
    prim = Prim(np.array(primitive.cell), primitive.get_scaled_positions(wrap=False), sites, symprec=symprec)
    return prim, _group(prim, operations["rotations"].astype(np.int64), operations["translations"])


def _ask_spglib(function: Any, atoms: ase.Atoms, symprec: float, **keywords: Any) -> Any:
    cell = (np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        # spglib 2.7 announces that a failure will raise instead of returning None; either ends below.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            answer = function(cell, symprec=symprec, **keywords)
        except spglib.SpglibError:
            answer = None
    if answer is None:
        raise ValueError(f"spglib finds no symmetry with {len(atoms)} atoms and symprec {symprec:g}: do two coincide?")
    return answer


def _group(prim: Prim, rotations: np.ndarray, translations: np.ndarray) -> SpaceGroup:
    """The operations as maps between lattice sites."""
    placed = [_placed(prim, prim.frac_coords @ r.T + t) for r, t in zip(rotations, translations, strict=True)]
    return SpaceGroup(rotations, np.array([sites for sites, _ in placed]), np.array([cells for _, cells in placed]))


def _placed(prim: Prim, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The site and cell that each of the fractional coordinates is."""
    difference = coords[:, None] - prim.frac_coords
    offsets = np.round(difference).astype(np.int64)
    distances = np.linalg.norm((difference - offsets) @ prim.lattice, axis=-1)
    sites = distances.argmin(axis=1)
    # spglib's tolerance is on pairs of atoms, so an image may miss its site by a few times symprec.
    if distances.min(axis=1).max() > max(20 * prim.symprec, 1e-4):
        raise ValueError("a symmetry operation of spglib does not map the sites onto each other.")
    return sites, offsets[np.arange(len(sites)), sites]
