"""ATAT's files against sums over the cubic group written out here, and round trips of models of every kind."""

import gzip
import itertools
import json
import pathlib

import numpy as np
import pytest

import jaxce
from helpers import random_occupancies
from jaxce.io.atat.model import read_atat, read_atat_structure, write_atat
from jaxce.io.atat.trigonometric_form import in_trigonometric_form
from jaxce.io.clease.model import read_clease
from product_energies import product_energies

CLEASE = pathlib.Path(__file__).parents[1] / "data" / "clease" / "models.json.gz"
FCC = """\
3.8 3.8 3.8 90 90 90
0   0.5 0.5
0.5 0   0.5
0.5 0.5 0
0 0 0 Cu, Au,Vac
"""
# As mmaps writes them: empty, two points, two pairs of the first shell, one of the second, a triplet.
FCC_CLUSTERS = """\
1
0.00000
0

1
0.00000
1
1.00000 1.00000 1.00000 1 0

1
0.00000
1
1.00000 1.00000 1.00000 1 1

6
2.68701
2
1.00000 1.00000 1.00000 1 0
0.50000 1.00000 1.50000 1 0

12
2.68701
2
1.00000 1.00000 1.00000 1 0
0.50000 1.00000 1.50000 1 1

3
3.80000
2
1.00000 1.00000 1.00000 1 1
1.00000 1.00000 0.00000 1 1

24
2.68701
3
1.00000 1.00000 1.00000 1 1
0.50000 1.00000 1.50000 1 0
1.00000 0.50000 1.50000 1 0

"""
FCC_ECIS = "0.1\n-0.02\n.03\n0.005\n-1.25e-3\n0.0007\n\n0.0011\n"
# A pseudobinary with a spectator, as maps writes it.
ROCKSALT = """\
4.2 0 0
0 4.2 0
0 0 4.2
0 0.5 0.5
0.5 0 0.5
0.5 0.5 0
0 0 0 Ca,Mg
0.5 0.5 0.5 O
"""
ROCKSALT_CLUSTERS = "1\n0\n0\n\n1\n0.000000\n1\n0 0 0\n\n6\n2.969848\n2\n0 0 0\n0.5 0.5 0\n"
ROCKSALT_ECIS = "-1\n0.25\n0.01\n"


def folder_of(path, lattice, clusters, ecis, **others):
    for name, text in {"lat_in": lattice, "clusters_out": clusters, "eci_out": ecis, **others}.items():
        (path / name[::-1].replace("_", ".", 1)[::-1]).write_text(text, encoding="utf-8")
    return path


def energies_of(expansion, occupancies, transformation=((2, 0, 0), (0, 1, 1), (1, 0, 2))):
    supercell = jaxce.Supercell(expansion.space.prim, transformation)
    return product_energies(expansion.space, expansion.coefficients, supercell, occupancies)


def occupancies_of(prim, count=6, transformation=((2, 0, 0), (0, 1, 1), (1, 0, 2))):
    return random_occupancies(jaxce.Supercell(prim, transformation), count, seed=1)


def energy_by_the_cubic_group(clusters, ecis, supercell, occupancy):
    """The sum of multiplicity x ECI x mean over all images under the 48 operations and all cells of fcc, by loops."""
    cells = {tuple(np.round(2 * p / 3.8).astype(int) % 4): n for n, p in enumerate(supercell.cart_coords)}
    operations = [
        np.eye(3)[list(p)] * s for p in itertools.permutations(range(3)) for s in itertools.product((1, -1), repeat=3)
    ]
    total = 0.0
    for block, eci in zip(clusters.strip().split("\n\n"), ecis.split(), strict=True):
        multiplicity, _, _, *points = [np.array(line.split(), dtype=float) for line in block.splitlines()]
        products = []
        for operation, origin in itertools.product(operations, supercell.cart_coords):
            product = 1.0
            for point in points:
                site = cells[tuple(np.round(2 * (operation @ point[:3] + origin / 3.8)).astype(int) % 4)]
                angle = 2 * np.pi * occupancy[site] / 3
                product *= -np.cos(angle) if point[4] == 0 else -np.sin(angle)
            products.append(product)
        total += multiplicity[0] * float(eci) * np.mean(products)
    return total * supercell.num_prims


