"""The energy as seen from one site: its neighbours and the polynomial in their site functions.

For each kind of site the terms of the energy polynomial that touch it are written in the functions of its neighbours.
In a cell in which a term meets its own periodic image, neighbours are counted in that cell and the term is folded
first, so that every term is multilinear: differences of single sites are exact in any cell. In all others the
environments are those of the infinite crystal, and any two sites that its symmetry makes equivalent share a table.
"""

from typing import NamedTuple

import numpy as np

from jaxce.lattice.field_sums import field_sums
from jaxce.lattice.polynomial import Polynomial, folded
from jaxce.lattice.supercell import Supercell


class Environments(NamedTuple):
    """Neighbour slots of every site and tables of weights shared by equivalent sites.

    With `v` the site functions of the neighbours (slot by slot, function by function), the field conjugate to function
    f of a site is `linear[f] + pair[f] . v + v . quadratic[f] . v + sum_t higher[f, t] * product of v[columns[t]]`.
    The first `many` slots are the ones that `quadratic` and the higher orders use.

    Attributes:
        constant: eV per supercell of the terms that fold into a constant.
        neighbours: `[sites, slots]` site in each slot; -1 where the slot is empty.
        tables: `[prim sites]` table that the images of each prim site use.
        linear: `[tables, functions]`.
        pair: `[tables, functions, slots * functions]`.
        quadratic: `[tables, functions, many * functions, many * functions]`, symmetric.
        higher: for 3, 4, ... neighbours: columns `[tables, terms, neighbours]`, weights `[tables, functions, terms]`.
        sums: the same in sums of products with equal weights, for 1, 2, ... neighbours (`field_sums`).
    """

    constant: float
    neighbours: np.ndarray
    tables: np.ndarray
    linear: np.ndarray
    pair: np.ndarray
    quadratic: np.ndarray
    higher: tuple[tuple[np.ndarray, np.ndarray], ...]
    sums: tuple[tuple[np.ndarray, np.ndarray], ...]


class _SiteTerms(NamedTuple):
    """Folded terms that touch one site, with a given number of neighbours.

    Attributes:
        function: `[terms]` function of the site itself.
        sites: `[terms, neighbours]` supercell sites.
        functions: `[terms, neighbours]` their functions.
        weights: `[terms]` eV.
    """

    function: np.ndarray
    sites: np.ndarray
    functions: np.ndarray
    weights: np.ndarray


def site_environments(polynomial: Polynomial, supercell: Supercell) -> Environments:
    """The environments of all sites of a supercell."""
    num_functions = max(1, int(supercell.prim.num_species.max()) - 1)
    cell = supercell if _meets_itself(polynomial, supercell) else _roomy_cell(polynomial, supercell)
    representatives, operations = _equivalent_sites(cell)
    kinds = np.unique(representatives)
    terms = [_terms_touching(polynomial, cell, site) for site in kinds.tolist()]
    slots = [_slots(by_size) for by_size in terms]
    num_many = max(many for _, many in slots)
    # All tables have their many-body slots first, so pair slots start behind the longest of those.
    padded = [_padded_slots(sites, many, num_many) for sites, many in slots]
    num_slots = max(len(sites) for sites in padded)
    padded = [np.append(sites, np.full(num_slots - len(sites), -1)) for sites in padded]
    tables = np.searchsorted(kinds, representatives)
    weights_of = lambda terms: [
        _site_weights(by_size, sites, num_many, num_functions) for by_size, sites in zip(terms, padded, strict=True)
    ]
    weights = weights_of(terms)
    marked = polynomial._replace(weights=polynomial.marks)
    marks = weights_of([_terms_touching(marked, cell, site) for site in kinds.tolist()])
    linear, pair, quadratic = (np.stack(part) for part in zip(*(w[:3] for w in weights), strict=True))
    higher = tuple(_stacked([w[3][i] for w in weights]) for i in range(len(weights[0][3])))
    neighbours = _neighbours(supercell, cell, padded, tables, operations)
    sums = field_sums(weights, marks, num_functions)
    constant = _folded_constant(polynomial, supercell)
    return Environments(constant, neighbours, tables, linear, pair, quadratic, higher, sums)


