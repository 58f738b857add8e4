"""Flip vectors: changes of the species counts that keep linear constraints and connect all counts that do.

`counts[row, code]` is the number of sites of a sublattice (row) with a species. A flip vector changes it by integers,
so that the sites of every row and every constraint, sum(constraint * counts), stay as they are. Counts that agree in
both are a *fiber*. Any lattice basis of the flip vectors combines to all of them, but on the way some count may fall
below 0. The vectors found here, a Markov basis, connect every fiber by steps that stay at 0 or above:

1. A vector is primitive if it is not the sum of two others that change no species in opposite directions. A difference
   of two counts is a sum of primitive vectors that agree in direction, so each of them may go first (Graver basis;
   Sturmfels, Groebner Bases and Convex Polytopes, 1996, ch. 4).
2. A primitive vector may be left out if vectors of fewer sites lead from what it removes to what it adds: these steps
   go anywhere the vector goes (Diaconis and Sturmfels, Ann. Statist. 26, 363, 1998, theorem 3.1).

Inside this file counts and vectors are flat, over the *slots*: the pairs of a row and a species allowed on it.
"""

import itertools
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# The search for primitive vectors gives up beyond so many comparisons of two vectors: about half a minute. A sum of two
# costs about as much as 100 comparisons.
_MOST_COMPARISONS = 2_000_000_000
_COMPARISONS_PER_SUM = 100
# Large tables are worked on in blocks of about so many rows.
_BLOCK = 500_000


class _Rules(NamedTuple):
    """What every change of the counts must keep.

    Attributes:
        rows: `[rows, slots]` 1 where the slot belongs to the row.
        constraints: `[constraints, slots]` weight of each slot.
    """

    rows: np.ndarray
    constraints: np.ndarray


def find_flip_vectors(num_species: Sequence[int] | np.ndarray, counts: Any, constraints: Any) -> np.ndarray:
    """Flip vectors that connect all counts with the same sites and constraint sums as the start.

    These are the vectors of all minimal Markov bases, without those that no counts can take. Few starts need all of
    them: a basis for every start costs no search through its counts, of which a large cell has too many.

    Args:
        num_species: number of species codes allowed on each row.
        counts: `[rows, species]` sites of each row with each species, or `[starts, rows, species]` for several starts,
            each of which is connected to all counts that it should reach.
        constraints: `[constraints, rows, species]` integers; sum(constraints[k] * counts) is kept for every k.

    Returns:
        `[vectors, rows, species]` integers, one of each pair +-v, by the number of sites they change; none if nothing
        can change.

    Raises:
        ValueError: if shapes disagree, numbers are not integers, counts are negative, or the search takes too long.
    """
    is_slot, rules, starts = _read(num_species, counts, constraints)
    most_sites = np.max(starts @ rules.rows.T, axis=0)
    class_rules, class_of_slot = _merge_equal_slots(rules)
    vectors = _split_classes(_drop_bridged(_find_primitive_vectors(class_rules, most_sites)), class_of_slot)
    vectors = vectors[np.any([_has_completion(_removed(vectors), rules, start) for start in starts], axis=0)]
    table = np.zeros((len(vectors), *is_slot.shape), dtype=np.int64)
    table[:, is_slot] = vectors
    return table


def is_connected(
    vectors: Any, num_species: Sequence[int] | np.ndarray, counts: Any, constraints: Any, *, limit: int = 200_000
) -> bool | None:
    """Whether steps +-v lead from each start to all counts with the same sites and constraint sums, by graph search.

    Args:
        vectors: `[vectors, rows, species]` flip vectors.
        num_species: as for `find_flip_vectors`.
        counts: as for `find_flip_vectors`.
        constraints: as for `find_flip_vectors`.
        limit: the search gives up where it meets more counts than this, begun and given up ones included.

    Returns:
        False if some start is not connected to all of its counts; None if no such start is known, but some have more
        counts than the limit; else True.

    Raises:
        ValueError: as `find_flip_vectors`, and if a vector does not keep what it should.
    """
    is_slot, rules, starts = _read(num_species, counts, constraints)
    steps = _read_vectors(vectors, is_slot, rules)
    answers = []
    for start in starts:
        fiber = _list_fiber(rules, start, limit)
        answers.append(None if fiber is None else _num_components(fiber, steps) == 1)
    if False in answers:
        return False
    return None if None in answers else True


