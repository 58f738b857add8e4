"""Uniform and absorbing noise against loops over species, on a crystal with inactive sites and unlike sublattices."""

import itertools
import math

import jax
import numpy as np
import pytest

import jaxce
from jaxce.diffusion.absorbing_noise import AbsorbingNoise
from jaxce.diffusion.exact_composition import species_of
from jaxce.diffusion.uniform_noise import UniformNoise
from noising import CLEAN, NUM_SPECIES, OCCUPANCIES, SMALL, assert_distributed, random_key, rows

MASK = 3
T, S = 0.7, 0.3
NOISES = {"uniform": UniformNoise(SMALL), "absorbing": AbsorbingNoise(SMALL)}
both = pytest.mark.parametrize("name", list(NOISES))

# Compiled once for each noise and shape; operations that run one by one would be compiled one by one.
log_probability = jax.jit(lambda noise, *arguments: noise.log_probability(*arguments))
site_marginals = jax.jit(lambda noise, *arguments: noise.site_marginals(*arguments))
posterior_logits = jax.jit(lambda noise, *arguments: noise.posterior_logits(*arguments))
sample = jax.jit(lambda noise, *arguments: noise.sample(*arguments))
reverse_step = jax.jit(lambda noise, *arguments: noise.reverse_step(*arguments))


def codes_of(name, site):
    active = NUM_SPECIES[site] > 1
    return [*range(NUM_SPECIES[site]), *([MASK] if name == "absorbing" and active else [])]


def step_probability(name, site, old, new, time):
    """Of one site to go from a code to another: kept, or given a uniform species, or masked for good."""
    survival = math.exp(-time)
    if NUM_SPECIES[site] == 1 or (name == "absorbing" and old == MASK):
        return float(new == old)
    if name == "absorbing":
        return survival * (new == old) + (1 - survival) * (new == MASK)
    return survival * (new == old) + (1 - survival) / NUM_SPECIES[site]


def slow_posterior(name, site, noised, clean):
    """`[codes]` of x_s by Bayes' rule, averaged over x_0 ~ clean[species]."""
    result = np.zeros(MASK + 1)
    for start, probability in enumerate(clean[: NUM_SPECIES[site]]):
        total = step_probability(name, site, start, noised, T)
        if probability and total:
            for code in codes_of(name, site):
                first, second = (
                    step_probability(name, site, start, code, S),
                    step_probability(name, site, code, noised, T - S),
                )
                result[code] += probability * first * second / total
    return result / max(result.sum(), 1e-300)


@both
def test_log_probabilities_of_all_noised_occupancies_are_products_over_sites(name):
    noised = np.array(list(itertools.product(*(codes_of(name, site) for site in range(6)))))
    slow = [math.prod(step_probability(name, i, CLEAN[i], x, T) for i, x in enumerate(row)) for row in noised.tolist()]
    found = np.exp(np.asarray(log_probability(NOISES[name], noised, np.array(CLEAN), T)))
    np.testing.assert_allclose(found, slow, atol=1e-14)
    assert found.sum() == pytest.approx(1, abs=1e-12)


@both
def test_samples_have_the_marginals_and_the_joint_distribution(name):
    noise, clean = NOISES[name], np.broadcast_to(np.array(CLEAN, np.int8), (20_000, 6))
    draws = sample(noise, random_key(0), clean, np.full(20_000, T))
    assert draws.dtype == np.int8
    codes = list(itertools.product(*(codes_of(name, site) for site in range(6))))
    joint = {c: math.prod(step_probability(name, i, CLEAN[i], x, T) for i, x in enumerate(c)) for c in codes}
    assert_distributed(rows(draws), joint)
    marginals = np.asarray(site_marginals(noise, np.array(CLEAN), T))
    for site, code in itertools.product(range(6), range(marginals.shape[1])):
        expected = sum(p for c, p in joint.items() if c[site] == code)
        assert marginals[site, code] == pytest.approx(expected, abs=1e-12)


@both
@pytest.mark.parametrize("certain", [True, False], ids=["occupancy", "probabilities"])
def test_posterior_is_that_of_bayes(name, certain):
    rng = np.random.default_rng(1)
    noised = (
        np.array([[MASK, 1, 0, 1, MASK, MASK], [0, MASK, 0, MASK, 2, 1]]) if name == "absorbing" else OCCUPANCIES[5:9]
    )
    probabilities = rng.dirichlet(np.ones(3), size=6) * (np.arange(3) < np.array(NUM_SPECIES)[:, None])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    occupancy = np.array([0, 1, 0, 1, 2, 1])
    clean = np.eye(3)[occupancy] if certain else probabilities
    found = posterior_logits(NOISES[name], noised, occupancy if certain else clean, T, S)
    for row, logits in zip(noised.tolist(), np.asarray(found), strict=True):
        for site, code in enumerate(row):
            shown = np.eye(3)[code] if name == "absorbing" and code != MASK and not certain else clean[site]
            expected = slow_posterior(name, site, code, shown)
            np.testing.assert_allclose(np.exp(logits[site]), expected[: logits.shape[1]], atol=1e-12)


