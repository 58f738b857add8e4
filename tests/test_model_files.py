"""Models of all programs, told apart by their content."""

import gzip
import json
import pathlib
import shutil

import numpy as np
import pytest

import jaxce
from icet_files import unpacked
from jaxce.commands.model_files import model_kind, read_model

DATA = pathlib.Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Program -> path of a model, and what its own reader makes of it."""
    folder = tmp_path_factory.mktemp("models")
    cuau = jaxce.datasets.load_cuau_model()
    (folder / "fit").mkdir()
    cuau.save(folder / "fit" / "model.json")
    icet = unpacked("icet", "fcc_binary", folder)
    smol = DATA / "smol" / "fcc_binary_indicator.smol.json.gz"
    (folder / "atat").mkdir()
    jaxce.io.write_atat(folder / "atat", cuau)
    casm = DATA / "casm" / "fcc_binary_chebychev"
    clease = folder / "clease"
    clease.mkdir()
    case = json.loads(gzip.decompress((DATA / "clease" / "models.json.gz").read_bytes()))["CsCl orders"]
    for name in ("eci", "settings"):
        (clease / f"{name}.json").write_text(json.dumps(case[name]), encoding="utf-8")
    return {
        "jaxce": (folder / "fit", cuau),
        "icet": (icet, jaxce.io.read_icet(icet)),
        "smol": (smol, jaxce.io.read_smol(smol)),
        "ATAT": (folder / "atat", jaxce.io.read_atat(folder / "atat")),
        "CASM": (casm, jaxce.io.read_casm(casm / "prim.json", casm / "basis.json.gz")),
        "CLEASE": (clease, jaxce.io.read_clease(clease / "eci.json", clease / "settings.json")),
    }


@pytest.mark.parametrize("program", ["jaxce", "icet", "smol", "ATAT", "CASM", "CLEASE"])
def test_every_program_is_told_and_read(models, program):
    path, expected = models[program]
    assert model_kind(path) == program
    found = read_model(str(path))
    assert found.space.prim == expected.space.prim
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)


def test_a_file_of_jaxce_is_read_whatever_its_name(models, tmp_path):
    path = tmp_path / "expansion.txt"
    shutil.copyfile(models["jaxce"][0] / "model.json", path)
    assert len(read_model(path).coefficients) == 11


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ecis.json", '{"c0": 1.0}', r"part of a model of CLEASE \(ECIs\)"),
        ("eci.out", "0.1\n", "part of a model of ATAT"),
        ("linear.json", '{"format": "jaxce-linear-model"}', "no crystal"),
        ("motifs.json", "[[1, 2]]", "read_motif_model"),
        ("other.json", '{"a": 1}', "its keys are"),
        ("cut.json", '{"a": ', "cut off"),
        ("model.pkl", "x", "neither JSON nor"),
    ],
)
def test_what_is_no_model_is_told(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_model(tmp_path / name)


def test_folders_that_are_no_model_or_several(tmp_path):
    with pytest.raises(ValueError, match=r"none of the files below. Models are read from: JSON of jaxce"):
        read_model(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"c0": 1.0}', encoding="utf-8")
    with pytest.raises(ValueError, match="leave one of them"):
        read_model(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "nothing")