def _read(
    num_species: Sequence[int] | np.ndarray, counts: Any, constraints: Any
) -> tuple[np.ndarray, _Rules, np.ndarray]:
    """`[rows, species]` where the slots are, the rules, and `[starts, slots]` one start of each fiber."""
    species = _as_integers(num_species, "num_species")
    table = _as_integers(counts, "counts")
    weights = _as_integers(constraints, "constraints")
    if species.ndim != 1 or table.ndim not in (2, 3) or table.shape[-2] != len(species) or not table.size:
        raise ValueError(
            f"`counts` must have shape [rows, species] or [starts, rows, species], with a row for each entry of "
            f"`num_species` ({list(species)}), but has shape {table.shape}."
        )
    if weights.ndim != 3 or weights.shape[1:] != table.shape[-2:]:
        raise ValueError(
            f"`constraints` must have shape [constraints, {table.shape[-2]}, {table.shape[-1]}] (rows, species), "
            f"but has shape {weights.shape}; no constraint is an array of shape (0, rows, species)."
        )
    if np.any((species < 1) | (species > table.shape[-1])):
        raise ValueError(f"`num_species` must lie in 1..{table.shape[-1]}, the columns of `counts`: {list(species)}.")
    is_slot = np.arange(table.shape[-1]) < species[:, None]
    if np.any(table < 0) or np.any(table[..., ~is_slot]):
        raise ValueError("`counts` must be 0 or more, and 0 for species codes that `num_species` does not allow.")
    rows = np.arange(len(species))[:, None] == np.nonzero(is_slot)[0]
    rules = _Rules(rows.astype(np.int64), weights[:, is_slot])
    starts = table[..., is_slot].reshape(-1, is_slot.sum())
    _, first = np.unique(starts @ np.concatenate(rules).T, axis=0, return_index=True)
    return is_slot, rules, starts[first]


def _as_integers(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)) or np.any(array != np.rint(array)):
        raise ValueError(f"`{name}` must hold integers (scale fractions to whole numbers first), but is {values!r}.")
    return array.astype(np.int64)


def _read_vectors(vectors: Any, is_slot: np.ndarray, rules: _Rules) -> np.ndarray:
    table = _as_integers(vectors, "vectors")
    if table.ndim != 3 or table.shape[1:] != is_slot.shape:
        raise ValueError(
            f"`vectors` must have shape [vectors, {is_slot.shape[0]}, {is_slot.shape[1]}] (rows, species), "
            f"but has shape {table.shape}."
        )
    steps = table[:, is_slot]
    is_broken = np.any(steps @ np.concatenate(rules).T, axis=1) | np.any(table[:, ~is_slot], axis=1)
    if np.any(is_broken):
        raise ValueError(
            "every flip vector must add up to 0 on each row and in each constraint, and change only species that "
            f"`num_species` allows, but vector {np.argmax(is_broken)} does not: {table[np.argmax(is_broken)].tolist()}."
        )
    return steps


def _merge_equal_slots(rules: _Rules) -> tuple[_Rules, np.ndarray]:
    """The rules for classes of slots that are alike to them, such as species of one charge; `[slots]` class of each."""
    columns, class_of_slot = np.unique(np.concatenate(rules), axis=1, return_inverse=True)
    num_rows = len(rules.rows)
    return _Rules(columns[:num_rows], columns[num_rows:]), class_of_slot.reshape(-1)


def _find_primitive_vectors(rules: _Rules, most_sites: np.ndarray) -> np.ndarray:
    """`[vectors, slots]` primitive vectors, both of each pair +-v, that change at most so many sites of each row."""
    slots = np.eye(rules.rows.shape[1], dtype=np.int64)
    pairs = [pair for row in rules.rows for pair in itertools.permutations(np.flatnonzero(row), 2)]
    basis = np.array([slots[new] - slots[old] for new, old in pairs], dtype=np.int64).reshape(-1, len(slots))
    for constraint in rules.constraints:
        basis = _impose(basis, constraint, rules.rows, most_sites)
    return basis


