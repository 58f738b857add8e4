"""The classes of moves that an ensemble needs: which sites change species with which others."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxce.sampling.moves import Substitutions
from jaxce.sampling.sublattices import ActiveSublattice, species_axis

# Sites with unlike tables are drawn from separate groups, so that all chains use one table at a time. With smaller
# groups than this too many draws would find a list empty, and with more classes than that their tables grow large.
_SMALLEST_GROUP = 8
_MOST_CLASSES = 4096


class Change(NamedTuple):
    """One site of a move: its sublattice, the species code that it has and the one that it gets."""

    sublattice: int
    old: int
    new: int


class MoveKind(NamedTuple):
    """A kind of move and its weight among all moves: the changes that it makes together, or takes back together."""

    changes: tuple[Change, ...]
    weight: float


def swap(sublattice: int, first: int, second: int) -> tuple[Change, ...]:
    """The changes of a swap of two species on a sublattice."""
    return (Change(sublattice, first, second), Change(sublattice, second, first))


def changes_of_vector(vector: np.ndarray) -> tuple[Change, ...]:
    """The changes that a flip vector `[sublattices, species]` stands for: what goes, in order, becomes what comes."""
    changes = []
    for row, counts in enumerate(vector):
        gone = np.repeat(np.arange(len(counts)), np.maximum(-counts, 0))
        come = np.repeat(np.arange(len(counts)), np.maximum(counts, 0))
        changes += [Change(row, int(old), int(new)) for old, new in zip(gone, come, strict=True)]
    return tuple(changes)


def build_moves(
    sublattices: tuple[ActiveSublattice, ...], kinds: Sequence[MoveKind], steps: int
) -> tuple[Substitutions, ...]:
    """Moves of the given kinds, one `Substitutions` for each number of sites that change.

    Args:
        sublattices: the active sublattices.
        kinds: the kinds of moves; each stands for its reverse too.
        steps: steps per sweep, shared out in proportion to the weights; each gets one at least.
    """
    sizes = sorted({len(kind.changes) for kind in kinds})
    by_size = [[kind for kind in kinds if len(kind.changes) == size] for size in sizes]
    weights = np.array([sum(kind.weight for kind in of_size) for of_size in by_size])
    shares = np.maximum(1, np.round(steps * weights / weights.sum()).astype(int))
    return tuple(_substitutions(sublattices, of_size, int(n)) for of_size, n in zip(by_size, shares, strict=True))


class _Group(NamedTuple):
    sublattice: int
    sites: np.ndarray


def _substitutions(sublattices: tuple[ActiveSublattice, ...], kinds: list[MoveKind], steps: int) -> Substitutions:
    groups, are_alike = _groups(sublattices, kinds)
    members, changes, weights = [], [], []
    for kind in kinds:
        for chosen in _choices(groups, kind):
            sizes = [len(groups[g].sites) / len(sublattices[groups[g].sublattice].movable) for g in chosen]
            members.append(chosen)
            changes.append(kind.changes)
            weights.append(kind.weight * math.prod(sizes))
    longest = max(len(group.sites) for group in groups)
    padded = np.stack([np.append(g.sites, np.full(longest - len(g.sites), g.sites[0])) for g in groups])
    table = np.array(changes)
    index = lambda array: jnp.asarray(np.asarray(array, dtype=np.int32))
    return Substitutions(
        group_sites=index(padded),
        group_sizes=index([len(group.sites) for group in groups]),
        like=index(padded[:, 0]) if are_alike else None,
        group=index(members),
        old=index(table[..., 1]),
        new=index(table[..., 2]),
        count_changes=index(_count_changes(table, len(sublattices), species_axis(sublattices))),
        cumulative=jnp.asarray(np.cumsum(weights) / np.sum(weights), float),
        num_species=species_axis(sublattices),
        steps=steps,
    )


def _groups(sublattices: tuple[ActiveSublattice, ...], kinds: list[MoveKind]) -> tuple[list[_Group], bool]:
    """Groups to draw sites from, by tables where that makes sense, and whether their sites have the same tables."""
    used = sorted({change.sublattice for kind in kinds for change in kind.changes})
    split = []
    for row in used:
        sites, tables = sublattices[row].movable, sublattices[row].tables
        split += [_Group(row, sites[tables == table]) for table in np.unique(tables)]
    whole = [_Group(row, sublattices[row].movable) for row in used]
    if len(split) == len(whole):
        return whole, True
    num_classes = sum(len(_choices(split, kind)) for kind in kinds)
    if min(len(group.sites) for group in split) < _SMALLEST_GROUP or num_classes > _MOST_CLASSES:
        return whole, False
    return split, True


def _choices(groups: list[_Group], kind: MoveKind) -> list[tuple[int, ...]]:
    """All ways to choose a group for each change."""
    of_row = lambda row: [g for g, group in enumerate(groups) if group.sublattice == row]
    return list(itertools.product(*(of_row(change.sublattice) for change in kind.changes)))


def _count_changes(table: np.ndarray, num_sublattices: int, num_species: int) -> np.ndarray:
    """`[classes, sublattices, species]` what the changes `[classes, changes, 3]` add up to."""
    result = np.zeros((len(table), num_sublattices, num_species), dtype=np.int64)
    for row, old, new in np.moveaxis(table, 1, 0).transpose(0, 2, 1):
        np.add.at(result, (np.arange(len(table)), row, old), -1)
        np.add.at(result, (np.arange(len(table)), row, new), 1)
    return result
