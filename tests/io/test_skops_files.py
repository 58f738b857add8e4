"""Files of skops: fitted linear models are read, everything else is refused by name and never built."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import ARDRegression, Lasso, LassoCV, LinearRegression, RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from jaxce.io import skops_files
from jaxce.io.skops_files import read_estimator

skops_io = pytest.importorskip("skops.io")

NUMBERS = np.random.default_rng(0)
FEATURES = NUMBERS.normal(size=(30, 5))
ENERGIES = FEATURES @ np.array([1, -2, 0, 0.5, 0.1]) - 3 + 0.01 * NUMBERS.normal(size=30)
MODELS = {
    "lasso": LassoCV(alphas=[1e-3, 1e-2], cv=KFold(3, shuffle=True, random_state=0)),
    "ridge": make_pipeline(StandardScaler(), RidgeCV(alphas=np.array([1e-3, 1.0]))),
    "bayes": make_pipeline(MinMaxScaler(), ARDRegression()),
    "selected": make_pipeline(SelectFromModel(Lasso(alpha=0.05)), LinearRegression()),
    "best": make_pipeline(SelectKBest(f_regression, k=3), LinearRegression()),
    "random": Lasso(alpha=0.01, selection="random", random_state=np.random.RandomState(0)),
}


def written(path, estimator):
    skops_io.dump(estimator, path)
    return path


@pytest.fixture(scope="module")
def lasso_file(tmp_path_factory):
    """A file that tests read but do not change."""
    return written(tmp_path_factory.mktemp("skops") / "lasso.skops", MODELS["lasso"].fit(FEATURES, ENERGIES))


@pytest.mark.parametrize("name", MODELS)
def test_a_linear_model_predicts_as_before(tmp_path, name):
    fitted = MODELS[name].fit(FEATURES, ENERGIES)
    read = read_estimator(str(written(tmp_path / "model.skops", fitted)))
    assert type(read) is type(fitted)
    assert read.predict(FEATURES).tobytes() == fitted.predict(FEATURES).tobytes()


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        pytest.param(RandomForestRegressor(2), r"sklearn\.ensemble\._forest\.RandomForestRegressor", id="forest"),
        pytest.param(TransformedTargetRegressor(), r"sklearn\.compose\._target\.Trans", id="transformed target"),
        pytest.param(make_pipeline(FunctionTransformer(os.system)), r"posix\.system", id="function"),
        pytest.param({"numpy": np.sin}, r"numpy\.(_core\._multiarray_umath\.)?sin", id="function that skops trusts"),
        pytest.param([b"bytes"], r"builtins\.bytes", id="bytes"),
    ],
)
def test_another_type_is_refused_by_name(tmp_path, estimator, name):
    with pytest.raises(ValueError, match=rf"model\.skops names {name}"):
        read_estimator(written(tmp_path / "model.skops", estimator))


def rewritten(source, target, change=None, parts=(), compression=zipfile.ZIP_STORED):
    """A copy of an archive with further parts, its schema changed or replaced by what `change(schema)` returns."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            content = old.read(name)
            if change and name == "schema.json":
                schema = json.loads(content)
                replaced = change(schema)
                content = json.dumps(schema if replaced is None else replaced).encode()
            new.writestr(name, content)
        for name, content in parts:
            new.writestr(name, content)
    return target


def node(loader, module, name, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


TEXT = node("JsonNode", "builtins", "str", content='"true"')
ARGUMENTS = node("TupleNode", "builtins", "tuple", content=[TEXT])


HIDDEN = [
    node("FunctionNode", "os", "system"),
    node("TypeNode", "subprocess", "Popen"),
    node("ConstructorFromReduceNode", "subprocess", "Popen", content=ARGUMENTS),
    node("OperatorFuncNode", "operator", "methodcaller", attrs=ARGUMENTS),
    node("MethodNode", "sklearn.linear_model._base", "LinearRegression", content={"func": "fit", "obj": TEXT}),
    node("ObjectNode", "sklearn.linear_model", "os"),
    node("ObjectNode", "sklearn.utils.metaestimators", "_BaseComposition"),
    node("ReduceNode", "sklearn.linear_model._base", "LinearRegression"),
    node("JsonNode", "os", "system", content="1"),
    node("TreeNode", "sklearn.tree._tree", "Tree"),
    node("NdArrayNode", "os", "system", type="numpy", file="schema.json"),
    node({"JsonNode": 1}, "builtins", "str"),
]


@pytest.mark.parametrize("hidden", HIDDEN, ids=[f"{node['__loader__']} {node['__class__']}" for node in HIDDEN])
def test_a_type_hidden_in_a_model_is_refused(tmp_path, lasso_file, monkeypatch, hidden):
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("it ran"))

    def hide(schema):
        schema["content"]["content"]["alphas"] = hidden

    with pytest.raises(ValueError, match=r"changed\.skops (names|is no \.skops file, or was damaged)"):
        read_estimator(rewritten(lasso_file, tmp_path / "changed.skops", hide))


