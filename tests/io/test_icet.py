"""Models of icet through their files, against numbers that icet computed."""

import gzip
import json
import pickle
import re
import warnings

import ase
import numpy as np
import pytest
from ase.data import chemical_symbols

import jaxce
from icet_files import DATA, MODEL, OWN, SHARED, SPACE, ce_bytes, unpacked
from jaxce.lattice.orbits import canonical_keys

STRUCTURES = json.loads(gzip.decompress((DATA / "icet_models" / "structures.json.gz").read_bytes()))
UNAMBIGUOUS = ("fcc_binary", "fcc_binary_pruned", "pruned_merged")


@pytest.fixture(scope="module")
def expansions(tmp_path_factory):
    """All models of the test data by name."""
    target = tmp_path_factory.mktemp("icet")
    paths = [unpacked("icet", name, target) for name in (*SHARED, "fcc_binary_pruned")]
    paths += [unpacked("icet_models", name, target) for name in OWN]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {path.stem: jaxce.io.read_icet(path) for path in paths}


def write(folder, **contents):
    path = folder / "model.ce"
    path.write_bytes(ce_bytes(**contents))
    return path


def shared_case(name):
    return json.loads((DATA / "icet" / f"{name}.json").read_text(encoding="utf-8"))


def atoms_of(structure):
    places = "scaled_positions" if "scaled_positions" in structure else "positions"
    return ase.Atoms(structure["symbols"], cell=structure["cell"], pbc=True, **{places: structure[places]})


def correlation_vectors(space, supercell, occupancies):
    """`[structures, correlations]` on the host, so that no supercell is compiled."""
    cells = supercell.cells
    vectors = [np.ones(len(occupancies))]
    for orbit in space.orbits[1:]:
        points = np.broadcast_to(orbit.clusters, (len(cells), *orbit.clusters.shape))
        sites = supercell.site_index(points[..., 0], points[..., 1:] + cells[:, None, None])
        codes = occupancies[:, sites]
        for labelings in orbit.functions:
            tables = [space.site_functions[site] for site in orbit.clusters[0, :, 0]]
            products = [
                np.prod([tables[j][function][codes[..., j]] for j, function in enumerate(row)], axis=0)
                for row in labelings
            ]
            vectors.append(np.mean(products, axis=(0, 2, 3)))
    return np.array(vectors).T


def host_energy(expansion, atoms):
    """EV of the whole structure."""
    mapping = jaxce.map_structure(expansion.space.prim, atoms)
    vectors = correlation_vectors(expansion.space, mapping.supercell, mapping.occupancy[None])
    return float(mapping.supercell.num_prims * vectors[0] @ expansion.coefficients)


@pytest.fixture
def energies_on_the_host(monkeypatch):
    """Compiling would take most of the time of a test."""
    monkeypatch.setattr(jaxce.ClusterExpansion, "energy_of", host_energy)


