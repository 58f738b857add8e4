"""Energies of libcasm-clexulator, the layouts of other versions of CASM, and what is refused."""

import copy
import json
import pathlib

import numpy as np
import pytest

import jaxce
from helpers import slow_energy
from jaxce.io import read_casm
from jaxce.io.casm.formulas import parsed_formula
from jaxce.io.json_files import read_json

DATA = pathlib.Path(__file__).parents[1] / "data" / "casm"
CASES = sorted(path.name for path in DATA.iterdir())


def paths(name):
    return DATA / name / "prim.json", DATA / name / "basis.json.gz"


def files(name):
    return [read_json(path) for path in paths(name)]


def read_contents(folder, prim, basis, eci=None):
    """`read_casm` of contents in place of files."""
    for name, content in (("prim", prim), ("basis", basis), ("eci", eci)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return read_casm(folder / "prim.json", folder / "basis.json", None if eci is None else folder / "eci.json")


def reference(name, prim):
    """The supercell of the reference, occupancies in our codes and site order, and CASM's energies."""
    case = read_json(DATA / name / "energies.json")
    occupants = [site["occupants"] for site in read_json(DATA / name / "prim.json")["basis"]]
    supercell = jaxce.Supercell(prim, case["supercell_matrix_rows"])
    points = np.array(case["sites"])
    our_sites = supercell.site_index(points[:, 0], points[:, 1:])
    occupancies = np.zeros((len(case["occupations"]), supercell.num_sites), dtype=int)
    for place, (site, our_site) in enumerate(zip(points[:, 0], our_sites, strict=True)):
        codes = [prim.species[site].index(prim.canonical_species(occupant)) for occupant in occupants[site]]
        occupancies[:, our_site] = np.take(codes, np.array(case["occupations"])[:, place])
    return supercell, occupancies, np.array(case["energies"])


@pytest.mark.parametrize("name", CASES)
def test_energies_are_those_of_casm(name):
    expansion = read_casm(*paths(name))
    supercell, occupancies, energies = reference(name, expansion.space.prim)
    found = [slow_energy(expansion.space, expansion.coefficients, supercell, each) for each in occupancies]
    # CASM's programs contain the square roots of the formulas with ten digits.
    np.testing.assert_allclose(found, energies, rtol=0, atol=1e-10)
    assert np.ptp(energies) > 0.05


def as_casm_1(basis, number_format=r"\phi_{{{0},{1}}}(s_{{{2}}})"):
    """The same basis set as CASM 1 writes it: functions from 0 without the constant, points named."""
    basis = copy.deepcopy(basis)
    for entry in basis["site_functions"]:
        if "occ" in entry:
            site = entry["sublat"]
            varying = list(entry["occ"]["basis"].values())[1:]
            entry["occ"] = {
                "basis": {number_format.format(site, i, 0).split("(")[0]: values for i, values in enumerate(varying)}
            }
    for orbit in basis["orbits"]:
        points = [site[0] for site in orbit["prototype"]["sites"]]
        for function in orbit["cluster_functions"]:
            key = f"\\Phi_{{{function['linear_function_index']}}}"
            function[key] = _with_points(function[key], points, number_format)
    return basis


def _with_points(formula, points, number_format):
    if not points:
        return formula
    terms = []
    for term in parsed_formula(formula):
        # Without an index in CASM 2, it is the sole function.
        numbers = [function.indices[-1] if function.indices else 1 for function in term.functions]
        factors = zip(points, numbers, range(len(points)), strict=True)
        product = "".join(number_format.format(site, number - 1, point) for site, number, point in factors)
        terms.append(f"\\sqrt{{{round(term.coefficient**2 * 12)}/12}}{product}")
    return f"1({'+'.join(terms)})"


def as_casm_0(basis):
    """The same basis set as CASM 0.2 writes it: a flat list of functions."""
    basis = as_casm_1(basis, r"\phi_{0}_{1}(s_{2})")
    functions = []
    for place, orbit in enumerate(basis["orbits"]):
        for function in orbit["cluster_functions"]:
            number = function["linear_function_index"]
            entry = {"prototype_function": function[f"\\Phi_{{{number}}}"], "linear_function_index": number}
            entry |= {"mult": orbit["mult"], "prototype": orbit["prototype"]}
            entry |= {"orbit": [len(orbit["prototype"]["sites"]), place, 0]}
            functions.append(entry | ({"eci": function["eci"]} if "eci" in function else {}))
    tables = [{"sublat": e["sublat"], "basis": e.get("occ", {}).get("basis")} for e in basis["site_functions"]]
    return {"site_functions": tables, "cluster_functions": functions}


@pytest.mark.parametrize("layout", [as_casm_1, as_casm_0])
@pytest.mark.parametrize("name", ["hcp_interstitial_chebychev", "rocksalt_vacancy_occupation"])
def test_layouts_of_other_versions_mean_the_same(name, layout, tmp_path):
    prim, basis = files(name)
    expected = read_contents(tmp_path, prim, basis)
    older = layout(basis)
    assert older != basis
    found = read_contents(tmp_path, {**prim, "basis": [_as_occupant_dof(site) for site in prim["basis"]]}, older)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=0, atol=1e-14)


