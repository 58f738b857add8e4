"""Compositions: what users write, as counts of species codes on every sublattice."""

import collections
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxce.lattice.prim import VACANCY
from jaxce.lattice.supercell import Supercell

# More ways than this to share species between sublattices are not listed one by one.
_MOST_SPLITS = 100_000


class Composition(NamedTuple):
    """All ways to spread a composition over the sublattices.

    Attributes:
        counts: `[splits, sublattices, species]` sites of each sublattice that hold each species code.
        log_arrangements: `[splits]` logarithm of the number of occupancies of each way.
    """

    counts: np.ndarray
    log_arrangements: np.ndarray


def parse_composition(supercell: Supercell, composition: Mapping[str, Any]) -> Composition:
    """The counts that a composition means in a supercell.

    Args:
        supercell: the supercell.
        composition: species -> number of sites over the whole supercell; or sublattice name -> {species -> number}.
            Instead of numbers, fractions of the sublattice's sites (floats that add up to 1). Inactive species may be
            left out. Names of the vacancy are understood.

    Raises:
        ValueError: if the composition does not fill the sites exactly.
    """
    if not supercell.sublattices:
        raise ValueError(f"{supercell} has no site with more than one species, so there is nothing to compose.")
    if any(isinstance(value, Mapping) for value in composition.values()):
        counts = _counts_by_sublattice(supercell, composition)[None]
    else:
        counts = np.stack(_counts_by_species(supercell, composition))
    log_arrangements = np.array([_log_arrangements(split) for split in counts])
    return Composition(counts, log_arrangements)


def _counts_by_sublattice(supercell: Supercell, composition: Mapping[str, Any]) -> np.ndarray:
    names = [sublattice.name for sublattice in supercell.sublattices]
    if set(composition) != set(names):
        raise ValueError(
            f"the composition must name each of the sublattices {names} once, but names {list(composition)}."
        )
    table = np.zeros((len(names), max(len(s.species) for s in supercell.sublattices)), dtype=np.int64)
    for row, sublattice in zip(table, supercell.sublattices, strict=True):
        given = composition[sublattice.name]
        if not isinstance(given, Mapping):
            raise ValueError(
                f"the composition of sublattice {sublattice.name} must map species to numbers, but is {given!r}."
            )
        given = _canonical(supercell, given)
        unknown = sorted(set(given) - set(sublattice.species))
        if unknown:
            raise ValueError(f"sublattice {sublattice.name} holds {list(sublattice.species)}, but not {unknown}.")
        numbers = as_counts(given, len(sublattice.sites), f"sublattice {sublattice.name}")
        if sum(numbers.values()) != len(sublattice.sites):
            raise ValueError(
                f"sublattice {sublattice.name} has {len(sublattice.sites)} sites, but the composition {dict(given)} "
                f"puts {sum(numbers.values())} species on it; name the vacancy ({VACANCY}) too."
            )
        row[: len(sublattice.species)] = [numbers.get(name, 0) for name in sublattice.species]
    return table


def _counts_by_species(supercell: Supercell, composition: Mapping[str, Any]) -> list[np.ndarray]:
    totals = _totals(supercell, _canonical(supercell, composition))
    sublattices = supercell.sublattices
    width = max(len(s.species) for s in sublattices)
    splits = list(itertools.islice(_splits(sublattices, totals, width), _MOST_SPLITS + 1))
    if not splits:
        raise ValueError(_misfit(supercell, totals))
    if len(splits) > _MOST_SPLITS:
        raise ValueError(
            f"species shared between sublattices can be spread in over {_MOST_SPLITS} ways; "
            "give the composition of each sublattice instead."
        )
    return splits


def _canonical(supercell: Supercell, composition: Mapping[str, Any]) -> dict[str, Any]:
    named = {supercell.prim.canonical_species(name): value for name, value in composition.items()}
    if len(named) != len(composition):
        raise ValueError(f"the composition names a species twice (vacancy aliases count as X): {dict(composition)}.")
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < math.inf:
            raise ValueError(f"the amount of {name} must be a number from 0 on, but is {value!r}.")
    return named


