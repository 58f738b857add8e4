import numpy as np
import pytest

from jaxce.fitting.noise_model import constant_noise, fit_noise

COLUMNS = np.array([1])


def drawn(seed, count=4000):
    """Residuals whose variance is 4 times as large in small cells, and grows with composition."""
    random = np.random.default_rng(seed)
    features = np.column_stack([np.ones(count), random.uniform(-1, 1, count), random.normal(size=count)])
    sizes = random.integers(1, 3, size=count)
    true = 0.01 * np.where(sizes == 1, 4.0, 1.0) * (1 + 0.8 * features[:, 1])
    variances = random.uniform(0.0, 0.02, count)
    return random.normal(size=count) ** 2 * (true + variances), variances, features, sizes, true


def test_dependence_on_size_and_composition_is_found():
    squares, variances, features, sizes, true = drawn(0)
    model = fit_noise(squares, variances, true.mean(), features, COLUMNS, sizes)
    assert model.size_factors[1] / model.size_factors[2] == pytest.approx(4, rel=0.15)
    ratio = model.variances(features, sizes) / true
    for low in (-0.8, -0.4, 0.0, 0.4):
        part = (features[:, 1] > low) & (features[:, 1] < low + 0.4)
        assert ratio[part].mean() == pytest.approx(1, abs=0.2)


def test_standardised_residuals_are_calibrated_in_every_group():
    squares, variances, features, sizes, true = drawn(1)
    model = fit_noise(squares[::2], variances[::2], true.mean(), features[::2], COLUMNS, sizes[::2])
    expected = model.variances(features[1::2], sizes[1::2]) + variances[1::2]
    z = squares[1::2] / expected
    for size in (1, 2):
        assert z[sizes[1::2] == size].mean() == pytest.approx(1, abs=0.12)
    for sign in (-1, 1):
        assert z[sign * features[1::2, 1] > 0.3].mean() == pytest.approx(1, abs=0.2)


def test_what_the_data_lack_has_the_average():
    squares, variances, features, sizes, true = drawn(2, 200)
    model = fit_noise(squares, variances, true.mean(), features, COLUMNS, sizes)
    far = np.array([[1.0, 50.0, 0.0]])
    np.testing.assert_allclose(model.variances(far, [77]), true.mean(), rtol=1e-12)
    np.testing.assert_allclose(model.variances(far, [1]), true.mean() * model.size_factors[1], rtol=1e-12)


def test_without_concentrations_and_sizes_noise_is_the_average():
    squares, variances, features, sizes, _ = drawn(3, 100)
    none = np.zeros(0, dtype=np.int64)
    np.testing.assert_allclose(fit_noise(squares, variances, 0.5, features, none).variances(features), 0.5)
    model = fit_noise(squares, variances, 0.5, features, COLUMNS, sizes)
    bare = model.without_composition()
    expected = 0.5 * np.array([model.size_factors[size] for size in sizes.tolist()])
    np.testing.assert_allclose(bare.variances(features, sizes), expected)
    np.testing.assert_allclose(model.scaled(4.0).variances(features, sizes), 4 * model.variances(features, sizes))
    np.testing.assert_allclose(constant_noise(0.3).variances(features, sizes), 0.3)


def test_one_wild_structure_of_its_size_is_held_back():
    """It counts beside one structure of average noise."""
    squares, variances = np.array([1.0] * 20 + [1e4]), np.zeros(21)
    none = np.zeros(0, dtype=np.int64)
    model = fit_noise(squares, variances, 1.0, np.ones((21, 1)), none, [8] * 20 + [1])
    assert model.size_factors[8] == pytest.approx(1)
    assert 1e3 < model.size_factors[1] < 1e4


def test_many_structures_are_thinned_out(monkeypatch):
    squares, variances, features, sizes, true = drawn(4, 3000)
    whole = fit_noise(squares, variances, true.mean(), features, COLUMNS, sizes)
    monkeypatch.setattr("jaxce.fitting.noise_model._MOST_STRUCTURES", 1000)
    part = fit_noise(squares, variances, true.mean(), features, COLUMNS, sizes)
    assert len(part.excesses) == 1000
    ratio = part.variances(features, sizes) / whole.variances(features, sizes)
    assert ratio.mean() == pytest.approx(1, abs=0.1)