def _impose(basis: np.ndarray, constraint: np.ndarray, rows: np.ndarray, most_sites: np.ndarray) -> np.ndarray:
    """The primitive vectors that also keep one more constraint, from those without it.

    They are among the sums of vectors of the basis that agree in direction and whose charges (changes of the
    constraint) cancel. A sum grows by one vector at a time, of the sign opposite to its charge, so its charge is
    bounded by the largest one of the basis; if a charge came twice, what was added in between would keep the
    constraint, and the sum would be primitive no more. So the search ends by itself.
    """
    charges = basis @ constraint
    found, sums = basis[charges == 0], basis[charges > 0]
    work = 0
    while len(sums):
        work = _checked_work(work + len(sums) * len(basis) * _COMPARISONS_PER_SUM)
        sums = np.unique(np.concatenate([sums[:0], *_grow(sums, basis, constraint)]), axis=0)
        sums = sums[np.all(_added(sums) @ rows.T <= most_sites, axis=1)]
        work = _checked_work(work + len(sums) * len(found))
        sums = sums[_count_parts(sums, found) == 0]
        charges = sums @ constraint
        new, sums = sums[charges == 0], sums[charges != 0]
        work = _checked_work(work + len(sums) * len(new) + (len(found) + len(new)) ** 2)
        found, sums = _minimal(np.concatenate([found, new])), sums[_count_parts(sums, new) == 0]
    return found


def _checked_work(work: int) -> int:
    if work > _MOST_COMPARISONS:
        raise ValueError(
            f"the flip vectors could not be found: the search for a basis that connects all counts would take over "
            f"{_MOST_COMPARISONS:,} comparisons of vectors. Give `flip_vectors` yourself, or use fewer species, fewer "
            "constraints or constraints with smaller integers."
        )
    return work


