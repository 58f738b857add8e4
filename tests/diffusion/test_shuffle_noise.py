"""Shuffle noise against enumeration of all sets and arrangements, by loops over permutations."""

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest

import jaxce
from jaxce.diffusion.exact_composition import composition_counts
from jaxce.diffusion.shuffle_noise import ShuffleNoise, ShuffleState
from noising import (
    CLEAN,
    COUNTS,
    NUM_SPECIES,
    SETS,
    SMALL,
    SUBLATTICES,
    arrangements,
    assert_distributed,
    random_key,
    rows,
)

T, S = 0.9, 0.4
NUM_DRAWS = 10_000
NOISE = ShuffleNoise(SMALL)
ACTIVE = tuple(site for site in range(6) if NUM_SPECIES[site] > 1)
LOGITS = np.random.default_rng(0).normal(size=(6, 3))
# All pairs of an arrangement and a set, possible or not, in one call.
PAIRS = [(o, s) for o in arrangements() for s in rows(SETS)]
STATES = ShuffleState(np.array([o for o, _ in PAIRS], np.int8), np.array([s for _, s in PAIRS]))

# Compiled once for each shape; operations that run one by one would be compiled one by one.
log_probability = jax.jit(lambda noise, *arguments: noise.log_probability(*arguments))
posterior_log_probability = jax.jit(lambda noise, *arguments: noise.posterior_log_probability(*arguments))
reverse_log_probability = jax.jit(lambda noise, *arguments: noise.reverse_log_probability(*arguments))
prior = jax.jit(lambda noise, key, counts: noise.prior(key, counts, (NUM_DRAWS,)))
sample = jax.jit(lambda noise, *arguments: noise.sample(*arguments))
posterior_sample = jax.jit(lambda noise, *arguments: noise.posterior_sample(*arguments))
reverse_step = jax.jit(lambda noise, *arguments: noise.reverse_step(*arguments))


def arranged(occupancy, chosen):
    """Probability of every occupancy after the chosen sites are permuted uniformly, each sublattice by itself."""
    result, sites = {}, [[site for site in sublattice if chosen[site]] for sublattice in SUBLATTICES]
    orders = list(itertools.product(*map(itertools.permutations, sites)))
    for permuted in orders:
        new = list(occupancy)
        for places, origins in zip(sites, permuted, strict=True):
            for place, origin in zip(places, origins, strict=True):
                new[place] = occupancy[origin]
        result[tuple(new)] = result.get(tuple(new), 0) + 1 / len(orders)
    return result


def forward(occupancy, chosen, time):
    """Probability of every (occupancy, set) a time later: further sites join, then all of the set are permuted."""
    result = {}
    for later in rows(SETS):
        if all(after or not before for before, after in zip(chosen, later, strict=True)):
            joins = [later[site] for site in ACTIVE if not chosen[site]]
            p = math.prod(1 - math.exp(-time) if join else math.exp(-time) for join in joins)
            result |= {(new, later): p * q for new, q in arranged(occupancy, later).items()}
    return result


NOBODY = (False,) * 6
AT_S, AT_T = forward(CLEAN, NOBODY, S), forward(CLEAN, NOBODY, T)


def bayes(state, clean):
    """Probability of every state at time S, given that at T and the clean occupancy."""
    at_s, at_t = forward(clean, NOBODY, S), forward(clean, NOBODY, T)
    onward = {earlier: forward(*earlier, T - S).get(state, 0) for earlier in at_s}
    return {earlier: at_s[earlier] * p / at_t[state] for earlier, p in onward.items() if p}


def mixture(state):
    """Probability of every state at time S when x_0 is decoded from `LOGITS` on the shuffle set of `state`."""
    occupancy, chosen = state
    cleans = [o for o in arrangements() if all(chosen[i] or o[i] == occupancy[i] for i in range(6))]
    weights = [math.exp(sum(LOGITS[i][o[i]] for i in ACTIVE if chosen[i])) for o in cleans]
    result = {}
    for clean, weight in zip(cleans, weights, strict=True):
        for earlier, p in bayes(state, clean).items():
            result[earlier] = result.get(earlier, 0) + p * weight / sum(weights)
    return result


