"""What the folder of a run holds besides its samples: what it was made from, and what it gave."""

import dataclasses
import json
import pathlib
import shutil
import warnings
from typing import Any

import numpy as np
import pandas as pd

from jaxce.atomic_files import new_folder, replacing, write_text
from jaxce.commands.run_inputs import Result, RunInputs
from jaxce.commands.run_settings import RunSettings
from jaxce.io.poscar import write_poscar
from jaxce.lattice.structures import occupancy_to_ase
from jaxce.lattice.trajectory import write_trajectory
from jaxce.sampling.run_folder import lock_folder, sweeps_done
from jaxce.sampling.tempering import chains_of


def begin_folder(settings: RunSettings, expansion: Any) -> None:
    """Write the model, the starting structure and the settings into the folder of a run.

    Raises:
        ValueError: if the folder holds a run that has begun, or the structure is no file.
    """
    folder = pathlib.Path(settings.folder)
    if sweeps_done(folder) is not None:
        raise ValueError(
            f"{folder} holds a run already: `jaxce resume {folder}` goes on with it. Give another folder for a new one."
        )
    if settings.start and not pathlib.Path(settings.start).is_file():
        raise ValueError(f"`start` must be the file of a structure, but {settings.start} is no file.")
    folder.mkdir(parents=True, exist_ok=True)
    # Another process may have begun here, and not yet written its first samples.
    with lock_folder(folder):
        expansion.save(folder / "model.json")
        if settings.start:
            with replacing(folder / _start_name(settings)) as temporary:
                shutil.copyfile(settings.start, temporary)
        # Last: a folder with settings is complete.
        write_settings(folder, settings)


def write_settings(folder: pathlib.Path, settings: RunSettings) -> None:
    """Write run.toml, whole or not at all, with the paths of the files in the folder."""
    inside: dict[str, Any] = {"model": "model.json", "folder": "."}
    if settings.start:
        inside["start"] = _start_name(settings)
    write_text(folder / "run.toml", dataclasses.replace(settings, **inside).text())


def _start_name(settings: RunSettings) -> str:
    return "start-" + pathlib.Path(str(settings.start)).name.removeprefix("start-")


def write_results(inputs: RunInputs, result: Result, averages: pd.DataFrame, content: dict[str, Any]) -> None:
    """Write summary.csv, summary.json, and the final and lowest structures into the folder of a run."""
    folder = pathlib.Path(inputs.settings.folder)
    write_csv(folder / "summary.csv", averages)
    write_json(folder / "summary.json", content)
    chains = chains_of(result)
    lowest = int(np.argmin(chains.lowest_energy))
    try:
        # The energy of the last sample is that of the final state: runs end with a sample.
        final, last = np.asarray(chains.occupancy), chains.energy[:, -1]
        write_trajectory(folder / "final.extxyz", inputs.supercell, final, last)
        write_trajectory(
            folder / "lowest.extxyz", inputs.supercell, np.asarray(chains.lowest_occupancy), chains.lowest_energy
        )
        atoms = occupancy_to_ase(inputs.supercell, np.asarray(chains.lowest_occupancy)[lowest])
        write_poscar(folder / "lowest.vasp", atoms)
    except ValueError as error:
        warnings.warn(f"structures were not written: {error}", stacklevel=2)


def write_csv(path: pathlib.Path, table: pd.DataFrame) -> None:
    """Write a table, whole or not at all; numbers with all their digits."""
    write_text(path, table.to_csv(index=False))


def write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_datatree(path: pathlib.Path, tree: Any, form: str) -> None:
    """Write samples as netCDF ("netcdf") or zarr ("zarr"), labelled, for xarray and ArviZ.

    Raises:
        ValueError: if the package that does it is not installed, or the path exists.
    """
    packages = {"netcdf": "netCDF4 or h5netcdf", "zarr": "zarr"}
    if path.exists():
        raise ValueError(f"{path} exists: remove it, or give another name.")
    try:
        if form == "zarr":
            with new_folder(path) as temporary:
                tree.to_zarr(temporary)
        else:
            with replacing(path) as temporary:
                tree.to_netcdf(temporary)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{form} files need {packages[form]}, which is not installed: {error}") from error
