"""Every occupancy of small supercells that differs from the others by symmetry."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxce.lattice.limited_occupancies import LimitedOccupancies, Limits, composition_limits, limited_occupancies
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.lattice.supercell_shapes import distinct_supercells

# Occupancies that are compared at once, and the most operations in one product of matrices.
_BLOCK = 2**16
_MOST_OPERATIONS = 64
# Integers up to here are exact in float64.
_LARGEST_NUMBER = 2**53
_MAX_COUNT = 2**22


def enumerate_structures(
    prim: Prim,
    sizes: int | Iterable[int],
    *,
    composition: Mapping[str, Any] | None = None,
    interchangeable: Sequence[str] = (),
    primitive_only: bool = True,
    max_count: int = _MAX_COUNT,
) -> Iterator[tuple[Supercell, np.ndarray]]:
    """Every symmetry-distinct structure of the sizes, supercell by supercell.

    Each structure of the crystal appears once, in its smallest supercell (unless `primitive_only` is off). For atoms:

        for supercell, occupancies in enumerate_structures(prim, 6):
            structures += [occupancy_to_ase(supercell, occupancy) for occupancy in occupancies]

    Args:
        prim: the prim.
        sizes: numbers of prims, in the order wanted; an integer n means 1 to n.
        composition: as for `enumerate_occupancies`. Sizes that cannot have it are passed over.
        interchangeable: as for `enumerate_occupancies`.
        primitive_only: as for `enumerate_occupancies`.
        max_count: most occupancies of one supercell, before symmetry; all sizes are checked before any is enumerated.

    Returns:
        An iterator over pairs of a supercell and its `[structures, sites]` occupancies, int8. Supercells without a
        structure are left out.

    Raises:
        ValueError: as `distinct_supercells` and `enumerate_occupancies`, and if no size can have the composition.
    """
    wanted = list(range(1, sizes + 1)) if isinstance(sizes, int) else list(sizes)
    if not wanted or min(wanted) < 1:
        raise ValueError(f"`sizes` must be numbers of prims from 1 on, but came as {sizes!r}.")
    _checked_names(prim, interchangeable)
    # Whether the limits can be met, and in how many ways, does not depend on the shape.
    possible = [size for size in wanted if _raw(Supercell(prim, [1, 1, size]), composition, max_count)[0].count]
    if not possible:
        raise ValueError(f"no supercell of {wanted} prims can have the composition {dict(composition or {})}.")
    return _structures(prim, possible, composition, interchangeable, primitive_only, max_count)


def _structures(
    prim: Prim, sizes: list[int], composition: Any, interchangeable: Sequence[str], primitive_only: bool, max_count: int
) -> Iterator[tuple[Supercell, np.ndarray]]:
    for size in sizes:
        for supercell in distinct_supercells(prim, size):
            occupancies = enumerate_occupancies(
                supercell,
                composition=composition,
                interchangeable=interchangeable,
                primitive_only=primitive_only,
                max_count=max_count,
            )
            if len(occupancies):
                yield supercell, occupancies


def enumerate_occupancies(
    supercell: Supercell,
    *,
    composition: Mapping[str, Any] | None = None,
    interchangeable: Sequence[str] = (),
    primitive_only: bool = True,
    max_count: int = _MAX_COUNT,
) -> np.ndarray:
    """Every symmetry-distinct occupancy of a supercell.

    Occupancies that an operation of the supercell (translations included) maps onto each other are one, and the
    lexicographically lowest of them is given (after Hart and Forcade, Phys. Rev. B 77, 224115 (2008)).

    Args:
        supercell: the supercell.
        composition: species -> limit over the whole supercell, or sublattice name -> {species -> limit}. A limit is
            an exact amount or (lowest, highest). Integers count sites; with a float among them they are fractions of
            the sites that may hold the species: `{"La": (0, 0.5), "X": 1}`.
        interchangeable: names of sublattices whose species count as equal up to their names: A3B and AB3 are one.
        primitive_only: leave out occupancies that a smaller supercell can hold, that is, those that a translation by
            a vector of the prim's lattice leaves unchanged.
        max_count: most occupancies within the limits, before symmetry.

    Returns:
        `[structures, sites]` species codes in lexicographic order, int8; inactive sites have code 0.

    Raises:
        ValueError: if a species or sublattice is unknown, no occupancy is within the limits, or there are more than
            `max_count`.
    """
    _checked_names(supercell.prim, interchangeable)
    raw, limits = _raw(supercell, composition, max_count)
    if raw.count == 0:
        raise ValueError(f"no occupancy of {supercell} has the composition {dict(composition or {})}.")
    active = np.flatnonzero(_num_species(supercell) > 1)
    group = _group(supercell, active, interchangeable)
    blocks = []
    for start in range(0, raw.count, _BLOCK):
        codes = _lowest_of_orbits(raw.codes(start, min(start + _BLOCK, raw.count)), group, limits)
        blocks.append(codes[~_is_superperiodic(codes, group)] if primitive_only else codes)
    codes = np.concatenate(blocks)
    occupancies = np.zeros((len(codes), supercell.num_sites), dtype=np.int8)
    occupancies[:, active] = codes
    return occupancies


def _raw(supercell: Supercell, composition: Any, max_count: int) -> tuple[LimitedOccupancies, Limits]:
    limits = composition_limits(supercell, composition)
    num_species = _num_species(supercell)
    return limited_occupancies(num_species[num_species > 1], limits, max_count), limits


def _num_species(supercell: Supercell) -> np.ndarray:
    return supercell.prim.num_species[supercell.prim_sites]


def _checked_names(prim: Prim, interchangeable: Sequence[str]) -> None:
    names = [sublattice.name for sublattice in prim.sublattices]
    # A string would be taken letter by letter.
    if isinstance(interchangeable, str) or not set(interchangeable) <= set(names):
        raise ValueError(
            f"`interchangeable` must list names of the active sublattices {names}, but came as {interchangeable!r}."
        )


class _Group(NamedTuple):
    """What makes occupancies equal; numbers of occupancies are ordered as the occupancies are.

    Attributes:
        weights: `[words, sites]` place values; the number of an occupancy may take several words.
        image_weights: `[words, ops, sites]` those of the site onto which each operation puts a site.
        translations: `[words, translations, sites]` the same of translations other than the identity.
        relabelings: `[relabelings, sites, codes]` new code of each code; the identity comes first.
    """

    weights: np.ndarray
    image_weights: np.ndarray
    translations: np.ndarray
    relabelings: np.ndarray


def _group(supercell: Supercell, active: np.ndarray, interchangeable: Sequence[str]) -> _Group:
    place = np.full(supercell.num_sites, -1)
    place[active] = np.arange(len(active))
    operations = np.unique(place[supercell.symmetry_permutations[:, active]], axis=0)
    # Operations next to each other are alike; mixed, the first few already reject most occupancies.
    operations = np.random.default_rng(0).permutation(operations)
    moved = supercell.offsets[active] + supercell.cells[:, None]
    translations = place[supercell.site_index(np.broadcast_to(supercell.prim_sites[active], moved.shape[:2]), moved)]
    # The cell at the origin may have any number.
    translations = translations[np.any(supercell.cells != 0, axis=1)]
    weights = _place_values(_num_species(supercell)[active])
    relabelings = _relabelings(supercell, interchangeable)[:, active]
    return _Group(weights, weights[:, operations], weights[:, translations], relabelings)


def _place_values(num_species: np.ndarray) -> np.ndarray:
    """`[words, sites]` weights of the sites' codes in each word, the first site's the highest.

    Words are so short that products of matrices in float64, which are fast, give exact integers.
    """
    words, room = [], 0
    for site, radix in enumerate(num_species.tolist()):
        if room < radix:
            words.append(np.zeros(len(num_species)))
            room = _LARGEST_NUMBER
        words[-1][:site] *= radix
        words[-1][site] = 1
        room //= radix
    return np.array(words).reshape(len(words), len(num_species))


def _relabelings(supercell: Supercell, interchangeable: Sequence[str]) -> np.ndarray:
    """`[relabelings, sites, codes]` all permutations of the codes on the interchangeable sublattices."""
    chosen = [sublattice for sublattice in supercell.sublattices if sublattice.name in interchangeable]
    permutations = [list(itertools.permutations(range(len(sublattice.species)))) for sublattice in chosen]
    tables = []
    for permuted in itertools.product(*permutations):
        table = np.tile(np.arange(supercell.prim.num_species.max(), dtype=np.int8), (supercell.num_sites, 1))
        for sublattice, new_codes in zip(chosen, permuted, strict=True):
            table[sublattice.sites, : len(new_codes)] = new_codes
        tables.append(table)
    return np.array(tables)


def _lowest_of_orbits(codes: np.ndarray, group: _Group, limits: Limits) -> np.ndarray:
    """Those of `codes` `[occupancies, sites]` of which no image within the limits is lower."""
    sites = np.arange(codes.shape[1])
    for number, relabeling in enumerate(group.relabelings):
        for operations in _chunks(group.image_weights.shape[1]):
            relabeled = relabeling[sites, codes] if number else codes
            is_lower = _compared(relabeled, codes, group.weights, group.image_weights[:, operations])[0].any(axis=1)
            # Operations keep the composition; relabelings may lead out of the limits.
            codes = codes[~(is_lower & limits.admit(relabeled)) if number else ~is_lower]
    return codes


def _chunks(num_operations: int) -> Iterator[slice]:
    """Few operations while there are many occupancies, and more once most are rejected."""
    start, size = 0, 1
    while start < num_operations:
        yield slice(start, start + size)
        start, size = start + size, min(2 * size, _MOST_OPERATIONS)


def _is_superperiodic(codes: np.ndarray, group: _Group) -> np.ndarray:
    """`[occupancies]` whether a translation other than the identity changes nothing."""
    return np.asarray(_compared(codes, codes, group.weights, group.translations)[1].any(axis=1))


def _compared(
    codes: np.ndarray, references: np.ndarray, weights: np.ndarray, image_weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`[occupancies, ops]` whether the images of `codes` are lower than `references`, and whether they are equal."""
    is_lower = np.zeros((len(codes), image_weights.shape[1]), dtype=bool)
    is_equal = np.ones_like(is_lower)
    numbers, reference_numbers = codes.astype(np.float64), references.astype(np.float64)
    for word, image_word in zip(weights, image_weights, strict=True):
        image = numbers @ image_word.T
        reference = (reference_numbers @ word)[:, None]
        is_lower |= is_equal & (image < reference)
        is_equal &= image == reference
    return is_lower, is_equal
