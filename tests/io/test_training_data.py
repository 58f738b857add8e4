import bz2
import gzip
import json
import pickle
import shutil
import sqlite3

import ase
import ase.build
import ase.db
import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from jaxce.io import structure_files
from jaxce.io.training_data import read_training_data

ENERGIES = np.array([-3.25, -4.0078125, 0.1, -5.123456789012345])


def alloy(number, energy=None, **info):
    """Four atoms on fcc, `number` of them Pd."""
    atoms = ase.build.bulk("Ag", "fcc", a=4.09, cubic=True)
    atoms.symbols[:number] = "Pd"
    atoms.info.update(info)
    if energy is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=energy, free_energy=energy - 1)
    return atoms


def alloys():
    return [alloy(number, energy) for number, energy in enumerate(ENERGIES)]


def numbers_of_pd(data):
    return [atoms.get_chemical_symbols().count("Pd") for atoms in data.structures]


def write_vasprun(path, energies, *, is_finished=True, symbol="Ag"):
    """The parts of a vasprun.xml that hold an atom in a cubic cell and its energies, one for each ionic step."""
    lattice = "".join(f"<v>{' '.join(map(str, row))}</v>" for row in (4 * np.eye(3)).tolist())
    cell = f'<crystal><varray name="basis">{lattice}</varray></crystal><varray name="positions"><v>0 0 0</v></varray>'
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling><kpoints>'
        '<varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>'
        "<parameters></parameters>"
        f'<atominfo><array name="atoms"><set><rc><c>{symbol}</c><c>1</c></rc></set></array></atominfo>'
        f'<structure name="initialpos">{cell}</structure>'
    )
    for energy in energies:
        # Smearing: the free energy is 0.5 eV below the energy extrapolated to zero.
        step = f'<energy><i name="e_fr_energy">{energy - 0.5}</i><i name="e_0_energy">{energy}</i></energy>'
        text += f"<calculation><scstep>{step}</scstep><structure>{cell}</structure>{step}</calculation>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + ("</modeling>" if is_finished else "<calculation>"), encoding="utf-8")


def write_outcar(path, energy):
    """The lines of an OUTCAR that ASE needs for one silver atom."""
    rule = " " + "-" * 80
    path.write_text(
        "\n".join(
            [
                " vasp.6.3.0",
                " POTCAR:    PAW_PBE Ag 02Apr2005",
                " POTCAR:    PAW_PBE Ag 02Apr2005",
                "   number of dos      NEDOS =    301   number of ions     NIONS =      1",
                "   ions per type =               1",
                "   ISPIN  =      1    spin polarized calculation?",
                "------------------------------ Iteration      1(   1)  ------------------------------",
                " aborting loop because EDIFF is reached",
                "      direct lattice vectors                 reciprocal lattice vectors",
                "     4.0 0.0 0.0     0.25 0.0 0.0",
                "     0.0 4.0 0.0     0.0 0.25 0.0",
                "     0.0 0.0 4.0     0.0 0.0 0.25",
                "",
                " POSITION                                       TOTAL-FORCE (eV/Angst)",
                rule,
                "      0.0      0.0      0.0         0.0      0.0      0.0",
                rule,
                "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
                "  ---------------------------------------------------",
                f"  free  energy   TOTEN  =  {energy - 0.5:.8f} eV",
                "",
                f"  energy  without entropy=  {energy:.8f}  energy(sigma->0) =  {energy:.8f}",
                "",
            ]
        ),
        encoding="utf-8",
    )


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.traj", "a.db", "a.json"])
def test_structures_and_energies_of_one_file_come_back(tmp_path, name):
    path = tmp_path / name
    if name in ("a.db", "a.json"):
        with ase.db.connect(path) as database:
            for atoms in alloys():
                database.write(atoms)
        names = [f"{name}#id={i}" for i in (1, 2, 3, 4)]
    else:
        ase.io.write(path, alloys())
        names = [f"{name}#{i}" for i in range(4)]
    data = read_training_data(path)
    assert len(data) == 4
    assert data.energies.dtype == np.float64
    # Extended XYZ rounds to nine digits or so.
    np.testing.assert_allclose(data.energies, ENERGIES, rtol=1e-8 if name.endswith("xyz") else 0)
    assert numbers_of_pd(data) == [0, 1, 2, 3]
    for atoms, expected in zip(data.structures, alloys(), strict=True):
        np.testing.assert_allclose(atoms.positions, expected.positions, atol=1e-7)
        np.testing.assert_allclose(atoms.cell.array, expected.cell.array, atol=1e-7)
    assert list(data.names) == names == [atoms.info["name"] for atoms in data.structures]
    assert data.failures == ()
    free = read_training_data(str(path), energy="free_energy")
    np.testing.assert_allclose(free.energies, ENERGIES - 1, rtol=1e-7)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_training_data(packed).energies, data.energies)