def test_a_ternary_model_has_the_energy_that_the_manual_defines(tmp_path):
    expansion = read_atat(folder_of(tmp_path, FCC, FCC_CLUSTERS, FCC_ECIS))
    assert expansion.space.prim.species == (("Cu", "Au", "X"),)
    assert sorted(expansion.space.multiplicities.tolist()) == [1, 1, 1, 3, 6, 12, 24]
    # The cubic cell of side 2: coordinates repeat after 4 half lattice constants.
    transformation = 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    supercell = jaxce.Supercell(expansion.space.prim, transformation)
    occupancies = random_occupancies(supercell, 1, seed=2)
    expected = energy_by_the_cubic_group(FCC_CLUSTERS, FCC_ECIS, supercell, occupancies[0])
    found = product_energies(expansion.space, expansion.coefficients, supercell, occupancies)
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_a_binary_without_integers_and_with_a_spectator(tmp_path):
    expansion = read_atat(folder_of(tmp_path, ROCKSALT, ROCKSALT_CLUSTERS, ROCKSALT_ECIS))
    assert expansion.space.prim.species == (("Ca", "Mg"), ("O",))
    # The first symbol is -1: all Ca is J0 - J1 + 6 J2, all Mg is J0 + J1 + 6 J2.
    pure = np.array([[0, 0], [1, 0]])
    np.testing.assert_allclose(energies_of(expansion, pure, 1), [-1 - 0.25 + 0.06, -1 + 0.25 + 0.06], rtol=1e-14)
    assert "formation energies" in repr(expansion)


def test_references_of_maps_are_those_of_the_end_members(tmp_path):
    expansion = read_atat(
        folder_of(tmp_path, ROCKSALT, ROCKSALT_CLUSTERS, ROCKSALT_ECIS, ref_energy_out="-12.5\n-11\n")
    )
    np.testing.assert_allclose(energies_of(expansion, np.array([[0, 0], [1, 0]]), 1), [-13.69, -11.69], rtol=1e-14)
    assert "-12.5 eV per Ca, -11 per Mg" in repr(expansion)


def test_references_of_mmaps_are_energies_of_atoms(tmp_path):
    plain = read_atat(folder_of(tmp_path, FCC, FCC_CLUSTERS, FCC_ECIS))
    folder_of(tmp_path, FCC, FCC_CLUSTERS, FCC_ECIS, ref_energy_out="0.5 -3 -4", atoms_out="Vac\nAu\nCu\n")
    expansion = read_atat(tmp_path)
    occupancies = occupancies_of(plain.space.prim)
    added = np.array([-4, -3, 0.5])[occupancies].sum(axis=1)
    np.testing.assert_allclose(energies_of(expansion, occupancies), energies_of(plain, occupancies) + added, rtol=1e-12)
    # Point clusters that the fit left out come back where the references need them.
    (tmp_path / "clusters.out").write_text("1\n0\n0\n", encoding="utf-8")
    (tmp_path / "eci.out").write_text("0\n", encoding="utf-8")
    np.testing.assert_allclose(energies_of(read_atat(tmp_path), occupancies), added, rtol=1e-12)


@pytest.mark.parametrize(
    ("lattice", "others", "message"),
    [
        (FCC, {"ref_energy_out": "1 2 3"}, "without an atoms.out"),
        (FCC, {"ref_energy_out": "1 2", "atoms_out": "Cu Au"}, "needs one number"),
        (FCC, {"ref_energy_out": "1 2 3 4", "atoms_out": "Cu Au Vac"}, "has 4 numbers"),
    ],
    ids=["no atoms", "no vacancy", "too many"],
)
def test_references_that_are_unclear_are_refused(tmp_path, lattice, others, message):
    with pytest.raises(ValueError, match=message):
        read_atat(folder_of(tmp_path, lattice, FCC_CLUSTERS, FCC_ECIS, **others))


