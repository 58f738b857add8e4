"""`jaxce sample` and `jaxce enumerate`: the structures and numbers of the Python calls, in files."""

import ase.io
import jax
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import jaxce
from jaxce.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("structures")
    model = jaxce.datasets.load_cuau_formation_model()
    model.save(folder / "cuau.json")
    ase.io.write(folder / "prim.vasp", ase.Atoms("Cu", cell=model.space.prim.lattice, pbc=True))
    return folder


def test_samples_are_those_of_random_occupancy_with_their_energies(folder):
    out = folder / "samples.extxyz"
    cell = ["--supercell", "2,2,4", "--composition", "Cu=0.25,Au=0.75"]
    outcome = run("sample", folder / "cuau.json", *cell, "--number", 5, "--seed", 3, "--out", out)
    assert outcome.exit_code == 0, outcome.output
    assert "random structures: 5, of 16 sites and 16 prims each" in outcome.output
    model = jaxce.ClusterExpansion.load(folder / "cuau.json")
    supercell = jaxce.Supercell(model.space.prim, (2, 2, 4))
    occupancies = jaxce.random_occupancy(jax.random.key(3), supercell, {"Cu": 0.25, "Au": 0.75}, (5,))
    found = ase.io.read(out, ":")
    np.testing.assert_array_equal([jaxce.occupancy_from_ase(supercell, atoms) for atoms in found], occupancies)
    energies = [atoms.get_potential_energy() for atoms in found]
    np.testing.assert_allclose(
        energies, jax.jit(jaxce.energy)(jaxce.build_hamiltonian(model, supercell), occupancies), atol=1e-9
    )


def test_samples_of_a_prim_go_into_a_folder_of_poscars(folder):
    options = ["--species", "Cu:Cu,Au", "--supercell", "2", "--composition", "Cu=2,Au=6", "--number", 3]
    outcome = run("sample", folder / "prim.vasp", *options, "--out", folder / "poscars")
    assert outcome.exit_code == 0, outcome.output
    assert "eV" not in outcome.output
    paths = sorted((folder / "poscars").iterdir())
    assert [path.name for path in paths] == ["0.vasp", "1.vasp", "2.vasp"]
    assert ase.io.read(paths[0]).get_chemical_formula() in ("Au6Cu2", "Cu2Au6")
    again = run("sample", folder / "prim.vasp", *options, "--out", folder / "poscars")
    assert (again.exit_code, "no empty folder" in again.output) == (2, True)


def test_oxidation_states_and_vacancies_survive(tmp_path):
    atoms = ase.Atoms("Mn", cell=3 * np.eye(3), pbc=True)
    ase.io.write(tmp_path / "prim.vasp", atoms)
    options = ["--species", "Mn:Mn3+,Mn4+,X", "--supercell", "2", "--composition", "Mn3+=2,Mn4+=4,X=2", "--number", 2]
    outcome = run("sample", tmp_path / "prim.vasp", *options, "--out", tmp_path / "a.extxyz")
    assert outcome.exit_code == 0, outcome.output
    frame = ase.io.read(tmp_path / "a.extxyz", "0")
    assert sorted(frame.arrays["species_labels"]) == ["Mn3+"] * 2 + ["Mn4+"] * 4
    outcome = run("sample", tmp_path / "prim.vasp", *options, "--out", tmp_path / "b.vasp")
    assert outcome.exit_code == 2
    outcome = run("convert", tmp_path / "a.extxyz", tmp_path / "poscars")
    assert (outcome.exit_code, "no place for species such as Mn" in outcome.output) == (2, True)
    assert not (tmp_path / "poscars").exists()


def test_enumeration_with_energies_and_ground_states(folder):
    outcome = run("enumerate", folder / "cuau.json", "--max-size", 4, "--out", folder / "all.csv")
    assert outcome.exit_code == 0, outcome.output
    table = pd.read_csv(folder / "all.csv")
    # Hart and Forcade, Phys. Rev. B 77, 224115 (2008): fcc binaries of 1 to 4 atoms.
    assert table.groupby("prims").size().tolist() == [2, 2, 6, 19]
    model = jaxce.ClusterExpansion.load(folder / "cuau.json")
    for place, (supercell, row) in enumerate(
        (cell, row) for cell, rows in jaxce.enumerate_structures(model.space.prim, 4) for row in rows
    ):
        if place % 9 == 0:
            wanted = model.energy_of(jaxce.occupancy_to_ase(supercell, row))
            assert table["energy"][place] == pytest.approx(wanted, abs=1e-9)
    fractions = table[["A:Cu", "A:Au"]].to_numpy()
    hull = jaxce.lower_hull(fractions, table["energy_per_prim"].to_numpy())
    assert np.flatnonzero(table["is_ground_state"]).tolist() == hull.vertices.tolist()
    assert np.allclose(table["above_hull_per_prim"], hull.energies_above_hull, atol=1e-12)


def test_enumeration_within_limits(folder):
    options = ["--species", "Cu:Cu,Au", "--min-size", 2, "--max-size", 4, "--composition", "Au=0:0.25"]
    outcome = run("enumerate", folder / "prim.vasp", *options, "--out", folder / "few.extxyz")
    assert outcome.exit_code == 0, outcome.output
    frames = ase.io.read(folder / "few.extxyz", ":")
    assert {len(atoms) for atoms in frames} == {4}
    assert {atoms.get_chemical_formula() for atoms in frames} == {"AuCu3"}
    assert all(atoms.calc is None for atoms in frames)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "cuau.json", "--supercell", "2,2", "--composition", "Cu=1"], "`supercell` must be"),
        (["sample", "cuau.json", "--supercell", "2", "--composition", "Cu=0.5,Ag=0.5"], "Ag"),
        (["sample", "prim.vasp", "--supercell", "2", "--composition", "Cu=8"], "--species"),
        (
            ["sample", "cuau.json", "--species", "Cu:Cu,Au", "--supercell", "2", "--composition", "Cu=8,Au=0"],
            "leave out",
        ),
        (["sample", "cuau.json", "--supercell", "2", "--composition", "Cu=8,Au=0", "--out", "a.pdf"], "must end in"),
        (["sample", "cuau.json", "--supercell", "2", "--composition", "Cu=8,Au=0", "--out", "no/a.cif"], "no folder"),
        (["enumerate", "cuau.json", "--max-size", "2", "--composition", "Au=a"], "lowest:highest"),
        (["enumerate", "cuau.json", "--max-size", "12", "--max-count", "100"], "more than `max_count`"),
        (["enumerate", "cuau.json", "--min-size", "3", "--max-size", "2"], "sizes"),
    ],
)
def test_mistakes_are_told(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    outcome = run(*arguments)
    assert outcome.exit_code == 2, outcome.output
    assert message in outcome.output
    assert "Traceback" not in outcome.output
