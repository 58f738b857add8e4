"""All occupancies of a supercell within limits of the composition, counted and numbered without listing them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxce.lattice.supercell import Supercell

# Of a fraction times a number of sites.
_ROUNDING = 1e-9
# Different counts to keep apart at one site; so many go with far more occupancies than can be compared.
_MOST_STATES = 20_000


class Limits(NamedTuple):
    """Lowest and highest numbers of active sites that hold certain species.

    Attributes:
        is_counted: `[active sites, codes, limits]` 1 where a site with this code counts, otherwise 0.
        lowest: `[limits]` lowest allowed count.
        highest: `[limits]` highest allowed count.
    """

    is_counted: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    def admit(self, codes: np.ndarray) -> np.ndarray:
        """`[occupancies]` whether the codes of active sites, `[occupancies, active sites]`, are within all limits."""
        sites = np.arange(codes.shape[1])
        admitted = np.ones(len(codes), dtype=bool)
        for limit, (lowest, highest) in enumerate(zip(self.lowest, self.highest, strict=True)):
            counts = self.is_counted[sites, codes, limit].sum(axis=1)
            admitted &= (lowest <= counts) & (counts <= highest)
        return admitted


@dataclasses.dataclass(frozen=True, eq=False)
class LimitedOccupancies:
    """The occupancies of the active sites within limits, numbered in lexicographic order.

    They are the paths of a layered graph. A state of layer k stands for all choices on the first k sites that have the
    same counts, and each code that the next site may take leads to a state of layer k + 1.

    Attributes:
        count: how many occupancies there are.
        next_states: for each active site `[states, codes]` the state that a code leads to; -1 where it leads nowhere.
        first_ranks: for each active site `[states, codes]` how many occupancies from this state on have a lower code.
    """

    count: int
    next_states: tuple[np.ndarray, ...]
    first_ranks: tuple[np.ndarray, ...]

    def codes(self, start: int, stop: int) -> np.ndarray:
        """`[stop - start, active sites]` codes of the occupancies with these numbers, int8."""
        rank = np.arange(start, stop)
        state = np.zeros(len(rank), dtype=np.int64)
        codes = np.zeros((len(rank), len(self.next_states)), dtype=np.int8)
        for site, (next_state, first_rank) in enumerate(zip(self.next_states, self.first_ranks, strict=True)):
            code = np.zeros(len(rank), dtype=np.int64)
            for other in range(1, first_rank.shape[1]):
                code += first_rank[state, other] <= rank
            rank -= first_rank[state, code]
            state = next_state[state, code]
            codes[:, site] = code
        return codes


def limited_occupancies(num_species: np.ndarray, limits: Limits, max_count: int) -> LimitedOccupancies:
    """The occupancies within limits; `count` is 0 where there are none.

    Args:
        num_species: `[active sites]` number of species of each.
        limits: the limits.
        max_count: most occupancies that are wanted.

    Raises:
        ValueError: if there are more than `max_count`, or too many different compositions to count them.
    """
    next_states, num_last_states = _next_states(num_species, limits)
    # Python's integers: numbers beyond 64 bits are exact too.
    completions = np.ones(num_last_states, dtype=object)
    first_ranks = []
    for next_state in reversed(next_states):
        options = np.append(completions, 0)[next_state]
        ends = np.cumsum(options, axis=1)
        first_ranks.append(ends - options)
        completions = ends[:, -1]
    count = int(completions.sum())
    if count > max_count:
        raise ValueError(
            f"there are {_in_words(count)} occupancies to compare, more than `max_count` ({max_count}): limit the "
            "composition, use a smaller supercell, or raise `max_count`."
        )
    ranks = tuple(rank.astype(np.int64) for rank in reversed(first_ranks))
    return LimitedOccupancies(count, tuple(next_states), ranks)


def _next_states(num_species: np.ndarray, limits: Limits) -> tuple[list[np.ndarray], int]:
    """`next_states` of `LimitedOccupancies` and the number of states after the last site.

    Choices that break a limit, whatever follows, are left out.
    """
    is_counted, lowest, highest = limits
    # How many of the sites after each may still be counted.
    can_count = is_counted.max(axis=1, initial=0)
    still = can_count.sum(axis=0) - np.cumsum(can_count, axis=0)
    can_start = np.all((lowest <= can_count.sum(axis=0)) & (highest >= 0))
    states = np.zeros((int(can_start), len(lowest)), dtype=np.int64)
    next_states = []
    for site, num_codes in enumerate(num_species):
        reached = states[:, None] + is_counted[site, :num_codes]
        fits = np.all((lowest - still[site] <= reached) & (reached <= highest), axis=-1)
        states, place = _distinct_rows(reached[fits])
        if len(states) > _MOST_STATES:
            raise ValueError(
                f"the limits leave over {_MOST_STATES} different compositions: make them narrower, limit fewer "
                "species, or use a smaller supercell."
            )
        next_state = np.full(fits.shape, -1, dtype=np.int64)
        next_state[fits] = place
        next_states.append(next_state)
    return next_states, len(states)


def _distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different rows, and for each row its place among them."""
    if rows.size == 0:
        # Without limits all rows are the same, which np.unique refuses to say of rows without columns.
        return rows[:1], np.zeros(len(rows), dtype=np.int64)
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    return distinct, place.reshape(-1)


