"""Occupancies as a trajectory in a file of ASE, such as extxyz: for viewers, and for other programs."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from jaxce.atomic_files import replacing
from jaxce.lattice.structures import occupancy_to_ase
from jaxce.lattice.supercell import Supercell


def write_trajectory(
    path: str | os.PathLike, supercell: Supercell, occupancies: Any, energies: Any = None, keep_vacancies: bool = False
) -> None:
    """Write occupancies as the frames of one file, whole or not at all; a file that exists is replaced.

    Frames of several chains follow each other chain by chain, and `info["chain"]` and `info["frame"]` count them.
    ASE's formats hold chemical symbols. Labels that are more, such as "Mn3+", stand in the array "species_labels" of
    extxyz, whose column "species" is the symbols; other formats lose them.

    Args:
        path: the file. Its suffix chooses the format, such as .xyz, .traj or .json; extxyz without one.
        supercell: the supercell of all frames.
        occupancies: `[frames, sites]` or `[chains, frames, sites]` species codes.
        energies: `[frames]` or `[chains, frames]` eV per supercell, the energy of each `ase.Atoms`.
        keep_vacancies: whether vacancies become atoms of symbol "X" or are left out, so that frames differ in length.

    Raises:
        ValueError: if shapes disagree, there is no frame, an occupancy does not fit the supercell, a species is no
            chemical element, or the format holds no trajectories.
    """
    file_format = _file_format(path)
    codes = _checked_occupancies(supercell, occupancies)
    values = None if energies is None else _checked_energies(energies, codes.shape[:-1])
    frames = _frames(supercell, codes, values, keep_vacancies)
    with replacing(path) as temporary:
        if file_format != "extxyz":
            ase.io.write(temporary, list(frames), format=file_format)
            return
        # One frame at a time: those of a large cell need not fit into memory together.
        for atoms in frames:
            ase.io.write(temporary, atoms, format=file_format, append=True)


def _file_format(path: str | os.PathLike) -> str:
    name = pathlib.Path(path).name
    try:
        found = filetype(name, read=False)
    except UnknownFileTypeError:
        return "extxyz"
    if found not in ioformats or not ioformats[found].can_write or ioformats[found].single:
        raise ValueError(f"ASE cannot write several structures to a file such as {name}: use .xyz, .traj or .json.")
    if not ioformats[found].acceptsfd:
        raise ValueError(f"{name} would not be a file of its own, but of format {found}: use .xyz, .traj or .json.")
    return found


def _checked_occupancies(supercell: Supercell, occupancies: Any) -> np.ndarray:
    codes = np.asarray(occupancies)
    if codes.ndim not in (2, 3) or codes.shape[-1] != supercell.num_sites or codes.size == 0:
        raise ValueError(
            f"`occupancies` must have shape [frames, {supercell.num_sites}] or [chains, frames, "
            f"{supercell.num_sites}] with at least one frame, but has shape {list(codes.shape)}."
        )
    return codes


def _checked_energies(energies: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(energies, dtype=np.float64)
    if values.shape != shape:
        raise ValueError(
            f"`energies` must have one number for each occupancy, shape {list(shape)}, but has shape "
            f"{list(values.shape)}."
        )
    return values


def _frames(
    supercell: Supercell, codes: np.ndarray, energies: np.ndarray | None, keep_vacancies: bool
) -> Iterator[ase.Atoms]:
    for place in np.ndindex(codes.shape[:-1]):
        try:
            atoms = occupancy_to_ase(supercell, codes[place], keep_vacancies)
        except ValueError as error:
            raise ValueError(f"occupancy {list(place)}: {error}") from error
        if "species" in atoms.arrays:
            atoms.set_array("species_labels", atoms.arrays["species"])
        if len(place) == 2:
            atoms.info |= {"chain": place[0], "frame": place[1]}
        if energies is not None:
            atoms.calc = SinglePointCalculator(atoms, energy=float(energies[place]))
        yield atoms