def perovskite(labels=None, **keywords):
    prim = jaxce.Prim(
        np.diag([3.9, 3.9, 4.1]),
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        [["Sr", "La3+", "Ba"], ["Ti"], *[["O", "X"]] * 3],
        labels=labels,
    )
    return jaxce.ClusterSpace(prim, {2: 4.2, 3: 4.0}, **keywords)


def with_random_coefficients(space, seed=3):
    return jaxce.ClusterExpansion(space, np.random.default_rng(seed).normal(size=space.num_correlations))


@pytest.mark.parametrize(
    "labels",
    [None, ["", "", "a", "b", "b"], [",c,", "", "a", "b", "b"], ["{'Sr': 1}", "", "x y", "z", "z"]],
    ids=["no labels", "sites", "species", "texts"],
)
def test_a_round_trip_is_exact(tmp_path, labels):
    expansion = with_random_coefficients(perovskite(labels)).without_correlations([1, 7, 20])
    write_atat(tmp_path / "new" / "folder", expansion)
    again = read_atat(tmp_path / "new" / "folder")
    if labels is None or "x y" not in labels:
        assert again.space.prim == expansion.space.prim
    assert again.coefficients.tolist() == expansion.coefficients.tolist()
    for ours, theirs in zip(again.space.orbits, expansion.space.orbits, strict=True):
        np.testing.assert_array_equal(ours.clusters, theirs.clusters)
        assert [f.tolist() for f in ours.functions] == [f.tolist() for f in theirs.functions]


@pytest.mark.parametrize("basis", ["indicator", "chebyshev", "legendre", "polynomial", "orthonormal"])
def test_other_site_functions_become_trigonometric_ones(tmp_path, basis):
    keywords = {"orthonormal": True} if basis == "orthonormal" else {"site_basis": basis}
    expansion = with_random_coefficients(perovskite(**keywords))
    write_atat(tmp_path, expansion)
    occupancies = occupancies_of(expansion.space.prim)
    np.testing.assert_allclose(
        energies_of(read_atat(tmp_path), occupancies), energies_of(expansion, occupancies), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize(
    "name", ["fcc quaternary polynomial", "rocksalt two sublattices trigonometric", "rocksalt background True", "hcp"]
)
def test_models_of_clease_become_models_of_atat(tmp_path, name):
    case = json.loads(gzip.decompress(CLEASE.read_bytes()))[name]
    (tmp_path / "eci.json").write_text(json.dumps(case["eci"]), encoding="utf-8")
    expansion = read_clease(tmp_path / "eci.json", case["settings"])
    write_atat(tmp_path / "atat", expansion)
    again = read_atat(tmp_path / "atat")
    occupancies = occupancies_of(expansion.space.prim)
    np.testing.assert_allclose(energies_of(again, occupancies), energies_of(expansion, occupancies), rtol=0, atol=1e-11)


def test_merged_orbits_and_a_smaller_order_are_taken_apart():
    space = perovskite(["", "", "", "b", "b"])
    pairs = [n for n, orbit in enumerate(space.orbits) if orbit.order == 2 and len(orbit.functions) == 1]
    expansion = with_random_coefficients(space.with_merged_orbits([pairs[:2]]))
    form = in_trigonometric_form(expansion)
    assert form.space.num_correlations == space.num_correlations
    occupancies = occupancies_of(space.prim)
    np.testing.assert_allclose(energies_of(form, occupancies), energies_of(expansion, occupancies), rtol=0, atol=1e-11)


def test_a_model_with_less_symmetry_than_its_prim_is_refused():
    space = perovskite()
    lower = perovskite(["", "", "", "b", "c"])
    orbits = [o for o in lower.orbits if o.order != 2]
    lopsided = jaxce.ClusterSpace.from_orbits(space.prim, space.site_functions, orbits)
    with pytest.raises(ValueError, match="different energies in this model"):
        in_trigonometric_form(with_random_coefficients(lopsided))


def test_what_atat_cannot_say_is_refused(tmp_path):
    cubic = jaxce.Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["A", "B"]] * 2)
    odd = jaxce.Prim(4 * np.eye(3), [[0, 0, 0]], [["Mn3+,spin=4", "B"]])
    for prim, message in [(cubic, "is 2 primitive cells"), (odd, "cannot be written")]:
        with pytest.raises(ValueError, match=message):
            write_atat(tmp_path, with_random_coefficients(jaxce.ClusterSpace(prim, {2: 4.1})))
    (tmp_path / "ref_energy.out").write_text("0 0", encoding="utf-8")
    with pytest.raises(ValueError, match="belongs to another model"):
        write_atat(tmp_path, with_random_coefficients(perovskite()))
    assert [path.name for path in tmp_path.iterdir()] == ["ref_energy.out"]