def warnings_of(path, **keywords):
    """The texts of all warnings for users that reading a file gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        jaxce.io.read_icet(path, **keywords)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", SHARED)
def test_orbits_of_shared_cases_are_those_of_icet_in_its_order(expansions, name):
    case, space = shared_case(name), expansions[name].space
    np.testing.assert_allclose(space.prim.lattice, case["primitive"]["cell"], atol=1e-12)
    assert [list(names) for names in space.prim.species] == case["primitive"]["allowed_species_by_index"]
    assert len(space.orbits) == len(case["orbits"]) + 1
    for ours, theirs in zip(space.orbits[1:], case["orbits"], strict=True):
        wanted = np.unique(canonical_keys(np.array(theirs["clusters"])), axis=0)
        np.testing.assert_array_equal(np.unique(canonical_keys(ours.clusters), axis=0), wanted)
        functions = [[f + 1 for f in element["multicomponent_vector"]] for element in theirs["elements"]]
        assert [labelings[0].tolist() for labelings in ours.functions] == functions
    assert space.multiplicities.tolist() == case["multiplicities"]


@pytest.mark.parametrize("name", SHARED)
def test_vectors_energies_swaps_and_flips_of_shared_cases(expansions, name):
    expansion = expansions[name]
    for structure in shared_case(name)["structures"]:
        mapping = jaxce.map_structure(expansion.space.prim, atoms_of(structure))
        occupancies, changes = [mapping.occupancy], []
        for swap in structure["swaps"]:
            sites = mapping.site_of_atom[np.array(swap["sites"])]
            occupancies.append(mapping.occupancy.copy())
            occupancies[-1][sites] = mapping.occupancy[sites[::-1]]
            changes.append(swap["delta_energy"])
        for flip in structure["flips"]:
            site = mapping.site_of_atom[flip["site"]]
            occupancies.append(mapping.occupancy.copy())
            occupancies[-1][site] = mapping.supercell.species[site].index(flip["symbol_after"])
            changes.append(flip["delta_energy"])
        vectors = correlation_vectors(expansion.space, mapping.supercell, np.array(occupancies))
        np.testing.assert_allclose(vectors[0], structure["cluster_vector"], rtol=0, atol=1e-12)
        total = mapping.supercell.num_prims * vectors @ expansion.coefficients
        np.testing.assert_allclose(total[0], structure["energy_total"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(total[1:] - total[0], changes, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", OWN)
def test_vectors_and_energies_of_further_models(expansions, name):
    expansion = expansions[name]
    for structure in STRUCTURES[name]:
        mapping = jaxce.map_structure(expansion.space.prim, atoms_of(structure))
        vector = correlation_vectors(expansion.space, mapping.supercell, mapping.occupancy[None])[0]
        np.testing.assert_allclose(vector, structure["cluster_vector"], rtol=0, atol=1e-12)
        total = mapping.supercell.num_prims * vector @ expansion.coefficients
        assert total == pytest.approx(structure["energy"], abs=1e-10)


def test_a_pruned_model_gives_the_energies_that_icet_states(expansions):
    case, expansion = shared_case("fcc_binary"), expansions["fcc_binary_pruned"]
    variant = case["variants"][0]
    np.testing.assert_array_equal(expansion.coefficients, variant["parameters"])
    assert [orbit.multiplicity for orbit in expansion.space.orbits[1:]] == [o["n_clusters"] for o in variant["orbits"]]
    for structure in case["structures"]:
        wanted = variant["energies_per_site"][structure["name"]] * structure["n_sites"]
        assert host_energy(expansion, atoms_of(structure)) == pytest.approx(wanted, abs=1e-10)


def test_a_model_that_was_read_is_saved_and_read_again(expansions, tmp_path):
    expansion = expansions["perovskite_merged"]
    expansion.save(tmp_path / "model.json")
    again = jaxce.ClusterExpansion.load(tmp_path / "model.json")
    np.testing.assert_array_equal(again.coefficients, expansion.coefficients)
    assert again.metadata["source"] == expansion.metadata["source"]


def test_the_source_says_what_was_understood(expansions):
    source = expansions["perovskite_merged"].metadata["source"]
    assert (source["program"], source["version"], source["file"]) == ("icet", "4.0", "perovskite_merged.ce")
    text = "\n".join(source["understood"])
    assert "Sr/La on 1" in text
    assert "X/O on 3" in text
    assert "0 prunings and 1 mergers" in text
    assert "times 5 sites" in text


@pytest.mark.parametrize("name", UNAMBIGUOUS)
def test_no_warning_without_ambiguity(tmp_path, name):
    folder = "icet_models" if name in OWN else "icet"
    jaxce.io.read_icet(unpacked(folder, name, tmp_path))


@pytest.mark.usefixtures("energies_on_the_host")
def test_ambiguous_orbits_are_named_once_unless_energies_are_given(tmp_path):
    path = unpacked("icet", "bcc_ternary", tmp_path)
    (text,) = warnings_of(path)
    assert "orbits 7, 8, 9 have several functions that differ in the order of points" in text
    assert "check=" in text
    first = shared_case("bcc_ternary")["structures"][0]
    assert warnings_of(path, check=[(atoms_of(first), first["energy_total"])]) == []


def test_orbits_that_tie_are_named(tmp_path):
    (text,) = warnings_of(unpacked("icet_models", "inequivalent_same", tmp_path))
    assert re.search(r"orbits [\d, -]*\d+-\d+[\d, .-]* are alike in order, radius and number of clusters", text)


@pytest.mark.usefixtures("energies_on_the_host")
def test_wrong_energies_of_check_are_an_error(tmp_path):
    first = STRUCTURES["slab"][0]
    path, wrong = unpacked("icet_models", "slab", tmp_path), first["energy"] + 1e-3
    with pytest.raises(ValueError, match="does not give the energies of `check`"):
        jaxce.io.read_icet(path, check=[(atoms_of(first), wrong)])


def test_numbers_are_what_a_small_model_says(tmp_path):
    expansion = jaxce.io.read_icet(write(tmp_path))
    # By atomic number: copper is -1, gold +1. All pairs of gold are +1.
    assert host_energy(expansion, ase.Atoms("Au", cell=FCC, pbc=True)) == pytest.approx(-0.25, abs=1e-14)
    assert expansion.energy_of(ase.Atoms("Cu", cell=FCC, pbc=True)) == pytest.approx(-1.25, abs=1e-14)


FCC = [[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]


def old_atoms():
    """As ASE before 3.18 wrote a row."""
    return {"1": {"cell": FCC, "numbers": [29], "pbc": [True] * 3, "positions": [[0.0] * 3]}, "ids": [1], "nextid": 2}


OLD_SPACE = {"cutoffs": [3.0], "chemical_symbols": ["Cu", "Au"], "pruning_history": []}
VARIANTS = {
    "as_icet_1": {"space": OLD_SPACE, "atoms": old_atoms(), "model": {"parameters": MODEL["parameters"]}},
    "protocol_2": {"protocol": 2},
    "protocol_3": {"protocol": 3},
    "protocol_5": {"protocol": 5},
    "list_of_parameters": {"model": {**MODEL, "parameters": [-1.0, 0.5, 0.25]}},
    "big_endian_parameters": {"model": {**MODEL, "parameters": np.array([-1.0, 0.5, 0.25], dtype=">f8")}},
    "numpy_cutoffs": {"space": {**SPACE, "cutoffs": [np.float64(3.0)]}},
    "array_of_cutoffs": {"space": {**SPACE, "cutoffs": np.array([3.0])}},
    "integer_cutoffs": {"space": {**SPACE, "cutoffs": (3,)}},
    "tuples": {"space": {**SPACE, "chemical_symbols": (("Au", "Cu"),)}},
    "numpy_symbols": {"space": {**SPACE, "chemical_symbols": list(np.array(["Cu", "Au"]))}},
    "no_history": {"space": {**SPACE, "pruning_history": None}},
    "no_tolerance": {"space": {**SPACE, "position_tolerance": None}},
    "arrays_in_metadata": {"model": {**MODEL, "metadata": {"icet_version": "3.2", "rmse": np.arange(4)}}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_forms_of_the_same_model_are_the_same(tmp_path, name):
    expansion = jaxce.io.read_icet(write(tmp_path, **VARIANTS[name]))
    np.testing.assert_array_equal(expansion.coefficients, [-1.0, 0.5, 0.25])
    assert expansion.space.prim.species == (("Cu", "Au"),)


def test_arrays_that_numpy_1_pickled_are_read(tmp_path):
    # Instructions of protocol 2 have no lengths, so the name can be replaced.
    old = pickle.dumps(MODEL, 2).replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy.core.multiarray" in old
    expansion = jaxce.io.read_icet(write(tmp_path, model=old))
    np.testing.assert_array_equal(expansion.coefficients, [-1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    "history",
    [[[0]], [("prune", [0])], [["prune", np.array([0])]], [("prune", range(1))]],
    ids=["bare", "list", "array", "range"],
)
def test_a_pruning_history_removes_the_orbits_that_it_counts(tmp_path, history):
    model = {**MODEL, "parameters": np.array([-1.0, 0.25])}
    expansion = jaxce.io.read_icet(write(tmp_path, model=model, space={**SPACE, "pruning_history": history}))
    assert [orbit.order for orbit in expansion.space.orbits] == [0, 2]


ROW = old_atoms()["1"]
ELEMENTS = chemical_symbols[:100]
BAD = {
    "too_few_parameters": (
        {"model": {"parameters": np.array([1.0, 2.0])}},
        "2 parameters, but its .* has 3",
    ),
    "nan_parameter": ({"model": {"parameters": np.array([1.0, np.nan, 0.0])}}, r"finite numbers, but those at \[1\]"),
    "complex_parameter": ({"model": {"parameters": np.array([1j, 0, 0])}}, "finite numbers"),
    "no_parameters": ({"model": {"metadata": {}}}, "`parameters` is missing"),
    "no_cutoffs": ({"space": {"chemical_symbols": ["Cu", "Au"]}}, "`cutoffs` is missing"),
    "negative_cutoff": ({"space": {**SPACE, "cutoffs": [-3.0]}}, "zero or more"),
    "nan_cutoff": ({"space": {**SPACE, "cutoffs": [float("nan")]}}, "zero or more"),
    "endless_cutoff": ({"space": {**SPACE, "cutoffs": [1e9]}}, "reaches more sites"),
    "text_as_cutoff": ({"space": {**SPACE, "cutoffs": ["3"]}}, "distances in angstrom"),
    "bad_tolerance": ({"space": {**SPACE, "symprec": -1.0}}, "`symprec` should be a small distance"),
    "unknown_element": ({"space": {**SPACE, "chemical_symbols": ["Cu", "Vacancy"]}}, "different chemical elements"),
    "repeated_element": ({"space": {**SPACE, "chemical_symbols": ["Cu", "Cu"]}}, "different chemical elements"),
    "no_symbols": ({"space": {**SPACE, "chemical_symbols": [[]]}}, "`chemical_symbols` should be symbols"),
    "symbols_of_other_sites": ({"space": {**SPACE, "chemical_symbols": [["Cu", "Au"]] * 2}}, "2 lists.* 1 atoms"),
    "endless_functions": (
        {"space": {**SPACE, "chemical_symbols": ELEMENTS, "cutoffs": [3.0] * 3}},
        "choices of functions",
    ),
    "endless_triplets": ({"space": {**SPACE, "cutoffs": [3.0, 30.0]}}, "too many for triplets"),
    "broken_number": ({"atoms": {"1": {**ROW, "numbers": [29.5]}}}, "no element has"),
    "nothing_to_expand": ({"space": {**SPACE, "chemical_symbols": ["Cu"]}}, "nothing to expand"),
    "index_beyond_orbits": ({"space": {**SPACE, "pruning_history": [("prune", [7])]}}, "does not fit its 2 orbits"),
    "unknown_step": ({"space": {**SPACE, "pruning_history": [("split", [0])]}}, "only prunings and mergers"),
    "merged_orders": ({"space": {**SPACE, "pruning_history": [("merge", {0: [1]})]}}, "the step 'merge'"),
    "negative_index": ({"space": {**SPACE, "pruning_history": [("prune", [-1])]}}, "indices of orbits"),
    "newer_icet": ({"model": {**MODEL, "metadata": {"icet_version": "5.0"}}}, "icet '5.0'.* versions 1 to 4"),
    "odd_version": ({"model": {**MODEL, "metadata": {"icet_version": "dev"}}}, "icet 'dev'"),
    "items_are_a_list": ({"model": [1, 2]}, "should be a dict"),
    "no_atoms": ({"atoms": {"ids": []}}, 'row "1"'),
    "not_periodic": ({"atoms": {"1": {**ROW, "pbc": [True, True, False]}}}, "periodic along"),
    "nan_position": ({"atoms": {"1": {**ROW, "positions": [[0, 0, float("nan")]]}}}, "NaN"),
    "flat_cell": ({"atoms": {"1": {**ROW, "cell": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}}}, "without volume"),
    "missing_position": ({"atoms": {"1": {**ROW, "positions": [0.0, 0.0]}}}, "`positions` of another form"),
    "deep_json": ({"atoms": b"[" * 100_000}, "not JSON"),
    "coinciding_atoms": (
        {"atoms": {"1": {**ROW, "numbers": [29, 29], "positions": [[0.0] * 3, [0.0] * 3]}}},
        "do two coincide|sites 0 and 1 coincide",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_contents_that_do_not_fit_are_refused(tmp_path, name):
    contents, message = BAD[name]
    path = write(tmp_path, **contents)
    with pytest.raises(ValueError, match=message) as caught:
        jaxce.io.read_icet(path)
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("energies_on_the_host")
def test_a_newer_version_is_read_if_energies_show_that_it_is_the_same(tmp_path):
    path = write(tmp_path, model={**MODEL, "metadata": {"icet_version": "5.0"}})
    gold = ase.Atoms("Au", cell=FCC, pbc=True)
    assert jaxce.io.read_icet(path, check=[(gold, -0.25)]).metadata["source"]["version"] == "5.0"
    with pytest.raises(ValueError, match="does not give the energies"):
        jaxce.io.read_icet(path, check=[(gold, -0.5)])


def test_a_cell_of_two_atoms_is_reduced_to_one(tmp_path):
    cell, positions = [[0.0, 4.0, 4.0], *FCC[1:]], [[0.0, 0.0, 0.0], [0.0, 2.0, 2.0]]
    row = {**ROW, "cell": cell, "numbers": [29, 29], "positions": positions}
    expansion = jaxce.io.read_icet(write(tmp_path, atoms={"1": row}))
    assert expansion.space.prim.num_sites == 1
    np.testing.assert_array_equal(expansion.coefficients, [-1.0, 0.5, 0.25])
