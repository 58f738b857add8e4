"""smol's files against the energies, correlations, swaps and flips that smol computed for them."""

import copy
import gzip
import json
import math
import pathlib

import numpy as np
import pytest

import jaxce

DATA = pathlib.Path(__file__).parents[1] / "data"
SHARED = sorted(path.name.removesuffix(".smol.json.gz") for path in (DATA / "smol").glob("*.smol.json.gz"))
MORE = json.loads(gzip.decompress((DATA / "smol_more" / "more_cases.json.gz").read_bytes()))
EWALD = "rocksalt_drx_ewald_sinusoid"


def shared_path(name):
    return DATA / "smol" / f"{name}.smol.json.gz"


def more_path(name):
    return DATA / "smol_more" / f"{name}.smol.json.gz"


def shared_case(name):
    return json.loads((DATA / "smol" / f"{name}.json").read_text(encoding="utf-8"))


def content(path):
    """What a file holds, to be changed."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    return document.get("ClusterExpansion", document)


def written(folder, document):
    path = folder / "changed.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def host_correlations(space, supercell, occupancies):
    """`[batch, correlations]` by NumPy alone, without the tables of jaxce."""
    values = np.zeros((supercell.num_sites, max(map(len, space.site_functions)), 8))
    for site, prim_site in enumerate(supercell.prim_sites):
        table = space.site_functions[prim_site]
        values[site, : len(table), : table.shape[1]] = table
    columns = []
    for orbit in space.orbits:
        points = orbit.clusters[:, None] + np.insert(supercell.cells, 0, 0, axis=1)[:, None]
        sites = supercell.site_index(points[..., 0], points[..., 1:])
        for labelings in orbit.functions:
            factors = [
                values[sites, labeling, occupancies[:, sites]].prod(axis=-1).mean(axis=(1, 2)) for labeling in labelings
            ]
            columns.append(np.mean(factors, axis=0))
    return np.stack(columns, axis=1)


def host_energies(expansion, supercell, occupancies):
    """`[batch]` eV per supercell: the clusters, and the interactions."""
    clusters = host_correlations(expansion.space, supercell, occupancies) @ expansion.coefficients
    return clusters * supercell.num_prims, coulomb(expansion, supercell, occupancies)


def coulomb(expansion, supercell, occupancies):
    sites = np.arange(supercell.num_sites)
    total = np.zeros(len(occupancies))
    for interaction in expansion.interactions:
        linear, matrix = interaction.pair_arrays(supercell)
        for row, codes in enumerate(occupancies):
            total[row] += linear[sites, codes].sum() + matrix[sites, codes][:, sites, codes].sum()
    return total


def placed(prim, structure):
    """The supercell, the occupancy, and our site of each of smol's."""
    supercell = jaxce.Supercell(prim, structure["supercell_matrix"])
    points = np.array(structure["sites"])
    sites = supercell.site_index(points[:, 0], points[:, 1:])
    occupancy = np.zeros(supercell.num_sites, dtype=int)
    occupancy[sites] = structure["occupancy"]
    return supercell, occupancy, sites


