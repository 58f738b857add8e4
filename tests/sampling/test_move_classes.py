"""How moves are sorted into kinds, and sites into groups."""

import numpy as np

from jaxce.sampling import move_classes
from jaxce.sampling.move_classes import Change, MoveKind, build_moves, changes_of_vector, swap
from jaxce.sampling.sublattices import find_sublattices
from move_crystals import built, flips, swaps


def test_every_kind_of_move_gets_a_step(quaternary):
    kinds = [
        MoveKind((Change(0, 0, 1),), 1e-6),
        MoveKind(swap(0, 0, 1), 1.0),
        MoveKind(swap(1, 0, 1), 3.0),
        MoveKind((Change(0, 0, 1), Change(0, 0, 1), Change(1, 0, 1)), 1e-6),
    ]
    moves = build_moves(quaternary.sublattices, kinds, 24)
    assert [move.group.shape[1] for move in moves] == [1, 2, 3]
    assert [move.steps for move in moves] == [1, 24, 1]
    np.testing.assert_allclose(moves[1].cumulative, [0.25, 1.0])


def test_changes_of_a_vector_pair_what_goes_with_what_comes():
    vector = np.array([[-2, 1, 1], [0, 0, 0], [1, -1, 0]])
    assert changes_of_vector(vector) == (Change(0, 0, 1), Change(0, 0, 2), Change(2, 1, 0))


def test_groups_share_tables_where_they_are_large_enough(alloy, oxide, tiny):
    move = built(alloy, swaps(0, 2))
    assert move.group_sizes.tolist() == [27]
    assert move.like is not None
    # Eight sites with each table: swaps within and between the groups, in proportion to their sizes.
    move = built(oxide, swaps(1, 2))
    assert move.group_sizes.tolist() == [8, 8]
    assert sorted(map(tuple, np.asarray(move.group))) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    np.testing.assert_allclose(move.cumulative, [0.25, 0.5, 0.75, 1.0])
    tables = find_sublattices(oxide.hamiltonian)[1]
    of_site = dict(zip(tables.sites.tolist(), tables.tables.tolist(), strict=True))
    for like, sites in zip(np.asarray(move.like), np.asarray(move.group_sites), strict=True):
        assert {of_site[site] for site in sites.tolist()} == {of_site[int(like)]}
    move = built(tiny, swaps(1, 2))
    assert move.group_sizes.tolist() == [4]
    assert move.like is None


def test_groups_of_unlike_sizes_are_chosen_in_proportion(oxide, monkeypatch):
    monkeypatch.setattr(move_classes, "_SMALLEST_GROUP", 1)
    oxygen = oxide.sublattices[1]
    frozen = oxygen.sites[oxygen.tables == oxygen.tables[0]][:4]
    sublattices = find_sublattices(oxide.hamiltonian, frozen.tolist())
    (move,) = build_moves(sublattices, flips(1, 2), 10)
    assert sorted(move.group_sizes.tolist()) == [4, 8]
    probabilities = np.diff(np.asarray(move.cumulative), prepend=0.0)
    np.testing.assert_allclose(probabilities, np.asarray(move.group_sizes)[np.asarray(move.group[:, 0])] / 12)
    for sites, size in zip(np.asarray(move.group_sites), np.asarray(move.group_sizes), strict=True):
        assert not set(sites[:size].tolist()) & set(frozen.tolist())


def test_too_many_classes_are_no_groups(oxide, monkeypatch):
    monkeypatch.setattr(move_classes, "_MOST_CLASSES", 3)
    move = built(oxide, swaps(1, 2))
    assert move.group_sizes.tolist() == [16]
    assert move.like is None
