"""Models of CLEASE against energies that CLEASE 1.2.0 computed; see tests/data/README.md."""

import gzip
import json
import pathlib

import ase
import ase.io
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.io.clease.model import read_clease
from jaxce.io.clease.settings import read_clease_settings
from product_energies import product_energies

DATA = pathlib.Path(__file__).parents[1] / "data"
CASES = json.loads(gzip.decompress((DATA / "clease" / "models.json.gz").read_bytes()))
CUAU_ECIS = DATA / "cuau" / "CI_params_ECI_CuAu_Final_Submission.json"
CUAU_SETTINGS = {
    "crystalstructure": "fcc",
    "a": 3.8,
    "basis_elements": [["Au", "Cu"]],
    "max_cluster_dia": [6.0, 4.5, 4.5],
}
SMALL = CASES["redundant element"]


def written(folder, content, name="eci.json"):
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def read_case(folder, name):
    return read_clease(written(folder, CASES[name]["eci"]), written(folder, CASES[name]["settings"], "settings.json"))


def atoms_of(structure):
    return ase.Atoms(structure["symbols"], positions=structure["positions"], cell=structure["cell"], pbc=True)


@pytest.mark.parametrize("name", CASES)
def test_energies_are_those_of_clease(tmp_path, name):
    expansion = read_case(tmp_path, name)
    structures = CASES[name]["structures"]
    transformations = {json.dumps(structure["transformation"]) for structure in structures}
    for transformation in transformations:
        same_cell = [s for s in structures if json.dumps(s["transformation"]) == transformation]
        supercell = jaxce.map_structure(expansion.space.prim, atoms_of(same_cell[0])).supercell
        occupancies = np.array([jaxce.occupancy_from_ase(supercell, atoms_of(s)) for s in same_cell])
        energies = product_energies(expansion.space, expansion.coefficients, supercell, occupancies)
        np.testing.assert_allclose(energies, [s["energy"] for s in same_cell], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_every_name_is_found_and_only_those_of_the_file_are_kept(tmp_path, name):
    case = CASES[name]
    ones = dict.fromkeys(case["names"], 1.0)
    expansion = read_clease(written(tmp_path, ones), case["settings"])
    assert set(expansion.metadata["names"]) == set(case["names"])
    # Older ASE wrote a cell as an object.
    cell = case["settings"]["prim_cell"]["cell"]
    older = case["settings"] | {"prim_cell": case["settings"]["prim_cell"] | {"cell": {"array": cell}}}
    kept = read_clease(written(tmp_path, case["eci"]), older).metadata["names"]
    assert set(kept) == set(case["eci"]) | {"c0"}


def test_all_states_of_the_gold_copper_table():
    atoms = ase.io.read(DATA / "cuau" / "cuau_fcc_2x2x4_supercell.vasp")
    expansion = read_clease(CUAU_ECIS, CUAU_SETTINGS)
    mapping = jaxce.map_structure(expansion.space.prim, atoms)
    occupancies = np.empty((2**16, 16), dtype=np.int8)
    # Species are in alphabetical order: bit 1 is Cu, code 1.
    occupancies[:, mapping.site_of_atom] = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    hamiltonian = jaxce.build_hamiltonian(expansion, mapping.supercell)
    energies = jax.jit(jaxce.energy)(hamiltonian, jnp.asarray(occupancies))
    np.testing.assert_allclose(energies, np.load(DATA / "cuau" / "energies_2x2x4_all.npy"), rtol=0, atol=1e-10)


def test_a_name_missing_in_the_file_is_zero(tmp_path):
    ecis = json.loads(CUAU_ECIS.read_text(encoding="utf-8"))
    all_terms = read_clease(CUAU_ECIS, CUAU_SETTINGS)
    for name in ("c0", "c2_d0001_0_00"):
        fewer = read_clease(written(tmp_path, {n: e for n, e in ecis.items() if n != name}), CUAU_SETTINGS)
        place = all_terms.metadata["names"].index(name)
        expected = np.where(np.arange(11) == place, 0.0, all_terms.coefficients)
        assert fewer.coefficients.tolist() == (expected if name == "c0" else np.delete(expected, place)).tolist()


def test_functions_on_sites_with_one_species_and_dependent_ones_work_on_the_device_and_in_files(tmp_path):
    case = CASES["rocksalt background True"]
    # Of pairs, which compile fast.
    path = written(tmp_path, {name: eci for name, eci in case["eci"].items() if name < "c3"})
    atoms = atoms_of(case["structures"][-1])
    expansion = read_clease(path, case["settings"])
    mapping = jaxce.map_structure(expansion.space.prim, atoms)
    occupancy = mapping.occupancy[None].astype(int)
    (wanted,) = product_energies(expansion.space, expansion.coefficients, mapping.supercell, occupancy)
    read_clease(path, case["settings"], check=[(atoms, wanted)])
    with pytest.raises(ValueError, match="1 of 1 deviate"):
        read_clease(path, case["settings"], check=[(atoms, wanted + 1e-5)])
    expansion.save(tmp_path / "model.json")
    again = jaxce.ClusterExpansion.load(tmp_path / "model.json")
    assert again.energy_of(atoms) == pytest.approx(wanted, abs=1e-10)
    assert "CLEASE 1.2.0" in repr(again)


@pytest.mark.parametrize(
    ("ecis", "message"),
    [
        ({"c0": 1.0, "c2_d0007_0_00": 1.0}, r"ECIs of \['c2_d0007_0_00'\], but the settings give 9"),
        ({"c0": 1.0, "c1_2": 1.0}, "none of these"),
        ({"c0": "1.0"}, "are no numbers"),
        ({"c0": None}, "are no numbers"),
        ({"c0": 10**400}, r"\['c0'\] are larger"),
        ({}, "one object with an ECI"),
        ([["c0", 1.0]], "one object with an ECI"),
    ],
    ids=["unknown cluster", "unknown function", "text", "null", "huge", "empty", "list"],
)
def test_ecis_that_do_not_fit_are_refused(tmp_path, ecis, message):
    with pytest.raises(ValueError, match=message):
        read_clease(written(tmp_path, ecis), SMALL["settings"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clease_version": "0.10.1"}, "load and save the settings with CLEASE 1.2"),
        ({"prim_cell": None}, 'need "prim_cell"'),
        ({"prim_cell": {"numbers": [1]}}, "no structure as ASE writes it"),
        ({"prim_cell": {"numbers": {"__ndarray__": [[1], "int64", ["x"]]}}}, "at most 100000 numbers"),
        ({"prim_cell": {"numbers": {"__ndarray__": [[True], "int64", [1]]}}}, "must be integers"),
        ({"prim_cell": None, "crystalstructure": "quasicrystal", "a": 3.2}, "Unknown structure: quasicrystal"),
        ({"concentration": {"basis_elements": [["Nb", "Nb"]]}}, "must list the symbols"),
        ({"concentration": {"basis_elements": [["Ti", "Nb", "V"]]}}, "must be the first elements"),
        ({"concentration": {"basis_elements": [["Nb", "Ti"], ["Nb", "V"]]}}, "begin with the same element"),
        ({"concentration": {"basis_elements": [["Nb"]]}}, "at least two elements"),
        ({"concentration": {"basis_elements": [["Nb", "Ti"]]}}, r"those of \['Nb', 'Ti', 'V'\]"),
        ({"basis_func_type": {"name": "legendre"}}, "must be one of"),
        ({"basis_func_type": {"name": "binary_linear", "redundant_element": "Cu"}}, "'Cu' is none of"),
        ({"max_cluster_dia": 5.0}, "must list the largest diameters"),
        ({"include_background_atoms": "no"}, "must be true or false"),
    ],
    ids=[
        "version",
        "no prim",
        "no structure",
        "no numbers",
        "no shape",
        "unknown crystal",
        "species twice",
        "other first element",
        "same first element",
        "one element",
        "other elements",
        "unknown basis",
        "unknown redundant element",
        "one cutoff",
        "background",
    ],
)
def test_settings_that_cannot_be_understood_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        read_clease_settings(SMALL["settings"] | changes)


def test_a_cutoff_on_a_distance_is_refused():
    with pytest.raises(ValueError, match="rounding decided in CLEASE"):
        read_clease(CUAU_ECIS, CUAU_SETTINGS | {"max_cluster_dia": [3.8, 4.5, 4.5]})


def test_a_cutoff_that_admits_millions_of_clusters_is_refused():
    with pytest.raises(ValueError, match="too many clusters to list"):
        read_clease(CUAU_ECIS, CUAU_SETTINGS | {"max_cluster_dia": [6.0, 4.5, 30.0]})


def test_coordinates_with_few_digits_are_refused(tmp_path):
    settings = json.loads(json.dumps(CASES["hcp"]["settings"]))
    settings["prim_cell"]["positions"]["__ndarray__"][2][3] += 1e-6
    with pytest.raises(ValueError, match="too few digits"):
        read_clease(written(tmp_path, CASES["hcp"]["eci"]), settings)