def with_changes(occupancy, sites, structure):
    """The occupancy, then those after each swap and each change of one site."""
    rows = [occupancy]
    for swap in structure["swaps"]:
        row, (i, j) = occupancy.copy(), (sites[swap["i"]], sites[swap["j"]])
        row[[i, j]] = occupancy[[j, i]]
        rows.append(row)
    for change in structure["single_site_changes"]:
        row = occupancy.copy()
        row[sites[change["site"]]] = change["new_code"]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_case_is_read_with_all_its_numbers(name):
    case = shared_case(name)
    expansion = jaxce.io.read_smol(shared_path(name))
    space = expansion.space
    assert [list(names) for names in space.prim.species] == case["prim"]["allowed_species"]
    assert space.multiplicities.tolist() == case["function_total_multiplicities"]
    assert expansion.coefficients.tolist() == case["coefficients"][: space.num_correlations]
    tolerance = 1e-7 if expansion.interactions else 1e-10
    for structure in case["structures"]:
        supercell, occupancy, sites = placed(space.prim, structure)
        rows = with_changes(occupancy, sites, structure)
        vector = host_correlations(space, supercell, rows[:1])[0]
        np.testing.assert_allclose(vector, structure["correlations"], rtol=0, atol=1e-12)
        clusters, electric = host_energies(expansion, supercell, rows)
        total = structure.get("total_energy", structure["ce_energy"])
        assert clusters[0] + electric[0] == pytest.approx(total, abs=tolerance)
        changes = clusters - clusters[0] + electric - electric[0]
        swaps = [swap["delta_energy"] for swap in structure["swaps"]]
        np.testing.assert_allclose(changes[1 : 1 + len(swaps)], swaps, rtol=0, atol=tolerance)
        flips = [change["delta_ce"] for change in structure["single_site_changes"]]
        np.testing.assert_allclose((clusters - clusters[0])[1 + len(swaps) :], flips, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MORE)
def test_a_further_case_is_read_with_all_its_numbers(name):
    expansion = jaxce.io.read_smol(more_path(name))
    space = expansion.space
    vacancy = {"vacA0+": "X"}
    assert [list(names) for names in space.prim.species] == [
        [vacancy.get(label, label) for label in names] for names in MORE[name]["allowed_species"]
    ]
    assert space.multiplicities.tolist() == MORE[name]["multiplicities"]
    for structure in MORE[name]["structures"]:
        supercell, occupancy, sites = placed(space.prim, structure)
        labels = [vacancy.get(label, label) for label in structure["species"]]
        assert [supercell.species[site][occupancy[site]] for site in sites] == labels
        vector = host_correlations(space, supercell, occupancy[None])[0]
        np.testing.assert_allclose(vector, structure["correlations"], rtol=0, atol=1e-12)
        clusters, electric = host_energies(expansion, supercell, occupancy[None])
        assert clusters[0] == pytest.approx(structure["ce_energy"], abs=1e-10)
        # Also charged cells, and the single parts of the sum.
        assert electric[0] == pytest.approx(0.05 * structure.get("ewald", 0), abs=1e-7)


def test_a_background_is_added_where_it_is_wanted():
    plain, neutral = (jaxce.io.read_smol(more_path("ewald_total"), neutralize=wanted) for wanted in (False, True))
    for structure in MORE["ewald_total"]["structures"]:
        supercell, occupancy, _ = placed(plain.space.prim, structure)
        volume = abs(np.linalg.det(supercell.lattice))
        # Two cations and two anions: vacancies are no slots.
        eta = math.pi * (4 * supercell.num_prims / math.sqrt(2) / volume**2) ** (1 / 3)
        expected = -0.05 * 14.399645478425668 / 2 * math.pi * structure["charge"] ** 2 / (volume * eta)
        difference = coulomb(neutral, supercell, occupancy[None]) - coulomb(plain, supercell, occupancy[None])
        assert structure["charge"] != 0
        assert difference[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["ewald_cuts", "potts", "concentrations"])
def test_a_model_is_kept_in_our_own_format(tmp_path, name):
    expansion = jaxce.io.read_smol(more_path(name))
    expansion.save(tmp_path / "model.json")
    loaded = jaxce.ClusterExpansion.load(tmp_path / "model.json")
    assert loaded.interactions == expansion.interactions
    supercell, occupancy, _ = placed(expansion.space.prim, MORE[name]["structures"][0])
    occupancies = occupancy[None]
    assert host_energies(loaded, supercell, occupancies) == host_energies(expansion, supercell, occupancies)
    assert loaded.metadata == expansion.metadata