def _meets_itself(polynomial: Polynomial, supercell: Supercell) -> bool:
    """Whether some term has two of its points on one site of the supercell."""
    for points in polynomial.points:
        sites = np.sort(supercell.site_index(points[..., 0], points[..., 1:]), axis=1)
        if np.any(sites[:, 1:] == sites[:, :-1]):
            return True
    return False


def _roomy_cell(polynomial: Polynomial, supercell: Supercell) -> Supercell:
    """A cell with all symmetry of the crystal in which no two neighbours of a site are images of each other."""
    reach = [np.ptp(points[..., 1:], axis=1).max(initial=0) for points in polynomial.points]
    return Supercell(supercell.prim, int(2 * max(reach, default=0) + 1))


def _folded_constant(polynomial: Polynomial, supercell: Supercell) -> float:
    total = 0.0
    for points, functions, weights in zip(polynomial.points, polynomial.functions, polynomial.weights, strict=True):
        sites = supercell.site_index(points[..., 0], points[..., 1:])
        _, labels = folded(sites, functions, supercell.prim.num_species[points[..., 0]])
        total += float(weights[np.all(labels == 0, axis=1)].sum())
    return total * supercell.num_prims


def _equivalent_sites(supercell: Supercell) -> tuple[np.ndarray, np.ndarray]:
    """For each prim site the lowest one that the supercell's symmetry maps onto it, and an operation that does so."""
    operations = supercell.lattice_operations
    images = supercell.space_group.site_map[operations]
    num_sites = supercell.prim.num_sites
    representatives = np.array([np.flatnonzero((images == site).any(axis=0))[0] for site in range(num_sites)])
    chosen = [operations[np.argmax(images[:, r] == site)] for site, r in enumerate(representatives)]
    return representatives, np.array(chosen)


def _terms_touching(polynomial: Polynomial, supercell: Supercell, prim_site: int) -> list[_SiteTerms]:
    """The folded terms that contain `prim_site` of cell 0, by their number of neighbours."""
    anchor = supercell.site_index(prim_site, np.zeros(3, dtype=np.int64))
    found = []
    for points, functions, weights in zip(polynomial.points, polynomial.functions, polynomial.weights, strict=True):
        order = points.shape[1]
        term, position = np.nonzero(points[..., 0] == prim_site)
        offsets = points[term, :, 1:] - points[term, position, None, 1:]
        sites = supercell.site_index(points[term, :, 0], offsets)
        # A term that meets the site in several positions is found once for each.
        share = weights[term] / (sites == anchor).sum(axis=1)
        num_species = supercell.prim.num_species[points[term, :, 0]]
        sites, labels = folded(sites, functions[term], num_species)
        found.append(_with_order(sites, labels, share, int(anchor), order))
    return [_joined([terms[size] for terms in found if size < len(terms)]) for size in range(len(found))]


def _with_order(
    sites: np.ndarray, functions: np.ndarray, weights: np.ndarray, anchor: int, order: int
) -> list[_SiteTerms]:
    """Terms by number of neighbours, without those that vanish or do not depend on the anchor."""
    own = np.where(sites == anchor, functions, 0).max(axis=1, initial=0)
    depends = (own > 0) & np.all(functions >= 0, axis=1)
    is_neighbour = (functions > 0) & (sites != anchor)
    by_size = []
    for size in range(order):
        rows = np.flatnonzero(depends & (is_neighbour.sum(axis=1) == size))
        chosen = is_neighbour[rows]
        shape = (len(rows), size)
        by_size.append(
            _SiteTerms(
                own[rows], sites[rows][chosen].reshape(shape), functions[rows][chosen].reshape(shape), weights[rows]
            )
        )
    return by_size


def _joined(parts: list[_SiteTerms]) -> _SiteTerms:
    return _SiteTerms(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _slots(by_size: list[_SiteTerms]) -> tuple[np.ndarray, int]:
    """The neighbouring sites, those of many-body terms first, and the number of these."""
    many = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(t.sites.ravel() for t in by_size[2:])]))
    pairs = np.unique(by_size[1].sites) if len(by_size) > 1 else many
    return np.concatenate([many, np.setdiff1d(pairs, many)]), len(many)


def _padded_slots(sites: np.ndarray, num_own_many: int, num_many: int) -> np.ndarray:
    """Slots with the pair-only ones moved into free many-body places before new places are opened."""
    room = num_many - num_own_many
    return np.concatenate([sites, np.full(max(0, room - (len(sites) - num_own_many)), -1)])