@both
def test_marginal_at_s_noised_on_to_t_is_the_marginal_at_t(name):
    noise = NOISES[name]
    at_s, at_t = (np.asarray(site_marginals(noise, np.array(CLEAN), time)) for time in (S, T))
    for site in range(6):
        for new in codes_of(name, site):
            onward = sum(
                at_s[site, old] * step_probability(name, site, old, new, T - S) for old in codes_of(name, site)
            )
            assert at_t[site, new] == pytest.approx(onward, abs=1e-12)


@both
def test_times_are_one_per_occupancy_and_go_from_nothing_to_the_prior(name):
    noise, clean = NOISES[name], np.broadcast_to(CLEAN, (2, 6))
    start, end = np.asarray(site_marginals(noise, clean, np.array([0.0, np.inf])))
    np.testing.assert_array_equal(start[:, :3], np.eye(3)[list(CLEAN)])
    for site, number in enumerate(NUM_SPECIES):
        limit = (
            np.eye(4)[MASK] if name == "absorbing" and number > 1 else np.append((np.arange(3) < number) / number, 0)
        )
        np.testing.assert_allclose(end[site], limit[: end.shape[1]], atol=1e-15)
    clean = np.broadcast_to(np.array(CLEAN, np.int8), (20_000, 6))
    noised = np.asarray(sample(noise, random_key(1), clean, np.repeat([0.0, np.inf], 10_000)))[[0, -1]]
    np.testing.assert_array_equal(noised[0], CLEAN)
    if name == "absorbing":
        np.testing.assert_array_equal(noised[1], [MASK, MASK, 0, MASK, MASK, MASK])
        np.testing.assert_array_equal(noise.prior(random_key(2), (3,)), np.broadcast_to(noised[1], (3, 6)))
    else:
        draws = rows(noise.prior(random_key(2), (8000,)))
        assert_distributed(draws, dict.fromkeys(rows(OCCUPANCIES), math.exp(noise.prior_log_probability())))


@both
def test_a_perfect_denoiser_leads_back_to_the_clean_occupancy(name):
    noise = NOISES[name]
    noised = noise.prior(random_key(3), (5,))
    logits = np.where(np.eye(3)[list(CLEAN)] > 0, 0.0, -1e3)
    for seed, t, s in [(4, 5.0, 2.0), (5, 2.0, 0.5), (6, 0.5, 0.0)]:
        noised = reverse_step(noise, random_key(seed), noised, logits, t, s)
        assert np.all((np.asarray(noised) == MASK) | (np.asarray(noised) < np.array(NUM_SPECIES)))
    np.testing.assert_array_equal(noised, np.broadcast_to(CLEAN, (5, 6)))


@pytest.mark.parametrize("crystal", [SMALL, NOISES["uniform"].species], ids=["supercell", "species"])
def test_mask_code_is_behind_the_longest_list_of_species(crystal):
    assert AbsorbingNoise(crystal).mask_code == MASK


def test_bad_input_is_refused():
    noise = NOISES["uniform"]
    with pytest.raises(ValueError, match=r"shape \[..., 6\], but has shape \(5,\)"):
        noise.sample(random_key(0), np.zeros(5, int), 0.1)
    with pytest.raises(ValueError, match="noise times must be numbers from 0 on"):
        noise.sample(random_key(0), np.array(CLEAN), -0.1)
    with pytest.raises(ValueError, match="`s` must not be later than `t`"):
        noise.posterior_logits(np.array(CLEAN), np.array(CLEAN), 0.1, 0.2)
    with pytest.raises(ValueError, match=r"probabilities of shape \[..., 6, 3\]"):
        noise.posterior_logits(np.array(CLEAN), np.ones((6, 2)) / 2, 0.2, 0.1)
    with pytest.raises(ValueError, match="must be given by a Supercell"):
        species_of(6)
    with pytest.raises(ValueError, match="nothing to noise"):
        AbsorbingNoise(jaxce.Supercell(jaxce.Prim(np.eye(3), [[0, 0, 0]], [["Cu"]]), 2))