def _grow(sums: np.ndarray, basis: np.ndarray, constraint: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of all sums of one more vector that agrees in direction and has a charge of the opposite sign."""
    charges = np.sign(basis @ constraint)
    opposite = np.concatenate([basis < 0, basis > 0], axis=1).astype(np.float32).T
    for block in np.array_split(sums, 1 + len(sums) * len(basis) // _BLOCK):
        signs = np.concatenate([block > 0, block < 0], axis=1).astype(np.float32)
        is_pair = (signs @ opposite == 0) & (np.sign(block @ constraint)[:, None] * charges < 0)
        first, second = np.nonzero(is_pair)
        yield np.unique(block[first] + basis[second], axis=0)


def _minimal(vectors: np.ndarray) -> np.ndarray:
    """The different vectors that have no other of them as a part."""
    different = np.unique(vectors, axis=0)
    return different[_count_parts(different, different) == 1]


def _count_parts(vectors: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """For each vector, how many of the parts change the same species in the same direction and by no more."""
    height = int(np.max(np.abs(parts), initial=0))
    ones = _as_ones(parts, height).T
    sizes = np.sum(np.abs(parts), axis=1)
    blocks = np.array_split(vectors, 1 + len(vectors) * len(parts) // _BLOCK)
    return np.concatenate([np.sum(_as_ones(block, height) @ ones == sizes, axis=1) for block in blocks])


def _as_ones(vectors: np.ndarray, height: int) -> np.ndarray:
    """Vectors in unary, a one for each site, so that the product of two is the size of what they have in common."""
    levels = np.arange(1, height + 1)
    both = np.stack([_added(vectors), _removed(vectors)], axis=1)
    return (both[..., None] >= levels).astype(np.float32).reshape(len(vectors), 2 * vectors.shape[1] * height)


def _added(vectors: np.ndarray) -> np.ndarray:
    return np.maximum(vectors, 0)


def _removed(vectors: np.ndarray) -> np.ndarray:
    return np.maximum(-vectors, 0)


def _drop_bridged(vectors: np.ndarray) -> np.ndarray:
    """One of each pair +-v, by number of sites, without those that vectors of fewer sites make needless."""
    first_change = np.argmax(vectors != 0, axis=1)
    vectors = vectors[vectors[np.arange(len(vectors)), first_change] > 0]
    num_sites = np.sum(_added(vectors), axis=1)
    needed = vectors[:0]
    for number in np.unique(num_sites):
        smaller = np.concatenate([needed, -needed])
        group = [vector for vector in vectors[num_sites == number] if not _is_bridged(vector, smaller)]
        needed = np.concatenate([needed, np.array(group, dtype=np.int64).reshape(-1, vectors.shape[1])])
    return needed


def _is_bridged(vector: np.ndarray, smaller: np.ndarray) -> bool:
    """Whether steps of smaller vectors lead from what a vector removes to what it adds.

    It is enough to meet a slot of what it adds: the rest of the way changes fewer sites, and smaller vectors connect
    all such counts.
    """
    start, wanted = _removed(vector), vector > 0
    seen, unvisited = {start.tobytes()}, [start]
    while unvisited:
        following = unvisited.pop() + smaller
        following = following[np.all(following >= 0, axis=1)]
        if np.any(following[:, wanted]):
            return True
        unseen = [counts for counts in following if counts.tobytes() not in seen]
        seen.update(counts.tobytes() for counts in unseen)
        unvisited += unseen
    return False


def _split_classes(vectors: np.ndarray, class_of_slot: np.ndarray) -> np.ndarray:
    """`[vectors, slots]` from vectors over classes: exchanges in a class, and all that each vector can mean.

    An exchange changes one site and a vector over classes at least two, so exchanges bridge none of them.
    """
    slots = np.eye(len(class_of_slot), dtype=np.int64)
    classes = [np.flatnonzero(class_of_slot == number) for number in range(vectors.shape[1])]
    split = [slots[new] - slots[old] for members in classes for new, old in itertools.combinations(members, 2)]
    for vector in vectors:
        # For each class that changes, all choices of as many of its slots, repeats included.
        choices = [
            [
                np.sign(change) * slots[list(chosen)].sum(axis=0)
                for chosen in combinations_with_replacement(members, abs(change))
            ]
            for members, change in zip(classes, vector, strict=True)
        ]
        split += [np.sum(parts, axis=0) for parts in itertools.product(*choices)]
    split.sort(key=lambda vector: np.sum(np.abs(vector)))
    return np.array(split, dtype=np.int64).reshape(-1, len(slots))


def _has_completion(
    used: np.ndarray, rules: _Rules, start: np.ndarray, is_open: np.ndarray | None = None
) -> np.ndarray:
    """Whether counts of the start's fiber may hold what is used and else only open slots (all, if not given).

    Every constraint is looked at alone and without regard to integers: False is certain, True is not.

    Args:
        used: `[cases, slots]` counts that are taken.
        rules: what is kept.
        start: `[slots]` counts of the fiber.
        is_open: `[slots]` slots that may hold the sites that are left.
    """
    in_row = rules.rows.astype(bool) & (True if is_open is None else is_open)
    left_sites = (start - used) @ rules.rows.T
    left_sums = (start - used) @ rules.constraints.T
    is_possible = np.all((left_sites == 0) | ((left_sites > 0) & np.any(in_row, axis=1)), axis=1)
    for constraint, left in zip(rules.constraints, left_sums.T, strict=True):
        # Rows without open slots have no sites left.
        weights = [constraint[slots] if np.any(slots) else [0] for slots in in_row]
        is_possible &= left_sites @ [min(values) for values in weights] <= left
        is_possible &= left_sites @ [max(values) for values in weights] >= left
    return is_possible


def _list_fiber(rules: _Rules, start: np.ndarray, limit: int) -> np.ndarray | None:
    """`[counts, slots]` all counts of the start's fiber; None if there are too many."""
    fiber = np.zeros((1, len(start)), dtype=np.int64)
    row_of_slot = np.argmax(rules.rows, axis=0)
    for slot, row in enumerate(row_of_slot):
        values = np.arange(int(rules.rows[row] @ start) + 1)
        is_open = np.arange(len(start)) > slot
        kept = []
        for block in np.array_split(fiber, 1 + len(fiber) * len(values) // _BLOCK):
            filled = np.repeat(block, len(values), axis=0)
            filled[:, slot] = np.tile(values, len(block))
            kept.append(filled[_has_completion(filled, rules, start, is_open)])
        fiber = np.concatenate(kept)
        if len(fiber) > limit:
            return None
    return fiber


def _num_components(fiber: np.ndarray, steps: np.ndarray) -> int:
    # Rows as single items, so that they can be sorted and looked up.
    as_items = lambda table: np.ascontiguousarray(table).view(np.dtype((np.void, table.shape[1] * 8)))[:, 0]
    items = np.sort(as_items(fiber))
    fiber = np.frombuffer(items.tobytes(), dtype=np.int64).reshape(fiber.shape)
    edges = [np.zeros((2, 0), dtype=np.int64)]
    for step in steps:
        origin = np.flatnonzero(np.all(fiber + step >= 0, axis=1))
        edges.append(np.stack([origin, np.searchsorted(items, as_items(fiber[origin] + step))]))
    origin, target = np.concatenate(edges, axis=1)
    graph = coo_matrix((np.ones(len(origin)), (origin, target)), shape=(len(fiber), len(fiber)))
    return int(connected_components(graph, directed=False)[0])
