"""`jaxce convert-pickle`: numbers out of pickles, and hostile pickles, which run nowhere but where they are told to."""

import json
import os
import pickle

import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from typer.testing import CliRunner

from jaxce.cli import app
from jaxce.commands import convert_pickle as conversion
from jaxce.commands.unpickling import describe
from jaxce.io.linear_model_file import FeatureScaler, LinearModel, read_linear_model

NUMBERS = np.random.default_rng(0)
FEATURES = NUMBERS.normal(3, 2, size=(40, 6))
ENERGIES = FEATURES @ np.array([1, -2, 0, 0, 0.5, 0]) - 1000 + 0.01 * NUMBERS.normal(size=40)


class Payload:
    """An object whose pickle runs a program."""

    def __init__(self, program):
        self.program = program

    def __reduce__(self):
        return exec, (self.program,)


def convert(*arguments):
    return CliRunner().invoke(app, ["convert-pickle", *map(str, arguments)])


def converted(fitted):
    """What the conversion makes of a fitted object; as by the command, but in this process."""
    description = json.loads(json.dumps(describe(fitted) | {"version": "1.9.1"}, allow_nan=False))
    return conversion.model_of(description, "model.pkl")


def test_a_pipeline_of_joblib_gets_folded_to_numbers(tmp_path, monkeypatch):
    fitted = make_pipeline(StandardScaler(), LassoCV(cv=3)).fit(FEATURES, ENERGIES)
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "1.2.0")
        joblib.dump(fitted, tmp_path / "model.joblib", compress=3)
    outcome = convert("--i-trust-this-file", tmp_path / "model.joblib", tmp_path / "model.json")
    assert outcome.exit_code == 0, outcome.stderr
    assert "warning: written by scikit-learn 1.2.0" in outcome.stderr
    assert "6 features of sklearn.pipeline.Pipeline" in outcome.stdout
    read = read_linear_model(tmp_path / "model.json")
    assert isinstance(read, LinearModel)
    np.testing.assert_allclose(FEATURES @ read.coefficients + read.intercept, fitted.predict(FEATURES), rtol=1e-13)
    assert (read.source["file"], read.source["version"]) == ("model.joblib", "1.2.0")


def test_coefficients_of_a_plain_model_are_its_own_to_the_last_bit():
    fitted = LassoCV(cv=3).fit(FEATURES, ENERGIES)
    model = converted(fitted)
    assert isinstance(model, LinearModel)
    assert model.coefficients.tobytes() == fitted.coef_.tobytes()
    assert model.intercept == fitted.intercept_
    # Read off the predictions alone they would be rounded.
    slopes = fitted.predict(np.eye(6)) - fitted.predict(np.zeros((1, 6)))
    assert np.any(slopes != fitted.coef_)


def test_a_model_older_than_its_number_of_features_is_converted():
    fitted = LinearRegression().fit(FEATURES, ENERGIES)
    del fitted.n_features_in_
    assert converted(fitted).coefficients.tobytes() == fitted.coef_.tobytes()


@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}], ids=str)
def test_a_scaler_gives_mean_and_scale(options):
    fitted = StandardScaler(**options).fit(FEATURES)
    scaler = converted(fitted)
    assert isinstance(scaler, FeatureScaler)
    np.testing.assert_allclose((FEATURES - scaler.mean) / scaler.scale, fitted.transform(FEATURES), atol=1e-14)


def test_a_constant_feature_is_scaled_by_one():
    fitted = StandardScaler().fit(np.column_stack([FEATURES, np.ones(40)]))
    assert converted(fitted).scale[-1] == 1.0


def claims(**parts):
    """A scaler that says of itself what is not true."""
    fitted = StandardScaler().fit(FEATURES)
    vars(fitted).update(parts)
    return fitted


