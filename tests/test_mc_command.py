"""`jaxce mc`, `jaxce resume` and `jaxce analyze`, on an alloy of eight sites."""

import gzip
import json
import pathlib
import tomllib

import ase.io
import ase.units
import h5py
import jax
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import jaxce
from jaxce.cli import app
from jaxce.commands import analyze as analysis, mc as run_commands, processor
from jaxce.commands.run_files import begin_folder
from jaxce.commands.run_inputs import load_inputs, stored_settings
from jaxce.commands.run_settings import RunSettings, numbers_of, read_settings
from jaxce.sampling import chunks, run_folder

# The runs are too short to be good.
pytestmark = pytest.mark.filterwarnings("ignore:.*Give more sweeps", "ignore:jax .* runs chains")

FCC = jaxce.Prim(np.array([[0, 1.9, 1.9], [1.9, 0, 1.9], [1.9, 1.9, 0]]), [[0, 0, 0]], [["Cu", "Au"]])
# Four conditions of two chains; at two of them nothing but copper is left.
SETTINGS = {
    "supercell": "2",
    "composition": "Cu=0.5,Au=0.5",
    "ensemble": "semi-grand",
    "temperature": "600,900",
    "mu": "Au=-2,0.1",
    "chains": "2",
    "sweeps": "40",
    "short-range-order": "1",
    "seed": "3",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.json"
    jaxce.ClusterExpansion(jaxce.ClusterSpace(FCC, {2: 3.0}), [0.0, 0.01, 0.03]).save(path)
    return str(path)


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def mc(model, folder, x64="--x64", **changes):
    settings = {"model": model, "folder": folder, **SETTINGS, **changes}
    flags = [part for name, value in settings.items() if value is not None for part in (f"--{name}", value)]
    return invoke("mc", *flags, x64)


def succeed(outcome):
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def same(*numbers):
    """Equal but for how a number is read from text."""
    return pytest.approx(numbers, rel=1e-14, abs=0, nan_ok=True)


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """The folder of a run that has ended."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    succeed(mc(model, folder))
    return folder


def test_flags_a_file_and_python_give_the_same_run(model, finished, tmp_path):
    toml = (
        f'model = {json.dumps(model)}\nsupercell = 2\ncomposition = {{Cu = 0.5, Au = 0.5}}\nensemble = "semi-grand"\n'
        "temperature = [600, 900]\nmu = {Au = [-2, 0.1]}\nchains = 2\nsweeps = 40\nshort_range_order = 1\n"
        'seed = 4\nx64 = true\nfolder = "run"\n'
    )
    (tmp_path / "run.toml").write_text(toml, encoding="utf-8")
    # The folder is beside the file; the flag takes the place of the seed in it.
    succeed(invoke("mc", tmp_path / "run.toml", "--seed", "3"))
    for name in ("summary.csv", "summary.json", "final.extxyz"):
        assert (tmp_path / "run" / name).read_text() == (finished / name).read_text()

    supercell = jaxce.Supercell(FCC, 2)
    hamiltonian = jaxce.build_hamiltonian(jaxce.ClusterExpansion.load(model), supercell)
    start_key, run_key = jax.random.split(jax.random.key(3))
    result = jaxce.run_monte_carlo(
        run_key,
        hamiltonian,
        jaxce.random_occupancy(start_key, supercell, {"Cu": 0.5, "Au": 0.5}, (8,)),
        jaxce.SemiGrand({"Au": np.repeat([-2.0, 0.1, -2.0, 0.1], 2)}),
        temperature=np.repeat([600.0, 900.0], 4),
        num_sweeps=40,
        observables=[jaxce.observables.short_range_order(supercell, num_shells=1)],
    )
    table = pd.read_csv(finished / "summary.csv")
    for condition, drop in result.equilibration().items():
        rows = table[table["condition"] == condition].set_index("quantity")
        assert set(rows["dropped"]) == {drop}
        for name, row in result.summary(drop).loc[condition].iterrows():
            assert tuple(rows.loc[name, ["mean", "error", "r_hat"]]) == same(row["mean"], row["mcse"], row["r_hat"])
        assert tuple(rows.loc["heat_capacity", ["mean", "error"]]) == same(*result.heat_capacity(drop)[condition])
        susceptibility = result.susceptibility("Au", drop)[condition]
        assert tuple(rows.loc["susceptibility_Au", ["mean", "error"]]) == same(*susceptibility)
    first = table.drop_duplicates("condition")
    assert first[["temperature", "mu_Au"]].to_numpy().tolist() == [[600, -2], [600, 0.1], [900, -2], [900, 0.1]]
    report = json.loads((finished / "summary.json").read_text())
    assert [point["Au"]["mean"] for point in report["conditions"]] == same(*table[table["quantity"] == "Au"]["mean"])
    final = ase.io.read(finished / "final.extxyz", index=":")
    np.testing.assert_allclose([atoms.get_potential_energy() for atoms in final], result.energy[:, -1], atol=1e-9)
    assert len(ase.io.read(finished / "lowest.vasp")) == 8


def interrupt_after(monkeypatch, num_calls):
    """Every call on the device is one sweep and is saved; after so many the user presses Ctrl-C."""
    original, calls = chunks._call, []

    def call(*arguments):
        if len(calls) == num_calls:
            raise KeyboardInterrupt
        calls.append(1)
        return original(*arguments)

    def keep(folder, done, samples):
        folder.add(samples)
        folder.save(done)
        return False

    monkeypatch.setattr(chunks, "_call", call)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(run_folder.RunFolder, "__call__", keep)


def test_an_interrupted_run_is_resumed_bit_for_bit_and_made_longer(model, finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 17)
        outcome = mc(model, tmp_path)
    assert outcome.exit_code == 130
    assert f"jaxce resume {tmp_path}" in outcome.stderr
    assert "17 of 40 sweeps, 17 samples" in succeed(invoke("analyze", tmp_path))
    assert "was finished" not in succeed(invoke("resume", tmp_path))
    assert (tmp_path / "summary.json").read_text() == (finished / "summary.json").read_text()
    assert "was finished: 40 sweeps" in succeed(invoke("resume", tmp_path))
    assert "40 sweeps already" in invoke("resume", tmp_path, "--sweeps", 39).stderr

    succeed(invoke("resume", tmp_path, "--sweeps", 60))
    assert tomllib.loads((tmp_path / "run.toml").read_text())["sweeps"] == 60
    succeed(mc(model, tmp_path / "longer", sweeps=60))
    assert (tmp_path / "summary.json").read_text() == (tmp_path / "longer" / "summary.json").read_text()


def test_a_folder_with_a_run_is_not_overwritten(model, finished):
    before = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    outcome = mc(model, finished, seed=5)
    assert outcome.exit_code == 2
    assert f"`jaxce resume {finished}`" in outcome.stderr
    assert {path: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "a run needs `model`: give --model"),
        ({"model": "none.json"}, "none.json"),
        ({"supercell": "2,2"}, "`supercell` must be an integer, three integers, or 3x3 integers, but is '2,2'"),
        ({"supercell": None}, "needs `supercell`"),
        ({"composition": None}, "give either `composition` or `start`"),
        ({"composition": "Cu"}, "--composition needs names with values"),
        ({"composition": "Cu=half,Au=0.5"}, "`composition` must be numbers or fractions by species"),
        ({"composition": "Cu=0.3,Au=0.7"}, "the nearest fraction is 2/8"),
        ({"composition": "Cu=0.5,Ag=0.5"}, "names ['Ag']"),
        ({"temperature": "0"}, "must be positive, in kelvin"),
        ({"temperature": "300:900"}, None),
        ({"temperature": "300:900:x"}, '`temperature` must be kelvin: a number, a list, or "first:last:count"'),
        ({"mu": "Ag=0.1"}, "chemical potential is given for 'Ag'"),
        ({"ensemble": "canonical"}, "`mu` is for the ensemble semi-grand or charge-neutral"),
        ({"ensemble": "vcsgc", "mu": None}, "needs `phi`"),
        ({"kind": "annealing", "mu": "Au=0", "short-range-order": None}, "the first one higher"),
        ({"kind": "annealing", "mu": "Au=0", "temperature": "900:600"}, "`short_range_order` has no meaning"),
        ({"kind": "tempering"}, "grids of `mu` or `phi` are for the kind monte-carlo"),
        ({"kind": "tempering", "mu": "Au=0", "temperature": "900"}, "two or more temperatures"),
        ({"exchange-every": 2}, "`exchange_every` has no meaning in a run of kind monte-carlo"),
        ({"sample-every": 3}, "`sweeps` (40) must be a multiple of `sample_every` (3)"),
        ({"sweeps": 0}, "`sweeps` must be a whole number from 1 on"),
        ({"until": "energy=0"}, "positive standard errors"),
        ({"until": "entropy=1"}, "`until` names ['entropy']"),
        ({"start": "POSCAR", "composition": None}, "POSCAR is no file"),
        ({"coordinator": "node1:12345"}, "must be given together"),
    ],
)
def test_bad_input_is_said_before_a_run_begins(model, tmp_path, changes, message):
    if message is None:
        assert numbers_of(changes["temperature"]) == [300, 900]
        return
    outcome = mc(changes.pop("model", model), tmp_path / "run", **changes)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("error: ")
    assert message in outcome.stderr
    assert not (tmp_path / "run" / "checkpoint.npz").exists()
    # Not a run that could be gone on with, either.
    assert not (tmp_path / "run" / "run.toml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("temprature = 300", "unknown setting, `temprature`: did you mean `temperature`?"),
        ("zzz = 1", "the settings are model, supercell"),
        ("model = ", "is no TOML"),
        ("model = 3\ntemperature = 300", "`model` must be the path of a model, but is 3"),
        ('model = "m"\ntemperature = 300\nx64 = "yes"', "`x64` must be true or false"),
    ],
)
def test_a_bad_file_of_settings_is_said(tmp_path, text, message):
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    outcome = invoke("mc", tmp_path / "run.toml")
    assert outcome.exit_code == 2
    assert message in outcome.stderr


def test_settings_that_lay_in_the_folder_before_stay_there(model, tmp_path):
    (tmp_path / "run.toml").write_text("mine = 1", encoding="utf-8")
    outcome = mc(model, tmp_path, composition="Cu=0.3,Au=0.7")
    assert (outcome.exit_code, (tmp_path / "run.toml").exists()) == (2, True)


def test_a_run_that_is_going_on_is_not_made_longer(model, finished):
    with run_folder.lock_folder(finished):
        outcome = invoke("resume", finished, "--sweeps", 60)
    assert (outcome.exit_code, "Another run is writing" in outcome.stderr) == (2, True)
    assert stored_settings(finished).sweeps == 40


def test_what_is_no_run_is_said(tmp_path):
    for command in ("resume", "analyze"):
        outcome = invoke(command, tmp_path)
        assert (outcome.exit_code, "no run.toml" in outcome.stderr) == (2, True)


def test_grids_and_settings_are_read_back(tmp_path):
    assert numbers_of("1:4:3:geometric") == pytest.approx([1, 2, 4])
    assert numbers_of(["1", 2.5]) == [1, 2.5]
    settings = RunSettings(
        model="m", temperature="300:900:3", supercell=[[0, 1, 1], [1, 0, 1], [1, 1, 0]], ensemble="charge-neutral",
        composition={"A": {"Sr": 3, "La": 1}, "B": {'"Ti"': 0.25}}, mu={"La": [0.1, -2e-5]}, charges={"Sr": 2.0},
        until={"energy": 0.5}, x64=True, folder="é run",
    )  # fmt: skip
    (tmp_path / "run.toml").write_text(settings.text(), encoding="utf-8")
    again = read_settings(tmp_path / "run.toml", {"model": "m", "folder": "é run"})
    assert again == settings


def test_each_setting_has_a_flag():
    flags = invoke("mc", "--help").output
    for name in RunSettings.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in flags


def test_precision_that_was_not_reached_is_said_and_exits_with_3(model, tmp_path):
    outcome = mc(model, tmp_path, until="energy=1e-5")
    assert outcome.exit_code == 3, outcome.output
    assert "not converged: after 40 sweeps the error of energy at temperature = " in outcome.stderr
    assert "wanted 1e-05" in outcome.stderr
    assert f"jaxce resume {tmp_path} --sweeps " in outcome.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["is_precise"] is False
    # An unfinished business is no error of who reads it.
    succeed(invoke("analyze", tmp_path))


def test_tempering_has_rungs_and_pictures(model, tmp_path):
    output = succeed(
        mc(
            model, tmp_path, kind="tempering", ensemble="canonical", mu=None, temperature="600:1200:3:geometric",
            until=None,
        )
    )  # fmt: skip
    assert "2 ladders of 3 temperatures" in output
    report = json.loads((tmp_path / "summary.json").read_text())
    assert [point["temperature"] for point in report["conditions"]] == pytest.approx([600, 848.528, 1200])
    assert np.shape(report["round_trips"]) == (2, 3)
    succeed(invoke("analyze", tmp_path, "--plots"))
    drawn = {path.stem for path in (tmp_path / "plots").iterdir()}
    assert drawn == {"energy", "round_trips", "heat_capacity", "short_range_order"}


def test_annealing_gives_the_lowest_structures_in_single_precision(model, tmp_path):
    output = succeed(
        mc(
            model, tmp_path, "--x32", kind="annealing", ensemble="canonical", mu=None, temperature="2000:300",
            **{"short-range-order": None},
        )
    )  # fmt: skip
    lowest = pd.read_csv(tmp_path / "summary.csv")["lowest_energy"]
    assert len(lowest) == 2
    assert f"lowest energy {lowest.min():.6f} eV" in output
    with h5py.File(tmp_path / "samples.h5") as file:
        assert file["energy"].dtype == np.float32
    assert "cannot be made longer" in invoke("resume", tmp_path, "--sweeps", 80).stderr
    succeed(invoke("analyze", tmp_path, "--plots"))
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["energy.png"]


@pytest.mark.slow
def test_chemical_potentials_of_the_variance_constraint_are_those_of_free_sites(tmp_path):
    """Without interactions mu = e + kT ln(c / (1 - c)), with e = 0.1 eV between the species of a site."""
    expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(FCC, {2: 3.0}), [0.0, 0.05, 0.0])
    by_hand = jaxce.energy(jaxce.build_hamiltonian(expansion, jaxce.Supercell(FCC, 1)), np.array([[0], [1]], np.int8))
    expansion.save(tmp_path / "free.json")
    succeed(
        mc(
            tmp_path / "free.json", tmp_path / "run", ensemble="vcsgc", mu=None, phi="Au=-0.8,-1.2", temperature=1000,
            supercell=4, sweeps=200, **{"short-range-order": None},
        )
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "run" / "summary.csv").set_index(["quantity", "phi_Au"])
    for phi in (-0.8, -1.2):
        concentration, found = table.loc[("Au", phi), "mean"] / 64, table.loc[("mu_Au", phi)]
        exact = float(by_hand[1] - by_hand[0]) + 1000 * ase.units.kB * np.log(concentration / (1 - concentration))
        # The finite cell adds a few meV.
        assert found["mean"] == pytest.approx(exact, abs=5 * found["error"] + 0.003)
    assert "heat_capacity" not in table.index


def test_analysis_writes_what_is_asked_for(finished, tmp_path):
    outputs = ("--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json", "--plots")
    succeed(invoke("analyze", finished, "--drop", 8, *outputs))
    inputs, result = analysis.read_run(finished)
    assert inputs.settings == stored_settings(finished)
    table = pd.read_csv(tmp_path / "a.csv")
    energies = table[table["quantity"] == "energy"].set_index("condition")["mean"]
    assert energies.to_dict() == pytest.approx(
        result.summary(8).xs("energy", level="quantity")["mean"].to_dict(), 1e-14
    )
    assert [point["dropped"] for point in json.loads((tmp_path / "a.json").read_text())["conditions"]] == [8] * 4
    drawn = {path.stem for path in (finished / "plots").iterdir()}
    assert drawn == {"energy", "heat_capacity", "composition", "short_range_order", "map_Au", "map_heat_capacity"}
    assert invoke("analyze", finished, "--drop", 40).exit_code == 2


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_labelled_samples_are_written_or_what_is_missing_is_said(finished, tmp_path, form):
    outcome = invoke("analyze", finished, f"--{form}", tmp_path / "samples")
    if outcome.exit_code:
        assert outcome.exit_code == 2
        assert f"{form} files need" in outcome.stderr
        assert not (tmp_path / "samples").exists()
        return
    import xarray

    tree = xarray.open_datatree(tmp_path / "samples")
    np.testing.assert_array_equal(tree["posterior"]["energy"], analysis.read_run(finished)[1].energy)


def test_runs_start_from_structures_and_have_the_ensemble_of_their_settings(model, finished, tmp_path):
    settings = RunSettings(model=model, temperature=900, start=str(finished / "lowest.vasp"), folder=str(tmp_path))
    begin_folder(settings, jaxce.ClusterExpansion.load(model))
    inputs = load_inputs(stored_settings(tmp_path))
    _, result = analysis.read_run(finished)
    lowest = np.asarray(result.lowest_occupancy)[np.argmin(result.lowest_energy)]
    energies = jaxce.energy(inputs.hamiltonian, np.asarray(inputs.occupancy))
    np.testing.assert_allclose(energies, np.full(4, result.lowest_energy.min()), atol=1e-9)
    assert inputs.occupancy.sum() == 4 * lowest.sum()
    assert inputs.ensemble == jaxce.Canonical()
    for name, more, kind in (
        ("canonical-global", {}, jaxce.Canonical),
        ("charge-neutral", {"charges": {"Cu": 1, "Au": -1}, "mu": {"Au": 0.1}}, jaxce.ChargeNeutral),
    ):
        settings = RunSettings(
            model=model, temperature=900, supercell=2, composition={"Cu": 4, "Au": 4}, folder=str(tmp_path),
            ensemble=name, **more,
        )  # fmt: skip
        begin_folder(settings, jaxce.ClusterExpansion.load(model))
        assert isinstance(load_inputs(stored_settings(tmp_path)).ensemble, kind)


def test_models_of_other_programs_are_copied_as_jaxce_reads_them(tmp_path, monkeypatch):
    packed = pathlib.Path(__file__).parent / "data" / "icet" / "fcc_binary.ce.gz"
    (tmp_path / "fcc.ce").write_bytes(gzip.decompress(packed.read_bytes()))
    monkeypatch.setattr(run_commands, "_go_on", lambda folder: None)
    succeed(mc(tmp_path / "fcc.ce", tmp_path / "run"))
    model = jaxce.ClusterExpansion.load(tmp_path / "run" / "model.json")
    np.testing.assert_array_equal(model.coefficients, jaxce.io.read_icet(tmp_path / "fcc.ce").coefficients)


def test_the_environment_of_a_fresh_process_is_set_once(monkeypatch):
    monkeypatch.delitem(processor.sys.modules, "jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    monkeypatch.setattr(processor.importlib.metadata, "version", lambda name: "0.10.1")
    processor.use_cores(3)
    assert processor.os.environ["JAX_NUM_CPU_DEVICES"] == "3"
    assert processor.os.environ["XLA_FLAGS"] == f"--xla_dump_to=x {processor._FLAG}"
    processor.use_cores(None)
    assert processor.os.environ["JAX_NUM_CPU_DEVICES"] == "3"
    assert processor.os.environ["XLA_FLAGS"] == f"--xla_dump_to=x {processor._FLAG}"
