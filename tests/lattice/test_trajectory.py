"""Trajectories: what was written comes back through ASE, and a failure leaves nothing behind."""

import ase.io
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.lattice import trajectory as trajectory_module
from jaxce.lattice.trajectory import write_trajectory

PEROVSKITE = jaxce.Prim(
    3.905 * np.eye(3),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti", "Fe"], *[["O", "X"]] * 3],
)
SUPERCELL = jaxce.Supercell(PEROVSKITE, [[2, 0, 0], [0, 2, 1], [0, 0, 2]])
ENERGIES = np.array([-1 / 3, 2.5, 1e-9])


@pytest.fixture(scope="module")
def occupancies():
    rng = np.random.default_rng(0)
    return (rng.random((3, SUPERCELL.num_sites)) < 0.2).astype(np.int8)


def occupancies_of(frames, supercell=SUPERCELL):
    return np.stack([jaxce.occupancy_from_ase(supercell, atoms) for atoms in frames])


@pytest.mark.parametrize("keep_vacancies", [False, True])
@pytest.mark.parametrize("name", ["run.xyz", "run.extxyz", "run.xyz.gz", "run.traj", "run.json"])
def test_occupancies_and_energies_come_back(tmp_path, occupancies, name, keep_vacancies):
    write_trajectory(tmp_path / name, SUPERCELL, occupancies, ENERGIES, keep_vacancies)
    frames = ase.io.read(tmp_path / name, ":")
    np.testing.assert_array_equal(occupancies_of(frames), occupancies)
    np.testing.assert_allclose([atoms.get_potential_energy() for atoms in frames], ENERGIES, rtol=1e-14)
    lengths = [SUPERCELL.num_sites] * 3 if keep_vacancies else SUPERCELL.num_sites - occupancies[:, 16:].sum(axis=1)
    np.testing.assert_array_equal([len(atoms) for atoms in frames], lengths)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_chains_follow_each_other(tmp_path, occupancies):
    chains = jnp.asarray(np.stack([occupancies[:2], occupancies[1:]]))
    write_trajectory(tmp_path / "run", SUPERCELL, chains, np.array([[0.0, 1.0], [2.0, 3.0]]))
    frames = ase.io.read(tmp_path / "run", ":", format="extxyz")
    np.testing.assert_array_equal(occupancies_of(frames), occupancies[[0, 1, 1, 2]])
    assert [atoms.get_potential_energy() for atoms in frames] == [0, 1, 2, 3]
    assert [(atoms.info["chain"], atoms.info["frame"]) for atoms in frames] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_frames_without_energies_have_no_calculator(tmp_path, occupancies):
    write_trajectory(tmp_path / "run.xyz", SUPERCELL, occupancies)
    assert all(atoms.calc is None for atoms in ase.io.read(tmp_path / "run.xyz", ":"))


def test_charges_are_kept_in_extxyz(tmp_path):
    prim = jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Mn3+", "Mn4+"], ["O2-"]])
    supercell = jaxce.Supercell(prim, 2)
    given = np.array([[0, 1] * 4 + [0] * 8])
    write_trajectory(tmp_path / "run.xyz", supercell, given)
    atoms = ase.io.read(tmp_path / "run.xyz")
    atoms.set_array("species", atoms.arrays["species_labels"])
    np.testing.assert_array_equal(occupancies_of([atoms], supercell), given)


def test_a_failed_write_leaves_the_old_file(tmp_path, occupancies, monkeypatch):
    path = tmp_path / "run.xyz"
    write_trajectory(path, SUPERCELL, occupancies, ENERGIES)
    old = path.read_bytes()
    wrong = occupancies.copy()
    wrong[2, 7] = 2
    with pytest.raises(ValueError, match=r"occupancy \[2\]: the species codes of sites \[7\] are \[2\]"):
        write_trajectory(path, SUPERCELL, wrong, ENERGIES)

    def full_disk(file, *_, **__):
        file.write_text("half a fr", encoding="utf-8")
        raise OSError("No space left on device")

    monkeypatch.setattr(trajectory_module.ase.io, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_trajectory(path, SUPERCELL, occupancies, ENERGIES)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_replaced(tmp_path, occupancies):
    path = tmp_path / "run.xyz"
    for given in (occupancies, occupancies[:1]):
        write_trajectory(path, SUPERCELL, given)
    np.testing.assert_array_equal(occupancies_of(ase.io.read(path, ":")), occupancies[:1])


@pytest.mark.parametrize("shape", [(40,), (2, 39), (0, 40), (2, 0, 40), (1, 1, 2, 40)], ids=str)
def test_occupancies_of_another_shape_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"`occupancies` must have shape \[frames, 40\]"):
        write_trajectory(tmp_path / "run.xyz", SUPERCELL, np.zeros(shape, dtype=np.int8))
    assert not list(tmp_path.iterdir())


def test_codes_that_are_no_integers_are_refused(tmp_path, occupancies):
    with pytest.raises(ValueError, match=r"occupancy \[0\]: one occupancy of 40 integers is wanted"):
        write_trajectory(tmp_path / "run.xyz", SUPERCELL, occupancies.astype(float))


@pytest.mark.parametrize("energies", [ENERGIES[:2], ENERGIES[:, None], 1.0], ids=["two", "column", "number"])
def test_energies_of_another_shape_are_refused(tmp_path, occupancies, energies):
    with pytest.raises(ValueError, match="`energies` must have one number for each occupancy"):
        write_trajectory(tmp_path / "run.xyz", SUPERCELL, occupancies, energies)


@pytest.mark.parametrize("name", ["run.vasp", "run.lammpstrj", "run.bundle", "run.db"])
def test_formats_that_hold_no_trajectory_in_a_file_are_refused(tmp_path, occupancies, name):
    with pytest.raises(ValueError, match=r"use \.xyz, \.traj or \.json"):
        write_trajectory(tmp_path / name, SUPERCELL, occupancies)
    assert not list(tmp_path.iterdir())