@pytest.mark.parametrize("part", ["../evil.npy", "/tmp/evil.npy", "a/b.npy", "C:\\evil.npy", "evil.pkl"])
def test_a_part_of_another_name_is_refused(tmp_path, lasso_file, part):
    with pytest.raises(ValueError, match="must have names of skops"):
        read_estimator(rewritten(lasso_file, tmp_path / "changed.skops", parts=[(part, b"")]))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, lasso_file, monkeypatch):
    bomb = [("1.npy", bytes(2**22))]
    path = rewritten(lasso_file, tmp_path / "bomb.skops", parts=bomb, compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(skops_files, "_LARGEST", 2**20)
    assert path.stat().st_size < 2**15
    with pytest.raises(ValueError, match="unpacks to 42"):
        read_estimator(path)
    monkeypatch.setattr(skops_files, "_LARGEST", 100)
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        read_estimator(path)


def test_many_parts_are_refused(tmp_path, lasso_file, monkeypatch):
    monkeypatch.setattr(skops_files, "_MOST_PARTS", 20)
    with pytest.raises(ValueError, match="parts, which no linear model has"):
        read_estimator(rewritten(lasso_file, tmp_path / "many.skops", parts=[(f"{i}.npy", b"") for i in range(21)]))


def test_an_array_with_objects_is_not_unpickled(tmp_path, lasso_file):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)

    def point(schema):
        schema["content"]["content"]["coef_"]["file"] = "evil.npy"

    path = rewritten(lasso_file, tmp_path / "changed.skops", point, [("evil.npy", buffer.getvalue())])
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        read_estimator(path)


def test_an_array_that_claims_terabytes_is_refused(tmp_path, lasso_file):
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(buffer, header)

    def point(schema):
        schema["content"]["content"]["coef_"]["file"] = "huge.npy"

    path = rewritten(lasso_file, tmp_path / "changed.skops", point, [("huge.npy", buffer.getvalue())])
    with pytest.raises(ValueError, match="or was damaged"):
        read_estimator(path)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_truncated_file_is_refused(tmp_path, lasso_file, kept):
    content = lasso_file.read_bytes()
    (tmp_path / "cut.skops").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"cut\.skops is no \.skops file, or was damaged"):
        read_estimator(tmp_path / "cut.skops")


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: [],
        lambda schema: {},
        lambda schema: {key: value for key, value in schema.items() if key != "protocol"},
        lambda schema: {**schema, "protocol": 99},
        lambda schema: {**schema, "content": {**schema["content"], "content": {}}},
    ],
    ids=["list", "empty", "no-protocol", "newer-protocol", "no-attributes"],
)
def test_a_damaged_schema_is_refused(tmp_path, lasso_file, change):
    with pytest.raises(ValueError, match=r"changed\.skops is no \.skops file, or was damaged"):
        read_estimator(rewritten(lasso_file, tmp_path / "changed.skops", change))


def test_a_deep_schema_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "deep.skops", "w") as archive:
        archive.writestr("schema.json", "[" * 100_000)
    with pytest.raises(ValueError, match="deep"):
        read_estimator(tmp_path / "deep.skops")


def test_a_pickle_is_not_unpickled(tmp_path):
    (tmp_path / "model.skops").write_bytes(pickle.dumps(LinearRegression()))
    with pytest.raises(ValueError, match="BadZipFile"):
        read_estimator(tmp_path / "model.skops")


def test_another_version_of_scikit_learn_is_warned_of(tmp_path, lasso_file):
    def age(schema):
        schema["content"]["content"]["_sklearn_version"]["content"] = '"1.2.0"'

    path = rewritten(lasso_file, tmp_path / "old.skops", age)
    with pytest.warns(UserWarning, match=r"LassoCV from version 1\.2\.0"):
        read_estimator(path)
