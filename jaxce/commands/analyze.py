"""What `jaxce analyze` does: the averages of a run, finished or not, from its folder; no chain is moved."""

import os
import pathlib
import warnings
from typing import NamedTuple

from jaxce.atomic_files import check_file_place
from jaxce.commands.run_averages import as_json, as_table, average, lowest_energies, samples_to_drop
from jaxce.commands.run_figures import write_figures
from jaxce.commands.run_files import write_csv, write_datatree, write_json
from jaxce.commands.run_inputs import Result, RunInputs, load_inputs, sample, stored_settings
from jaxce.commands.run_verdict import warn_of_few_samples
from jaxce.commands.screen import screen
from jaxce.double_precision import double_precision
from jaxce.sampling.tempering import chains_of


class Outputs(NamedTuple):
    """Files to write besides what is shown; None for those that are not wanted.

    Attributes:
        csv: averages as a table.
        json: averages and facts of the run.
        netcdf: all samples, labelled.
        zarr: the same as zarr.
        plots: whether to draw figures, into `plots` in the folder of the run.
    """

    csv: pathlib.Path | None = None
    json: pathlib.Path | None = None
    netcdf: pathlib.Path | None = None
    zarr: pathlib.Path | None = None
    plots: bool = False


def analyze(folder: str | os.PathLike, drop: int | None, outputs: Outputs) -> None:
    """Show the averages of the run in a folder, and write the outputs.

    Args:
        folder: the folder.
        drop: samples at the beginning that do not count; None for as many as equilibration took.
        outputs: what to write.

    Raises:
        ValueError: if the folder holds no samples of a run, or `drop` leaves none of them.
    """
    for path in (outputs.csv, outputs.json, outputs.netcdf):
        if path:
            check_file_place(path)
    console = screen()
    inputs, result = read_run(folder)
    chains = chains_of(result)
    num_samples, num_sweeps = chains.energy.shape[1], inputs.settings.sweeps
    console.print(f"{chains.num_sweeps} of {num_sweeps} sweeps, {num_samples} samples of each chain")
    if inputs.settings.kind == "annealing":
        drops, averages, table = {0: 0}, lowest_energies(chains), None
        console.print(f"lowest energy {chains.lowest_energy.min():.6f} eV")
    else:
        drops = samples_to_drop(result, drop)
        averages = table = average(inputs, result, drops)
        console.print(as_table(averages, chains.num_prims))
        warn_of_few_samples(averages)
    if outputs.csv:
        write_csv(outputs.csv, averages)
    if outputs.json:
        write_json(outputs.json, as_json(inputs, result, table))
    if outputs.plots:
        for path in write_figures(inputs, result, max(drops.values())):
            console.print(f"wrote {path}", markup=False)
    # Last: they need packages that may be missing.
    for path, form in ((outputs.netcdf, "netcdf"), (outputs.zarr, "zarr")):
        if path:
            write_datatree(path, result.to_datatree(), form)


def read_run(folder: str | os.PathLike) -> tuple[RunInputs, Result]:
    """The inputs and the samples so far of the run in a folder.

    Raises:
        ValueError: if the folder has no settings or no samples.
    """
    settings = stored_settings(folder)
    with double_precision(settings.x64), warnings.catch_warnings():
        # An unfinished run need not be precise yet.
        warnings.filterwarnings("ignore", message="the precision was not reached")
        inputs = load_inputs(settings)
        return inputs, sample(inputs, only_read=True)
