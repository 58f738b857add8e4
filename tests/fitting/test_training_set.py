"""Structures and energies: units, weights, rejects, and structures that are there twice."""

import warnings

import ase
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import jaxce
from helpers import random_occupancies
from jaxce.fitting.training_set import TrainingSet

# Strontium holds the lattice, the other two sites are lithium or manganese, and oxygen or a vacancy.
PRIM = jaxce.Prim(
    4 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0.5]],
    [["Sr"], ["Li", "Mn"], ["O", "X"]],
)
CELLS = [1, [2, 1, 1], [[1, 1, 0], [0, 1, 0], [0, 0, 2]], [2, 2, 1]]


def atoms_of(cell, occupancy, **info):
    atoms = jaxce.occupancy_to_ase(jaxce.Supercell(PRIM, cell), np.array(occupancy))
    atoms.info.update(info)
    return atoms


@pytest.fixture(scope="module")
def structures():
    """Eight structures; the later supercells are larger."""
    pairs = [(jaxce.Supercell(PRIM, cell), seed) for seed, cell in enumerate(CELLS)]
    return [jaxce.occupancy_to_ase(cell, row) for cell, seed in pairs for row in random_occupancies(cell, 2, seed)]


def test_energies_per_structure_atom_and_prim_are_the_same_energies(structures):
    prims = np.array([1, 1, 2, 2, 2, 2, 4, 4])
    # Vacancies are no atoms: Sr and one of Li/Mn for each prim, and some oxygen.
    atoms = np.array([sum(symbol != "X" for symbol in s.get_chemical_symbols()) for s in structures])
    assert not np.array_equal(atoms, 3 * prims)
    totals = prims * np.random.default_rng(0).normal(size=8)
    for unit, energies in (("structure", totals), ("atom", totals / atoms), ("prim", totals / prims)):
        data = jaxce.map_training_data(PRIM, structures, energies, energies_per=unit)
        np.testing.assert_allclose(data.energies_per_prim, totals / prims, rtol=1e-14)
        assert data.num_prims.tolist() == prims.tolist()
        assert data.num_atoms.tolist() == atoms.tolist()
        assert data.weights is None
        assert data.failures == ()
    explicit = atoms_of([2, 1, 1], [0, 0, 0, 1, 1, 0])
    explicit += ase.Atoms("X", [[2.0, 0, 2.0]])
    data = jaxce.map_training_data(PRIM, [explicit], [-3.5], energies_per="atom")
    assert data.num_atoms.tolist() == [5]
    np.testing.assert_allclose(data.energies_per_prim, -3.5 * 5 / 2)


def test_energies_given_in_other_containers(structures):
    energies = np.arange(8.0)
    for given in (energies.tolist(), tuple(energies), energies.astype(np.float32), [int(e) for e in energies]):
        data = jaxce.map_training_data(PRIM, structures, given)
        np.testing.assert_allclose(data.energies_per_prim * data.num_prims, energies)


def test_missing_energies_and_weights_are_named(structures):
    energies = list(np.arange(8.0))
    with pytest.raises(ValueError, match=r"`energies` of structures \[2, 5\] are missing"):
        jaxce.map_training_data(PRIM, structures, [None if i in (2, 5) else e for i, e in enumerate(energies)])
    with pytest.raises(ValueError, match=r"`energies` must be finite, but those of structures \[3\]"):
        jaxce.map_training_data(PRIM, structures, [np.nan if i == 3 else e for i, e in enumerate(energies)])
    with pytest.raises(ValueError, match=r"`energies` must be finite, but those of structures \[0, 7\]"):
        jaxce.map_training_data(PRIM, structures, [np.inf, *energies[1:7], -np.inf])
    with pytest.raises(ValueError, match=r"`energies` must be finite, but those of structures \[1\]"):
        jaxce.map_training_data(PRIM, structures, np.array([0, None, *energies[2:]], dtype=object))
    with pytest.raises(ValueError, match=r"`weights` of structures \[0\] are missing"):
        jaxce.map_training_data(PRIM, structures, energies, weights=[None, *energies[1:]])
    with pytest.raises(ValueError, match=r"`weights` must be finite, but those of structures \[4\]"):
        jaxce.map_training_data(PRIM, structures, energies, weights=[1, 1, 1, 1, np.nan, 1, 1, 1])


