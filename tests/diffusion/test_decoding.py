"""Decoding at exact composition against enumeration of all arrangements, and all orders, of a small crystal."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.diffusion.conditional_decoding import conditional_log_probability, decode_conditional, log_partition
from jaxce.diffusion.decoding import decode_gumbel, decode_sequential
from jaxce.diffusion.exact_composition import check_counts, composition_counts
from jaxce.diffusion.open_sites import check_logits
from noising import (
    COUNTS,
    NUM_SPECIES,
    OCCUPANCIES,
    SMALL,
    SUBLATTICES,
    arrangements,
    assert_distributed,
    count,
    random_key,
    rows,
)

LOGITS = np.random.default_rng(0).normal(size=(6, 3)) * 1.5
DECODERS = {"conditional": decode_conditional, "sequential": decode_sequential, "gumbel": decode_gumbel}
NUM_DRAWS = 6000
UNKNOWN = np.full(6, -1)

# Compiled once, with counts that are not known while tracing; what other tests need has the same shapes.
draw = {
    name: jax.jit(lambda key, logits, counts, known, decoder=decoder: decoder(key, SMALL, logits, counts, known))
    for name, decoder in DECODERS.items()
}
log_probability_of = jax.jit(
    lambda logits, counts, occupancy: conditional_log_probability(SMALL, logits, counts, occupancy)
)


def decoded(name, logits, counts=COUNTS, known=UNKNOWN):
    logits = np.broadcast_to(logits, (NUM_DRAWS, 6, 3))
    occupancy, log_probability = draw[name](
        random_key(1), logits, np.broadcast_to(counts, (NUM_DRAWS, 2, 3)), np.array(known)
    )
    return rows(occupancy), np.asarray(log_probability)


def weight(occupancy, logits=LOGITS):
    return math.exp(sum(logits[site][code] for site, code in enumerate(occupancy) if NUM_SPECIES[site] > 1))


def conditional(logits=LOGITS, counts=COUNTS):
    total = sum(weight(o, logits) for o in arrangements(counts))
    return {o: weight(o, logits) / total for o in arrangements(counts)}


def softmax(values):
    return np.exp(values) / np.sum(np.exp(values))


def sequential_paths(sites, counts):
    """(codes, probability) of every order of the sites of a sublattice and all that can be put on them."""
    for order in itertools.permutations(sites):
        for codes in {p for p in itertools.permutations([c for c in range(3) for _ in range(counts[c])])}:
            left, probability = list(counts), 1.0
            for site, code in zip(order, codes, strict=True):
                open_codes = [c for c in range(3) if left[c]]
                probability *= softmax(LOGITS[site][open_codes])[open_codes.index(code)]
                left[code] -= 1
            yield dict(zip(order, codes, strict=True)), probability, math.factorial(len(sites))


def gumbel_paths(sites, counts):
    """(codes, probability) of every ordered draw, last species first, by weights that are odds."""
    paths = [({}, 1.0)]
    for code in range(2, 0, -1):
        extended = []
        for assigned, probability in paths:
            for drawn in itertools.permutations([s for s in sites if s not in assigned], int(counts[code])):
                free, p = [s for s in sites if s not in assigned], probability
                for site in drawn:
                    odds = {s: math.exp(LOGITS[s][code]) / sum(math.exp(x) for x in LOGITS[s][:code]) for s in free}
                    p *= odds[site] / sum(odds.values())
                    free.remove(site)
                extended.append(({**assigned, **dict.fromkeys(drawn, code)}, p))
        paths = extended
    for assigned, probability in paths:
        yield {site: assigned.get(site, 0) for site in sites}, probability, 1


def all_paths(paths_of):
    """Of each occupancy: its probability, and those of all paths to it."""
    occupancies, paths = {}, {}
    for (first, p, orders), (second, q, others) in itertools.product(
        *(list(paths_of(sites, COUNTS[row])) for row, sites in enumerate(SUBLATTICES))
    ):
        occupancy = tuple({**first, **second, 2: 0}[site] for site in range(6))
        occupancies[occupancy] = occupancies.get(occupancy, 0) + p * q / orders / others
        paths.setdefault(occupancy, []).append(p * q)
    return occupancies, paths


def test_conditional_draws_and_log_probabilities_are_those_of_enumeration():
    draws, log_probability = decoded("conditional", LOGITS)
    expected = conditional()
    assert_distributed(draws, expected)
    np.testing.assert_allclose(np.exp(log_probability), [expected[draw] for draw in draws], rtol=1e-12)


def test_conditional_log_probability_of_every_occupancy_is_that_of_enumeration():
    found = np.exp(log_probability_of(LOGITS, np.broadcast_to(COUNTS, (72, 2, 3)), OCCUPANCIES))
    expected = conditional()
    np.testing.assert_allclose(found, [expected.get(tuple(o), 0) for o in OCCUPANCIES.tolist()], rtol=1e-12)


def test_partition_function_with_counts_that_are_known_while_tracing():
    found = jax.jit(lambda logits: log_partition(SMALL, logits, COUNTS))(LOGITS)
    assert float(found) == pytest.approx(math.log(sum(weight(o) for o in arrangements())), abs=1e-12)


def test_compositions_may_differ_within_a_batch():
    kinds = np.array([[[3, 0, 0], [0, 0, 2]], [[0, 3, 0], [1, 1, 0]], [[2, 1, 0], [0, 1, 1]]])
    counts = np.tile(kinds, (NUM_DRAWS // 3, 1, 1))
    for name in DECODERS:
        draws, _ = decoded(name, LOGITS, counts)
        found = [[count(occupancy, sites) for sites in SUBLATTICES] for occupancy in draws]
        np.testing.assert_array_equal(found, counts, err_msg=name)
    occupancies = np.tile([arrangements(c)[0] for c in kinds], (24, 1))
    expected = [conditional(counts=c)[tuple(o)] for c, o in zip(kinds, occupancies[:3].tolist(), strict=True)]
    np.testing.assert_allclose(np.exp(log_probability_of(LOGITS, counts[:72], occupancies)), expected * 24, rtol=1e-12)


def test_gradient_in_the_logits_is_observed_minus_expected_also_where_logits_are_infinite():
    occupancy = arrangements()[1]
    logits = LOGITS.copy()
    logits[0, 1 - occupancy[0]] = -np.inf
    of_one = lambda logits: conditional_log_probability(SMALL, logits, COUNTS, np.array(occupancy))
    gradient = jax.jit(jax.grad(of_one))(logits)
    expected = sum(p * np.eye(3)[list(o)] for o, p in conditional(logits).items())
    active = np.array(NUM_SPECIES)[:, None] > 1
    np.testing.assert_allclose(gradient, np.where(active, np.eye(3)[list(occupancy)] - expected, 0), atol=1e-12)


@pytest.mark.parametrize(("name", "paths_of"), [("sequential", sequential_paths), ("gumbel", gumbel_paths)])
def test_draws_are_those_of_all_paths_and_log_probabilities_are_of_one_of_them(name, paths_of):
    expected, paths = all_paths(paths_of)
    draws, log_probability = decoded(name, LOGITS)
    assert_distributed(draws, expected)
    for draw, found in zip(draws[:300], np.exp(log_probability[:300]).tolist(), strict=True):
        assert min(abs(path / found - 1) for path in paths[draw]) < 1e-12
    # Each path is as frequent as it says: the mean of 1 / probability is the number of paths that there are.
    number = sum(map(len, paths.values())) / (1 if name == "gumbel" else math.factorial(3) * math.factorial(2))
    inverse = np.exp(-log_probability)
    assert abs(inverse.mean() - number) < 5 * inverse.std() / math.sqrt(len(draws))


@pytest.mark.parametrize("name", list(DECODERS))
def test_known_sites_stay_and_count(name):
    known = np.array([1, -1, 0, 3, 0, -1])  # 3 is the mask code
    draws, log_probability = decoded(name, LOGITS, known=known)
    possible = {o for o in arrangements() if o[0] == 1 and o[4] == 0}
    assert set(draws) == possible
    assert len(possible) == 2
    odds = {o: weight(o) for o in possible}
    if name == "conditional":
        expected = {o: odds[o] / sum(odds.values()) for o in possible}
        np.testing.assert_allclose(np.exp(log_probability), [expected[draw] for draw in draws], rtol=1e-12)


@pytest.mark.parametrize("name", list(DECODERS))
def test_composition_is_exact_where_logits_forbid_all_of_it_and_says_so(name):
    logits = LOGITS.copy()
    logits[[0, 3], 1] = -np.inf
    draws, log_probability = decoded(name, logits)
    assert set(draws) <= set(arrangements())
    assert np.all(log_probability == -np.inf)


def test_bfloat16_logits_are_decoded_in_single_precision():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    found = log_probability_of(logits, np.broadcast_to(COUNTS, (72, 2, 3)), OCCUPANCIES)
    assert found.dtype == np.float32
    expected = conditional(np.asarray(logits, float))
    np.testing.assert_allclose(np.exp(found), [expected.get(tuple(o), 0) for o in OCCUPANCIES.tolist()], rtol=1e-5)


def test_tables_that_would_be_too_large_are_refused():
    prim = jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0]], [["A", "B", "C", "D"]])
    counts = np.array([[250, 250, 250, 250]])
    with pytest.raises(ValueError, match="Use decode_sequential or decode_gumbel"):
        decode_conditional(random_key(0), jaxce.Supercell(prim, 10), np.zeros((1000, 4)), counts)


def test_composition_counts_are_those_of_each_sublattice():
    np.testing.assert_array_equal(composition_counts(SMALL, {"Cu": 1, "Au": 2, "Li": 1, "X": 1}), COUNTS)
    shared = jaxce.Supercell(jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0], [0.5] * 3], [["A", "B"], ["B", "A"]]), 2)
    with pytest.raises(ValueError, match="give the composition of each sublattice"):
        composition_counts(shared, {"A": 8, "B": 8})


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 1, 0], [1, 0, 1]], "sublattice A must be 2 numbers from 0 on that add up to 3 sites"),
        ([[1, 2, 0], [3, -1, 0]], "sublattice B must be 3 numbers"),
        ([[1, 1, 1], [1, 0, 1]], "sublattice A"),
        ([[1, 2], [1, 1]], r"shape \[..., 2, 3\]"),
        ([[1.0, 2.0, 0.0], [1.0, 0.0, 1.0]], "must be integers"),
    ],
    ids=["too few", "negative", "a species that is not allowed", "shape", "floats"],
)
def test_counts_that_cannot_be_decoded_are_refused(counts, message):
    check_counts(SMALL, COUNTS)
    with pytest.raises(ValueError, match=message):
        check_counts(SMALL, np.array(counts))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({(1, 2): np.nan}, r"1 values that are NaN or \+inf, the first at \[1, 2\]"),
        ({(0, 1): np.inf}, r"NaN or \+inf"),
        ({(3, 0): -np.inf, (3, 1): -np.inf}, r"forbid every species \(-inf\) on 1 sites, first at \[3\]"),
    ],
    ids=["NaN", "infinite", "all forbidden"],
)
def test_logits_that_are_none_are_refused(change, message):
    logits = LOGITS.copy()
    check_logits(SMALL, logits)
    for place, value in change.items():
        logits[place] = value
    with pytest.raises(ValueError, match=message):
        check_logits(SMALL, logits)


def test_probabilities_in_place_of_logits_are_noticed():
    with pytest.raises(ValueError, match="seems to return probabilities"):
        check_logits(SMALL, np.array([softmax(row) for row in LOGITS]) * 0 + [0.25, 0.75, 0.0])
    check_logits(SMALL, np.log([[0.25, 0.75, 1e-9]] * 6))
    check_logits(SMALL, np.zeros((6, 3)))
    with pytest.raises(ValueError, match=r"shape \[..., 6, 3\]"):
        check_logits(SMALL, np.zeros((6, 2)))
