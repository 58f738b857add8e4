"""Model files: exact round trips, damage of every kind, and writes that are whole or nothing."""

import hashlib
import json
import os
import pathlib

import numpy as np
import pytest

import jaxce
from jaxce import model_file

PRIM = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]) * (1 + 1 / 3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.25 + 1e-17, 0.25, 0.25]],
    [["Ni", "Mg", "hole"], ["O", "Va"], ["K"]],
    labels=["", "b", ""],
    sublattice_names=["cation", "anion"],
    vacancy_aliases=["hole"],
    symprec=2e-5,
)


def expansion_on(space, seed=0):
    # Digits of all sizes, signs and a negative zero.
    numbers = np.random.default_rng(seed)
    coefficients = numbers.normal(size=space.num_correlations) * 10.0 ** numbers.integers(
        -300, 20, space.num_correlations
    )
    coefficients[1] = -0.0
    return jaxce.ClusterExpansion(space, coefficients, {"source": "made up", "numbers": [1, 0.1, None]})


def plain_space():
    return jaxce.ClusterSpace(PRIM, {2: 5.4, 3: 3.8})


def user_space():
    # Irrational values, and fewer functions than the species allow.
    return jaxce.ClusterSpace(PRIM, {2: 3.8}, [[[np.pi, -np.sqrt(2), 1e-7]], [[1 / 3, np.e]], None])