def _as_occupant_dof(site):
    return {"coordinate": site["coordinate"], "occupant_dof": site["occupants"]}


@pytest.mark.parametrize("form", ["list", "basis set", "coefficients only"])
def test_coefficients_may_come_from_a_file_of_their_own(form, tmp_path):
    prim, basis = files("rocksalt_vacancy_occupation")
    bare = copy.deepcopy(basis)
    for orbit in bare["orbits"]:
        for function in orbit["cluster_functions"]:
            function.pop("eci", None)
    values = [
        [f["linear_function_index"], f["eci"]] for o in basis["orbits"] for f in o["cluster_functions"] if "eci" in f
    ]
    with pytest.raises(ValueError, match="no coefficients"):
        read_contents(tmp_path, prim, bare)
    functions = [{"linear_function_index": number, "eci": value} for number, value in values]
    only = {"orbits": [{"cluster_functions": functions}]}
    eci = {"list": values, "basis set": basis, "coefficients only": only}[form]
    found = read_contents(tmp_path, prim, bare, eci)
    expected = read_contents(tmp_path, prim, basis)
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)
    doubled = read_contents(tmp_path, prim, basis, [[number, 2 * value] for number, value in values])
    np.testing.assert_allclose(doubled.coefficients, 2 * expected.coefficients, rtol=1e-15)


def test_known_energies_are_checked():
    name = "hcp_interstitial_chebychev"
    supercell, occupancies, energies = reference(name, read_casm(*paths(name)).space.prim)
    # Vacancies are left out of the atoms.
    atoms = [jaxce.occupancy_to_ase(supercell, occupancy) for occupancy in occupancies[1:3]]
    with pytest.raises(ValueError, match="1 of 2 deviate by more than 1e-06 eV"):
        read_casm(*paths(name), check=[(atoms[0], energies[1]), (atoms[1], energies[2] + 0.01)])


def test_the_model_says_what_was_understood_and_is_saved_with_it(tmp_path):
    expansion = read_casm(*paths("rocksalt_vacancy_occupation"))
    assert "21 of 26 functions have a coefficient" in repr(expansion)
    assert "rounded" not in repr(expansion)
    expansion.save(tmp_path / "model.json")
    again = jaxce.ClusterExpansion.load(tmp_path / "model.json")
    np.testing.assert_array_equal(again.coefficients, expansion.coefficients)
    assert again.metadata == expansion.metadata


def test_site_labels_and_molecules_of_one_atom(tmp_path):
    prim, basis = files("b2_reordered_chebychev")
    prim["species"] = {"A": {"name": "Ag", "atoms": [{"name": "Ag", "coordinate": [0, 0, 0]}]}}
    assert read_contents(tmp_path, prim, basis).space.prim.species == (("A", "B", "C"),) * 2
    # Labels keep the two sites apart, so orders of occupants stay and the space group is another one.
    for place, site in enumerate(prim["basis"]):
        site["label"] = place
    with pytest.raises(ValueError, match="has 2 clusters per prim in the basis set, but the space group"):
        read_contents(tmp_path, prim, basis)


def _first_pair(basis):
    return next(orbit for orbit in basis["orbits"] if len(orbit["prototype"]["sites"]) == 2)


def _formula(basis, text):
    function = _first_pair(basis)["cluster_functions"][0]
    function[f"\\Phi_{{{function['linear_function_index']}}}"] = text
    function["eci"] = 1.0


def _set(*path, to):
    """A change at a path of keys into [prim, basis, eci]."""

    def change(contents):
        place = contents
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