def _in_words(count: int) -> str:
    digits = str(count)
    return digits if len(digits) < 13 else f"about {digits[0]}.{digits[1:3]}e{len(digits) - 1}"


def composition_limits(supercell: Supercell, composition: Mapping[str, Any] | None) -> Limits:
    """The limits that a composition means in a supercell.

    Args:
        supercell: the supercell.
        composition: species -> limit over the whole supercell, or sublattice name -> {species -> limit}. A limit is
            an exact amount, or the lowest and the highest one. Integers count sites; with a float among them they are
            fractions of the sites that may hold the species.

    Raises:
        ValueError: if a species or sublattice is unknown or an amount is out of range.
    """
    everywhere = np.arange(supercell.num_sites)
    rows = []
    for name, value in (composition or {}).items():
        if isinstance(value, Mapping):
            sites = _sites_of_sublattice(supercell, name)
            rows += [_limit(supercell, sites, species, amount, f" on {name}") for species, amount in value.items()]
        else:
            rows.append(_limit(supercell, everywhere, name, value, ""))
    is_active = supercell.prim.num_species[supercell.prim_sites] > 1
    width = int(supercell.prim.num_species.max())
    tables = np.zeros((supercell.num_sites, width, len(rows)), dtype=np.int64)
    for limit, row in enumerate(rows):
        tables[:, :, limit] = row[0]
    # Inactive sites hold what they hold.
    fixed = tables[~is_active, 0].sum(axis=0)
    lowest = np.array([row[1] for row in rows], dtype=np.int64) - fixed
    highest = np.array([row[2] for row in rows], dtype=np.int64) - fixed
    return Limits(tables[is_active], lowest, highest)


def _sites_of_sublattice(supercell: Supercell, name: str) -> np.ndarray:
    for sublattice in supercell.sublattices:
        if sublattice.name == name:
            return sublattice.sites
    names = [sublattice.name for sublattice in supercell.sublattices]
    raise ValueError(f"the composition limits sublattice {name!r}, but the active sublattices are {names}.")


def _limit(
    supercell: Supercell, sites: np.ndarray, species: str, amount: Any, where: str
) -> tuple[np.ndarray, int, int]:
    """`[sites, codes]` whether each is counted, with the lowest and the highest count."""
    prim = supercell.prim
    name = prim.canonical_species(species)
    table = np.zeros((prim.num_sites, int(prim.num_species.max())), dtype=np.int64)
    for row, names in zip(table, prim.species, strict=True):
        row[: len(names)] = [other == name for other in names]
    is_counted = np.zeros((supercell.num_sites, table.shape[1]), dtype=np.int64)
    is_counted[sites] = table[supercell.prim_sites[sites]]
    num_holders = int(is_counted.max(axis=1).sum())
    if num_holders == 0:
        known = list(dict.fromkeys(other for site in sites for other in supercell.species[site]))
        raise ValueError(f"the composition limits {species!r}, but the species{where} are {known}.")
    return (is_counted, *_counts(amount, num_holders, f"{species}{where}"))


def _counts(amount: Any, num_sites: int, what: str) -> tuple[int, int]:
    """The lowest and the highest count that an amount means."""
    pair = amount if isinstance(amount, Sequence) and not isinstance(amount, str) else (amount, amount)
    if len(pair) != 2 or any(isinstance(x, bool) or not isinstance(x, int | float | np.number) for x in pair):
        raise ValueError(f"the limit of {what} must be a number or (lowest, highest), but is {amount!r}.")
    lowest, highest = pair
    is_fraction = any(isinstance(x, float | np.floating) for x in pair)
    if not 0 <= lowest <= highest < math.inf or (is_fraction and highest > 1):
        raise ValueError(
            f"the limits of {what} must have 0 <= lowest <= highest, and fractions (floats) must not exceed 1, but "
            f"are {amount!r}."
        )
    if is_fraction:
        return math.ceil(lowest * num_sites - _ROUNDING), math.floor(highest * num_sites + _ROUNDING)
    return int(lowest), int(highest)
