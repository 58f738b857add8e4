"""Which motif each state of a B site's environment is, under the 48 operations of O_h.

A motif lists the species of a B site and of the six B and six O sites next to it; the twelve permute together. Motif
files do not say in which order the six directions come. Under O_h it only matters which of them lie opposite each
other, for which there are 15 possibilities, and a complete file fits but one of them.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxce.mixed_radix import place_values

Opposite = tuple[tuple[int, int], ...]


def motif_of_states(codes: np.ndarray, num_species: Sequence[int], opposite: Any = None) -> tuple[np.ndarray, Opposite]:
    """`[states]` motif of each state, -1 where there is none, and which directions lie opposite each other.

    States have the centre first, then the B and the O sites in the directions +x, -x, +y, -y, +z, -z.

    Args:
        codes: `[motifs, 13]` species codes.
        num_species: number of species of each of the 13 sites.
        opposite: three pairs of directions, numbered from 0. If None, those under which each state is one motif.

    Raises:
        ValueError: if some motifs are the same state, or no or several choices of `opposite` fit the motifs.
    """
    if opposite is not None:
        pairs = _checked_opposite(opposite)
        motifs, num_twice = _motifs(codes, num_species, pairs)
        if num_twice:
            raise ValueError(
                f"with opposite={pairs} {num_twice} states are several motifs: some motifs of the file are the same "
                "under O_h, or other directions lie opposite each other."
            )
        return motifs, pairs
    tried = {pairs: _motifs(codes, num_species, pairs) for pairs in _pairings((0, 1, 2, 3, 4, 5))}
    fitting = [pairs for pairs, (motifs, num_twice) in tried.items() if num_twice == 0 and motifs.min() >= 0]
    if not fitting:
        raise ValueError(_no_choice(tried))
    if any(not np.array_equal(tried[pairs][0], tried[fitting[0]][0]) for pairs in fitting):
        raise ValueError(f"the motifs fit several choices of `opposite`, give the right one of {fitting}.")
    return tried[fitting[0]][0], fitting[0]


def octahedral_permutations() -> np.ndarray:
    """`[48, 6]` permutations of the directions +x, -x, +y, -y, +z, -z by the operations of O_h."""
    axes = np.array(list(itertools.permutations(range(3))))
    flips = np.array(list(itertools.product((0, 1), repeat=3)))
    images = 2 * axes[:, None, :, None] + (flips[None, :, :, None] ^ np.arange(2))
    return images.reshape(48, 6)


def _motifs(codes: np.ndarray, num_species: Sequence[int], pairs: Opposite) -> tuple[np.ndarray, int]:
    """`[states]` motif of each state or -1, and the number of states that are several."""
    listed = np.array(pairs).ravel()
    moved = listed[octahedral_permutations()]
    images = np.concatenate([np.zeros((48, 1), dtype=np.int64), 1 + moved, 7 + moved], axis=1)
    states = codes.T[images.T].T @ np.array(place_values(num_species))
    num_states = int(np.prod(num_species))
    lowest, highest = np.full(num_states, len(codes)), np.full(num_states, -1)
    motif = np.broadcast_to(np.arange(len(codes))[:, None], states.shape)
    np.minimum.at(lowest, states, motif)
    np.maximum.at(highest, states, motif)
    return highest, int(np.sum(lowest < highest))


def _pairings(items: tuple[int, ...]) -> list[Opposite]:
    if not items:
        return [()]
    first, *others = items
    return [
        ((first, partner), *rest)
        for partner in others
        for rest in _pairings(tuple(item for item in others if item != partner))
    ]


def _checked_opposite(opposite: Any) -> Opposite:
    given = np.asarray(opposite)
    if given.shape != (3, 2) or sorted(given.ravel().tolist()) != list(range(6)):
        raise ValueError(
            "`opposite` says which of the six directions of a motif lie opposite each other, as three pairs such as "
            f"((0, 1), (2, 3), (4, 5)), but is {opposite!r}."
        )
    return tuple((int(first), int(second)) for first, second in given)


def _no_choice(tried: dict[Opposite, tuple[np.ndarray, int]]) -> str:
    faults = {pairs: int(np.sum(motifs < 0)) + num_twice for pairs, (motifs, num_twice) in tried.items()}
    best = min(faults, key=lambda pairs: faults[pairs])
    motifs, num_twice = tried[best]
    return (
        "whichever directions lie opposite each other, the motifs of the file are not all states, each once. The best "
        f"choice, opposite={best}, leaves {np.sum(motifs < 0)} of {len(motifs)} states without a motif and gives "
        f"{num_twice} several. If the file is meant to be incomplete, say `opposite`; states without a motif then "
        "count for no feature."
    )
