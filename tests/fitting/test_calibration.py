import json

import numpy as np
import pytest

from jaxce.fitting.calibration import calibration_of
from jaxce.fitting.predictions import Predictions


def predictions(z_scores, deviations=0.5, sizes=1):
    """Predictions of energy 0, off by so many of their standard deviations."""
    z_scores = np.asarray(z_scores, dtype=float)
    deviations, sizes = np.broadcast_to(deviations, z_scores.shape), np.broadcast_to(sizes, z_scores.shape)
    return Predictions(z_scores * deviations, np.zeros(len(z_scores)), deviations, sizes, 2 * sizes)


def test_errors_of_known_structures():
    found = Predictions(
        np.array([1.0, 2.0, 3.0]),
        np.array([1.1, 1.8, 3.0]),
        np.array([0.1, 0.1, 0.2]),
        np.array([1, 2, 4]),
        np.array([2, 2, 0]),
    )
    np.testing.assert_allclose(found.errors, [0.1, -0.2, 0])
    np.testing.assert_allclose(found.z_scores, [-1, 2, 0])
    assert found.rmse_per_prim == pytest.approx(np.sqrt(0.05 / 3))
    values = found.to_dict()
    assert values["rmse_meV_per_prim"] == pytest.approx(1e3 * np.sqrt(0.05 / 3))
    assert values["mae_meV_per_prim"] == pytest.approx(100)
    # Errors of whole structures, 0.1, -0.4 and 0 eV, over atoms.
    assert values["rmse_meV_per_atom"] == pytest.approx(1e3 * np.sqrt((0.05**2 + 0.2**2) / 3))
    assert values["mae_meV_per_atom"] == pytest.approx(250 / 3)


def test_without_standard_deviations_there_is_none():
    without = Predictions(np.zeros(3), np.ones(3), None, np.ones(3, dtype=int), np.ones(3, dtype=int))
    with pytest.raises(ValueError, match="gives no standard deviations"):
        calibration_of(without)


def test_normal_errors_are_calibrated():
    random = np.random.default_rng(0)
    deviations = random.uniform(0.01, 1, size=20_000)
    found = calibration_of(predictions(random.normal(size=20_000), deviations))
    assert found.z_score_std == pytest.approx(1, abs=5 / np.sqrt(40_000))
    np.testing.assert_allclose(found.levels, np.linspace(0.05, 0.95, 19))
    np.testing.assert_allclose(found.observed, found.levels, atol=5 * 0.5 / np.sqrt(20_000))
    assert found.coverage_90 == pytest.approx(0.9, abs=5 * 0.3 / np.sqrt(20_000))
    assert found.coverage_90 == found.observed[17]


def test_deviations_of_half_the_size_are_not():
    found = calibration_of(predictions(2 * np.random.default_rng(1).normal(size=20_000)))
    assert found.z_score_std == pytest.approx(2, abs=0.05)
    # A normal number is below 1.645 / 2 in size with the probability 0.589.
    assert found.coverage_90 == pytest.approx(0.589, abs=0.02)
    assert np.all(found.observed < found.levels)


def test_a_shift_counts_as_an_error():
    found = calibration_of(predictions(np.full(10, 3.0)))
    assert found.z_score_std == pytest.approx(3)
    assert found.coverage_90 == 0


def test_intervals_are_central():
    found = calibration_of(predictions([-2.0, -1.7, -1.6, 0.0, 1.6, 1.7, 2.0, 0.6]))
    assert found.coverage_90 == 4 / 8
    # The half of all normal numbers is below 0.674.
    assert found.observed[9] == 2 / 8


def test_groups_are_sizes_and_thirds_of_each_concentration():
    z_scores = np.zeros(9)
    z_scores[[0, 1, 8]] = 5.0
    sizes = np.array([1, 1, 1, 2, 2, 2, 8, 8, 8])
    concentrations = np.column_stack([np.arange(9) / 8, [0.5] * 9, [0, 0, 0, 0, 0, 0, 0, 0.5, 1]])
    found = calibration_of(predictions(z_scores, sizes=sizes), concentrations, ("A:Sr", "A:Ca", "O:X"))
    assert found.coverage_90_of == {
        "1 prims": (pytest.approx(1 / 3), 3),
        "2 prims": (1.0, 3),
        "8 prims": (pytest.approx(2 / 3), 3),
        "A:Sr < 0.33": (pytest.approx(1 / 3), 3),
        "0.33 <= A:Sr <= 0.67": (1.0, 3),
        "A:Sr > 0.67": (pytest.approx(2 / 3), 3),
        # All at one concentration: nothing to tell. Most at one: they stay together.
        "0.00 <= O:X <= 0.00": (pytest.approx(5 / 7), 7),
        "O:X > 0.00": (pytest.approx(1 / 2), 2),
    }
    assert found.coverage_90 == pytest.approx(6 / 9)


def test_names_and_concentrations_belong_together():
    with pytest.raises(ValueError, match="zip"):
        calibration_of(predictions(np.zeros(3)), np.zeros((3, 2)), ("A:Sr",))


def test_summary_and_json_name_the_worst_groups():
    sizes = np.array([1, 1, 2, 2, 3, 3, 4, 4])
    found = calibration_of(predictions([9, 9, 9, 0, 0, 0, 9, 0], sizes=sizes))
    text = found.summary()
    assert "90 % intervals hold 50 % of the structures" in text
    assert text.index("1 prims: 0 % of 2") < text.index("2 prims: 50 % of 2")
    assert "3 prims" not in text
    values = json.loads(json.dumps(found.to_dict()))
    assert values["coverage_90_of"]["4 prims"] == {"coverage": 0.5, "structures": 2}
    assert values["z_score_std"] == pytest.approx(np.sqrt(4 * 81 / 8))
    assert len(values["levels"]) == len(values["observed"]) == 19