def test_the_summary_says_what_was_understood():
    text = str(jaxce.io.read_smol(more_path("ewald_real"), neutralize=False))
    for line in (
        "read from ewald_real.smol.json.gz (smol 0.5.7)",
        "0: Li+, Mn3+, X; 1: O2-, F-",
        "2 of 1, 3 of 2; 10 correlations",
        "Ewald term (real)",
        "no neutralising background",
    ):
        assert line in text
    assert "in other concentrations" in str(jaxce.io.read_smol(more_path("concentrations")))


@pytest.mark.parametrize("name", ["vacancies_on_two_sublattices", "hcp_ties", "conventional_cell", "potts", "spins"])
def test_functions_that_an_old_file_does_not_list_are_found_in_their_order(tmp_path, name):
    document = content(more_path(name))
    for orbits in document["cluster_subspace"]["orbits"].values():
        for orbit in orbits:
            del orbit["_bit_combos"]
            for basis in orbit["site_bases"]:
                del basis["site_space"]["@version"]
                basis["@class"] = basis["@class"].replace("StandardBasis", "SiteBasis")
    found, expected = jaxce.io.read_smol(written(tmp_path, document)), jaxce.io.read_smol(more_path(name))
    assert found.metadata["source"]["version"] is None
    assert any("assumed" in line for line in found.metadata["source"]["understood"])
    for ours, stored in zip(found.space.orbits, expected.space.orbits, strict=True):
        assert [sorted(f.tolist()) for f in ours.functions] == [sorted(f.tolist()) for f in stored.functions]


def test_an_expansion_is_found_among_other_work(tmp_path):
    document = content(more_path("potts"))
    alone = jaxce.io.read_smol(written(tmp_path, document))
    among = jaxce.io.read_smol(written(tmp_path, {"StructureWrangler": {"_items": []}, "ClusterExpansion": document}))
    assert among.coefficients.tolist() == alone.coefficients.tolist()


