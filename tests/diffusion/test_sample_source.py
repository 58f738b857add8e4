import copy
import pickle

import h5py
import jax
import numpy as np
import pytest

import jaxce
import jaxce.diffusion
from jaxce.diffusion import RunSamples, SampleSource
from jaxce.sampling.chains import Samples
from jaxce.sampling.chunks import Done
from jaxce.sampling.run_folder import RunFolder

PRIM = jaxce.Prim(np.diag([1.0, 1.0, 9.0]), [[0, 0, 0]], [["Cu", "Au"]])
SUPERCELL = jaxce.Supercell(PRIM, (2, 2, 1))


@pytest.fixture(scope="module")
def hamiltonian():
    expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(PRIM, {2: 1.1}), [7.0, 0.1, 0.3])
    return jaxce.build_hamiltonian(expansion, SUPERCELL)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with six samples of six chains, of which five count; and what is in it."""
    rng = np.random.default_rng(0)
    occupancies = rng.integers(0, 2, (5, 6, 4)).astype(np.int8)
    energies = rng.normal(size=(5, 6))
    folder = RunFolder(tmp_path_factory.mktemp("run"), {}, 6)
    folder.add(Samples(energies, np.zeros((5, 6, 1, 2), dtype=np.int32), {"occupancy": occupancies}))
    folder.save(Done(None, 5, np.zeros(6, dtype=np.int64)))
    return folder.path, occupancies, energies


def test_samples_in_memory_are_items_in_the_order_of_the_arrays():
    occupancies = np.random.default_rng(0).integers(0, 2, (2, 3, 4))
    energies = np.arange(6.0).reshape(2, 3)
    source = SampleSource(occupancies, energies, np.array([300.0, 400.0])[:, None])
    assert len(source) == 6
    items = [source[index] for index in range(6)]
    np.testing.assert_array_equal([item["occupancy"] for item in items], occupancies.reshape(6, 4))
    assert [float(item["energy"]) for item in items] == list(range(6))
    assert [float(item["temperature"]) for item in items] == [300.0] * 3 + [400.0] * 3
    assert {name: (value.dtype, value.shape) for name, value in items[0].items()} == {
        "occupancy": (np.dtype(np.int8), (4,)),
        "energy": (np.dtype(np.float64), ()),
        "temperature": (np.dtype(np.float64), ()),
    }
    np.testing.assert_array_equal(source[-1]["occupancy"], source[np.int64(5)]["occupancy"])
    with pytest.raises(IndexError, match="sample 6 of 6"):
        source[6]


def test_items_are_copies():
    source = SampleSource(np.zeros((2, 4), dtype=np.int8), np.zeros(2), 300.0)
    source[0]["occupancy"][:] = 1
    assert not np.any(source[0]["occupancy"])


def test_samples_of_a_run_come_sample_by_sample_with_the_constant_in_their_energy(hamiltonian, run):
    folder, occupancies, energies = run
    source = RunSamples(folder, hamiltonian, [1000.0, 2000.0, 4000.0], drop=1)
    assert len(source) == 4 * 6
    items = [source[index] for index in range(len(source))]
    np.testing.assert_array_equal([item["occupancy"] for item in items], occupancies[1:].reshape(24, 4))
    np.testing.assert_allclose([item["energy"] for item in items], energies[1:].ravel() + 28.0, rtol=1e-14)
    assert [float(item["temperature"]) for item in items[:6]] == [1000.0, 2000.0, 4000.0] * 2


@pytest.mark.slow
def test_a_run_of_tempering_stores_occupancies_of_its_energies_by_rung(hamiltonian, tmp_path):
    result = jaxce.run_tempering(
        jax.random.key(0),
        hamiltonian,
        np.array([[0, 0, 1, 1], [0, 1, 0, 1]], dtype=np.int8),
        jaxce.SemiGrand(),
        temperatures=[1000.0, 2000.0, 4000.0],
        num_sweeps=6,
        observables=[jaxce.diffusion.occupancy],
        folder=tmp_path,
    )
    source = RunSamples(tmp_path, hamiltonian, [1000.0, 2000.0, 4000.0])
    items = [source[index] for index in range(len(source))]
    energies = np.array([item["energy"] for item in items])
    occupancies = np.stack([item["occupancy"] for item in items])
    np.testing.assert_allclose(energies, jax.jit(jaxce.energy)(hamiltonian, occupancies), rtol=0, atol=1e-12)
    np.testing.assert_allclose(energies.reshape(6, 2, 3), np.moveaxis(result.energy, 2, 0), rtol=0, atol=1e-12)


def by_pickle(source):
    return pickle.loads(pickle.dumps(source))


@pytest.mark.parametrize("copied", [copy.deepcopy, by_pickle], ids=["copy", "pickle"])
def test_an_open_run_goes_to_other_processes(hamiltonian, run, copied):
    source = RunSamples(run[0], hamiltonian, 1000.0)
    before = source[7]
    np.testing.assert_array_equal(copied(source)[7]["occupancy"], before["occupancy"])
    assert len(pickle.dumps(source)) < 2000


def test_torch_loads_batches(hamiltonian, run):
    torch_data = pytest.importorskip("torch.utils.data")
    source = RunSamples(run[0], hamiltonian, 1000.0)
    batches = list(torch_data.DataLoader(source, batch_size=4, num_workers=0))
    assert len(batches) == 8
    assert batches[0]["occupancy"].shape == (4, 4)
    assert str(batches[0]["energy"].dtype) == "torch.float64"


def test_what_does_not_fit_is_refused(hamiltonian, run, tmp_path):
    folder = run[0]
    with pytest.raises(ValueError, match=r"checkpoint\.npz is missing"):
        RunSamples(tmp_path, hamiltonian, 300.0)
    with pytest.raises(ValueError, match="one for each of the 6 chains"):
        RunSamples(folder, hamiltonian, [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="from 0 to 4"):
        RunSamples(folder, hamiltonian, 300.0, drop=5)
    (tmp_path / "checkpoint.npz").write_bytes((folder / "checkpoint.npz").read_bytes())
    with h5py.File(tmp_path / "samples.h5", "w") as file:
        file["energy"], file["counts"] = np.zeros((5, 6)), np.zeros((5, 6, 1, 2))
        file["observables/occupancy"] = np.zeros((5, 6, 9), dtype=np.int8)
    with pytest.raises(ValueError, match="of 4 sites"):
        RunSamples(tmp_path, hamiltonian, 300.0)
    with pytest.raises(ValueError, match="an energy for each occupancy"):
        SampleSource(np.zeros((2, 4), dtype=np.int8), np.zeros(3), 300.0)
    with pytest.raises(ValueError, match="do not broadcast"):
        SampleSource(np.zeros((2, 4), dtype=np.int8), np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="integer"):
        SampleSource(np.zeros((2, 4)), np.zeros(2), 300.0)


def test_a_run_without_occupancies_is_refused(hamiltonian, run, tmp_path):
    folder = run[0]
    (tmp_path / "checkpoint.npz").write_bytes((folder / "checkpoint.npz").read_bytes())
    with h5py.File(tmp_path / "samples.h5", "w") as file:
        file["energy"], file["counts"] = np.zeros((5, 6)), np.zeros((5, 6, 1, 2))
        file.create_group("observables")
    with pytest.raises(ValueError, match=r"observables=\[jaxce.diffusion.occupancy\]"):
        RunSamples(tmp_path, hamiltonian, 300.0)
