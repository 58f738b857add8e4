"""`jaxce info`, `predict` and `convert`, as a user runs them."""

import json
import shutil
import warnings

import ase
import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from sklearn.exceptions import ConvergenceWarning
from typer.testing import CliRunner

import jaxce
from jaxce.cli import app, model_commands
from jaxce.commands import fit as fit_command
from jaxce.commands.structure_outputs import write_structures
from jaxce.fitting.posterior_file import read_posterior


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and structures: ideal, relaxed with an energy, of another crystal."""
    folder = tmp_path_factory.mktemp("models")
    model = jaxce.datasets.load_cuau_formation_model()
    model.save(folder / "cuau.json")
    generator = np.random.default_rng(0)
    structures = []
    for size in ((1, 2, 2), (2, 2, 2)):
        supercell = jaxce.Supercell(model.space.prim, size)
        for _ in range(2):
            atoms = jaxce.occupancy_to_ase(supercell, generator.integers(0, 2, supercell.num_sites))
            energy = model.energy_of(atoms)
            atoms.positions += generator.normal(scale=0.02, size=atoms.positions.shape)
            atoms.set_cell(1.02 * atoms.cell, scale_atoms=True)
            atoms.calc = SinglePointCalculator(atoms, energy=energy + 0.004 * len(atoms))
            structures.append(atoms)
    ase.io.write(folder / "good.extxyz", structures)
    ase.io.write(folder / "bad.vasp", ase.Atoms("Fe2", positions=[[0, 0, 0], [1, 1, 1]], cell=3 * np.eye(3), pbc=True))
    return folder


def test_predictions_are_those_of_the_model(folder):
    out, plot = folder / "p.csv", folder / "p.png"
    outcome = run("predict", folder / "cuau.json", folder / "good.extxyz", "--out", out, "--plot", plot)
    assert outcome.exit_code == 0, outcome.output
    assert "against 4 reference energies: RMSE 4.000, MAE 4.000 meV/prim" in outcome.output
    table = pd.read_csv(out)
    model, frames = jaxce.ClusterExpansion.load(folder / "cuau.json"), ase.io.read(folder / "good.extxyz", ":")
    wanted = [model.energy_of(atoms) for atoms in frames]
    np.testing.assert_allclose(table["energy"], wanted, atol=1e-9)
    np.testing.assert_allclose(table["energy_per_atom"], np.array(wanted) / [4, 4, 8, 8], atol=1e-9)
    np.testing.assert_allclose(table["largest_strain"], 0.02, atol=5e-3)
    displacements = [
        np.linalg.norm(jaxce.map_structure(model.space.prim, a).displacements, axis=1).max() for a in frames
    ]
    np.testing.assert_allclose(table["largest_displacement"], displacements, atol=1e-12)
    assert "standard_deviation" not in table
    assert plot.stat().st_size > 10_000


def test_what_cannot_be_mapped_is_told_and_the_rest_is_predicted(folder):
    arguments = ["predict", folder / "cuau.json", folder / "bad.vasp", folder / "good.extxyz"]
    outcome = run(*arguments, "--out", folder / "p.json")
    assert outcome.exit_code == 2
    assert "without an energy: 1" in outcome.output
    assert "the structure has species ['Fe']" in outcome.output
    content = json.loads((folder / "p.json").read_text(encoding="utf-8"))
    assert [len(content[name]) for name in ("structures", "failures")] == [4, 1]
    assert content["failures"][0]["name"].endswith("bad.vasp")
    assert run(*arguments, "--skip").exit_code == 0
    outcome = run("predict", folder / "cuau.json", folder / "bad.vasp")
    assert (outcome.exit_code, "none of 1 structures could be mapped" in outcome.output) == (2, True)


def test_predictions_beside_the_structures(folder):
    out = folder / "with.extxyz"
    assert run("predict", folder / "cuau.json", folder / "good.extxyz", "--out", out).exit_code == 0
    before, after = (ase.io.read(path, ":") for path in (folder / "good.extxyz", out))
    for old, new in zip(before, after, strict=True):
        assert new.get_potential_energy() == old.get_potential_energy()
        assert new.info["predicted_energy"] == pytest.approx(old.get_potential_energy() - 0.004 * len(old), abs=1e-7)


def test_interactions_count(tmp_path):
    prim = jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Na", "K"], ["Cl", "F"]])
    space = jaxce.ClusterSpace(prim, {2: 3.5})
    ewald = jaxce.EwaldInteraction(charges=[[1.0, 1.2], [-1.0, -1.2]])
    model = jaxce.ClusterExpansion(space, np.linspace(-1, 1, space.num_correlations), interactions=[ewald])
    model.save(tmp_path / "ionic.json")
    positions = [[0, 0, 0], [0, 0, 4], [2, 2, 2], [2, 2, 6]]
    atoms = ase.Atoms("NaKClF", positions=positions, cell=[4, 4, 8], pbc=True)
    ase.io.write(tmp_path / "POSCAR", atoms)
    outcome = run("predict", tmp_path / "ionic.json", tmp_path / "POSCAR", "--out", tmp_path / "a.csv")
    assert outcome.exit_code == 0, outcome.output
    assert pd.read_csv(tmp_path / "a.csv")["energy"][0] == pytest.approx(model.energy_of(atoms), abs=1e-9)


@pytest.fixture(scope="module")
def fitted(folder):
    """The report of a fit to noisy energies, and its `FitResult`."""
    model, generator = jaxce.ClusterExpansion.load(folder / "cuau.json"), np.random.default_rng(1)
    structures = []
    for supercell, rows in jaxce.enumerate_structures(model.space.prim, 4):
        for row in rows:
            atoms = jaxce.occupancy_to_ase(supercell, row)
            atoms.calc = SinglePointCalculator(atoms, energy=model.energy_of(atoms) + generator.normal(scale=0.01))
            structures.append(atoms)
    ase.io.write(folder / "data.extxyz", structures)
    ase.io.write(folder / "prim.vasp", ase.Atoms("Cu", cell=model.space.prim.lattice, pbc=True))
    result = fit_command.run_fit(
        [folder / "data.extxyz"],
        fit_command.read_prim(folder / "prim.vasp", {"Cu": ["Cu", "Au"]}),
        [{2: 4.0}],
        folder / "report",
        cv=3,
        with_learning_curve=False,
    )
    return folder / "report", result


def test_standard_deviations_are_those_of_the_fit(folder, fitted):
    report, result = fitted
    for model in (report, report / "model.json"):
        out = folder / "std.csv"
        outcome = run("predict", model, folder / "good.extxyz", "--out", out)
        assert outcome.exit_code == 0, outcome.output
        assert "+- eV/prim" in outcome.output
        energies, deviations = result.predict(ase.io.read(folder / "good.extxyz", ":"))
        table = pd.read_csv(out)
        np.testing.assert_allclose(table["energy"], energies, atol=1e-9)
        np.testing.assert_allclose(table["standard_deviation"], deviations, rtol=1e-9)


def test_a_posterior_of_another_model_is_refused(folder, fitted, tmp_path):
    report, _ = fitted
    shutil.copyfile(report / "posterior.npz", tmp_path / "posterior.npz")
    shutil.copyfile(folder / "cuau.json", tmp_path / "model.json")
    outcome = run("predict", tmp_path, folder / "good.extxyz")
    assert (outcome.exit_code, "posterior of another model" in outcome.output) == (2, True)
    (tmp_path / "posterior.npz").write_bytes((report / "posterior.npz").read_bytes()[:500])
    with pytest.raises(ValueError, match="is no posterior, or is damaged"):
        read_posterior(tmp_path / "posterior.npz")


@pytest.mark.filterwarnings("default")
def test_a_fit_that_does_not_converge_has_exit_code_3(folder, monkeypatch):
    monkeypatch.setattr(
        fit_command, "run_fit", lambda *a, **k: warnings.warn("stopped early", ConvergenceWarning, stacklevel=1)
    )
    given = ["fit", folder / "good.extxyz", "--prim", folder / "bad.vasp", "--species", "Fe:Fe,Cr", "--cutoff", "2:4"]
    outcome = run(*given)
    assert outcome.exit_code == model_commands.NOT_CONVERGED == 3
    assert "warning: stopped early" in outcome.stderr
    assert "not converged: " in outcome.stderr


def test_info_of_a_model(folder):
    outcome = run("info", folder / "cuau.json")
    assert outcome.exit_code == 0
    for part in ("kind: cluster expansion (jaxce)", "Cu/Au", "number of functions: 11", "largest ECIs", "metadata"):
        assert part in outcome.output
    facts = json.loads(run("info", folder / "cuau.json", "--json").output)
    model = jaxce.ClusterExpansion.load(folder / "cuau.json")
    assert facts["number of functions"] == model.space.num_correlations
    assert [row["functions"] for row in facts["orbits"]] == [1, 1, 4, 2, 3]
    assert facts["largest ECIs"][0]["ECI, eV"] == model.ecis[1:][np.abs(model.ecis[1:]).argmax()]


def test_info_of_other_things(folder, tmp_path):
    facts = json.loads(run("info", folder / "good.extxyz", "--json").output)
    assert facts["number of structures"] == 4
    assert [row["atoms"] for row in facts["structures"]] == [4, 4, 8, 8]
    assert facts["structures"][0]["energy, eV"] == ase.io.read(folder / "good.extxyz", "0").get_potential_energy()
    linear = jaxce.io.LinearModel(coefficients=np.ones(7), intercept=0.0)
    jaxce.io.write_linear_model(tmp_path / "linear.json", linear)
    assert "features: 7" in run("info", tmp_path / "linear.json").output
    (tmp_path / "motifs.json").write_text("[[0, 1], [1, 1], [0, 0]]", encoding="utf-8")
    assert "motifs: 3" in run("info", tmp_path / "motifs.json").output
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    outcome = run("info", tmp_path / "notes.txt")
    assert (outcome.exit_code, "nothing could be read" in outcome.output) == (2, True)


def test_models_there_and_back(folder):
    assert run("convert", folder / "cuau.json", folder / "atat").exit_code == 0
    assert run("convert", folder / "atat", folder / "back.json").exit_code == 0
    model, back = (jaxce.ClusterExpansion.load(folder / name) for name in ("cuau.json", "back.json"))
    for atoms in ase.io.read(folder / "good.extxyz", ":"):
        assert back.energy_of(atoms) == pytest.approx(model.energy_of(atoms), abs=1e-12)
    facts = json.loads(run("info", folder / "atat", "--json").output)
    assert facts["source"]["program"] == "ATAT"
    outcome = run("convert", folder / "cuau.json", folder / "model.cif")
    assert (outcome.exit_code, "a model is written as .json" in outcome.output) == (2, True)


def test_structures_lose_nothing_in_silence(folder):
    source = folder / "good.extxyz"
    outcome = run("convert", source, folder / "cells")
    assert (outcome.exit_code, "no place for the calculated energy" in outcome.output) == (2, True)
    assert run("convert", source, folder / "cells", "--lossy").exit_code == 0
    outcome = run("convert", folder / "cells", folder / "again.cif")
    assert outcome.exit_code == 0, outcome.output
    before, after = ase.io.read(source, ":"), ase.io.read(folder / "again.cif", ":")
    assert [len(atoms) for atoms in after] == [4, 4, 8, 8]
    prim = jaxce.ClusterExpansion.load(folder / "cuau.json").space.prim
    for old, new in zip(before, after, strict=True):
        first, second = (jaxce.map_structure(prim, atoms) for atoms in (old, new))
        assert jaxce.canonical_key(first.supercell, first.occupancy) == jaxce.canonical_key(
            second.supercell, second.occupancy
        )
    outcome = run("convert", source, source)
    assert (outcome.exit_code, "is the source itself" in outcome.output) == (2, True)
    outcome = run("convert", source, folder / "a.vasp", "--lossy")
    assert (outcome.exit_code, "holds one structure, not 4" in outcome.output) == (2, True)


def test_disordered_cif_is_refused(folder, tmp_path):
    write_structures(tmp_path / "a.cif", [ase.Atoms("Cu", cell=3 * np.eye(3), pbc=True)])
    text = (tmp_path / "a.cif").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.split()[:1] == ["Cu"])
    (tmp_path / "a.cif").write_text(text.replace(line, line.replace("1.0000", "0.5000")), encoding="utf-8")
    outcome = run("predict", folder / "cuau.json", tmp_path / "a.cif")
    assert outcome.exit_code == 2
    assert "sites are shared" in outcome.output