def _totals(supercell: Supercell, composition: dict[str, Any]) -> dict[str, int]:
    """Counts of the species of active sites, after those of inactive sites are checked and taken off."""
    prim = supercell.prim
    inactive = collections.Counter(names[0] for names in prim.species if len(names) == 1)
    active = {name for sublattice in prim.sublattices for name in sublattice.species}
    unknown = sorted(set(composition) - active - set(inactive))
    if unknown:
        raise ValueError(f"the composition names {unknown}, but the species are {list(prim.all_species)}.")
    shared = [name for name in active if sum(name in s.species for s in prim.sublattices) + (name in inactive) > 1]
    if _are_fractions(composition):
        if shared:
            raise ValueError(
                f"fractions of {sorted(shared)}, which several sublattices share, are ambiguous: "
                "give counts, or fractions for each sublattice."
            )
        partial = [name for name in inactive if composition.get(name, 1) != 1]
        if partial:
            raise ValueError(f"{partial} fill their sites alone: leave them out of fractions, or give 1.")
        per_sublattice = {s.name: {name: composition.get(name, 0) for name in s.species} for s in supercell.sublattices}
        table = _counts_by_sublattice(supercell, per_sublattice)
        return {
            name: int(count)
            for s, row in zip(supercell.sublattices, table, strict=True)
            for name, count in zip(s.species, row[: len(s.species)], strict=True)
        }
    counts = as_counts(composition, None, "the composition")
    for name, per_prim in inactive.items():
        fixed = per_prim * supercell.num_prims
        if name in counts and name not in active and counts[name] != fixed:
            raise ValueError(f"{name} fills {fixed} inactive sites, but the composition has {counts[name]}.")
        if name in counts and name in active:
            counts[name] -= fixed
            if counts[name] < 0:
                raise ValueError(
                    f"{name} fills {fixed} inactive sites, but the composition has only {counts[name] + fixed}."
                )
    return {name: counts.get(name, 0) for name in sorted(active)}


def _are_fractions(composition: Mapping[str, Any]) -> bool:
    """Whether some amount is a float that is no whole number, or all are floats of at most 1."""
    floats = [value for value in composition.values() if isinstance(value, float | np.floating)]
    return any(value != round(value) for value in floats) or (len(floats) == len(composition) > 0 and max(floats) <= 1)


def as_counts(amounts: Mapping[str, Any], num_sites: int | None, where: str) -> dict[str, int]:
    """Whole numbers of sites; fractions of `num_sites` where the amounts look like fractions.

    Raises:
        ValueError: if an amount is no whole number, or fractions do not add up to 1.
    """
    scale = 1
    if num_sites is not None and _are_fractions(amounts):
        if abs(sum(amounts.values()) - 1) > 1e-6:
            raise ValueError(f"the fractions of {where} must add up to 1, but add up to {sum(amounts.values()):.6g}.")
        scale = num_sites
    counts = {name: round(float(value) * scale) for name, value in amounts.items()}
    for name, value in amounts.items():
        if abs(float(value) * scale - counts[name]) > 1e-4:
            raise ValueError(
                f"{where}: {value} of {name} is {float(value) * scale:.4g} sites, which is not a whole number; "
                f"the nearest fraction is {counts[name]}/{scale}."
            )
    return counts


def _splits(sublattices: Any, totals: dict[str, int], width: int) -> Iterator[np.ndarray]:
    """Every `[sublattices, species]` table of counts whose rows fill the sublattices and whose species add up."""
    if not sublattices:
        if not any(totals.values()):
            yield np.zeros((0, width), dtype=np.int64)
        return
    first, rest = sublattices[0], sublattices[1:]
    elsewhere = {name for sublattice in rest for name in sublattice.species}
    ranges = [range(totals[name] + 1) if name in elsewhere else (totals[name],) for name in first.species]
    for counts in _rows(ranges, len(first.sites)):
        left = dict(totals)
        for name, count in zip(first.species, counts, strict=True):
            left[name] -= count
        row = np.zeros((1, width), dtype=np.int64)
        row[0, : len(counts)] = counts
        for below in _splits(rest, left, width):
            yield np.concatenate([row, below])


def _rows(ranges: list[Any], total: int) -> Iterator[tuple[int, ...]]:
    """Choices from the ranges that add up to the total."""
    if len(ranges) == 1:
        if total in ranges[0]:
            yield (total,)
        return
    for count in ranges[0]:
        if count <= total:
            for others in _rows(ranges[1:], total - count):
                yield (count, *others)


def _log_arrangements(counts: np.ndarray) -> float:
    """Logarithm of the number of occupancies with these counts: a multinomial for each sublattice."""
    return sum(math.lgamma(row.sum() + 1) - sum(math.lgamma(n + 1) for n in row) for row in counts)


def _misfit(supercell: Supercell, totals: dict[str, int]) -> str:
    num_sites = sum(len(s.sites) for s in supercell.sublattices)
    lines = [
        f"sublattice {s.name}: {len(s.sites)} sites, "
        + " + ".join(f"{totals[name]} {name}" for name in s.species)
        + f" = {sum(totals[name] for name in s.species)}"
        for s in supercell.sublattices
    ]
    return (
        f"the composition does not fill the {num_sites} active sites exactly ({sum(totals.values())} species given; "
        f"name the vacancy, {VACANCY}, too):\n  " + "\n  ".join(lines)
    )