def test_energies_under_other_names_are_found(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(alloy(1, -2.0), mixing_energy=-0.25, tag="first", data={"corrected": -7.5, "list": [1.0]})
        database.write(alloy(2), mixing_energy=0.5, data={"corrected": -8})
    read = read_training_data(tmp_path / "a.db", energy="mixing_energy")
    assert read.energies.tolist() == [-0.25, 0.5]
    assert read.structures[0].info["tag"] == "first"
    assert read_training_data(tmp_path / "a.db", energy="corrected").energies.tolist() == [-7.5, -8.0]
    with pytest.warns(UserWarning, match="1 files or entries"):
        calculated = read_training_data(tmp_path / "a.db")
    assert calculated.energies.tolist() == [-2.0]
    assert calculated.failures[0].name == "a.db#id=2"
    assert "'corrected', 'mixing_energy'" not in calculated.failures[0].name
    assert "'mixing_energy', 'corrected'" in calculated.failures[0].reason


def test_frames_without_the_energy_fail_by_name_and_the_others_go_on(tmp_path):
    frames = [alloy(0, energy_relaxed=-1.5), alloy(1), alloy(2, energy_relaxed=np.nan), alloy(3, energy_relaxed="low")]
    frames += [alloy(4, energy_relaxed=-2, id="pure Pd"), alloy(0, energy_relaxed=True)]
    ase.io.write(tmp_path / "a.extxyz", frames)
    with pytest.warns(UserWarning, match=r"4 files or entries could not be used; see `failures`"):
        data = read_training_data(tmp_path / "a.extxyz", energy="energy_relaxed")
    assert data.energies.tolist() == [-1.5, -2.0]
    assert data.names == ("a.extxyz#0", "a.extxyz#4")
    assert data.structures[0].info["name"] == "a.extxyz#0"
    assert data.structures[1].info["id"] == "pure Pd"
    assert "name" not in data.structures[1].info
    assert [failure.name for failure in data.failures] == [f"a.extxyz#{i}" for i in (1, 2, 3, 5)]
    assert "no 'energy_relaxed'" in data.failures[0].reason
    assert "not finite: nan" in data.failures[1].reason
    assert "no number: 'low'" in data.failures[2].reason
    text = data.summary()
    assert "2 structures of 4 to 4 atoms: Ag, Pd" in text
    assert "from -2 to -1.5" in text
    assert "not read: 4" in text
    assert "a.extxyz#2: its 'energy_relaxed' is not finite" in text


def test_without_any_energy_the_numbers_at_hand_are_named(tmp_path):
    ase.io.write(tmp_path / "a.extxyz", [alloy(0, energy_ideal=-1.0, volume=3.0), alloy(1, energy_relaxed=-2.0)])
    with pytest.raises(ValueError, match=r"none of the 2 .*has an energy;.*'energy_ideal', 'energy_relaxed', 'volume'"):
        read_training_data(tmp_path / "a.extxyz")
    with pytest.raises(ValueError, match=r"has an energy 'energy_final'; .*'energy_ideal'"):
        read_training_data(tmp_path / "a.extxyz", energy="energy_final")
    ase.io.write(tmp_path / "a.cif", alloy(0))
    with pytest.raises(ValueError, match=r"no numbers stand beside it.*CSV"):
        read_training_data(tmp_path / "a.cif")


def test_a_file_that_breaks_off_gives_the_frames_before(tmp_path):
    path = tmp_path / "a.extxyz"
    ase.io.write(path, alloys())
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:-2]), encoding="utf-8")
    with pytest.warns(UserWarning, match="1 files"):
        data = read_training_data(path)
    assert numbers_of_pd(data) == [0, 1, 2]
    assert "cannot be read" in data.failures[0].reason


