"""POSCAR files: vacancies as species, names of potentials, scales, what is refused."""

import ase
import numpy as np
import pytest

from jaxce.io.poscar import is_poscar_text, read_poscar, write_poscar

TEXT = """perovskite
1.0
4.0 0.0 0.0
0.0 4.0 0.0
0.0 0.0 4.0
Sr Ti_pv O VO
1 1 2 1
Direct
0.0 0.0 0.0
0.5 0.5 0.5
0.5 0.5 0.0
0.5 0.0 0.5
0.0 0.5 0.5
"""


def with_line(number, text):
    lines = TEXT.splitlines()
    lines[number - 1] = text
    return "\n".join(lines) + "\n"


def test_vacancies_are_atoms_of_symbol_x_and_potentials_are_cut_off():
    atoms = read_poscar(TEXT)
    assert atoms.get_chemical_symbols() == ["Sr", "Ti", "O", "O", "X"]
    np.testing.assert_allclose(atoms.get_scaled_positions()[4], [0, 0.5, 0.5])
    assert atoms.pbc.all()


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("VO", "X"), ("V_O", "X"), ("Va", "X"), ("X", "X"), ("V", "V"), ("V_sv", "V"), ("Na_pv/6a2f546d", "Na")],
)
def test_only_names_of_vacancies_are_vacancies(name, symbol):
    assert read_poscar(with_line(6, f"Sr Ti O {name}")).get_chemical_symbols()[-1] == symbol


def test_aliases_come_first():
    atoms = read_poscar(with_line(6, "Sr FeHS O V"), aliases={"FeHS": "Fe", "V": "X"})
    assert atoms.get_chemical_symbols() == ["Sr", "Fe", "O", "O", "X"]


@pytest.mark.parametrize("scale", ["2.0", "-512.0"])
@pytest.mark.parametrize("mode", ["Direct", "Cartesian"])
def test_scales_and_volumes_apply_to_cell_and_positions(scale, mode):
    text = with_line(2, scale).replace("Direct", mode)
    atoms = read_poscar(text)
    np.testing.assert_allclose(np.array(atoms.cell), 8 * np.eye(3), atol=1e-12)
    given = np.array([0.5, 0.5, 0.5])
    np.testing.assert_allclose(atoms.positions[1], given * (8 if mode == "Direct" else 2), atol=1e-12)


def test_selective_dynamics_and_velocities_are_no_part_of_the_structure():
    head, rows = TEXT.split("Direct\n")
    text = f"{head}Selective dynamics\nDirect\n" + "\n".join(f"{row} T T F" for row in rows.splitlines()) + "\n"
    assert read_poscar(text).constraints == []
    assert read_poscar(text).get_chemical_symbols() == read_poscar(TEXT).get_chemical_symbols()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_line(6, "Sr Qq O VO"), "'Qq' is no element; say what it is by `aliases"),
        (with_line(6, "Sr Ti O"), "line 6 must name the species"),
        (TEXT.replace("Sr Ti_pv O VO\n", ""), "line 6 must name the species"),
        ("\n".join(TEXT.splitlines()[:10]) + "\n", "cut off"),
        ("\n".join(TEXT.splitlines()[:4]) + "\n", "cut off"),
        (with_line(9, "nan 0 0"), "not finite"),
        (with_line(3, "0 0 0"), "cell without volume"),
        (with_line(3, "a b c"), "no POSCAR"),
    ],
    ids=["species", "counts", "vasp4", "cut-atoms", "cut-cell", "nan", "no-volume", "words"],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_poscar(text)


def test_files_are_named_in_errors(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(ValueError, match=r"POSCAR is no POSCAR: it is not text"):
        read_poscar(path)
    with pytest.raises(FileNotFoundError):
        read_poscar(tmp_path / "absent")


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "POSCAR"
    atoms = ase.Atoms("OSrXOTi", scaled_positions=np.arange(15).reshape(5, 3) / 17, cell=np.diag([4.0, 5, 6]), pbc=True)
    write_poscar(path, atoms, vacancy="VO")
    assert path.read_text().splitlines()[5:7] == ["O Sr VO Ti", "2 1 1 1"]
    again = read_poscar(path)
    order = [0, 3, 1, 2, 4]
    assert again.get_chemical_symbols() == [atoms.get_chemical_symbols()[i] for i in order]
    np.testing.assert_allclose(again.positions, atoms.positions[order], atol=1e-14)
    write_poscar(path, atoms)
    assert read_poscar(path).get_chemical_symbols() == ["O", "O", "Sr", "Ti"]
    with pytest.raises(ValueError, match="no atoms"):
        write_poscar(path, atoms[[2]])


def test_text_is_told_from_a_path():
    assert is_poscar_text(TEXT)
    assert not is_poscar_text("folder/POSCAR")


def test_a_count_without_its_atoms_is_refused_in_a_moment():
    """Fault: the memory is filled with the names of the atoms that are counted."""
    with pytest.raises(ValueError, match="counts 900000000004 atoms"):
        read_poscar(with_line(7, "1 1 2 900000000000"))