@pytest.mark.parametrize(
    ("lattice", "message"),
    [
        ("", "3 or 6 numbers are wanted where the end of the file"),
        (FCC.replace("0.5 0.5 0\n", ""), "3 numbers are wanted where '0 0 0 Cu, Au,Vac'"),
        (FCC[: FCC.index("0 0 0")], "has no sites"),
        (FCC.replace("0.5 0.5 0\n", "0.5 0.5 1\n"), "span no volume"),
        (FCC.replace("90 90 90", "10 10 90"), "no cell has the lengths"),
        (FCC.replace("90 90 90", "90 90 3.6e21"), "no cell has the lengths"),
        (FCC.replace("3.8 3.8 3.8", "nan 3.8 3.8"), "numbers are wanted where 'nan"),
        (FCC.replace("3.8 3.8 3.8", "1e999 3.8 3.8"), "too large"),
        (FCC.replace("Cu, Au,Vac", "Cu=0.5,Au=0.5"), "as rndstr.in has"),
        (FCC.replace("Cu, Au,Vac", "Cu,,Au"), "symbols such as"),
        (FCC.replace("Cu, Au,Vac", ""), "symbols such as"),
        (FCC.replace("Cu, Au,Vac", "Cu_a,Cu_b"), "lists a species twice"),
        (FCC.replace("0 0 0 Cu", "0 0 0 Cu,Au,Vac\n0.5 0.5 0.5 Cu").replace("0   0.5 0.5", "1 0 0"), "primitive cells"),
    ],
    ids=[
        "empty", "row missing", "no sites", "flat", "angles", "wide angle", "nan", "overflow", "occupations", "comma",
        "no symbol", "labels", "not primitive",
    ],
)  # fmt: skip
def test_lattices_that_are_none_are_refused(tmp_path, lattice, message):
    with pytest.raises(ValueError, match=message):
        read_atat(folder_of(tmp_path, lattice, FCC_CLUSTERS, FCC_ECIS))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12\n2.68701", "6\n2.68701", "cluster 5 of clusters.out has multiplicity 6, but there are 12"),
        ("12\n2.68701", "12\n3.8", "has diameter 3.8, but its points are up to 2.6870"),
        ("0.50000 1.00000 1.50000 1 1", "0.50000 1.00000 1.50000 1 0", "multiplicity 12, but there are 6"),
        ("1.00000 1.00000 0.00000 1 1", "1.00000 1.00000 0.30000 1 1", "angstrom away from the nearest site"),
        ("1.00000 1.00000 0.00000 1 1", "1.00000 1.00000 1.00000 1 1", "names a point twice"),
        ("1.00000 1.00000 0.00000 1 1", "1.00000 1.00000 0.00000 0 0", "the first must be 1"),
        ("1.00000 1.00000 0.00000 1 1", "1.00000 1.00000 0.00000 1 2", "the second from 0 to 1"),
        ("1.00000 1.00000 0.00000 1 1", "1.00000 1.00000 0.00000 1 0.5", "two integers are wanted behind a point"),
        ("1.00000 1.00000 0.00000 1 1", "1.00000 1.00000 0.00000", "which of 2 site functions"),
        ("1.00000 1.00000 1.00000 1 1\n\n6", "1.00000 1.00000 1.00000 1 0\n\n6", "clusters 2 and 3 .* are equivalent"),
        ("1.00000 0.50000 1.50000 1 0\n\n", "", "where the end of the file"),
        ("2\n1.0", "2.5\n1.0", "which is no count"),
    ],
    ids=[
        "multiplicity", "diameter", "function", "off site", "same point", "species", "no function", "no integer",
        "no integers", "twice", "cut off", "count",
    ],
)  # fmt: skip
def test_clusters_that_do_not_fit_are_refused(tmp_path, old, new, message):
    assert old in FCC_CLUSTERS
    with pytest.raises(ValueError, match=message):
        read_atat(folder_of(tmp_path, FCC, FCC_CLUSTERS.replace(old, new, 1), FCC_ECIS))


