"""`jaxce fit`, as a user runs it."""

import json
import pathlib

import ase
import ase.io
import pytest
from typer.testing import CliRunner

import jaxce
from jaxce.cli import app

DATA = pathlib.Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prim and every sixth structure of Ag-Pd."""
    folder = tmp_path_factory.mktemp("fit")
    half = 4.09 / 2
    prim = ase.Atoms("Ag", cell=[[0, half, half], [half, 0, half], [half, half, 0]], pbc=True)
    ase.io.write(folder / "prim.vasp", prim)
    ase.io.write(folder / "data.extxyz", ase.io.read(DATA / "agpd" / "agpd.extxyz.gz", "::6"))
    return folder


def run(folder, *options):
    given = ["fit", str(folder / "data.extxyz"), "--prim", str(folder / "prim.vasp"), "--species", "Ag:Ag,Pd", *options]
    return CliRunner().invoke(app, given)


def test_files_in_model_and_report_out(folder):
    report = folder / "report"
    sets = ["--cutoff", "2:5.8", "--cutoff", "2:7.1,3:4.1"]
    energies = ["--energy", "mixing_energy", "--per", "atom"]
    outcome = run(folder, *sets, *energies, "--cv", "5", "--test", "0.1", "--report", str(report))
    assert outcome.exit_code == 0, outcome.output
    assert "nested cross-validation" in outcome.output
    assert "5-fold CV" in outcome.output
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert content["num_structures"] == 105 - 10
    assert set(content["errors"]) == {"training", "5-fold CV", "test"}
    assert content["errors"]["5-fold CV"]["rmse_meV_per_prim"] < 6
    assert len(content["learning_curve"]["sizes"]) > 3
    model = jaxce.ClusterExpansion.load(report / "model.json")
    assert model.space.num_correlations == content["num_coefficients"]
    for picture in ("parity", "ecis", "hull", "calibration", "learning_curve"):
        assert (report / f"{picture}.png").stat().st_size > 10_000


def test_single_pairs_of_order_and_distance_are_one_set(folder):
    options = ["--energy", "mixing_energy", "--per", "atom", "--estimator", "ridge", "--no-learning-curve"]
    cutoffs = ["--cutoff", "2:5.8", "--cutoff", "3:4.1"]
    outcome = run(folder, *cutoffs, *options, "--cv", "3", "--report", str(folder / "single"))
    assert outcome.exit_code == 0, outcome.output
    assert "nested" not in outcome.output
    assert "RidgeCV" in outcome.output
    model = jaxce.ClusterExpansion.load(folder / "single" / "model.json")
    assert {orbit.order for orbit in model.space.orbits} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cutoff", "2"], "--cutoff needs orders with distances"),
        (["--cutoff", "2:5", "--species", "Ag"], "--species needs a symbol and a list"),
        (["--cutoff", "2:5", "--energy", "nothing"], "'nothing'"),
        (["--cutoff", "2:1.0", "--energy", "mixing_energy"], "admits no cluster"),
        (["--cutoff", "2:5", "--prim", "no_such_file.vasp"], "cannot be read"),
        (["--cutoff", "2:5", "--prim", str(DATA / "agpd" / "agpd.extxyz.gz")], "holds 625 structures"),
    ],
)
def test_mistakes_are_told_without_a_traceback(folder, options, message):
    outcome = run(folder, *options, "--report", str(folder / "none"))
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert "Traceback" not in outcome.output
    assert not (folder / "none").exists()
