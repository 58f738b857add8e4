import json
import pathlib

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import jaxce
from jaxce.lattice.structures import map_structure, map_structures, occupancy_from_ase, occupancy_to_ase

DATA = pathlib.Path(__file__).parents[1] / "data" / "structures"
A = 3.905
PEROVSKITE = jaxce.Prim(
    A * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3],
    sublattice_names=["A", "B", "O"],
)
SUPERCELL = jaxce.Supercell(PEROVSKITE, [[2, 0, 0], [0, 2, 1], [0, 0, 2]])
COMPOSITION = {"Sr": 5, "La": 3, "Ti": 6, "Fe": 2, "O": 21, "X": 3}


@pytest.fixture(scope="module")
def occupancy():
    """A random arrangement in `SUPERCELL`."""
    rng = np.random.default_rng(0)
    groups = [([0] * 5 + [1] * 3), ([0] * 6 + [1] * 2), ([0] * 21 + [1] * 3)]
    return np.concatenate([rng.permutation(codes) for codes in groups])


def rattled(atoms, size, seed=1):
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).uniform(-size, size, moved.positions.shape)
    return moved


def test_an_ideal_structure_comes_back_in_any_order_and_any_cell(occupancy):
    atoms = occupancy_to_ase(SUPERCELL, occupancy)
    order = np.random.default_rng(2).permutation(len(atoms))
    shuffled = atoms[order]
    shifts = np.random.default_rng(3).integers(-2, 3, size=(len(atoms), 3))
    shuffled.positions += shifts @ np.array(atoms.cell)
    mapping = map_structure(PEROVSKITE, shuffled)
    assert mapping.supercell.transformation.tolist() == SUPERCELL.transformation.tolist()
    np.testing.assert_array_equal(mapping.occupancy, occupancy)
    np.testing.assert_allclose(mapping.displacements, 0, atol=1e-10)
    np.testing.assert_allclose(mapping.strain, 0, atol=1e-10)
    assert mapping.ambiguous == ()
    # The way back: the atom of each site has the site's species.
    on_site = mapping.atom_of_site
    names = np.array([names[c] for names, c in zip(SUPERCELL.species, occupancy, strict=True)])
    np.testing.assert_array_equal(np.array(shuffled.get_chemical_symbols())[on_site[on_site >= 0]], names[on_site >= 0])
    assert np.all(names[on_site < 0] == "X")


def test_explicit_vacancies_are_atoms_without_an_element(occupancy):
    atoms = occupancy_to_ase(SUPERCELL, occupancy, keep_vacancies=True)
    assert len(atoms) == 40
    assert atoms.get_chemical_symbols().count("X") == 3
    np.testing.assert_array_equal(occupancy_from_ase(SUPERCELL, atoms[::-1]), occupancy)


def test_strain_rotation_shift_and_displacements_are_told_apart(occupancy):
    ideal = occupancy_to_ase(SUPERCELL, occupancy)
    atoms = rattled(ideal, 0.2)
    strain = np.array([[0.03, 0.01, 0.0], [0.01, -0.02, 0.02], [0.0, 0.02, 0.05]])
    rotation = Rotation.from_euler("xyz", [40, 70, -20], degrees=True).as_matrix()
    atoms.set_cell(np.array(atoms.cell) @ (np.eye(3) + strain) @ rotation, scale_atoms=True)
    atoms.positions += [0.4, -0.3, 0.2]
    mapping = map_structure(PEROVSKITE, atoms, SUPERCELL)
    np.testing.assert_array_equal(mapping.occupancy, occupancy)
    np.testing.assert_allclose(mapping.strain, strain, atol=1e-10)
    np.testing.assert_allclose(mapping.rotation, rotation, atol=1e-10)
    np.testing.assert_allclose(np.mean(mapping.displacements, axis=0), 0, atol=1e-3)
    given = rattled(ideal, 0.2).positions - ideal.positions
    np.testing.assert_allclose(mapping.displacements, given - given.mean(axis=0), atol=1e-3)
    text = mapping.report()
    assert "3 sites without an atom" in text
    assert "principal strains" in text


