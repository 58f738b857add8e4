"""Random transpositions against the matrix exponential of their rates over all arrangements of a small crystal."""

import itertools

import jax
import numpy as np
import pytest
from scipy.linalg import expm

from jaxce.diffusion.transposition_noise import TranspositionNoise
from noising import CLEAN, NUM_SPECIES, SMALL, SUBLATTICES, arrangements, assert_distributed, rows

NOISE = TranspositionNoise(SMALL)
STATES = arrangements()
TIMES = (0.0, 0.2, 1.5, np.inf)

sample = jax.jit(lambda noise, *arguments: noise.sample(*arguments))


def joint(time):
    """Probability of every arrangement: each pair of a sublattice of n sites exchanges at rate 1 / n."""
    rates = np.zeros((len(STATES), len(STATES)))
    for row, state in enumerate(STATES):
        for sites in SUBLATTICES:
            for i, j in itertools.combinations(sites, 2):
                new = list(state)
                new[i], new[j] = new[j], new[i]
                rates[row, STATES.index(tuple(new))] += 1 / len(sites)
                rates[row, row] -= 1 / len(sites)
    return dict(zip(STATES, expm(rates * min(time, 100))[STATES.index(CLEAN)].tolist(), strict=True))


def test_samples_have_the_joint_distribution_at_each_of_their_times():
    times = np.repeat(TIMES, 5000)
    drawn = rows(sample(NOISE, jax.random.key(0), np.broadcast_to(np.array(CLEAN, np.int8), (20_000, 6)), times))
    assert set(drawn[:5000]) == {CLEAN}
    for number, time in enumerate(TIMES[1:], start=1):
        assert_distributed(drawn[5000 * number : 5000 * (number + 1)], joint(time))


def test_marginals_are_those_of_the_joint_distribution():
    found = jax.jit(NOISE.site_marginals)(np.broadcast_to(CLEAN, (4, 6)), np.array(TIMES))
    for marginals, time in zip(np.asarray(found), TIMES, strict=True):
        probabilities = joint(time)
        for site, code in itertools.product(range(6), range(3)):
            expected = sum(p for state, p in probabilities.items() if state[site] == code)
            assert marginals[site, code] == pytest.approx(expected, abs=1e-12)
        assert np.all(marginals[np.arange(3) >= np.array(NUM_SPECIES)[:, None]] == 0)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(ValueError, match="noise times must be numbers from 0 on, but are nan"):
        NOISE.sample(jax.random.key(0), np.array(CLEAN), np.nan)