def test_an_explicit_vacancy_comes_first_as_in_smol():
    # smol 0.5.7 writes such a file. Its correlations without vacancies are 1, 0, 0, ... for indicator functions.
    expansion = jaxce.io.read_smol(more_path("explicit_vacancy"))
    assert expansion.space.prim.species == (("X", "Li+"),)
    supercell = jaxce.Supercell(expansion.space.prim, 1)
    vectors = host_correlations(expansion.space, supercell, np.array([[1], [0]]))
    np.testing.assert_allclose(vectors, [[1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], atol=1e-14)


def test_known_energies_are_checked_the_ewald_term_included():
    structure = shared_case(EWALD)["structures"][0]
    supercell, occupancy, _ = placed(jaxce.io.read_smol(shared_path(EWALD)).space.prim, structure)
    atoms = jaxce.occupancy_to_ase(supercell, occupancy)
    jaxce.io.read_smol(shared_path(EWALD), check=[(atoms, structure["total_energy"])])
    with pytest.raises(ValueError, match="does not give the energies of `check`"):
        jaxce.io.read_smol(shared_path(EWALD), check=[(atoms, structure["ce_energy"])])


def test_charges_are_needed_for_an_ewald_term(tmp_path):
    document = content(more_path("potts"))
    document[SUBSPACE]["external_terms"] = IONIC[SUBSPACE]["external_terms"]
    document["coefs"].append(0.1)
    with pytest.raises(ValueError, match=r"no oxidation states for \['Au', 'Cu'\]"):
        jaxce.io.read_smol(written(tmp_path, document))


def _set(*keys):
    *path, last, value = keys

    def change(document):
        for key in path:
            document = document[key]
        document[last] = value

    return change


IONIC = content(more_path("ewald_total"))
SUBSPACE = "cluster_subspace"
POINT = (SUBSPACE, "orbits", "1", 0)
PAIR = (SUBSPACE, "orbits", "2", 0)
SPECIES = (SUBSPACE, "structure", "sites", 0, "species")


def _every_version(value):
    def change(document):
        for orbits in document[SUBSPACE]["orbits"].values():
            for orbit in orbits:
                for basis in orbit["site_bases"]:
                    basis["site_space"]["@version"] = value

    return change


def _species_twice(document):
    species = document[SUBSPACE]["structure"]["sites"][0]["species"]
    species.append(species[0])


def _point_twice(document):
    orbits = document[SUBSPACE]["orbits"]["2"]
    orbit = next(orbit for orbit in orbits if orbit["site_bases"][0] == orbit["site_bases"][1])
    orbit["sites"][1] = orbit["sites"][0]


def _half_a_function(document):
    functions = [f for orbit in document[SUBSPACE]["orbits"]["2"] for f in orbit["_bit_combos"] if len(f) == 2]
    functions[0].pop()


def _many_labelings(document):
    orbit = document[SUBSPACE]["orbits"]["1"][0]
    del orbit["_bit_combos"]
    orbit["bits"] = [list(range(10**5 + 1))]


BAD = {
    "another class": (_set("@class", "ClusterExpansionProcessor"), "holds ClusterExpansionProcessor"),
    "another subspace": (_set(SUBSPACE, "@class", "LocalSubspace"), "'LocalSubspace', which jaxce does not know"),
    "an old version": (_every_version("0.0.5"), r"smol 0\.0\.5, but is only understood from 0\.0\.6"),
    "too few coefs": (lambda d: d["coefs"].pop(), "10 coefs for 10 correlations.*1 external"),
    "too many coefs": (lambda d: d["coefs"].append(0.5), "12 coefs for 10 correlations"),
    "coefs of text": (_set("coefs", 0, "a"), "coefs must be finite numbers"),
    "coefs in lists": (_set("coefs", [[0.5]] * 11), "coefs must be finite numbers"),
    "coefs beyond double precision": (_set("coefs", 0, 10**400), "coefs must be finite numbers"),
    "no coefs": (lambda d: d.pop("coefs"), "lacks a part"),
    "coefs that are no list": (_set("coefs", 5), "lacks a part"),
    "another external term": (_set(SUBSPACE, "external_terms", 0, "@class", "DipoleTerm"), "at most one EwaldTerm"),
    "two Ewald terms": (
        lambda d: d[SUBSPACE]["external_terms"].append(d[SUBSPACE]["external_terms"][0]),
        "at most one EwaldTerm",
    ),
    "another part of the sum": (_set(SUBSPACE, "external_terms", 0, "use_term", "dipole"), "`use_term` must be one of"),
    "a negative eta": (_set(SUBSPACE, "external_terms", 0, "eta", -1.0), "`eta` must be positive"),
    "an unknown element": (_set(*SPECIES, 0, "element", "Qq"), "'Qq' is neither an element nor a vacancy"),
    "a charged dummy": (_set(*SPECIES, 0, "element", "X"), "stands for no element"),
    "a species twice": (_species_twice, r"lists Li\+ twice"),
    "no sites": (_set(SUBSPACE, "structure", "sites", []), "no sites"),
    "a flat lattice": (_set(SUBSPACE, "structure", "lattice", "matrix", [[0, 0, 0]] * 3), "volume is 0"),
    "no symmetry operations": (_set(SUBSPACE, "symops", []), "cannot have 0 symmetry operations"),
    "too many operations": (
        lambda d: d[SUBSPACE].update(symops=d[SUBSPACE]["symops"] * 5),
        "cannot have 240 symmetry operations",
    ),
    "fewer operations": (lambda d: d[SUBSPACE].update(symops=d[SUBSPACE]["symops"][:1]), "they lack some of the 48"),
    "no group": (lambda d: d[SUBSPACE]["symops"].append(d[SUBSPACE]["symops"][1]), "are no group"),
    "no rotation": (_set(SUBSPACE, "symops", 3, "matrix", 0, 0, 0.5), "integer rotations"),
    "a huge rotation": (_set(SUBSPACE, "symops", 3, "matrix", 0, 0, 1e300), "integer rotations"),
    "a shift off the sites": (_set(SUBSPACE, "symops", 3, "matrix", 0, 3, 0.2), "away from every site"),
    "a shift onto other species": (
        _set(SUBSPACE, "symops", 0, "matrix", [[1, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0.5], [0, 0, 0, 1]]),
        "sites with the same species",
    ),
    "a point off the sites": (_set(*POINT, "sites", 0, [0.1, 0.2, 0.3]), "away from every site"),
    "a point far away": (_set(*PAIR, "sites", 1, [1e9, 0, 0]), "away from every site"),
    "a wide cluster": (_set(*PAIR, "sites", 0, [5000.5, 0.5, 0.5]), "spans"),
    "a point twice": (_point_twice, "has a point twice"),
    "sites of text": (_set(*POINT, "sites", [["a", "b", "c"]]), "must be finite numbers"),
    "no site bases": (_set(*PAIR, "site_bases", []), "shorter|longer"),
    "a function that is not there": (_set(*POINT, "_bit_combos", [[[5]]]), "name functions that sites"),
    "a negative function": (_set(*POINT, "_bit_combos", [[[-1]]]), "name functions that sites"),
    "labelings of text": (_set(*POINT, "_bit_combos", [[["0"]]]), "labelings of a cluster of 1 points"),
    "labelings for more points": (_set(*POINT, "_bit_combos", [[[0, 0]]]), "labelings of a cluster of 1 points"),
    "no labelings": (_set(*POINT, "_bit_combos", [[]]), "labelings of a cluster of 1 points"),
    "labelings that symmetry completes": (_half_a_function, "symmetry makes labelings equivalent"),
    "too many labelings": (_many_labelings, "more than 100000 labelings"),
    "a table of another size": (_set(*POINT, "site_bases", 0, "func_array", [[1.0], [1.0]]), "func_array must be"),
    "no constant": (lambda d: d[SUBSPACE]["orbits"]["1"][0]["site_bases"][0]["func_array"].reverse(), "constant 1"),
    "another basis": (_set(*POINT, "site_bases", 0, "@class", "SpinBasis"), "'SpinBasis' is unknown"),
    "other functions in one orbit": (
        _set(*POINT, "site_bases", 0, "func_array", [[1.0, 1.0], [-1.0, 2.0]]),
        "different functions on site",
    ),
    "species of another site": (
        _set(*POINT, "site_bases", 0, "site_space", "composition", {"Li+": 0.5, "Mn3+": 0.2}),
        "is not among",
    ),
    "a basis for fewer species": (
        _set(*POINT, "site_bases", 0, "site_space", "composition", {"O2-": 1.0}),
        "a site basis is of",
    ),
    "species that are no text": (
        _set(*POINT, "site_bases", 0, "site_space", "composition", {"3+Mn": 1.0}),
        "no species as pymatgen prints it",
    ),
    "orbits without sizes": (_set(SUBSPACE, "orbits", []), "lacks a part"),
    "sizes of text": (lambda d: d[SUBSPACE]["orbits"].update(two=[]), "invalid literal"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_file_that_is_wrong_is_refused(tmp_path, change, message):
    document = copy.deepcopy(IONIC)
    change(document)
    with pytest.raises(ValueError, match=message) as caught:
        jaxce.io.read_smol(written(tmp_path, document))
    assert "changed.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(IONIC)[:-500], "was cut off"),
        (json.dumps(IONIC).replace("0.05]", "NaN]"), "NaN"),
        ("[1, 2]", "expected an object, found list"),
        ("{}", 'not a "ClusterExpansion"'),
        ('{"StructureWrangler": {}}', r"\['StructureWrangler'\]"),
        ('{"ClusterExpansion": 5}', "lacks a part"),
    ],
    ids=["cut off", "NaN", "a list", "nothing", "other work", "a number"],
)
def test_text_that_is_no_expansion_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        jaxce.io.read_smol(written(tmp_path, text))