def test_a_left_handed_cell_and_a_swapped_one_are_the_same_crystal(occupancy):
    atoms = occupancy_to_ase(SUPERCELL, occupancy)
    space = jaxce.ClusterSpace(PEROVSKITE, {2: 4.0})
    vectors = []
    for cell in (atoms.cell, atoms.cell[[1, 0, 2]], -np.array(atoms.cell), atoms.cell[[2, 0, 1]]):
        other = atoms.copy()
        other.set_cell(cell)
        mapping = map_structure(PEROVSKITE, other)
        assert np.linalg.det(mapping.supercell.transformation) > 0
        vectors.append(jaxce.correlations(jaxce.build_tables(space, mapping.supercell), mapping.occupancy))
    np.testing.assert_allclose(vectors, np.tile(vectors[0], (4, 1)), atol=1e-12)


def test_a_conventional_cell_is_found_for_a_primitive_prim():
    prim = jaxce.Prim(ase.build.bulk("Fe", "bcc", a=2.87).cell, [[0, 0, 0]], [["Fe", "Cr"]])
    atoms = ase.build.bulk("Fe", "bcc", a=2.9, cubic=True) * (2, 1, 3)
    atoms.symbols[[1, 4]] = "Cr"
    mapping = map_structure(prim, atoms)
    assert mapping.supercell.num_prims == 12
    assert mapping.occupancy.sum() == 2
    np.testing.assert_allclose(mapping.strain, (2.9 / 2.87 - 1) * np.eye(3), atol=1e-12)


def test_relaxed_perovskites_are_mapped_without_knowing_the_supercell():
    reference = json.loads((DATA / "slfo_occupancies.json").read_text(encoding="utf-8"))
    structures = {atoms.info["id"]: atoms for atoms in jaxce.datasets.load_perovskite().structures}
    for frame in reference["frames"]:
        mapping = map_structure(PEROVSKITE, structures[frame["id"]])
        cell = reference["supercells"][frame["cell_name"]]
        assert mapping.supercell.transformation.tolist() == cell["supercell"]
        inverse = np.linalg.inv(mapping.supercell.lattice)
        apart = (mapping.supercell.cart_coords @ inverse)[:, None] - np.array(cell["frac"])
        row = np.linalg.norm(apart - np.round(apart), axis=-1).argmin(axis=1)
        expected = np.array(frame["occupancy"].split())[row]
        names = [n[c] for n, c in zip(mapping.supercell.species, mapping.occupancy, strict=True)]
        assert names == expected.tolist(), frame["id"]


def test_oxidation_states_tell_species_apart_and_failures_are_named():
    content = json.loads((DATA / "lno.json").read_text(encoding="utf-8"))
    prim = jaxce.Prim(**content["prim"])
    structures = []
    for entry in content["structures"]:
        symbols = [label.rstrip("0123456789+-") for label in entry["species"]]
        atoms = ase.Atoms(symbols, scaled_positions=entry["frac_coords"], cell=entry["lattice"], pbc=True)
        atoms.set_array("species", np.array(entry["species"]))
        atoms.info["name"] = f"lno-{entry['index']}"
        structures.append(atoms)
    mapped = map_structures(prim, structures)
    # 0: five formula units in a volume and cell that no supercell of the prim has; 15 holds Ni2+.
    assert [failure.name for failure in mapped.failures] == ["lno-0", "lno-15"]
    assert [failure.index for failure in mapped.failures] == [0, 5]
    assert "Ni2+" in mapped.failures[1].reason
    for mapping, entry in zip(mapped.mappings, content["structures"], strict=True):
        if mapping is not None:
            names = [mapping.supercell.species[s][mapping.occupancy[s]] for s in mapping.site_of_atom]
            assert names == entry["species"]
    bare = structures[1].copy()
    del bare.arrays["species"]
    with pytest.raises(ValueError, match=r'may be any of .*"species"'):
        map_structure(prim, bare)
    atoms = occupancy_to_ase(mapped.mappings[1].supercell, mapped.mappings[1].occupancy)
    assert sorted(set(atoms.arrays["species"])) == sorted(set(content["structures"][1]["species"]))
    np.testing.assert_array_equal(occupancy_from_ase(mapped.mappings[1].supercell, atoms), mapped.mappings[1].occupancy)


