"""Prims: codes, sublattices, vacancy names, and what is refused."""

from typing import Any

import ase
import numpy as np
import pytest

from jaxce.lattice.prim import Prim

CUBE = 4.0 * np.eye(3)
TWO_SITES = [[0, 0, 0], [0.5, 0.5, 0.5]]


def test_sublattices_are_sites_with_the_same_species_in_the_same_order():
    coords = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.5, 0.5, 0.5]]
    prim = Prim(CUBE, coords, [["Ti", "Fe"], ["O", "X"], ["Fe", "Ti"], ["O", "X"], ["Sr"]])
    found = [(s.name, s.species, s.sites.tolist()) for s in prim.sublattices]
    assert found == [("A", ("Ti", "Fe"), [0]), ("B", ("O", "X"), [1, 3]), ("C", ("Fe", "Ti"), [2])]
    assert prim.active_sites.tolist() == [0, 1, 2, 3]
    assert prim.num_species.tolist() == [2, 2, 2, 2, 1]
    assert prim.all_species == ("Ti", "Fe", "O", "X", "Sr")


def test_sublattice_names_are_given_in_site_order():
    prim = Prim(CUBE, TWO_SITES, [["Ti", "Fe"], ["O", "X"]], sublattice_names=["metal", "anion"])
    assert [(s.name, s.species[0]) for s in prim.sublattices] == [("metal", "Ti"), ("anion", "O")]


def test_sublattices_after_the_26th_have_two_letters():
    coords = [[number / 30, 0, 0] for number in range(28)]
    prim = Prim(4.0 * np.diag([30, 1, 1]), coords, [["Li", f"E{number}"] for number in range(28)])
    assert [s.name for s in prim.sublattices][24:] == ["Y", "Z", "AA", "AB"]


@pytest.mark.parametrize("name", ["X", "Va", "VO", "Vacancy"])
def test_every_name_of_the_vacancy_is_x(name):
    prim = Prim(CUBE, [[0, 0, 0]], [["O", name]])
    assert prim.species == (("O", "X"),)
    assert prim.canonical_species(name) == "X"


def test_a_further_name_of_the_vacancy_holds_for_one_prim_only():
    prim = Prim(CUBE, [[0, 0, 0]], [["O", "hole"]], vacancy_aliases=["hole"])
    assert prim.species == (("O", "X"),)
    assert Prim(CUBE, [[0, 0, 0]], [["O", "hole"]]).species == (("O", "hole"),)


def test_cartesian_coordinates_are_sums_of_lattice_rows():
    prim = Prim([[1, 0, 0], [2, 3, 0], [4, 5, 6]], [[0.5, 0.25, 1]], [["A", "B"]])
    np.testing.assert_allclose(prim.cart_coords(), [[0.5 + 0.5 + 4, 0.75 + 5, 6]])


def test_equal_prims_have_equal_hashes_and_unlike_ones_differ():
    def make(scale=4.0, coords=TWO_SITES, species=(("Ti", "Fe"), ("O", "X")), **keywords):
        return Prim(scale * np.eye(3), coords, species, **keywords)

    assert make() == make()
    assert hash(make()) == hash(make())
    assert len({make(), make()}) == 1
    others = [
        make(scale=4.1),
        make(coords=[[0, 0, 0], [0.5, 0.5, 0.4]]),
        make(species=(("Fe", "Ti"), ("O", "X"))),
        make(labels=["a", "b"]),
        # The tolerance of the symmetry search decides which clusters are equivalent.
        make(symprec=0.1),
    ]
    assert all(other != make() for other in others)
    assert make() != "prim"


def test_a_prim_keeps_its_own_arrays_unchangeable():
    lattice, coords = 4.0 * np.eye(3), np.zeros((1, 3))
    prim = Prim(lattice, coords, [["A", "B"]])
    lattice[0, 0] = coords[0, 0] = 7
    assert prim.lattice[0, 0] == 4
    assert prim.frac_coords[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        prim.lattice[0, 0] = 1


def test_ase_atoms_become_sites():
    atoms = ase.Atoms("SrTiO3", cell=CUBE, scaled_positions=[*TWO_SITES, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 1.5]])
    prim = Prim.from_ase(atoms, {"O": ["O", "X"], "Ti": ["Ti", "Fe"]}, sublattice_names=["B", "O"])
    assert prim.species == (("Sr",), ("Ti", "Fe"), ("O", "X"), ("O", "X"), ("O", "X"))
    # Coordinates are not wrapped.
    np.testing.assert_allclose(prim.frac_coords[4], [0, 0.5, 1.5])
    assert repr(prim) == "Prim(5 sites: 1 x (Ti/Fe), 3 x (O/X), 1 inactive)"
    with pytest.raises(ValueError, match=r"names \['La'\].*'O', 'Sr', 'Ti'"):
        Prim.from_ase(atoms, {"La": ["Sr", "La"]})


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"lattice": np.eye(2)}, "3x3 array"),
        ({"lattice": [[1, 0, 0], [0, np.nan, 0], [0, 0, 1]]}, "3x3 array of finite"),
        ({"lattice": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}, "three independent vectors"),
        ({"lattice": [[1e21, 0, 0], [0, 1, 0], [0, 0, 1]]}, "is the unit right"),
        ({"frac_coords": [0, 0, 0]}, r"\[sites, 3\] array"),
        ({"frac_coords": np.zeros((0, 3)), "species": []}, r"\[sites, 3\] array"),
        ({"frac_coords": [[0, 0], [0.5, 0.5]]}, r"\[sites, 3\] array"),
        ({"frac_coords": [[0, 0, 0], [0.5, 0.5, np.inf]]}, "finite"),
        ({"frac_coords": [[0, 0, 0], [1, -1, 2]]}, "sites 0 and 1 coincide"),
        ({"frac_coords": [[0, 0, 0.001], [0, 0, 0.9999]]}, "sites 0 and 1 coincide"),
        ({"species": [["Ti", "Fe"]]}, "each of the 2 sites, but has 1"),
        ({"species": ["TiFe", ["O", "X"]]}, r"site 0 .* came as 'TiFe'"),
        ({"species": [["Ti", "Fe"], []]}, "site 1 must be a sequence"),
        ({"species": [["Ti", ""], ["O"]]}, "site 0 must be a sequence"),
        ({"species": [["Ti", "Ti"], ["O", "X"]]}, "site 0 lists a species twice"),
        ({"species": [["Ti", "Fe"], ["Va", "X"]]}, "site 1 lists a species twice"),
        ({"labels": ["a"]}, "each of the 2 sites, not 1"),
        ({"sublattice_names": ["A"]}, "needs 2 different names"),
        ({"sublattice_names": ["A", "A"]}, "needs 2 different names"),
    ],
)
def test_input_that_is_no_prim_is_refused(keywords, message):
    good: dict[str, Any] = {"lattice": CUBE, "frac_coords": TWO_SITES, "species": [["Ti", "Fe"], ["O", "X"]]}
    assert Prim(**good).num_sites == 2
    with pytest.raises(ValueError, match=message):
        Prim(**(good | keywords))


def test_a_set_of_species_is_refused_because_it_has_no_order():
    # The type checker of the tests looks at one item of the list and may find it first.
    unordered: Any = {"Ti", "Fe"}
    with pytest.raises((ValueError, TypeError), match="species"):
        Prim(CUBE, [[0, 0, 0]], [unordered])
    with pytest.raises((ValueError, TypeError), match="species"):
        Prim.from_ase(ase.Atoms("Ti", cell=CUBE), {"Ti": unordered})