def test_ecis_and_spectators_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"eci\.out has 8 numbers, but clusters\.out has 7"):
        read_atat(folder_of(tmp_path, FCC, FCC_CLUSTERS, FCC_ECIS + "1\n"))
    with pytest.raises(ValueError, match="numbers are wanted"):
        read_atat(folder_of(tmp_path, FCC, FCC_CLUSTERS, FCC_ECIS + "x\n"))
    with pytest.raises(ValueError, match="larger than 1e"):
        read_atat(folder_of(tmp_path, FCC, FCC_CLUSTERS, FCC_ECIS.replace("0.1", "1e99")))
    far = "1\n0\n0\n\n6\n168\n2\n0 0 0\n40 0 0\n"
    with pytest.raises(ValueError, match="too many clusters to list"):
        read_atat(folder_of(tmp_path, ROCKSALT, far, "1 2"))
    with pytest.raises(ValueError, match="at most 1000 sites"):
        read_atat(folder_of(tmp_path, ROCKSALT + "0 0 0 O\n" * 1000, ROCKSALT_CLUSTERS, ROCKSALT_ECIS))
    oxygen = ROCKSALT_CLUSTERS.replace("1\n0 0 0\n", "1\n0.5 0.5 0.5\n")
    with pytest.raises(ValueError, match="holds O alone"):
        read_atat(folder_of(tmp_path, ROCKSALT, oxygen, ROCKSALT_ECIS))


def test_coordinates_with_four_digits_keep_the_symmetry(tmp_path):
    lattice = "3.1 3.1 5.062 90 90 120\n1 0 0\n0 1 0\n0 0 1\n0 0 0 Al_a,Ti_a\n0.6667 0.3333 0.5 Al_a,Ti_a\n"
    clusters = "2\n0\n1\n0 0 0\n\n6\n3.1\n2\n0 0 0\n1 0 0\n"
    expansion = read_atat(folder_of(tmp_path, lattice, clusters, "0.5 1"))
    assert expansion.coefficients.tolist() == [0, 1, 6]
    assert expansion.space.prim.labels == ("a", "a")


def test_structures_map_onto_the_lattice(tmp_path):
    path = tmp_path / "str.out"
    path.write_text(
        "3.8 0 0\n0 3.8 0\n0 0 3.8\n1 0 0\n0 0.5 0.5\n0 -0.5 0.5\n0 0 0 Au\n0.5 0 0.5 Va\n0.5 0.5 0 Cu_a\n",
        encoding="utf-8",
    )
    atoms = read_atat_structure(path)
    assert atoms.get_chemical_symbols() == ["Au", "X", "Cu"]
    path.write_text(path.read_text(encoding="utf-8").replace("0.5 0.5 0 Cu_a\n", "0 0 0.5 Fe+2\n"), encoding="utf-8")
    assert read_atat_structure(path).arrays["species"].tolist() == ["Au", "X", "Fe+2"]
    for wrong, message in [("Cu,Au", "one species on each site"), ("Zz", "begins with no chemical symbol")]:
        path.write_text(FCC.replace("Cu, Au,Vac", wrong), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_atat_structure(path)