def test_an_atom_halfway_to_a_vacancy_is_in_doubt(occupancy):
    atoms = occupancy_to_ase(SUPERCELL, occupancy)
    mapping = map_structure(PEROVSKITE, atoms)
    vacancy = int(np.flatnonzero(mapping.atom_of_site < 0)[0])
    oxygens = [i for i, symbol in enumerate(atoms.symbols) if symbol == "O"]
    away = ase.geometry.get_distances(
        atoms.positions[oxygens], SUPERCELL.cart_coords[[vacancy]], cell=atoms.cell, pbc=True
    )
    nearest = int(np.argmin(away[1][:, 0]))
    atoms.positions[oxygens[nearest]] += 0.47 * away[0][nearest, 0]
    mapping = map_structure(PEROVSKITE, atoms, SUPERCELL)
    assert mapping.ambiguous == (oxygens[nearest],)
    assert "in doubt" in mapping.report()


def test_files_of_other_programs_go_through_ase(tmp_path, occupancy):
    atoms = occupancy_to_ase(SUPERCELL, occupancy)
    for name, keywords in (("POSCAR", {"format": "vasp", "sort": True}), ("a.cif", {}), ("a.extxyz", {})):
        ase.io.write(tmp_path / name, atoms, **keywords)
        again = ase.io.read(tmp_path / name)
        mapping = map_structure(PEROVSKITE, again, max_displacement=0.01)
        assert sorted(mapping.occupancy) == sorted(occupancy)
        if name == "POSCAR":
            np.testing.assert_array_equal(mapping.occupancy, occupancy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.symbols.__setitem__(0, "Ca"), r"species \['Ca'\] \(atoms \[\[0\]\]\).*prim knows"),
        (lambda atoms: atoms.symbols.__setitem__(0, "Ti"), r"atom 0 \(Ti\) near site 0 \(Sr/La\)"),
        (lambda atoms: atoms.__delitem__([0]), "must be a multiple"),
        (lambda atoms: atoms.__delitem__([0, 9]), "have no atom and cannot be vacant|not a supercell"),
        (lambda atoms: atoms.set_cell(np.array(atoms.cell) * [1, 1, 1.9]), "not a supercell"),
        (lambda atoms: atoms.positions.__setitem__(20, atoms.positions[20] + [1.2, 0.8, 0.9]), "atom 20 .O.: "),
        (lambda atoms: atoms.positions.__setitem__(20, atoms.positions[21] + 0.1), "two atoms claim|claim site"),
        (lambda atoms: atoms.set_pbc(False), "must be periodic"),
    ],
)
def test_structures_that_do_not_fit_are_refused(occupancy, change, message):
    atoms = occupancy_to_ase(SUPERCELL, occupancy)
    change(atoms)
    with pytest.raises(ValueError, match=message):
        map_structure(PEROVSKITE, atoms)


def test_a_structure_of_another_supercell_is_refused(occupancy):
    atoms = occupancy_to_ase(SUPERCELL, occupancy)
    with pytest.raises(ValueError, match=r"is not Supercell|do not fit|cannot be vacant"):
        map_structure(PEROVSKITE, atoms, jaxce.Supercell(PEROVSKITE, 2))
    with pytest.raises(ValueError, match="another prim"):
        map_structure(PEROVSKITE, atoms, jaxce.Supercell(jaxce.Prim(np.eye(3), [[0, 0, 0]], [["Sr", "La"]]), 2))


def test_occupancies_that_do_not_fit_are_refused(occupancy):
    with pytest.raises(ValueError, match="40 integers"):
        occupancy_to_ase(SUPERCELL, occupancy[:-1])
    with pytest.raises(ValueError, match="one at a time"):
        occupancy_to_ase(SUPERCELL, np.stack([occupancy, occupancy]))
    with pytest.raises(ValueError, match=r"sites \[3\]"):
        occupancy_to_ase(SUPERCELL, np.where(np.arange(40) == 3, 2, occupancy))
    alphabet = jaxce.Supercell(jaxce.Prim(np.eye(3), [[0, 0, 0]], [["A", "B"]]), 1)
    with pytest.raises(ValueError, match="no chemical elements"):
        occupancy_to_ase(alphabet, [0])
