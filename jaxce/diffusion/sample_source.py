"""Stored Monte Carlo samples, one by one: what data loaders of grain and of PyTorch draw from.

Both take any object with `__len__` and `__getitem__`, and copy it into worker processes.
"""

import operator
import os
import pathlib
from typing import Any, NamedTuple, SupportsIndex

import h5py
import numpy as np

from jaxce.sampling.checkpoint_file import COUNTS, counts_of, read_checkpoint
from jaxce.sampling.sample_file import check_sample_file
from jaxce.site_species import check_occupancy
from jaxce.tables import Hamiltonian


def occupancy(occupancy: Any) -> Any:
    """The occupancies themselves: the observable that a run must have if `RunSamples` is to read it."""
    return occupancy


class SampleSource:
    """Samples in memory; item `i` is {"occupancy": [sites] int8, "energy": [] float64, "temperature": [] float64}.

    Args:
        occupancies: `[..., sites]` species codes.
        energies: `[...]` eV per supercell.
        temperatures: kelvin; whatever broadcasts to the shape of the energies, such as `result.temperature[:, None]`.

    Raises:
        ValueError: if shapes disagree.
    """

    def __init__(self, occupancies: Any, energies: Any, temperatures: Any):
        codes, energies = np.asarray(occupancies), np.asarray(energies, dtype=np.float64)
        check_occupancy(codes.shape[-1] if codes.ndim else 0, codes)
        if energies.shape != codes.shape[:-1]:
            raise ValueError(
                f"there must be an energy for each occupancy, but the occupancies have shape {codes.shape} and the "
                f"energies {energies.shape}."
            )
        try:
            kelvin = np.broadcast_to(np.asarray(temperatures, dtype=np.float64), energies.shape)
        except ValueError as error:
            raise ValueError(
                f"temperatures of shape {np.shape(temperatures)} do not broadcast to energies {energies.shape}; one "
                "per chain is temperatures[:, None]."
            ) from error
        self._occupancies = codes.reshape(-1, codes.shape[-1]).astype(np.int8)
        self._energies, self._temperatures = energies.ravel(), kelvin.ravel()

    def __len__(self) -> int:
        return len(self._energies)

    def __getitem__(self, index: SupportsIndex) -> dict[str, np.ndarray]:
        place = _place(index, len(self))
        return _item(self._occupancies[place], self._energies[place], self._temperatures[place])

    def __repr__(self) -> str:
        return f"SampleSource: {len(self)} samples of {self._occupancies.shape[1]} sites"


class RunSamples:
    """The samples in the folder of a run, read from the disk when they are asked for; items as in `SampleSource`.

    The run must have had the observable `jaxce.diffusion.occupancy`. Samples follow each other, and within each the
    chains; of `run_tempering` they are by rung. The file is mapped into memory, by every process for itself.

    Args:
        folder: the `folder=` of `run_monte_carlo` or `run_tempering`.
        hamiltonian: that of the run: the file has energies without its constant.
        temperatures: kelvin, that of the run: a number, one per chain, or one per rung.
        drop: samples at the beginning that do not count.

    Raises:
        ValueError: if the folder holds no run, or one without occupancies, or the numbers of sites, chains or samples
            do not fit.
    """

    def __init__(self, folder: str | os.PathLike, hamiltonian: Hamiltonian, temperatures: Any, drop: int = 0):
        self._path = pathlib.Path(folder) / "samples.h5"
        num_samples = _num_samples(pathlib.Path(folder) / "checkpoint.npz")
        check_sample_file(self._path, num_samples)
        self._places = _places_in_file(self._path, len(hamiltonian.species.kind))
        num_chains = self._places["energy"].shape[1]
        if not 0 <= drop < num_samples:
            raise ValueError(f"`drop` must be from 0 to {num_samples - 1}, since the run has {num_samples} samples.")
        self._drop, self._shape = int(drop), (num_samples - int(drop), num_chains)
        self._temperatures = _by_chain(temperatures, num_chains)
        self._constants = np.broadcast_to(np.asarray(hamiltonian.constant, dtype=np.float64), num_chains)
        self._mapped: dict[str, np.memmap] = {}

    def __len__(self) -> int:
        return self._shape[0] * self._shape[1]

    def __getitem__(self, index: SupportsIndex) -> dict[str, np.ndarray]:
        sample, chain = divmod(_place(index, len(self)), self._shape[1])
        if not self._mapped:
            self._mapped = {name: place.mapped(self._path) for name, place in self._places.items()}
        occupancy, energy = (self._mapped[name][sample + self._drop, chain] for name in ("occupancy", "energy"))
        return _item(occupancy, float(energy) + self._constants[chain], self._temperatures[chain])

    def __getstate__(self) -> dict[str, Any]:
        """Another process maps the file anew, where a copied map would be all samples."""
        return self.__dict__ | {"_mapped": {}}

    def __repr__(self) -> str:
        return f"RunSamples: {self._shape[0]} samples of {self._shape[1]} chains in {self._path}"


class _PlaceInFile(NamedTuple):
    """Where an array lies in a file, in one piece."""

    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]

    def mapped(self, path: pathlib.Path) -> np.memmap:
        return np.memmap(path, self.dtype, "r", self.offset, self.shape)


def _places_in_file(path: pathlib.Path, num_sites: int) -> dict[str, _PlaceInFile]:
    """Where energies and occupancies lie in the file of a run, which never moves them."""
    with h5py.File(path, "r") as file:
        if "observables/occupancy" not in file:
            raise ValueError(
                f"{path} has no occupancies: run with observables=[jaxce.diffusion.occupancy]. It has "
                f"{list(file['observables'])}."
            )
        arrays = {"energy": file["energy"], "occupancy": file["observables/occupancy"]}
        places = {name: _PlaceInFile(array.id.get_offset(), array.dtype, array.shape) for name, array in arrays.items()}
    if any(place.offset is None for place in places.values()):
        raise ValueError(f"{path} is compressed or in pieces, as no run of jaxce writes it: give the run's own file.")
    shape = places["occupancy"].shape
    if shape != (*places["energy"].shape, num_sites):
        raise ValueError(
            f"the occupancies in {path} have the shape {shape} (samples, chains, sites), but the Hamiltonian is of "
            f"{num_sites} sites."
        )
    return places


def _num_samples(checkpoint: pathlib.Path) -> int:
    """How many samples of a run count; the file has room for more."""
    if not checkpoint.is_file():
        raise ValueError(f"{checkpoint} is missing: the folder must be one that a run was given as `folder=`.")
    return counts_of(checkpoint, read_checkpoint(checkpoint, COUNTS))[1]


def _by_chain(temperatures: Any, num_chains: int) -> np.ndarray:
    kelvin = np.atleast_1d(np.asarray(temperatures, dtype=np.float64))
    if kelvin.ndim != 1 or num_chains % len(kelvin):
        raise ValueError(
            f"`temperatures` must be a number, one per rung or one for each of the {num_chains} chains, but has shape "
            f"{kelvin.shape}."
        )
    return np.tile(kelvin, num_chains // len(kelvin))


def _place(index: SupportsIndex, length: int) -> int:
    place = operator.index(index)
    if not -length <= place < length:
        raise IndexError(f"sample {place} of {length}.")
    return place % length


def _item(occupancy: Any, energy: Any, temperature: Any) -> dict[str, np.ndarray]:
    return {
        "occupancy": np.array(occupancy, dtype=np.int8),
        "energy": np.array(energy, dtype=np.float64),
        "temperature": np.array(temperature, dtype=np.float64),
    }
