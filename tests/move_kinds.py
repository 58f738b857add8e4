"""Flips and swaps of all species of a sublattice, and the moves of one kind."""

import itertools

from jaxce.sampling.move_classes import Change, MoveKind, build_moves, swap


def flips(sublattice, num_species):
    pairs = itertools.combinations(range(num_species), 2)
    return [MoveKind((Change(sublattice, a, b),), 1.0) for a, b in pairs]


def swaps(sublattice, num_species):
    return [MoveKind(swap(sublattice, a, b), 1.0) for a, b in itertools.combinations(range(num_species), 2)]


def built(crystal, kinds, steps=500):
    (move,) = build_moves(crystal.sublattices, kinds, steps)
    return move
