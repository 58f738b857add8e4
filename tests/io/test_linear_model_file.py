"""Linear models and scalers as JSON: exact round trips, and what is refused."""

import json

import numpy as np
import pytest

from jaxce.io.linear_model_file import FeatureScaler, LinearModel, read_linear_model, write_linear_model

NUMBERS = np.random.default_rng(0).normal(size=7) * 10.0 ** np.arange(-300, 50, 50)
MODEL = LinearModel(coefficients=NUMBERS, intercept=-1 / 3, source={"program": "made up"})
SCALER = FeatureScaler(mean=NUMBERS, scale=NUMBERS[::-1])


def test_a_linear_model_reads_back_to_the_last_bit(tmp_path):
    write_linear_model(tmp_path / "model.json", MODEL)
    read = read_linear_model(tmp_path / "model.json")
    assert isinstance(read, LinearModel)
    assert read.coefficients.tobytes() == NUMBERS.tobytes()
    assert (read.intercept, read.source) == (-1 / 3, {"program": "made up"})


def test_a_scaler_reads_back_to_the_last_bit(tmp_path):
    write_linear_model(tmp_path / "scaler.json", SCALER)
    read = read_linear_model(tmp_path / "scaler.json")
    assert isinstance(read, FeatureScaler)
    assert read.mean.tobytes() == NUMBERS.tobytes()
    assert read.scale.tobytes() == NUMBERS[::-1].tobytes()


def test_a_file_written_by_hand_needs_no_source(tmp_path):
    text = '{"format": "jaxce-linear-model", "version": 1, "kind": "linear", "coefficients": [1, 0.2], "intercept": -3}'
    (tmp_path / "hand.json").write_text(text, encoding="utf-8")
    read = read_linear_model(str(tmp_path / "hand.json"))
    assert isinstance(read, LinearModel)
    assert (read.coefficients.tolist(), read.intercept, read.source) == ([1.0, 0.2], -3.0, {})
    with pytest.raises(ValueError, match="read-only"):
        read.coefficients[0] = 5


def test_nothing_is_written_of_what_json_cannot_hold(tmp_path):
    model = LinearModel(coefficients=NUMBERS, intercept=0.0, source={"error": np.nan})
    with pytest.raises(ValueError, match="JSON"):
        write_linear_model(tmp_path / "model.json", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "icet"}, "no linear model: its `format` is 'icet'"),
        ({"version": 2}, "format version 2, but this jaxce reads version 1"),
        ({"kind": "forest"}, "kind among linear, standard-scaler, but is 'forest'"),
        ({"kind": ["linear"]}, "is \\['linear'\\]"),
        ({"kind": "standard-scaler"}, "lacks \\['mean', 'scale'\\]"),
        ({"degree": 2}, "also holds \\['degree'\\]"),
        ({"source": "me"}, "an object `source`"),
        ({"coefficients": []}, "`coefficients` must be one list"),
        ({"coefficients": 3.0}, "`coefficients` must be one list"),
        ({"coefficients": [[1.0, 2.0]]}, "`coefficients` must be one list"),
        ({"coefficients": [[1.0], 2.0]}, "`coefficients` must be a plain list"),
        ({"coefficients": ["1.0"]}, "`coefficients` must be one list of real numbers"),
        ({"coefficients": [None]}, "`coefficients` must be one list of real numbers"),
        pytest.param({"coefficients": [10**400]}, "`coefficients` must be one list of real", id="huge integer"),
        ({"intercept": [1.0, 2.0]}, "`intercept` must be one real number"),
        ({"intercept": True}, "`intercept` must be one real number"),
        ({"coefficients": [1.0, float("nan")]}, "NaN"),
    ],
    ids=str,
)
def test_a_file_that_is_no_such_model_is_refused(tmp_path, change, message):
    path = tmp_path / "model.json"
    write_linear_model(path, MODEL)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_linear_model(path)
    assert str(path) in str(caught.value)


def test_numbers_beyond_double_precision_are_refused(tmp_path):
    path = tmp_path / "model.json"
    write_linear_model(path, MODEL)
    path.write_text(path.read_text(encoding="utf-8").replace("-0.3333333333333333", "1e999"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"`intercept` must be finite"):
        read_linear_model(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "model.json"
    write_linear_model(path, MODEL)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cut off"):
        read_linear_model(path)


def test_a_scaler_that_divides_by_zero_or_lacks_a_mean_is_refused():
    with pytest.raises(ValueError, match=r"must not be 0, but is for features \[1\]"):
        FeatureScaler(mean=np.ones(2), scale=np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="1 means and 2 scales"):
        FeatureScaler(mean=np.ones(1), scale=np.ones(2))