def _site_weights(by_size: list[_SiteTerms], slots: np.ndarray, num_many: int, num_functions: int):
    """Linear, pair, quadratic and higher weights of one kind of site."""
    linear = np.zeros(num_functions)
    pair = np.zeros((num_functions, len(slots) * num_functions))
    width = num_many * num_functions
    quadratic = np.zeros((num_functions, width, width))
    columns = [_columns(terms, slots, num_functions) for terms in by_size]
    for size, terms in enumerate(by_size[:3]):
        row = terms.function - 1
        if size == 0:
            np.add.at(linear, row, terms.weights)
        elif size == 1:
            np.add.at(pair, (row, columns[1][:, 0]), terms.weights)
        else:
            for first, second in (columns[2].T, columns[2].T[::-1]):
                np.add.at(quadratic, (row, first, second), terms.weights / 2)
    higher = [_product_weights(t, c, num_functions) for t, c in zip(by_size[3:], columns[3:], strict=True)]
    return linear, pair, quadratic, higher


def _columns(terms: _SiteTerms, slots: np.ndarray, num_functions: int) -> np.ndarray:
    """`[terms, neighbours]` position of each factor in the vector of the neighbours' functions."""
    order = np.argsort(slots)
    slot = order[np.searchsorted(slots, terms.sites, sorter=order)] if terms.sites.size else terms.sites
    return slot * num_functions + terms.functions - 1


def _product_weights(terms: _SiteTerms, columns: np.ndarray, num_functions: int) -> tuple[np.ndarray, np.ndarray]:
    """Different products of three or more neighbours and their weight in each field."""
    unique, inverse = np.unique(np.sort(columns, axis=1), axis=0, return_inverse=True)
    weights = np.zeros((num_functions, len(unique)))
    np.add.at(weights, (terms.function - 1, inverse.ravel()), terms.weights)
    return unique, weights


def _stacked(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Products of all tables padded to the longest list: a padded product has weight 0."""
    longest = max(len(columns) for columns, _ in parts)
    columns = [np.pad(c, ((0, longest - len(c)), (0, 0))) for c, _ in parts]
    weights = [np.pad(w, ((0, 0), (0, longest - w.shape[1]))) for _, w in parts]
    return np.stack(columns), np.stack(weights)


def _neighbours(
    supercell: Supercell, cell: Supercell, slots: list[np.ndarray], tables: np.ndarray, operations: np.ndarray
) -> np.ndarray:
    """`[sites, slots]` neighbours of all sites, int32; in a large cell the largest table by far."""
    neighbours = np.empty((tables.size, supercell.num_prims, slots[0].size), dtype=np.int32)
    for rows, table, operation, prim_site in zip(
        neighbours, tables, operations.tolist(), _representatives(tables), strict=True
    ):
        images, offsets = _moved_slots(cell, slots[table], operation, prim_site)
        if cell is not supercell:
            offsets = _nearest_image(offsets, int(cell.transformation[0, 0]))
        # Few at a time for the memory; sixteen fill a cache line of a row.
        for start in range(0, len(images), 16):
            few = slice(start, start + 16)
            rows[:, few] = supercell.sites_from_cells(images[few], offsets[few]).T
    return neighbours.reshape(supercell.num_sites, -1)


def _moved_slots(cell: Supercell, slots: np.ndarray, operation: int, prim_site: int) -> tuple[np.ndarray, np.ndarray]:
    """Prim sites (-1 where a slot is empty) and offsets of a representative's neighbours, moved with it."""
    sites = np.maximum(slots, 0)
    images, offsets = cell.space_group.apply(operation, cell.prim_sites[sites], cell.offsets[sites])
    origin = cell.space_group.apply(operation, np.array([prim_site]), np.zeros((1, 3), dtype=np.int64))
    # The operation brings the representative to some cell; seen from there, every cell is the same.
    return np.where(slots < 0, -1, images), offsets - origin[1][0]


def _representatives(tables: np.ndarray) -> list[int]:
    """For each prim site the first that uses the same table."""
    return [int(np.flatnonzero(tables == table)[0]) for table in tables]


def _nearest_image(offsets: np.ndarray, period: int) -> np.ndarray:
    return offsets - period * np.floor(offsets / period + 0.5).astype(np.int64)
