import json

import numpy as np
import pytest

from jaxce.io.pymatgen_json import atoms_from_pymatgen, prim_from_pymatgen

LATTICE = [[4.0, 0.0, 0.0], [0.5, 4.2, 0.0], [0.0, 0.3, 4.4]]


def species(element, charge=None, occupation=1, **more):
    return {"element": element, "oxidation_state": charge, "occu": occupation, **more}


def structure(*sites):
    """A structure with these lists of species on its sites, as pymatgen writes it."""
    coords = np.linspace(0.0, 0.9, len(sites))[:, None] * [1.0, 0.5, 0.25]
    return {
        "@class": "Structure",
        "lattice": {"matrix": LATTICE},
        "sites": [{"species": list(s), "abc": c.tolist()} for s, c in zip(sites, coords, strict=True)],
    }


def test_lattice_coordinates_and_elements_come_back():
    content = structure([species("Ni")], [species("O")])
    atoms = atoms_from_pymatgen(content)
    assert atoms.get_chemical_symbols() == ["Ni", "O"]
    np.testing.assert_allclose(atoms.cell.array, LATTICE)
    np.testing.assert_allclose(atoms.get_scaled_positions(), [[0, 0, 0], [0.9, 0.45, 0.225]])
    assert atoms.pbc.all()
    assert "species" not in atoms.arrays
    for site, position in zip(content["sites"], atoms.positions, strict=True):
        site["xyz"] = position.tolist()
        del site["abc"]
    np.testing.assert_allclose(atoms_from_pymatgen(content).positions, atoms.positions)


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        (species("Li", 1), "Li+"),
        (species("Mn", 3.0), "Mn3+"),
        (species("O", -2.0), "O2-"),
        (species("F", -1), "F-"),
        (species("Ti", 0), "Ti0+"),
        (species("Fe", 2.5), "Fe2.50+"),
        (species("Mn", 3, spin=4), "Mn3+,spin=4"),
        (species("Mn", 3, properties={"spin": -4}), "Mn3+,spin=-4"),
        (species("X", 0), "X"),
        (species("Vac"), "X"),
    ],
)
def test_labels_are_those_that_pymatgen_prints(entry, label):
    atoms = atoms_from_pymatgen(structure([entry], [species("O", -2)]))
    assert atoms.arrays["species"].tolist() == [label, "O2-"]
    assert atoms.get_chemical_symbols()[0] == ("X" if label == "X" else entry["element"])


def test_disordered_structures_are_no_atoms():
    with pytest.raises(ValueError, match=r"site 1 is disordered \(Ni3\+ 0.5, Ni4\+ 0.5\)"):
        atoms_from_pymatgen(structure([species("O", -2)], [species("Ni", 3, 0.5), species("Ni", 4, 0.5)]))
    with pytest.raises(ValueError, match=r"site 0 is disordered \(Li\+ 0.5\)"):
        atoms_from_pymatgen(structure([species("Li", 1, 0.5)]))
    with pytest.raises(ValueError, match='"lattice" and "sites"'):
        atoms_from_pymatgen({"lattice": {}})


def test_a_prim_lists_species_in_the_order_of_the_file_and_the_vacancy_last(tmp_path):
    content = structure(
        [species("Mn", 2, 0.25), species("Li", 1, 0.25)],
        [species("Li", 1, 0.3), species("Mn", 2, 0.3)],
        [species("X", 0, 0.5), species("Li", 1, 0.5)],
        [species("Ni", 3, 0.5), species("Ni", 4, 0.495)],
        [species("O", -2)],
    )
    path = tmp_path / "prim.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for source in (content, path, str(path)):
        prim = prim_from_pymatgen(source, sublattice_names=["A", "B", "C"])
        assert prim.species == (
            ("Mn2+", "Li+", "X"),
            ("Mn2+", "Li+", "X"),
            ("Li+", "X"),
            ("Ni3+", "Ni4+"),
            ("O2-",),
        )
        assert [sublattice.name for sublattice in prim.sublattices] == ["A", "B", "C"]
        assert prim.sublattices[0].sites.tolist() == [0, 1]
    np.testing.assert_allclose(prim.lattice, LATTICE)
    np.testing.assert_allclose(prim.frac_coords[4], [0.9, 0.45, 0.225])


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ([species("Li", 1, 0.7), species("Mn", 2, 0.7)], "sum to at most 1"),
        ([species("Li", 1, 0.5), species("Li", 1, 0.5)], "twice"),
        ([species("Li", 1, 0.5), species("Mn", 2, 0)], "occupation 0.0 of Mn2"),
        ([], "none"),
    ],
)
def test_occupations_that_make_no_sense_are_refused(site, message):
    with pytest.raises(ValueError, match=message):
        prim_from_pymatgen(structure(site))
