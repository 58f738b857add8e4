"""Moments and histograms of streams of values, against NumPy on the whole stream."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxce.sampling.accumulators import Histogram, Moments


def own(occupancy):
    return occupancy


def accumulated(accumulator, stream):
    """What a run does: start, add in a compiled scan, finish."""
    start = accumulator.start(stream.shape[2:], stream.shape[1])
    end, _ = jax.jit(lambda state, values: jax.lax.scan(lambda s, v: (accumulator.add(s, v), None), state, values))(
        start, jnp.asarray(stream)
    )
    return accumulator.finish(end)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_moments_are_those_of_the_whole_stream(shape):
    stream = np.random.default_rng(0).normal(2.0, 3.0, size=(50, 4, *shape))
    result = accumulated(Moments(own), stream)
    assert result.count == 50
    assert result.count.dtype == jnp.int32
    np.testing.assert_allclose(result.mean, stream.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.variance, stream.var(axis=0), rtol=0, atol=1e-12)


def test_moments_of_constants_have_no_variance():
    result = accumulated(Moments(own), np.full((1000, 2), 0.1))
    np.testing.assert_array_equal(result.mean, [0.1, 0.1])
    np.testing.assert_array_equal(result.variance, [0, 0])


def test_moments_take_integers_and_truth_values():
    stream = np.random.default_rng(1).integers(-5, 5, size=(20, 3))
    for values in (stream.astype(np.int32), stream > 0):
        result = accumulated(Moments(own), values)
        np.testing.assert_allclose(result.mean, values.mean(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(result.variance, values.var(axis=0), rtol=0, atol=1e-12)


def test_moments_without_samples_are_undefined():
    moments = Moments(own)
    result = moments.finish(moments.start((2,), 3))
    assert result.count == 0
    assert np.isnan(result.mean).all()
    assert np.isnan(result.variance).all()


@pytest.mark.parametrize("offset", [0.0, -1000.0])
def test_float32_moments_keep_their_digits_over_a_million_samples(offset):
    rng = np.random.default_rng(2)
    # The first sample is far off, as before equilibration; the second chain takes two values only.
    stream = np.stack([rng.normal(offset, 1.0, 10**6), offset + 0.3 * rng.integers(0, 2, 10**6)], axis=1)
    stream[0] += 20
    stream = stream.astype(np.float32)
    expected = stream.astype(np.float64)
    jax.config.update("jax_enable_x64", False)
    try:
        result = accumulated(Moments(own), stream)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert result.mean.dtype == result.variance.dtype == jnp.float32
    # The spacing of float32 is 1.2e-7 of the mean, and of the variance.
    np.testing.assert_allclose(result.mean, expected.mean(axis=0), rtol=1.2e-7, atol=1e-6)
    np.testing.assert_allclose(result.variance, expected.var(axis=0), rtol=3e-6)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_histograms_are_those_of_the_whole_stream(shape):
    stream = np.random.default_rng(3).normal(size=(200, 4, *shape))
    edges = np.array([-1.0, -0.3, 0.1, 1.5])
    result = accumulated(Histogram(own, edges), stream)
    assert result.counts.shape == (4, *shape, 5)
    assert result.counts.dtype == jnp.int32
    np.testing.assert_array_equal(result.edges, edges)
    for place in np.ndindex(stream.shape[1:]):
        values = stream[(slice(None), *place)]
        expected = [np.sum(values < -1), *np.histogram(values, edges)[0], np.sum(values > 1.5)]
        np.testing.assert_array_equal(result.counts[place], expected)


def test_a_bin_holds_its_lower_edge_and_the_last_one_both():
    stream = np.array([0.0, 1.0, 2.0, -1e-9, 2 + 1e-9, np.inf, -np.inf])[:, None]
    assert accumulated(Histogram(own, [0, 1, 2]), stream).counts.tolist() == [[2, 1, 2, 2]]


def test_undefined_values_are_counted_in_no_bin():
    stream = np.array([0.5, np.nan, 0.5])[:, None]
    assert accumulated(Histogram(own, [0, 1]), stream).counts.tolist() == [[0, 2, 0]]


def test_histograms_take_integers():
    stream = np.array([[0], [1], [1], [3]], dtype=np.int32)
    assert accumulated(Histogram(own, [-0.5, 0.5, 1.5]), stream).counts.tolist() == [[0, 1, 2, 1]]


@pytest.mark.parametrize("edges", [[1.0, 0.0], [0.0, 0.0, 1.0], [0.0], [], [0.0, np.nan], [0.0, np.inf], [[0.0, 1.0]]])
def test_edges_that_do_not_increase_are_refused(edges):
    with pytest.raises(ValueError, match="edges"):
        Histogram(own, edges)


def test_accumulators_are_observables_with_the_labels_of_what_they_hold():
    class Labelled:
        dims = ("species",)
        coords = {"species": ["A", "B"]}  # noqa: RUF012

        def __call__(self, occupancy):
            return occupancy

    assert Moments(Labelled()).dims == ("species",)
    assert Moments(Labelled()).coords == {"species": ["A", "B"]}
    assert Histogram(Labelled(), [0, 1]).dims == ("species", "bin")
    assert Histogram(Labelled(), [0, 1]).coords == {"species": ["A", "B"], "bin": [-np.inf, 0.0, 1.0]}
    assert Moments(own).dims is None
    assert Histogram(own, [0, 1]).dims is None
    occupancy = jnp.zeros((2, 3), jnp.int8)
    for accumulator in (Moments(own), Histogram(own, [0, 1])):
        np.testing.assert_array_equal(accumulator(occupancy), occupancy)