def merged_space():
    space = plain_space()
    table = space.to_dataframe()
    pairs = table[(table["order"] == 2) & (table["sublattices"] == "anion-anion")]["orbit"].tolist()
    return space.with_merged_orbits([pairs]).without_correlations([2]).without_orbits([5])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A model file that tests read but do not change."""
    path = tmp_path_factory.mktemp("models") / "model.json"
    expansion_on(jaxce.ClusterSpace(PRIM, {2: 3.8})).save(path)
    return path


@pytest.mark.parametrize("make", [plain_space, user_space, merged_space])
def test_a_model_reads_back_to_the_last_bit(tmp_path, make):
    expansion = expansion_on(make())
    expansion.save(str(tmp_path / "model.json"))
    loaded = jaxce.ClusterExpansion.load(str(tmp_path / "model.json"))
    assert loaded.coefficients.tobytes() == expansion.coefficients.tobytes()
    assert loaded.ecis.tobytes() == expansion.ecis.tobytes()
    assert loaded.metadata == expansion.metadata
    one, other = expansion.space, loaded.space
    assert one.prim == other.prim
    assert one.prim.lattice.tobytes() == other.prim.lattice.tobytes()
    assert (one.prim.symprec, one.prim.vacancy_aliases) == (other.prim.symprec, other.prim.vacancy_aliases)
    assert [s.name for s in other.prim.sublattices] == ["cation", "anion"]
    assert [t.tobytes() for t in one.site_functions] == [t.tobytes() for t in other.site_functions]
    assert [t.shape for t in one.site_functions] == [t.shape for t in other.site_functions]
    assert one.metadata == other.metadata
    for left, right in zip(one.orbits, other.orbits, strict=True):
        np.testing.assert_array_equal(left.clusters, right.clusters)
        assert left.clusters.shape == right.clusters.shape
        assert left.diameter == right.diameter
        assert [f.tolist() for f in left.functions] == [f.tolist() for f in right.functions]


def test_a_loaded_model_writes_the_same_file(tmp_path, written):
    jaxce.ClusterExpansion.load(written).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == written.read_bytes()


def test_the_file_says_its_units_and_format(written):
    document = json.loads(written.read_text(encoding="utf-8"))
    assert (document["format"], document["version"]) == ("jaxce-cluster-expansion", 1)
    assert document["units"] == {"length": "angstrom", "coefficients": "eV per prim"}


def test_metadata_with_numbers_as_keys_reads_back(tmp_path):
    # JSON has strings as keys only; "10" sorts before "9", 9 before 10.
    expansion = jaxce.ClusterExpansion(
        user_space(), np.zeros(user_space().num_correlations), {"n": {9: "nine", 10: (1, 2)}}
    )
    expansion.save(tmp_path / "model.json")
    assert jaxce.ClusterExpansion.load(tmp_path / "model.json").metadata == {"n": {"9": "nine", "10": [1, 2]}}


def test_metadata_that_is_not_finite_is_not_written(tmp_path):
    expansion = jaxce.ClusterExpansion(user_space(), np.zeros(user_space().num_correlations), {"error": np.nan})
    with pytest.raises(ValueError, match="JSON"):
        expansion.save(tmp_path / "model.json")
    assert list(tmp_path.iterdir()) == []


def changed(written, folder, change, signed=True):
    """A copy of the model file after `change(document)`, with a checksum that fits unless `signed` is false."""
    document = json.loads(written.read_text(encoding="utf-8"))
    change(document)
    content = {key: value for key, value in document.items() if key not in ("format", "version", "sha256")}
    if signed:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path = folder / "changed.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_file_signed_by_hand_reads_back(tmp_path, written):
    loaded = jaxce.ClusterExpansion.load(changed(written, tmp_path, lambda d: d["metadata"].update(source="you")))
    assert loaded.metadata["source"] == "you"


@pytest.mark.parametrize("part", ["coefficients", "orbits", "prim", "metadata", "units", "multiplicities"])
def test_any_change_of_the_content_is_noticed(tmp_path, written, part):
    def change(document):
        if isinstance(document[part], dict):
            document[part]["more"] = 1
        else:
            document[part].append(document[part][-1])

    with pytest.raises(ValueError, match=r"changed\.json was changed or damaged"):
        jaxce.ClusterExpansion.load(changed(written, tmp_path, change, signed=False))


def test_one_changed_digit_is_noticed(tmp_path, written):
    def change(document):
        document["coefficients"][0] = np.nextafter(document["coefficients"][0], 1)

    with pytest.raises(ValueError, match="changed or damaged"):
        jaxce.ClusterExpansion.load(changed(written, tmp_path, change, signed=False))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_file_that_was_cut_off_is_refused(tmp_path, written, kept):
    text = written.read_text(encoding="utf-8")
    path = tmp_path / "cut.json"
    path.write_text(text[: int(kept * len(text))], encoding="utf-8")
    with pytest.raises(ValueError, match=r"cut\.json is not JSON, or was cut off"):
        jaxce.ClusterExpansion.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not JSON", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "expected an object, found list"),
        (b"{}", "no jaxce model: its `format` is None"),
        (b'{"format": "icet"}', "its `format` is 'icet'"),
        (b'{"coefficients": [NaN]}', "holds NaN"),
        (b'{"coefficients": [-Infinity]}', "holds -Infinity"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path, content, message):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        jaxce.ClusterExpansion.load(path)


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_another_version_is_refused(tmp_path, written, version):
    path = changed(written, tmp_path, lambda d: d.update(version=version))
    with pytest.raises(ValueError, match="this jaxce reads versions 1 and 2: update jaxce"):
        jaxce.ClusterExpansion.load(path)


CHARGES = {"Ni": 2, "Mg": 2, "X": 0, "O": -2, "K": 1 / 3}
EWALD = jaxce.EwaldInteraction.from_charges(PRIM, CHARGES, coefficient=0.1, eta=1 / 7)


@pytest.fixture(scope="module")
def ionic(tmp_path_factory):
    """A model file with two interactions."""
    path = tmp_path_factory.mktemp("models") / "ionic.json"
    background = jaxce.EwaldInteraction.from_charges(PRIM, CHARGES, neutralize=True)
    expansion = expansion_on(jaxce.ClusterSpace(PRIM, {2: 3.8}))
    jaxce.ClusterExpansion(expansion.space, expansion.coefficients, {}, [EWALD, background]).save(path)
    return path


def test_interactions_read_back_to_the_last_bit(tmp_path, ionic):
    loaded = jaxce.ClusterExpansion.load(ionic)
    assert loaded.interactions == (
        EWALD,
        jaxce.EwaldInteraction.from_charges(PRIM, CHARGES, neutralize=True),
    )
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == ionic.read_bytes()


def test_only_a_model_with_interactions_has_a_version_that_older_programs_refuse(ionic, written):
    assert json.loads(ionic.read_text(encoding="utf-8"))["version"] == 2
    plain = json.loads(written.read_text(encoding="utf-8"))
    assert plain["version"] == 1
    assert "interactions" not in plain


class _Field:
    def check_prim(self, prim):
        pass

    def pair_arrays(self, supercell):
        raise NotImplementedError


def test_an_interaction_without_a_form_in_files_is_not_left_out(tmp_path):
    space = jaxce.ClusterSpace(PRIM, {2: 3.8})
    expansion = jaxce.ClusterExpansion(space, np.zeros(space.num_correlations), interactions=[_Field()])
    with pytest.raises(ValueError, match="no interaction but EwaldInteraction"):
        expansion.save(tmp_path / "model.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kind", "dipoles", "of kind 'dipoles'"),
        ("charges", [[1, 2, 3], [4, 5]], r"charges for \[3, 2\] species"),
        ("coefficient", 1e999, "Infinity"),
        ("colour", "red", "lacks a part"),
        ("use_term", "both", "`use_term` must be one of"),
    ],
)
def test_a_wrong_interaction_is_refused(tmp_path, ionic, name, value, message):
    with pytest.raises(ValueError, match=message):
        jaxce.ClusterExpansion.load(changed(ionic, tmp_path, lambda d: d["interactions"][0].update({name: value})))


def _set(*keys):
    *path, last, value = keys

    def change(document):
        for key in path:
            document = document[key]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("multiplicities", 0, 2), "multiplicities of the file do not fit"),
        (lambda d: d["orbits"][3]["clusters"].pop(), "multiplicities of the file do not fit"),
        (lambda d: d["orbits"][3]["clusters"].clear(), "lacks a part"),
        (lambda d: d.pop("multiplicities"), "lacks a part"),
        (lambda d: d.pop("coefficients"), "lacks a part"),
        (lambda d: d.pop("metadata"), "lacks a part"),
        (lambda d: d.pop("space_metadata"), "lacks a part"),
        (lambda d: d["prim"].pop("lattice"), "lacks a part"),
        (lambda d: d["prim"].update(colour="red"), "lacks a part"),
        (_set("prim", 5), "lacks a part"),
        (_set("coefficients", ["one"]), "could not convert|lacks a part"),
        (lambda d: d["coefficients"].pop(), "coefficients"),
        (_set("prim", "species", 1, ["O", "S", "X"]), "site functions of the file do not fit"),
        (_set("prim", "species", 1, ["O"]), "sublattice_names"),
        (lambda d: d["site_functions"].pop(), "site functions of the file do not fit"),
        (_set("orbits", 1, "clusters", 0, 0, 0, 3), "names a site that its prim does not have"),
        (_set("orbits", 1, "clusters", 0, 0, 0, -1), "names a site that its prim does not have"),
        (_set("orbits", 1, "functions", 0, 0, 0, 3), "names a site function that its site does not have"),
        (_set("orbits", 1, "functions", 0, 0, 0, 0), "names a site function that its site does not have"),
        (_set("orbits", 2, "order", 3), "reshape"),
    ],
)
def test_a_signed_file_that_contradicts_itself_is_refused(tmp_path, written, change, message):
    with pytest.raises(ValueError, match=message):
        jaxce.ClusterExpansion.load(changed(written, tmp_path, change))


def test_numbers_beyond_double_precision_are_refused(tmp_path, written):
    path = tmp_path / "model.json"
    text = written.read_text(encoding="utf-8")
    path.write_text(text.replace('"symprec": 2e-05', '"symprec": 1e999'), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(ValueError, match=r"JSON|damaged"):
        jaxce.ClusterExpansion.load(path)


def test_a_huge_file_is_refused_before_it_is_read(written, monkeypatch):
    monkeypatch.setattr(model_file, "_LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        jaxce.ClusterExpansion.load(written)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "model.json"
    old = expansion_on(user_space(), seed=1)
    old.save(path)

    def interrupt(*_arguments, **_keywords):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if failing == "fsync" else (pathlib.Path, "replace")), interrupt)
        with pytest.raises(KeyboardInterrupt):
            expansion_on(user_space(), seed=2).save(path)
    assert jaxce.ClusterExpansion.load(path).coefficients.tolist() == old.coefficients.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]
    new = expansion_on(user_space(), seed=2)
    new.save(path)
    assert jaxce.ClusterExpansion.load(path).coefficients.tolist() == new.coefficients.tolist()
