"""The report: its numbers recomputed by hand, and the files it writes."""

import json
import math

import ase
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import jaxce
from helpers import random_occupancies

# Strontium everywhere; half of the other sites are vacant or not, so atoms per prim differ.
PRIM = jaxce.Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Sr"], ["O", "X"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 5.7})
CELLS = [[2, 1, 1], [[2, 1, 0], [0, 1, 1], [-1, 0, 3]], [3, 2, 1], [[1, 1, 0], [-1, 1, 0], [0, 0, 4]], 2]


@pytest.fixture(scope="module")
def data():
    """Structures with noisy energies; one is of another crystal, and one is there twice with another energy."""
    structures, prims = [], []
    for seed, cell in enumerate(CELLS):
        supercell = jaxce.Supercell(PRIM, cell)
        for row in random_occupancies(supercell, 8, seed):
            atoms = jaxce.occupancy_to_ase(supercell, row)
            atoms.info["id"] = f"run:{len(structures)}:x:[b]"
            structures.append(atoms)
            prims.append(supercell.num_prims)
    matrix = jaxce.CorrelationTransformer(SPACE).transform(structures)
    noise = 0.02 * np.random.default_rng(0).normal(size=len(structures))
    energies = np.array(prims) * (matrix @ [-6.0, 1.5, 0.05, 0.02] + noise)
    alien = ase.Atoms("CuAu", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[3, 3, 3], pbc=True)
    alien.info["id"] = "copper gold"
    return [*structures, alien], np.append(energies, 0.0)


@pytest.fixture(scope="module")
def result(data):
    with pytest.warns(UserWarning, match="1 of 41"):
        return jaxce.fit(SPACE, *data, cv=5, test_fraction=0.2)


