import json

import ase.io
import numpy as np
import pytest
from typer.testing import CliRunner

import jaxce
from jaxce.cli import app
from jaxce.commands.demo import COMPOSITION


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The demonstration with few structures, run through the command line."""
    folder = tmp_path_factory.mktemp("demo")
    outcome = CliRunner().invoke(app, ["demo", str(folder), "--structures", "32"])
    assert outcome.exit_code == 0, outcome.output
    assert "10-fold CV" in outcome.output
    return folder, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_demo_fits_well_and_says_on_what(report):
    _, content = report
    assert content["num_structures"] == 551
    assert "dropped" in content["subset"]
    assert content["cv_rmse_meV_per_site"] == pytest.approx(content["cv_rmse_meV_per_formula_unit"] / 5)
    # icet with ridge regression reaches 8.2 on the same cutoffs and nearly the same structures, the prior 7.5.
    assert 7 < content["cv_rmse_meV_per_site"] < 9


def test_demo_writes_its_lowest_structure(report):
    folder, content = report
    lowest = ase.io.read(folder / "lowest.vasp")
    counts = {symbol: lowest.get_chemical_symbols().count(symbol) for symbol in ("La", "Sr", "Fe", "Ti", "O")}
    assert counts == {name: number for name, number in COMPOSITION.items() if name != "X"}
    model = jaxce.ClusterExpansion.load(folder / "model.json")
    assert model.energy_of(lowest) == pytest.approx(content["lowest_energy_eV"], abs=1e-6)
    assert content["lowest_energy_eV"] == min(content["sampled_energies_eV"])
    assert len(content["sampled_energies_eV"]) == 32
    for picture in ("parity.png", "energies.png"):
        assert (folder / picture).stat().st_size > 10_000


def test_the_model_that_ships_is_the_one_that_the_demo_fits(report):
    folder, _ = report
    fitted, shipped = jaxce.ClusterExpansion.load(folder / "model.json"), jaxce.datasets.load_perovskite_model()
    np.testing.assert_allclose(fitted.coefficients, shipped.coefficients, rtol=1e-6, atol=1e-8)
    assert repr(fitted.space) == repr(shipped.space)


def test_the_template_maps_onto_160_sites():
    model = jaxce.datasets.load_perovskite_model()
    template = jaxce.datasets.load_perovskite().template
    mapping = jaxce.map_structure(model.space.prim, template)
    assert mapping.supercell.num_sites == 160
    names = [mapping.supercell.species[s][c] for s, c in enumerate(mapping.occupancy)]
    assert {name: names.count(name) for name in COMPOSITION} == COMPOSITION


def test_version_is_printed():
    outcome = CliRunner().invoke(app, ["--version"])
    assert outcome.output.strip() == jaxce.__version__