def test_a_calculation_is_one_structure_with_its_last_step(tmp_path):
    for number, folder in enumerate(("b/2", "a", "c")):
        write_vasprun(tmp_path / folder / "vasprun.xml", [-1.0, -2.0 - number])
        write_outcar(tmp_path / folder / "OUTCAR", -9.0)
        ase.io.write(tmp_path / folder / "CONTCAR", alloy(0), format="vasp")
        ase.io.write(tmp_path / folder / "POSCAR", alloy(0), format="vasp")
        (tmp_path / folder / "vasp.out").write_text("running on 4 nodes\n", encoding="utf-8")
        (tmp_path / folder / "README.md").write_text("about this\n", encoding="utf-8")
        (tmp_path / folder / "INCAR").write_text("ENCUT = 520\n", encoding="utf-8")
    data = read_training_data(tmp_path)
    assert data.names == ("a", "b/2", "c")
    # The energy extrapolated to zero smearing of the last step, not the free energy.
    assert data.energies.tolist() == [-3.0, -2.0, -4.0]
    assert read_training_data(tmp_path, energy="free_energy").energies.tolist() == [-3.5, -2.5, -4.5]
    assert data.failures == ()
    assert len(data.structures[0]) == 1
    assert read_training_data(tmp_path / "a").names == ("a",)
    assert read_training_data(tmp_path / "a" / "vasprun.xml").energies.tolist() == [-3.0]
    several = read_training_data([tmp_path / "c", tmp_path / "a"])
    assert several.energies.tolist() == [-4.0, -3.0]
    assert several.names == ((tmp_path / "c").as_posix(), (tmp_path / "a").as_posix())


def test_of_a_calculation_the_next_file_is_tried(tmp_path):
    write_vasprun(tmp_path / "done" / "vasprun.xml", [-1.0])
    write_vasprun(tmp_path / "killed" / "vasprun.xml", [-1.0, -2.0], is_finished=False)
    write_outcar(tmp_path / "killed" / "OUTCAR", -2.5)
    (tmp_path / "killed" / "OUTCAR.gz").write_bytes(gzip.compress((tmp_path / "killed" / "OUTCAR").read_bytes()))
    (tmp_path / "killed" / "OUTCAR").unlink()
    with pytest.warns(UserWarning, match="1 files"):
        data = read_training_data(tmp_path)
    assert data.names == ("done", "killed")
    assert data.energies.tolist() == [-1.0, -2.5]
    assert data.failures[0].name == "killed/vasprun.xml"
    assert "breaks off before </modeling>" in data.failures[0].reason
    assert "OUTCAR.gz is tried instead" in data.failures[0].reason