def test_bad_arguments_are_refused(structures):
    energies = np.arange(8.0)
    with pytest.raises(ValueError, match=r"one number for each of the 8 structures, but has shape \(7,\)"):
        jaxce.map_training_data(PRIM, structures, energies[:-1])
    with pytest.raises(ValueError, match=r"has shape \(8, 1\)"):
        jaxce.map_training_data(PRIM, structures, energies[:, None])
    with pytest.raises(ValueError, match="must not be negative"):
        jaxce.map_training_data(PRIM, structures, energies, weights=energies - 1)
    with pytest.raises(ValueError, match="at least one must be positive"):
        jaxce.map_training_data(PRIM, structures, energies, weights=np.zeros(8))
    with pytest.raises(ValueError, match="there are no structures"):
        jaxce.map_training_data(PRIM, [], [])
    with pytest.raises(ValueError, match="`supercells` needs one supercell for each of the 8 structures, but has 1"):
        jaxce.map_training_data(PRIM, structures, energies, supercells=[jaxce.Supercell(PRIM, 1)])
    # Its type is checked under test before its value is.
    with pytest.raises(Exception, match="energies_per"):
        jaxce.map_training_data(PRIM, structures, energies, energies_per="formula")


def test_weights_are_divided_by_their_mean_over_the_structures_that_are_used(structures):
    alien = ase.Atoms("Cu", cell=[3, 3, 3], pbc=True)
    with pytest.warns(UserWarning, match="1 of 9 structures could not be mapped"):
        data = jaxce.map_training_data(
            PRIM, [alien, *structures], np.arange(9.0), weights=[100, 1, 2, 1, 2, 1, 2, 1, 2]
        )
    np.testing.assert_allclose(data.weights, np.tile([2 / 3, 4 / 3], 4))
    with (
        pytest.warns(UserWarning, match="1 of 9"),
        pytest.raises(ValueError, match="all structures that could be mapped have weight 0"),
    ):
        jaxce.map_training_data(PRIM, [alien, *structures], np.arange(9.0), weights=[1.0] + [0.0] * 8)


def test_structures_of_another_crystal_are_listed_or_refused(structures):
    alien = ase.Atoms("CuAu", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[3, 3, 3], pbc=True)
    alien.info["name"] = "copper gold"
    with pytest.warns(UserWarning, match="2 of 10 structures could not be mapped; see `failures`"):
        data = jaxce.map_training_data(PRIM, [structures[0], alien, *structures[1:], alien], np.arange(10.0))
    assert [(failure.index, failure.name) for failure in data.failures] == [(1, "copper gold"), (9, "copper gold")]
    assert data.indices.tolist() == [0, *range(2, 9)]
    np.testing.assert_allclose(data.energies_per_prim * data.num_prims, data.indices)
    assert "left out: structure 9 (copper gold): " in data.summary()
    with pytest.raises(ValueError, match=r"none of the 2 structures lies on Prim\(3 sites.*another crystal") as error:
        jaxce.map_training_data(PRIM, [alien, alien], [0.0, 1.0])
    assert "structure 1 (copper gold)" in str(error.value)


def test_known_supercells_are_used(structures):
    known = [jaxce.Supercell(PRIM, cell) for cell in CELLS for _ in range(2)]
    data = jaxce.map_training_data(PRIM, structures, np.arange(8.0), supercells=known)
    assert all(mapping.supercell is cell for mapping, cell in zip(data.mappings, known, strict=True))


def equivalent_structures():
    """Four writings of one structure, two of another, and one that is alone."""
    one = [0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0]
    supercell = jaxce.Supercell(PRIM, [2, 2, 1])
    first = jaxce.occupancy_to_ase(supercell, np.array(one) * (supercell.prim_sites > 0))
    turned = first.copy()
    turned.rotate(90, "y", rotate_cell=True)
    shifted = first.copy()
    shifted.translate([4.0, 0, 0])
    doubled = first.repeat((1, 1, 2))
    other = atoms_of([2, 1, 1], [0, 0, 0, 1, 0, 1], id="other")
    other_again = atoms_of([1, 1, 2], [0, 0, 1, 0, 1, 0], id="other again")
    alone = atoms_of(1, [0, 0, 0], id="alone")
    for atoms, name in ((first, "first"), (turned, "turned"), (shifted, "shifted"), (doubled, "doubled")):
        atoms.info["id"] = name
    return [first, other, turned, shifted, alone, doubled, other_again], np.array([4, 2, 4, 4, 1, 8, 2])