PRIM, BASIS, ECI = 0, 1, 2
CHANGES = {
    "no prim": (_set(PRIM, to=[]), "a prim of CASM has"),
    "mode": (_set(PRIM, "coordinate_mode", to="Integral"), "coordinate_mode"),
    "lattice": (_set(PRIM, "lattice_vectors", to=[[1, 0, 0], [0, 1, 0]]), "lattice_vectors"),
    "strain": (_set(PRIM, "dofs", to={"Hstrain": {}}), "Hstrain"),
    "displacements": (_set(PRIM, "basis", 0, "dofs", to={"disp": {}}), "disp"),
    "spin": (_set(PRIM, "species", to={"A": {"attributes": {"Cmagspin": {"value": [1]}}}}), "spin"),
    "molecule": (
        _set(PRIM, "species", to={"A": {"atoms": [{"name": "O", "coordinate": [0.1, 0, 0]}]}}),
        "molecule",
    ),
    "occupants": (_set(PRIM, "basis", 0, "occupants", to="A"), "occupants"),
    "huge coordinate": (_set(PRIM, "basis", 1, "coordinate", 0, to=10**400), "must be numbers of shape"),
    "other prim": (_set(PRIM, "basis", 1, "coordinate", to=[0.5, 0.5, 0.4]), "for another prim"),
    "translated site": (_set(PRIM, "basis", 1, "coordinate", to=[0.5, 0.5, -0.5]), "for another prim"),
    "no basis": (_set(BASIS, to={"a": 1}), "a basis set of CASM has"),
    "local": (_set(BASIS, "bspecs", "cluster_specs", "phenomenal", to={}), "local basis set"),
    "further variables": (_set(BASIS, "bspecs", "basis_function_specs", "dofs", to=["occ", "disp"]), "occupation"),
    "no site functions": (_set(BASIS, "site_functions", to=None), "site_functions"),
    "species": (
        _set(BASIS, "site_functions", 0, "occ", "basis", "\\phi_{0,1}", to={"A": 1, "B": 2, "Z": 3}),
        "is given for",
    ),
    "dependent": (
        _set(BASIS, "site_functions", 0, "occ", "basis", "\\phi_{0,1}", to={"A": 2, "B": 2, "C": 2}),
        "independent site functions",
    ),
    "name": (_set(BASIS, "site_functions", 0, "occ", "basis", to={"f": {"A": 1, "B": 2, "C": 3}}), "unknown name"),
    "part missing": (_set(BASIS, "orbits", 1, to={}), "lacks a part"),
    "part of another type": (_set(BASIS, "orbits", 1, "prototype", to=3), "another form"),
    "multiplicity": (_set(BASIS, "orbits", 2, "mult", to=5), "has 5 clusters per prim"),
    "twice": (lambda contents: contents[BASIS]["orbits"].append(_orbit_again(contents[BASIS])), "twice"),
    "no constant": (lambda contents: contents[BASIS]["orbits"].pop(0), "no constant"),
    "point": (_set(BASIS, "orbits", 1, "prototype", "sites", to=[[7, 0, 0, 0]]), "point on site 7"),
    "fraction": (_set(BASIS, "orbits", 1, "prototype", "sites", to=[[0.5, 0, 0, 0]]), "integer"),
    "large integer": (_set(BASIS, "orbits", 1, "prototype", "sites", to=[[0, 0, 0, 10**30]]), "integer"),
    "many points": (_set(BASIS, "orbits", 1, "prototype", "sites", to=[[0, i, 0, 0] for i in range(40)]), "too many"),
    "far points": (_set(BASIS, "orbits", 1, "prototype", "sites", to=[[0, 0, 0, 0], [0, 2000, 0, 0]]), "cells"),
    "same point": (_set(BASIS, "orbits", 2, "prototype", "sites", to=[[0, 0, 0, 0]] * 2), "same point twice"),
    "formula": (_set(BASIS, "orbits", 1, "cluster_functions", 0, "\\Phi_{1}", to=1), "a formula was expected"),
    "coefficient": (_set(BASIS, "orbits", 1, "cluster_functions", 0, "eci", to="0.1"), "finite number"),
    "strain formula": (lambda contents: _formula(contents[BASIS], "e_1"), "strain"),
    "not symmetric": (lambda contents: _formula(contents[BASIS], r"(\phi_{0,1}) * (\phi_{1,2})"), "not invariant"),
    "fewer points": (lambda contents: _formula(contents[BASIS], r"(\phi_{0,1})"), "do not involve all"),
    "more points": (lambda contents: _formula(contents[BASIS], r"\phi_{0,1}(s_{2})"), "on point 2"),
    "other sublattice": (lambda contents: _formula(contents[BASIS], r"\phi_{1,1}(s_{0})"), "point of sublattice 0"),
    "function number": (lambda contents: _formula(contents[BASIS], r"\phi_{0,7}(s_{0})"), "functions"),
    "unknown number": (_set(ECI, to=[[99, 0.5]]), "which the basis set does not have"),
    "two values": (_set(ECI, to=[[1, 0.5], [1, 0.5]]), "two coefficients"),
    "no pair": (_set(ECI, to=[1, 2]), "pairs"),
    "boolean": (_set(ECI, to=[[1, True]]), "finite number"),
    "no coefficients": (_set(ECI, to=[]), "no coefficients"),
}  # fmt: skip


def _orbit_again(basis):
    orbit = copy.deepcopy(_first_pair(basis))
    for number, function in enumerate(orbit["cluster_functions"], start=900):
        function[f"\\Phi_{{{number}}}"] = function.pop(f"\\Phi_{{{function['linear_function_index']}}}")
        function["linear_function_index"] = number
    return orbit


@pytest.mark.parametrize("name", CHANGES)
def test_what_cannot_be_read_is_refused(name, tmp_path):
    change, message = CHANGES[name]
    contents = [*files("b2_reordered_chebychev"), None]
    change(contents)
    with pytest.raises(ValueError, match=message):
        read_contents(tmp_path, *contents)


def test_coefficients_of_another_basis_set_are_refused(tmp_path):
    prim, basis = files("b2_reordered_chebychev")
    other = copy.deepcopy(basis)
    _formula(other, r"[(\phi_{0,2}) * (\phi_{1,2})]")
    with pytest.raises(ValueError, match="belong to another basis set"):
        read_contents(tmp_path, prim, basis, other)


def test_decimal_fractions_are_mentioned(tmp_path):
    prim, basis = files("b2_reordered_chebychev")
    _formula(basis, r"0.5 * [(\phi_{0,1}) * (\phi_{1,1})]")
    assert "rounded" in repr(read_contents(tmp_path, prim, basis))