def keys_of(state):
    return list(zip(rows(state.occupancy), rows(state.shuffled), strict=True))


def repeated(state, number=NUM_DRAWS):
    """A state as arrays with a batch axis."""
    occupancy, shuffled = np.array(state[0], np.int8), np.array(state[1])
    return ShuffleState(np.broadcast_to(occupancy, (number, 6)), np.broadcast_to(shuffled, (number, 6)))


# A state with all of one sublattice, and some of the other, in the set.
SHUFFLED = next(state for state in AT_T if state[1] == (True, True, False, True, True, True) and state[0] != CLEAN)
PARTLY = next(state for state in AT_T if state[1] == (True, True, False, True, True, False) and state[0] != CLEAN)


def test_log_probability_of_every_state_is_that_of_enumeration():
    found = np.exp(np.asarray(log_probability(NOISE, STATES, np.array(CLEAN), T)))
    np.testing.assert_allclose(found, [AT_T.get(pair, 0) for pair in PAIRS], atol=1e-14)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    start = np.exp(np.asarray(log_probability(NOISE, STATES, np.array(CLEAN), 0.0)))
    np.testing.assert_array_equal(start, [pair == (CLEAN, NOBODY) for pair in PAIRS])
    end = np.exp(np.asarray(log_probability(NOISE, STATES, np.array(CLEAN), np.inf)))
    np.testing.assert_allclose(end, [all(s[i] for i in ACTIVE) / len(arrangements()) for _, s in PAIRS], atol=1e-14)


def test_samples_have_the_joint_distribution_and_the_marginals():
    state = sample(NOISE, random_key(0), np.broadcast_to(np.array(CLEAN, np.int8), (20_000, 6)), T)
    assert_distributed(keys_of(state), AT_T)
    marginals = np.asarray(jax.jit(NOISE.site_marginals)(np.array(CLEAN), T))
    for site, code in itertools.product(range(6), range(3)):
        expected = sum(p for (o, _), p in AT_T.items() if o[site] == code)
        assert marginals[site, code] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("state", [SHUFFLED, PARTLY], ids=["all shuffled", "partly shuffled"])
def test_posterior_is_that_of_bayes(state):
    expected = bayes(state, CLEAN)
    at_t = ShuffleState(np.array(state[0], np.int8), np.array(state[1]))
    found = np.exp(np.asarray(posterior_log_probability(NOISE, STATES, at_t, np.array(CLEAN), T, S)))
    np.testing.assert_allclose(found, [expected.get(pair, 0) for pair in PAIRS], atol=1e-14)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    clean = np.broadcast_to(np.array(CLEAN, np.int8), (NUM_DRAWS, 6))
    assert_distributed(keys_of(posterior_sample(NOISE, random_key(1), repeated(state), clean, T, S)), expected)


def test_posterior_averaged_over_the_marginal_at_t_is_the_marginal_at_s():
    total = np.zeros(len(PAIRS))
    for state, probability in AT_T.items():
        at_t = ShuffleState(np.array(state[0], np.int8), np.array(state[1]))
        total += probability * np.exp(np.asarray(posterior_log_probability(NOISE, STATES, at_t, np.array(CLEAN), T, S)))
    np.testing.assert_allclose(total, [AT_S.get(pair, 0) for pair in PAIRS], atol=1e-13)