def test_a_folder_is_searched_in_order_and_a_broken_file_is_named(tmp_path):
    (tmp_path / "z").mkdir()
    (tmp_path / ".hidden").mkdir()
    ase.io.write(tmp_path / "z" / "b.extxyz", alloys()[:2])
    (tmp_path / "z" / "c.extxyz.bz2").write_bytes(bz2.compress((tmp_path / "z" / "b.extxyz").read_bytes()))
    ase.io.write(tmp_path / "y.traj", [alloy(3, -1.0), alloy(3, -7.0)])
    ase.io.write(tmp_path / ".hidden" / "a.extxyz", alloys())
    ase.io.write(tmp_path / "a.cif", alloy(2))
    # What macOS leaves beside a file on other disks.
    (tmp_path / "._y.traj").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "broken.cif").write_text("data_a\n_cell_length_a\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a structure\n", encoding="utf-8")
    (tmp_path / "settings.json").write_text('{"cutoff": 520}', encoding="utf-8")
    with pytest.warns(UserWarning, match="3 files"):
        data = read_training_data(tmp_path)
    assert data.names == ("y.traj", "z/b.extxyz#0", "z/b.extxyz#1", "z/c.extxyz.bz2#0", "z/c.extxyz.bz2#1")
    # Of a trajectory found in a folder, the last step.
    assert data.energies[0] == -7.0
    assert [failure.name for failure in data.failures] == ["a.cif", "broken.cif", "settings.json"]
    assert "has no energy" in data.failures[0].reason
    assert "cannot be read" in data.failures[1].reason
    assert "neither an ASE database nor" in data.failures[2].reason
    assert read_training_data(tmp_path, pattern="*.traj").names == ("y.traj",)
    assert read_training_data(tmp_path, pattern="z/*.extxyz").names == ("z/b.extxyz#0", "z/b.extxyz#1")
    with pytest.raises(ValueError, match="the file must match"):
        read_training_data(tmp_path, pattern="*.vasp")


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    content = pickle.dumps(Bomb())
    for name in ("a.pkl", "a.pickle", "a.traj", "a.json", "a.pkl.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        with pytest.raises(ValueError, match="is a pickle"):
            read_training_data(path)
    ase.io.write(tmp_path / "b.extxyz", alloys())
    with pytest.warns(UserWarning, match="5 files"):
        data = read_training_data(tmp_path)
    assert len(data) == 4
    assert all("is a pickle" in failure.reason for failure in data.failures)


def test_a_database_of_something_else_is_left_as_it_is(tmp_path):
    path = tmp_path / "thumbs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE pictures (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="it is no ASE database"):
        read_training_data(path)
    assert path.read_bytes() == before


def test_bad_paths_and_keywords_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no file or folder is called"):
        read_training_data(tmp_path / "nowhere.db")
    with pytest.raises(ValueError, match="no file to read"):
        read_training_data(tmp_path)
    with pytest.raises(ValueError, match="empty list"):
        read_training_data([])
    path = tmp_path / "a.extxyz"
    ase.io.write(path, alloys())
    with pytest.raises(ValueError, match=r"names .* twice"):
        read_training_data([path, tmp_path / "." / "a.extxyz"])
    with pytest.raises(ValueError, match="were read twice"):
        read_training_data([tmp_path, path])
    with pytest.raises(ValueError, match="`pattern` goes with a folder"):
        read_training_data(path, pattern="*.xyz")
    with pytest.raises(ValueError, match="`structures` and `index` go with a table"):
        read_training_data(path, structures=path)
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(ValueError, match=r"no structure could be read(.|\n)*empty\.extxyz"):
        read_training_data(tmp_path / "empty.extxyz")
    pd.DataFrame({"energy": ENERGIES}).to_csv(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="a table is read alone"):
        read_training_data([path, tmp_path / "a.csv"])


def test_rows_of_a_table_are_places_in_a_file(tmp_path):
    for name in ("all.json", "all.db", "all.extxyz"):
        ase.io.write(tmp_path / name, alloys(), append=False)
    table = pd.DataFrame({"place": [3, 1, 0], "final": ["-1.5", "-2.1234567890123457", "nan"]})
    table.to_csv(tmp_path / "some.csv", index=False)
    for name in ("all.json", "all.db", "all.extxyz"):
        with pytest.warns(UserWarning, match="1 files"):
            data = read_training_data(tmp_path / "some.csv", energy="final", structures=tmp_path / name, index="place")
        assert numbers_of_pd(data) == [3, 1]
        # What the table says, not the file of the structures.
        assert data.energies.tolist() == [-1.5, -2.1234567890123457]
        assert data.failures[0].name == ("all.extxyz#0" if name == "all.extxyz" else f"{name}#id=1")
        with pytest.raises(ValueError, match=r"3 rows, but .* has 4 structures.*`index`"):
            read_training_data(tmp_path / "some.csv", energy="final", structures=tmp_path / name)
    # The order of the rows.
    pd.DataFrame({"energy": ENERGIES}).to_csv(tmp_path / "plain.csv", index=False)
    data = read_training_data(tmp_path / "plain.csv", structures=tmp_path / "all.db")
    assert numbers_of_pd(data) == [0, 1, 2, 3]
    np.testing.assert_array_equal(data.energies, ENERGIES)
    # The index that pandas writes.
    pd.DataFrame({"energy": ENERGIES})[::-1].to_csv(tmp_path / "turned.csv")
    data = read_training_data(tmp_path / "turned.csv", structures=tmp_path / "all.db")
    assert numbers_of_pd(data) == [3, 2, 1, 0]
    np.testing.assert_array_equal(data.energies, ENERGIES[::-1])


def test_rows_that_name_no_place_or_one_twice_fail(tmp_path):
    ase.io.write(tmp_path / "all.db", alloys())
    lines = ["place,energy", "0,-1", "4,-2", "-1,-3", "0,-4", "first,-5", "1.5,-6", ",-7", "2,low", "3,"]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.warns(UserWarning, match="8 files"):
        data = read_training_data(tmp_path / "a.csv", structures=tmp_path / "all.db", index="place")
    assert data.energies.tolist() == [-1.0]
    assert [failure.name for failure in data.failures] == [f"a.csv#{row}" for row in range(1, 7)] + [
        "all.db#id=3",
        "all.db#id=4",
    ]
    assert "no place among the 4 structures" in data.failures[0].reason
    assert "same structure as a.csv#0" in data.failures[2].reason
    assert "no number: 'low'" in data.failures[6].reason
    assert "not finite" in data.failures[7].reason
    with pytest.raises(ValueError, match=r"no column 'total'.*'place', 'energy'.*`energy`"):
        read_training_data(tmp_path / "a.csv", energy="total", structures=tmp_path / "all.db")
    with pytest.raises(ValueError, match=r"no column 'row'.*`index`"):
        read_training_data(tmp_path / "a.csv", structures=tmp_path / "all.db", index="row")


def test_rows_of_a_table_name_files_or_folders(tmp_path):
    folder = tmp_path / "relaxed"
    folder.mkdir()
    ase.io.write(folder / "0.vasp", alloy(0), format="vasp")
    ase.io.write(folder / "1.cif", alloy(1))
    (folder / "007").mkdir()
    ase.io.write(folder / "007" / "CONTCAR", alloy(3), format="vasp")
    ase.io.write(folder / "many.extxyz", alloys())
    rows = [("0.vasp", -1.0), ("1.cif", -2.0), ("007", -3.0), ("many.extxyz", -4.0), ("lost.cif", -5.0), ("0.vasp", -6)]
    pd.DataFrame(rows, columns=["calculation", "energy"]).to_csv(tmp_path / "a.csv")
    with pytest.warns(UserWarning, match="3 files"):
        data = read_training_data(tmp_path / "a.csv", structures=folder)
    assert data.names == ("0.vasp", "1.cif", "007")
    assert numbers_of_pd(data) == [0, 1, 3]
    assert data.energies.tolist() == [-1.0, -2.0, -3.0]
    reasons = {failure.name: failure.reason for failure in data.failures}
    assert "4 structures of this file" in reasons["many.extxyz"]
    assert "lost.cif, which is no file" in reasons["a.csv#4"]
    assert "same structure as a.csv#0" in reasons["a.csv#5"]
    # Names of digits are no numbers.
    pd.DataFrame({"energy": [-3.0], "calculation": ["007"]}).to_csv(tmp_path / "digits.csv", index=False)
    assert read_training_data(tmp_path / "digits.csv", structures=folder).names == ("007",)
    # Relative to the table, and with tabs.
    beside = pd.DataFrame({"energy": [-2.0], "path": ["relaxed/1.cif"], "initial": ["relaxed/0.vasp"]})
    beside.to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    assert numbers_of_pd(read_training_data(tmp_path / "b.tsv", index="path")) == [1]
    with pytest.raises(ValueError, match=r"\['path', 'initial'\] all hold names of files.*`index`"):
        read_training_data(tmp_path / "b.tsv")
    with pytest.raises(ValueError, match="no column holds names of files"):
        read_training_data(tmp_path / "a.csv")


def entry(energy, *, charge=3, **more):
    structure = {
        "lattice": {"matrix": (4 * np.eye(3)).tolist()},
        "sites": [
            {"species": [{"element": "Mn", "oxidation_state": charge, "occu": 1}], "abc": [0, 0, 0]},
            {"species": [{"element": "O", "oxidation_state": -2, "occu": 1}], "abc": [0.5, 0.5, 0.5]},
        ],
    }
    return {"@class": "ComputedStructureEntry", "structure": structure, "energy": energy, **more}


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_entries_of_pymatgen_are_read(tmp_path):
    entries = [
        entry(-10.0, correction=-0.5, entry_id="mp-1", data={"energy_ideal": -9.0}),
        entry(-11.0, correction=0.0, charge=4, entry_id=None, data={"energy_ideal": -9.5}),
    ]
    for content in (entries, {"entries": entries}):
        data = read_training_data(write_json(tmp_path / "a.json", content))
        assert data.energies.tolist() == [-10.5, -11.0]
        assert [atoms.arrays["species"].tolist() for atoms in data.structures] == [["Mn3+", "O2-"], ["Mn4+", "O2-"]]
        assert data.structures[0].info == {"id": "mp-1"}
        assert data.structures[1].info == {"name": "a.json#1"}
    path = tmp_path / "a.json"
    assert read_training_data(path, energy="energy").energies.tolist() == [-10.5, -11.0]
    assert read_training_data(path, energy="uncorrected_energy").energies.tolist() == [-10.0, -11.0]
    assert read_training_data(path, energy="energy_ideal").energies.tolist() == [-9.0, -9.5]
    single = read_training_data(write_json(tmp_path / "one.json", entries[0]))
    assert single.energies.tolist() == [-10.5]
    assert single.names == ("one.json",)


def test_bare_structures_of_pymatgen_have_their_energy_beside_them(tmp_path):
    structures = [entry(0)["structure"] | {place: {"energy": -7.25}} for place in ("properties", "data")]
    assert read_training_data(write_json(tmp_path / "a.json", structures)).energies.tolist() == [-7.25, -7.25]


def test_entries_that_give_no_energy_fail_by_name(tmp_path):
    disordered = entry(-1.0)
    disordered["structure"]["sites"][0]["species"] = [{"element": "Mn", "occu": 0.5}, {"element": "Ni", "occu": 0.5}]
    broken = entry(-1.0)
    del broken["structure"]["lattice"]["matrix"]
    adjusted = entry(-1.0, energy_adjustments=[{"value": -0.5}])
    entries = [entry(-3.0), disordered, entry(float("nan")), broken, entry(None), {"energy": -1.0}, adjusted]
    with pytest.warns(UserWarning, match="6 files"):
        data = read_training_data(write_json(tmp_path / "a.json", entries))
    assert data.energies.tolist() == [-3.0]
    reasons = [failure.reason for failure in data.failures]
    assert [failure.name for failure in data.failures] == [f"a.json#{i}" for i in range(1, 7)]
    for reason, part in zip(
        reasons,
        ["site 0 is disordered", "not finite", "lacks 'matrix'", "no energy", "no entry", 'no "correction"'],
        strict=True,
    ):
        assert part in reason


def test_a_copy_of_a_file_under_another_path_is_another_structure(tmp_path):
    (tmp_path / "b").mkdir()
    ase.io.write(tmp_path / "a.extxyz", alloy(1, -1.0))
    shutil.copy(tmp_path / "a.extxyz", tmp_path / "b" / "a.extxyz")
    data = read_training_data([tmp_path / "a.extxyz", tmp_path / "b" / "a.extxyz"])
    assert len(set(data.names)) == 2


POSCAR_OF_A_BILLION = "c\n1\n9 0 0\n0 9 0\n0 0 9\nCu\n1_000_000_000\nDirect\n0 0 0\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", "999999999999\nProperties=species:S:1:pos:R:3 energy=1\nCu 0 0 0\n"),
        ("later.xyz", "1\nProperties=species:S:1:pos:R:3 energy=1\nCu 0 0 0\n999999999999\n\nCu 0 0 0\n"),
        ("columns.xyz", "1\nProperties=species:S:1:pos:R:3:a:R:999999999 energy=1\nCu 0 0 0\n"),
        ("POSCAR", POSCAR_OF_A_BILLION),
        ("POSCAR", POSCAR_OF_A_BILLION.replace("Cu\n", "", 1)),
    ],
    ids=["extxyz", "second frame", "columns", "poscar", "poscar of VASP 4"],
)
def test_a_count_without_its_atoms_is_refused_in_a_moment(tmp_path, name, text):
    """Fault: ASE reads on for hours, or fills the memory."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="claims to hold"):
        read_training_data(tmp_path / name)


def test_a_packed_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(structure_files, "_LARGEST_UNPACKED", 1000)
    (tmp_path / "bomb.xyz.gz").write_bytes(gzip.compress(b"1\n" * 10_000))
    with pytest.raises(ValueError, match="unpacks to more than 1000 bytes"):
        read_training_data(tmp_path / "bomb.xyz.gz")
