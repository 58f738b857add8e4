"""Cluster expansions from scikit-learn models in files."""

import gzip
import importlib.util
import pickle
import subprocess

import ase
import joblib
import numpy as np
import pytest
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxce
from jaxce.io import FeatureScaler, LinearModel, from_sklearn, write_linear_model

PRIM = jaxce.Prim(2 * (np.ones((3, 3)) - np.eye(3)), [[0, 0, 0]], [["Cu", "Au"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 3.0})
NUMBERS = np.random.default_rng(0)
MATRIX = np.column_stack([np.ones(40), NUMBERS.uniform(-1, 1, (40, SPACE.num_correlations - 1))])
ENERGIES = MATRIX @ NUMBERS.normal(size=SPACE.num_correlations) - 300
MODEL = LinearModel(coefficients=NUMBERS.normal(size=SPACE.num_correlations), intercept=-300.0)
needs_skops = pytest.mark.skipif(importlib.util.find_spec("skops") is None, reason="needs skops")


def test_numbers_in_json_become_coefficients(tmp_path):
    write_linear_model(tmp_path / "model.json", MODEL)
    expansion = from_sklearn(SPACE, str(tmp_path / "model.json"))
    assert expansion.coefficients[1:].tobytes() == MODEL.coefficients[1:].tobytes()
    # The intercept goes to the constant, which is correlation 0.
    assert expansion.coefficients[0] == MODEL.coefficients[0] - 300
    assert expansion.metadata["source"]["file"] == "model.json"
    assert "numbers written by hand: 5 coefficients" in repr(expansion)


def test_packed_json_is_read(tmp_path):
    write_linear_model(tmp_path / "model.json", MODEL)
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress((tmp_path / "model.json").read_bytes()))
    packed = from_sklearn(SPACE, tmp_path / "packed.json.gz")
    assert packed.coefficients.tobytes() == from_sklearn(SPACE, tmp_path / "model.json").coefficients.tobytes()


@needs_skops
def test_a_file_of_skops_gives_what_the_estimator_gives(tmp_path):
    import skops.io

    estimator = make_pipeline(StandardScaler(), LassoCV(cv=3)).fit(MATRIX, ENERGIES)
    skops.io.dump(estimator, tmp_path / "model.skops")
    expansion = from_sklearn(SPACE, tmp_path / "model.skops")
    assert expansion.coefficients.tobytes() == from_sklearn(SPACE, estimator).coefficients.tobytes()
    np.testing.assert_allclose(MATRIX @ expansion.coefficients, estimator.predict(MATRIX), rtol=1e-13)
    assert "StandardScaler, LassoCV: 5 coefficients" in repr(expansion)
    # What a file says of itself is kept with the model.
    expansion.save(tmp_path / "expansion.json")
    assert jaxce.ClusterExpansion.load(tmp_path / "expansion.json").metadata == expansion.metadata


def test_coefficients_of_a_plain_estimator_are_its_own_to_the_last_bit():
    estimator = LassoCV(cv=3).fit(MATRIX, ENERGIES)
    assert from_sklearn(SPACE, estimator).coefficients[1:].tobytes() == estimator.coef_[1:].tobytes()


def test_coefficients_that_an_estimator_does_not_use_are_not_taken():
    class Doubled(LinearRegression):
        def predict(self, X):
            return 2 * super().predict(X)

    estimator = Doubled().fit(MATRIX, ENERGIES)
    np.testing.assert_allclose(MATRIX @ from_sklearn(SPACE, estimator).coefficients, 2 * ENERGIES, rtol=1e-12)


class Payload:
    def __reduce__(self):
        return pytest.fail, ("the pickle was read",)


def _gzipped(path):
    path.write_bytes(gzip.compress(pickle.dumps(Payload())))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("model.pkl", lambda path: path.write_bytes(pickle.dumps(Payload()))),
        ("old.pkl", lambda path: path.write_bytes(pickle.dumps(Payload(), protocol=0))),
        ("model.json", lambda path: path.write_bytes(pickle.dumps(Payload()))),
        ("model.skops", lambda path: path.write_bytes(pickle.dumps(Payload(), protocol=2))),
        ("model_file", lambda path: joblib.dump(Payload(), path)),
        ("packed", lambda path: joblib.dump(Payload(), path, compress=3)),
        ("xz", lambda path: joblib.dump(Payload(), path, compress=("xz", 3))),
        ("gzip", _gzipped),
    ],
    ids=["pkl", "protocol 0", "named json", "named skops", "joblib", "zlib", "xz", "gzip"],
)
def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path, name, write):
    folder = tmp_path / "my models"
    folder.mkdir()
    write(folder / name)
    with pytest.raises(ValueError, match="is a pickle: to read it is to run the program in it") as caught:
        from_sklearn(SPACE, folder / name)
    command = str(caught.value).split("`")[1]
    # As a shell would take it apart.
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True).stdout
    assert words.splitlines()[:4] == ["jaxce", "convert-pickle", "--i-trust-this-file", str(folder / name)]
    assert words.splitlines()[4] != str(folder / name)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "model.txt").write_text("coefficients: 1 2 3", encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.txt is neither a \.skops file nor JSON"):
        from_sklearn(SPACE, tmp_path / "model.txt")
    with pytest.raises(FileNotFoundError):
        from_sklearn(SPACE, tmp_path / "nowhere.skops")


def test_a_scaler_alone_is_refused(tmp_path):
    write_linear_model(tmp_path / "scaler.json", FeatureScaler(mean=np.ones(4), scale=np.ones(4)))
    with pytest.raises(ValueError, match=r"scaler\.json holds a scaler, which predicts nothing"):
        from_sklearn(SPACE, tmp_path / "scaler.json")


def test_a_model_with_other_features_is_refused(tmp_path):
    write_linear_model(tmp_path / "model.json", LinearModel(coefficients=np.ones(3), intercept=0.0))
    with pytest.raises(ValueError, match="3 features, but the cluster space has 5 correlations"):
        from_sklearn(SPACE, tmp_path / "model.json")


def test_known_energies_are_checked():
    estimator = LinearRegression().fit(MATRIX, ENERGIES)
    atoms = ase.Atoms("Cu", cell=PRIM.lattice, pbc=True)
    energy = from_sklearn(SPACE, estimator).energy_of(atoms)
    from_sklearn(SPACE, estimator, check=[(atoms, energy)])
    with pytest.raises(ValueError, match="does not give the energies of `check`"):
        from_sklearn(SPACE, estimator, check=[(atoms, energy + 0.01)])