@pytest.mark.parametrize("state", [SHUFFLED, PARTLY], ids=["all shuffled", "partly shuffled"])
def test_reverse_step_draws_a_mixture_of_posteriors_and_its_log_probability_is_exact(state):
    expected = mixture(state)
    at_t = ShuffleState(np.array(state[0], np.int8), np.array(state[1]))
    found = np.exp(np.asarray(reverse_log_probability(NOISE, STATES, at_t, LOGITS, T, S)))
    np.testing.assert_allclose(found, [expected.get(pair, 0) for pair in PAIRS], atol=1e-14)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    earlier = reverse_step(NOISE, random_key(2), repeated(state), LOGITS, T, S)
    assert_distributed(keys_of(earlier), expected)


def test_single_precision_logits_that_forbid_what_was_released_give_minus_infinity():
    at_t = ShuffleState(np.array(PARTLY[0], np.int8), np.array(PARTLY[1]))
    logits = LOGITS.astype(np.float32)
    expected, found = mixture(PARTLY), np.exp(reverse_log_probability(NOISE, STATES, at_t, logits, T, S))
    np.testing.assert_allclose(found, [expected.get(pair, 0) for pair in PAIRS], atol=1e-6)
    logits[0, :2] = -np.inf
    assert np.all(np.asarray(reverse_log_probability(NOISE, STATES, at_t, logits, T, S)) == -np.inf)


def test_reverse_process_keeps_the_composition_and_ends_with_nothing_shuffled():
    state = prior(NOISE, random_key(3), COUNTS)
    possible = set(arrangements())
    assert_distributed(rows(state.occupancy), dict.fromkeys(possible, 1 / len(possible)))
    assert np.all(np.asarray(state.shuffled) == [site in ACTIVE for site in range(6)])
    for seed, t, s in [(4, 5.0, 1.0), (5, 1.0, 0.3), (6, 0.3, 0.0)]:
        before, state = state, reverse_step(NOISE, random_key(seed), state, LOGITS, t, s)
        assert set(rows(state.occupancy)) <= possible
        assert not np.any(np.asarray(state.shuffled) & ~np.asarray(before.shuffled))
        shown = ~np.asarray(before.shuffled)
        np.testing.assert_array_equal(np.asarray(state.occupancy)[shown], np.asarray(before.occupancy)[shown])
    assert not np.any(np.asarray(state.shuffled))


def test_prior_is_that_of_random_occupancies():
    perovskite = jaxce.datasets.load_perovskite_model().space.prim
    supercell = jaxce.Supercell(perovskite, (2, 2, 1))
    composition = {"Sr": 3, "La": 1, "Ti": 2, "Fe": 2, "O": 11, "X": 1}
    noise, counts = ShuffleNoise(supercell), composition_counts(supercell, composition)
    expected = jaxce.log_probability(supercell, composition)
    assert float(noise.prior_log_probability(counts)) == pytest.approx(expected, abs=1e-12)


def test_padded_sites_change_nothing_and_supercells_may_be_stacked():
    kind = np.append(np.asarray(NOISE.species.kind), [len(NOISE.species.num_species) - 1] * 2)
    stacked = dataclasses.replace(NOISE.species, kind=np.stack([kind, np.roll(kind, 1)]))
    axes = dataclasses.replace(NOISE.species, kind=0, num_species=None, labels=None, codes=None)
    clean = np.append(CLEAN, [0, 0])
    marginals = jax.vmap(lambda species, clean: ShuffleNoise(species).site_marginals(clean, T), in_axes=(axes, 0))
    found = np.asarray(jax.jit(marginals)(stacked, np.stack([clean, np.roll(clean, 1)])))
    expected = np.concatenate([jax.jit(NOISE.site_marginals)(np.array(CLEAN), T), [[1, 0, 0]] * 2])
    np.testing.assert_allclose(found, [expected, np.roll(expected, 1, axis=0)], atol=1e-15)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"shape \[..., 2, 3\]"):
        NOISE.prior(random_key(0), np.array([[1, 2]]))
    with pytest.raises(ValueError, match="`s` must not be later than `t`"):
        NOISE.posterior_sample(random_key(0), NOISE.all_shuffled(np.array(CLEAN)), np.array(CLEAN), 0.1, 0.2)
