"""The forms in which a structure may come."""

import ase.io
import numpy as np
import pytest

from jaxce.io.structure_forms import as_atoms

DICT = {
    "elements": ["Sr", "Ti", "O", "VO"],
    "counts": [1, 1, 2, 1],
    "lattice": (4 * np.eye(3)).tolist(),
    "coordinates": [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
}


def same(first, second):
    assert first.get_chemical_symbols() == second.get_chemical_symbols()
    np.testing.assert_allclose(first.positions, second.positions, atol=1e-12)
    np.testing.assert_allclose(np.array(first.cell), np.array(second.cell), atol=1e-12)


def test_a_dict_is_read_in_its_order():
    atoms = as_atoms(DICT)
    assert atoms.get_chemical_symbols() == ["Sr", "Ti", "O", "O", "X"]
    cartesian = {**DICT, "coordinates": 4 * np.array(DICT["coordinates"]), "coordinate_type": "Cartesian"}
    same(as_atoms(cartesian), atoms)
    renamed = {"symbols": DICT["elements"], "element_counts": np.array(DICT["counts"]), "cell": DICT["lattice"]}
    same(as_atoms({**renamed, "coords": DICT["coordinates"], "scale": 1}), atoms)


def test_files_and_text_are_read(tmp_path):
    atoms = as_atoms(DICT)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    same(as_atoms(tmp_path / "a.extxyz"), atoms)
    text = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nSr Ti O VO\n1 1 2 1\nDirect\n0 0 0\n.5 .5 .5\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"
    (tmp_path / "POSCAR_1").write_text(text)
    same(as_atoms(text), atoms)
    same(as_atoms(str(tmp_path / "POSCAR_1")), atoms)
    assert as_atoms(atoms) is atoms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": [1, 1, 2]}, "a count for each element"),
        ({"counts": [1, 1, 2, 2]}, "as many coordinates"),
        ({"cell": np.eye(3)}, "lattice once"),
        ({"magnetic": 1}, "has no .'magnetic'"),
        ({"coordinate_type": "polar"}, "polar"),
    ],
    ids=["counts", "coordinates", "twice", "unknown", "type"],
)
def test_bad_dicts_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        as_atoms({**DICT, **change})


def test_other_things_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not int"):
        as_atoms(3)
    with pytest.raises(ValueError, match="is no file"):
        as_atoms(tmp_path / "none.xyz")
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="pickle"):
        as_atoms(tmp_path / "a.pkl")
    ase.io.write(tmp_path / "two.extxyz", [as_atoms(DICT)] * 2)
    with pytest.raises(ValueError, match="2 structures"):
        as_atoms(tmp_path / "two.extxyz")
    with pytest.raises(ValueError, match="needs its elements once"):
        as_atoms({"counts": [1]})
