"""A crystal small enough to enumerate, and chi-square tests against enumerated distributions. Seeds are fixed."""

import itertools

import jax
import numpy as np
from scipy.stats import chi2

import jaxce

COORDS = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0.5]]
TERNARY = ["Li", "Mg", "X"]
# An inactive site in between, and sublattices of two and of three species on 3 and 2 sites.
PRIM = jaxce.Prim(
    4.0 * np.eye(3), COORDS, [["Cu", "Au"], TERNARY, ["O"], ["Cu", "Au"], TERNARY, ["Cu", "Au"]], sublattice_names="AB"
)
SMALL = jaxce.Supercell(PRIM, 1)
SUBLATTICES = ((0, 3, 5), (1, 4))
NUM_SPECIES = (2, 3, 1, 2, 3, 2)
# Every occupancy, and every set of active sites.
OCCUPANCIES = np.array(list(itertools.product(*(range(number) for number in NUM_SPECIES))))
SETS = np.array(list(itertools.product(*((False, True) if number > 1 else (False,) for number in NUM_SPECIES))))
CLEAN = (0, 2, 0, 1, 0, 1)
COUNTS = np.array([[1, 2, 0], [1, 0, 1]])


def random_key(seed):
    """A key whose numbers compile in half the time of the usual ones."""
    return jax.random.key(seed, impl="rbg")


def arrangements(counts=COUNTS):
    """Every occupancy with these counts."""
    wanted = [tuple(row) for row in np.asarray(counts).tolist()]
    return [o for o in map(tuple, OCCUPANCIES.tolist()) if [count(o, sites) for sites in SUBLATTICES] == wanted]


def count(occupancy, sites):
    codes = [occupancy[site] for site in sites]
    return tuple(codes.count(code) for code in range(3))


def assert_distributed(draws, expected, least=5.0):
    """Chi-square at 1e-4 of hashable draws against a dictionary of probabilities; nothing else may have been drawn."""
    assert abs(sum(expected.values()) - 1) < 1e-9
    found = dict.fromkeys(expected, 0)
    for draw in draws:
        found[draw] += 1
    pairs = [(found[key], len(draws) * probability) for key, probability in expected.items()]
    assert all(number == 0 for number, mean in pairs if mean == 0)
    rare = [pair for pair in pairs if pair[1] < least]
    bins = [pair for pair in pairs if pair[1] >= least] + ([tuple(map(sum, zip(*rare, strict=True)))] if rare else [])
    bins = [(number, mean) for number, mean in bins if mean > 0]
    assert len(bins) > 2
    assert sum((number - mean) ** 2 / mean for number, mean in bins) < chi2.isf(1e-4, len(bins) - 1)


def rows(array):
    """The rows of an array as tuples, which can be keys."""
    return list(map(tuple, np.asarray(array).tolist()))