@pytest.mark.parametrize(
    ("fitted", "message"),
    [
        pytest.param(KNeighborsRegressor(3).fit(FEATURES, ENERGIES), "is not linear", id="neighbours"),
        pytest.param(LinearRegression().fit(FEATURES, FEATURES), "reshape", id="several targets"),
        pytest.param(MinMaxScaler().fit(FEATURES), "neither a fitted model", id="other scaler"),
        pytest.param({"coef_": [1.0]}, "holds a builtins.dict", id="dictionary"),
        pytest.param(LinearRegression(), "but has 0", id="not fitted"),
        pytest.param(DummyRegressor(), "but has 0", id="no features"),
        pytest.param(claims(scale_=np.zeros(6)), "must not be 0|JSON compliant", id="zero scale"),
        pytest.param(claims(n_features_in_=10**9), "1 to 10000 features", id="too many features"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_is_no_linear_model_is_refused(fitted, message):
    with pytest.raises(ValueError, match=message):
        converted(fitted)


@pytest.mark.parametrize(
    "change",
    [
        {"values": [1.0]},
        {"values": None},
        {"probes": []},
        {"probes": "x"},
        {"probes": [[1e400]]},
        {"stored": None},
        {"class": None, "kind": "forest"},
    ],
    ids=str,
)
def test_a_description_of_another_form_is_refused(tmp_path, monkeypatch, change):
    # The process that a pickle runs in may say anything.
    description = describe(LinearRegression().fit(FEATURES, ENERGIES)) | {"version": None} | change
    (tmp_path / "model.pkl").write_bytes(b"")
    monkeypatch.setattr(conversion, "_unpickled", lambda *_: json.dumps(description).encode())
    with pytest.raises(ValueError, match=r"model\.pkl cannot be converted"):
        conversion.convert_pickle(tmp_path / "model.pkl", tmp_path / "model.json", 1.0)
    assert not (tmp_path / "model.json").exists()


@pytest.mark.parametrize(
    "result", [b"", b"nothing", b"[1]", b"[" * 100_000, b" " * (2**24 + 1)], ids=lambda r: str(r[:8])
)
def test_what_is_no_description_is_refused(tmp_path, monkeypatch, result):
    (tmp_path / "model.pkl").write_bytes(b"")
    monkeypatch.setattr(conversion, "_unpickled", lambda *_: result)
    with pytest.raises(ValueError, match=r"model\.pkl (could not be unpickled|gave more than)"):
        conversion.convert_pickle(tmp_path / "model.pkl", tmp_path / "model.json", 1.0)


def test_without_the_flag_nothing_runs(tmp_path):
    mark, source = tmp_path / "ran", tmp_path / "model.pkl"
    source.write_bytes(pickle.dumps(Payload(f"open({str(mark)!r}, 'w').close()")))
    outcome = convert(source, tmp_path / "model.json")
    assert outcome.exit_code == 2
    assert "its author may have put anything there" in " ".join(outcome.stderr.split())
    assert "--i-trust-this-file" in outcome.stderr
    assert not mark.exists()
    assert not (tmp_path / "model.json").exists()


def test_with_the_flag_it_runs_in_another_process_without_our_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "xyz")
    mark, source = tmp_path / "ran", tmp_path / "model.pkl"
    fake = json.dumps({"class": "x", "kind": "standard-scaler", "mean": [0.0], "scale": [1.0]})
    program = (
        "import json, os, sys\n"
        f"open({str(mark)!r}, 'w').write(json.dumps([os.getpid(), os.getcwd(), dict(os.environ), list(sys.modules)]))\n"
        f"print({fake!r}, flush=True)"
    )
    source.write_bytes(pickle.dumps(Payload(program)))
    outcome = convert("--i-trust-this-file", source, tmp_path / "model.json")
    assert outcome.exit_code == 2
    assert "holds a builtins.NoneType" in outcome.stderr
    assert not (tmp_path / "model.json").exists()
    process, folder, environment, modules = json.loads(mark.read_text(encoding="utf-8"))
    assert process != os.getpid()
    assert folder != os.getcwd()
    assert not os.path.exists(folder)
    assert "xyz" not in environment.values()
    assert "jaxce" not in modules


def test_one_that_takes_too_long_or_crashes_is_ended(tmp_path):
    source, target = tmp_path / "model.pkl", tmp_path / "model.json"
    source.write_bytes(pickle.dumps(Payload("import time; time.sleep(600)")))
    with pytest.raises(ValueError, match=r"not unpickled within 0\.5 s"):
        conversion.convert_pickle(source, target, 0.5)
    source.write_bytes(pickle.dumps(Payload("import os; os._exit(3)")))
    with pytest.raises(ValueError, match="ended with code 3"):
        conversion.convert_pickle(source, target, 60.0)


def test_a_result_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        conversion.convert_pickle(tmp_path / "model.pkl", tmp_path / "nowhere" / "model.json", 1.0)
    with pytest.raises(ValueError, match="is the pickle itself"):
        conversion.convert_pickle(tmp_path / "model.pkl", tmp_path / "model.pkl", 1.0)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "model.pkl").write_bytes(bytes(101))
    monkeypatch.setattr(conversion, "_LARGEST_PICKLE", 100)
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        conversion.convert_pickle(tmp_path / "model.pkl", tmp_path / "model.json", 1.0)