def test_duplicates_are_found_across_supercells_and_orientations():
    structures, prims = equivalent_structures()
    energies = np.array([-1.0, -2.0, -1.0, -1.0005, -3.0, -1.0, -2.5])
    data = jaxce.map_training_data(PRIM, structures, energies, energies_per="prim")
    assert data.num_prims.tolist() == prims.tolist()
    assert data.equivalence_classes.tolist() == [0, 1, 0, 0, 4, 0, 1]
    assert [rows.tolist() for rows in data.duplicates()] == [[0, 2, 3, 5], [1, 6]]
    # Half a meV is the noise of such calculations; half an eV is not.
    assert [rows.tolist() for rows in data.conflicts()] == [[1, 6]]
    assert [rows.tolist() for rows in data.conflicts(1e-4)] == [[0, 2, 3, 5], [1, 6]]
    assert data.conflicts(0.6) == []
    text = data.summary()
    assert "are equivalent (energies within 0.500 meV per prim): first, turned, shifted, doubled" in text
    assert "contradict each other (energies within 500.000 meV per prim): other, other again" in text
    assert "alone" not in text


def test_equivalent_structures_stay_in_one_fold():
    structures, _ = equivalent_structures()
    space = jaxce.ClusterSpace(PRIM, {2: 4.1})
    data = jaxce.map_training_data(PRIM, structures, np.arange(7.0), energies_per="prim")
    result = jaxce.fit_training_set(space, data, Ridge(alpha=0.1), cv=3)
    # Three classes in three folds: each is predicted by the other two.
    for number in (0, 1, 4):
        is_own = data.equivalence_classes == number
        other = Ridge(alpha=0.1).fit(result.matrix[~is_own], data.energies_per_prim[~is_own])
        np.testing.assert_allclose(result.cv_predictions[is_own], other.predict(result.matrix[is_own]), atol=1e-10)


def test_rows_are_chosen_with_all_that_belongs_to_them():
    structures, _ = equivalent_structures()
    data = jaxce.map_training_data(PRIM, structures, np.arange(7.0), weights=np.arange(1, 8))
    chosen = data.rows([6, 0, 2])
    assert isinstance(chosen, TrainingSet)
    assert len(chosen) == 3
    assert chosen.names == ("other again", "first", "turned")
    assert chosen.mappings == tuple(data.mappings[row] for row in (6, 0, 2))
    assert chosen.indices.tolist() == [6, 0, 2]
    np.testing.assert_array_equal(chosen.energies_per_prim, data.energies_per_prim[[6, 0, 2]])
    np.testing.assert_array_equal(chosen.weights, data.weights[[6, 0, 2]])
    assert [rows.tolist() for rows in chosen.duplicates()] == [[1, 2]]
    assert data.rows(np.arange(7) < 2).names == ("first", "other")


def test_table_says_how_far_atoms_moved():
    atoms = atoms_of([2, 1, 1], [0, 0, 0, 1, 0, 0])
    displacements = np.zeros((6, 3))
    displacements[2:4] = [[0.1, 0, 0], [-0.1, 0, 0]]
    atoms.positions += displacements
    atoms.set_cell(atoms.cell * [1.01, 1.0, 1.0], scale_atoms=True)
    (row,) = jaxce.map_training_data(PRIM, [atoms], [-4.0]).to_dataframe().to_dict("records")
    assert row["name"] == f"0 ({atoms.get_chemical_formula()})"
    assert (row["index"], row["num_prims"], row["num_atoms"], row["energy_per_prim"]) == (0, 2, 6, -2.0)
    np.testing.assert_allclose(row["largest_strain"], 0.01, atol=1e-9)
    np.testing.assert_allclose(row["volume_change"], 0.01, atol=1e-9)
    np.testing.assert_allclose(row["largest_displacement"], 0.1, atol=1e-9)
    np.testing.assert_allclose(row["rms_displacement"], 0.1 * np.sqrt(2 / 6), atol=1e-9)
    assert row["num_ambiguous"] == 0


def test_summary_counts_the_sizes(structures):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = jaxce.map_training_data(PRIM, structures, np.zeros(8))
    assert data.summary().startswith(
        "8 structures on Prim(3 sites: 1 x (Li/Mn), 1 x (O/X), 1 inactive); prims per cell: "
    )
    assert "2 of 1, 4 of 2, 2 of 4" in data.summary()