@pytest.fixture(scope="module")
def written(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    curve = jaxce.learning_curve(SPACE, result.training_set, sizes=[5, 20], num_repeats=2)
    text = result.report(folder, curve)
    return folder, text, curve


def errors_by_hand(mappings, predicted, reference):
    """RMSE and MAE in meV per prim and per atom, from the structures themselves."""
    difference = np.asarray(predicted) - np.asarray(reference)
    atoms = np.array([sum(mapping.occupancy[mapping.supercell.prim_sites == 1] == 0) for mapping in mappings])
    prims = np.array([mapping.supercell.num_prims for mapping in mappings])
    # Each prim has its strontium besides.
    per_atom = difference * prims / (atoms + prims)
    return [
        1e3 * f(x)
        for x in (difference, per_atom)
        for f in (lambda e: math.sqrt(np.mean(e**2)), lambda e: np.mean(abs(e)))
    ]


def line_of(text, name):
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return [float(word) for word in line[len(name) :].split()]


def test_printed_errors_are_those_recomputed_by_hand(data, result, capsys):
    text = result.report()
    assert capsys.readouterr().out.rstrip("\n") == text
    assert text.startswith(f"{len(result.used)} structures, {SPACE.num_correlations} coefficients, PriorRidge; ")
    assert f"standard deviation {1e3 * np.std(result.energies_per_prim):.2f} meV per prim" in text.splitlines()[0]
    assert text.splitlines()[1].split() == ["RMSE", "MAE"] * 2
    assert text.splitlines()[2].split() == ["meV/prim"] * 2 + ["meV/atom"] * 2
    structures, energies = data
    reference = energies[result.used] / result.training_set.num_prims
    model = result.matrix @ result.expansion.coefficients
    expected = errors_by_hand(result.mappings, model, reference)
    np.testing.assert_allclose(line_of(text, "training"), expected, atol=6e-4)
    expected = errors_by_hand(result.mappings, result.cv_predictions, reference)
    np.testing.assert_allclose(line_of(text, "5-fold CV"), expected, atol=6e-4)
    # The structures that were kept apart are the others.
    others = np.setdiff1d(np.arange(40), result.used)
    mappings = jaxce.map_structures(PRIM, [structures[row] for row in others]).mappings
    predicted = [
        result.expansion.energy_of(structures[row]) / m.supercell.num_prims
        for row, m in zip(others, mappings, strict=True)
    ]
    reference = [energies[row] / m.supercell.num_prims for row, m in zip(others, mappings, strict=True)]
    np.testing.assert_allclose(line_of(text, "test"), errors_by_hand(mappings, predicted, reference), atol=6e-4)
    assert len(others) >= 8


def test_text_says_what_data_determine_and_what_was_left_out(result):
    text = result.report()
    assert f"rank {np.linalg.matrix_rank(result.matrix)} of {SPACE.num_correlations} functions" in text
    assert "reference ground states among" in text
    assert "held-out z-scores: standard deviation " in text
    assert "left out: structure 40 (copper gold): " in text
    assert f"{len(result.used)} structures on {PRIM}" in text
    # Names are printed as they are: no emoji, no markup.
    duplicates = result.training_set.duplicates()
    assert len(duplicates) > 0
    assert result.training_set.names[duplicates[0][0]] in text


def test_long_lines_are_not_wrapped(result, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = result.report()
    assert capsys.readouterr().out.rstrip("\n") == text


def test_files_are_written(result, written):
    folder, text, _ = written
    figures = ["parity", "ecis", "hull", "calibration", "learning_curve"]
    assert {path.name for path in folder.iterdir()} == {
        "report.txt",
        "report.json",
        "model.json",
        *(f"{name}.png" for name in figures),
    }
    assert (folder / "report.txt").read_text(encoding="utf-8") == text + "\n"
    for name in figures:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    model = jaxce.ClusterExpansion.load(folder / "model.json")
    np.testing.assert_array_equal(model.coefficients, result.expansion.coefficients)
    assert model.space.prim == PRIM
    # A second report replaces the first.
    result.report(folder)
    assert json.loads((folder / "report.json").read_text()).get("learning_curve") is None


def refuse(name):
    raise AssertionError(f"{name} is no JSON")


def test_json_is_valid_and_has_the_numbers(result, written, tmp_path):
    _, _, curve = written
    result.report(tmp_path, curve)
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["num_structures"] == len(result.used)
    assert content["num_coefficients"] == SPACE.num_correlations
    assert content["estimator"] == "PriorRidge"
    assert content["num_folds"] == 5
    assert set(content["errors"]) == {"training", "5-fold CV", "test"}
    assert content["errors"]["training"]["rmse_meV_per_prim"] == pytest.approx(1e3 * result.train_rmse_per_prim)
    assert content["errors"]["5-fold CV"]["rmse_meV_per_prim"] == pytest.approx(1e3 * result.cv_rmse_per_prim)
    assert content["errors"]["test"]["mae_meV_per_prim"] == pytest.approx(1e3 * np.mean(np.abs(result.test.errors)))
    assert [row["coefficient"] for row in content["coefficients"]] == result.expansion.coefficients.tolist()
    assert [row["eci"] for row in content["coefficients"]] == result.expansion.ecis.tolist()
    deviations = [row["coefficient_std"] for row in content["coefficients"]]
    np.testing.assert_allclose(deviations, result.posterior.standard_deviations)
    assert [row["index"] for row in content["structures"]] == result.used.tolist()
    assert [row["cv_prediction_per_prim"] for row in content["structures"]] == result.cv_predictions.tolist()
    assert [row["energy_per_prim"] for row in content["structures"]] == result.energies_per_prim.tolist()
    assert content["design"]["rank"] == np.linalg.matrix_rank(result.matrix)
    assert content["calibration"]["coverage_90"] == pytest.approx(
        np.mean(np.abs(result.cross_validation.z_scores) < 1.6448536)
    )
    assert [entry["name"] for entry in content["left_out"]] == ["copper gold"]
    names = result.training_set.names
    duplicates = result.training_set.duplicates()
    assert content["duplicates"] == [[names[row] for row in rows] for rows in duplicates]
    assert len(content["conflicts"]) == len(result.training_set.conflicts()) > 0
    assert content["learning_curve"]["sizes"] == [5, 20]
    np.testing.assert_array_equal(content["learning_curve"]["test_rmse_eV_per_prim"], curve.test_rmse)


def test_exact_data_and_an_estimator_without_posterior(tmp_path):
    """Least squares of exact data below full rank is refused; at full rank nothing in the report is infinite."""
    structures = [
        jaxce.occupancy_to_ase(jaxce.Supercell(PRIM, cell), row)
        for cell in CELLS
        for row in random_occupancies(jaxce.Supercell(PRIM, cell), 4, 1)
    ]
    matrix = jaxce.CorrelationTransformer(SPACE).transform(structures)
    energies = matrix @ np.arange(1.0, SPACE.num_correlations + 1)
    result = jaxce.fit(SPACE, structures, energies, LinearRegression(), cv=4, energies_per="prim")
    text = result.report(tmp_path)
    assert "z-scores" not in text
    content = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert content["calibration"] is None
    assert "test" not in content["errors"]
    assert "coefficient_std" not in content["coefficients"][0]
    assert not (tmp_path / "calibration.png").exists()
    assert not (tmp_path / "learning_curve.png").exists()
    exact = jaxce.fit(SPACE, structures, energies, cv=4, energies_per="prim")
    exact.report(tmp_path / "prior")
    json.loads((tmp_path / "prior" / "report.json").read_text(), parse_constant=refuse)
    # One composition, one size: below full rank, and the hull is a point.
    supercell = jaxce.Supercell(PRIM, 2)
    half = jaxce.enumerate_occupancies(supercell, composition={"O": 4}, primitive_only=False)
    alike = [jaxce.occupancy_to_ase(supercell, row) for row in half]
    few = jaxce.map_training_data(PRIM, alike, 0.1 * np.arange(float(len(alike))))
    with pytest.warns(UserWarning, match="all .* structures have one composition"):
        point = jaxce.fit_training_set(SPACE, few, cv=2)
    point.report(tmp_path / "point")
    content = json.loads((tmp_path / "point" / "report.json").read_text(), parse_constant=refuse)
    assert content["design"]["condition_number"] is None
    assert content["ground_states"]["num_dimensions"] == 0
