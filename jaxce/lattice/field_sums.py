"""The field of a site as sums of products with equal weights, for integer arithmetic.

Symmetry gives many products of neighbours' functions in the field of a site the same weight. As the functions are -1, 0
and 1, such products are multiplied and added in 8 bits, and only the sums are multiplied by weights.
"""

import numpy as np

# Products in a sum: few enough that 8 bits hold it, and that a program which writes them out is short.
SHARES = 8

# Of one kind of site, by number of neighbours: own function [entries], columns [entries, neighbours], weight [entries],
# and mark [entries], which is equal where symmetry makes weights equal.
_Entries = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def field_sums(weights: list, marks: list, num_functions: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The sums of all kinds of sites, by number of neighbours from 1 on.

    Args:
        weights: for each kind of site: linear, pair, quadratic and higher weights, as in `Environments`.
        marks: the same of random ECIs: which sums there are does not depend on the ECIs.
        num_functions: functions of a site.

    Returns:
        Columns `[tables, sums, shares, neighbours]`, as if the null site were the first neighbour, and weights
        `[tables, functions, sums]`.
    """
    by_kind = [_entries(*pair) for pair in zip(weights, marks, strict=True)]
    sums = [[_sums(entries, num_functions) for entries in of_kind] for of_kind in by_kind]
    return tuple(_stacked(list(of_size)) for of_size in zip(*sums, strict=True))


def _entries(weights: tuple, marks: tuple) -> list[_Entries]:
    _, pair, quadratic, higher = weights
    _, pair_marks, quadratic_marks, higher_marks = marks
    function, column = np.nonzero(pair_marks)
    result = [(function, column[:, None], pair[function, column], pair_marks[function, column])]
    function, first, second = np.nonzero(np.triu(quadratic_marks))
    places = (function, first, second)
    result.append((function, np.stack([first, second], axis=1), 2 * quadratic[places], quadratic_marks[places]))
    for (columns, of_terms), (_, marks_of_terms) in zip(higher, higher_marks, strict=True):
        function, term = np.nonzero(marks_of_terms)
        result.append((function, columns[term], of_terms[function, term], marks_of_terms[function, term]))
    return result


def _sums(entries: _Entries, num_functions: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns `[sums, shares, neighbours]` and weights `[functions, sums]` of one kind of site."""
    function, columns, weights, marks = entries
    keys = np.stack([function, np.round(marks, 10)], axis=1)
    _, label = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(label.ravel(), kind="stable")
    starts = np.flatnonzero(np.diff(label.ravel()[order], prepend=-1))
    pieces = [
        piece for group in np.split(order, starts[1:]) for piece in np.split(group, range(SHARES, len(group), SHARES))
    ]
    filled = np.zeros((len(pieces), SHARES, columns.shape[1]), dtype=np.int64)
    of_functions = np.zeros((num_functions, len(pieces)))
    for row, piece in enumerate(pieces):
        filled[row, : len(piece)] = columns[piece] + num_functions
        if len(piece):
            of_functions[function[piece[0]], row] = weights[piece[0]]
    return filled, of_functions


def _stacked(sums: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """All tables with as many sums as the longest: a padded one has weight 0."""
    longest = max(len(columns) for columns, _ in sums)
    columns = [np.pad(c, ((0, longest - len(c)), (0, 0), (0, 0))) for c, _ in sums]
    weights = [np.pad(w, ((0, 0), (0, longest - w.shape[1]))) for _, w in sums]
    return np.stack(columns), np.stack(weights)
