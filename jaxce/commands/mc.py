"""What `jaxce mc` and `jaxce resume` do: a run in a folder, from its settings to averages and structures."""

import contextlib
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Callable

from rich.console import Console

from jaxce.commands.model_files import read_model
from jaxce.commands.run_averages import as_json, as_table, average, lowest_energies, samples_to_drop
from jaxce.commands.run_files import begin_folder, write_results, write_settings
from jaxce.commands.run_inputs import Result, RunInputs, load_inputs, sample, stored_settings
from jaxce.commands.run_settings import RunSettings
from jaxce.commands.run_verdict import lack_of_precision, warn_of_few_samples
from jaxce.commands.screen import screen
from jaxce.double_precision import double_precision
from jaxce.processes import arrays_of_first, is_first
from jaxce.sampling.run_folder import lock_folder, sweeps_done
from jaxce.sampling.tempering import chains_of


def run_mc(settings: RunSettings) -> str | None:
    """Begin a run in its folder and do all of it; what it lacks of the precision that was asked for, in words.

    Raises:
        ValueError: if the folder holds a run, or the settings do not fit the model.
    """
    folder = pathlib.Path(settings.folder)
    # It may be the user's own.
    had_settings = (folder / "run.toml").exists()
    _by_first(lambda: begin_folder(settings, read_model(settings.model)))
    try:
        return _go_on(folder)
    except ValueError:
        if is_first() and not had_settings:
            _forget_settings(folder)
        raise


def resume(folder: str | os.PathLike, sweeps: int | None = None) -> str | None:
    """Go on with the run in a folder; what it lacks of the precision that was asked for, in words.

    Args:
        folder: the folder.
        sweeps: sweeps in all, in place of as many as were asked for; more of them go on from the end of the run.

    Raises:
        ValueError: if the folder holds no run, or one that follows a schedule is to be longer.
    """
    folder = pathlib.Path(folder)
    settings = stored_settings(folder)
    if sweeps is not None and sweeps != settings.sweeps:
        if settings.kind == "annealing":
            raise ValueError("an annealing run has its schedule, and cannot be made longer or shorter: start another.")
        if sweeps < (sweeps_done(folder) or 0):
            raise ValueError(f"the run has done {sweeps_done(folder)} sweeps already, but `sweeps` is {sweeps}.")
        longer = dataclasses.replace(settings, sweeps=sweeps)
        _by_first(lambda: _change_settings(folder, longer))
    return _go_on(folder)


def _change_settings(folder: pathlib.Path, settings: RunSettings) -> None:
    # Not those of a run that is going on in another process.
    with lock_folder(folder):
        write_settings(folder, settings)


def _forget_settings(folder: pathlib.Path) -> None:
    """Settings that were refused before anything was done are no run, unless another process has begun with them."""
    with contextlib.suppress(ValueError), lock_folder(folder):
        if sweeps_done(folder) is None:
            (folder / "run.toml").unlink(missing_ok=True)


def _by_first(action: Callable[[], None]) -> None:
    """Do what the first of several processes does for all, before any goes on; what it raises, all raise."""
    arrays_of_first(lambda: action() or {})


def _go_on(folder: pathlib.Path) -> str | None:
    settings = stored_settings(folder)
    console = screen()
    # The others do the same, in silence.
    console.quiet = not is_first()
    before = sweeps_done(folder)
    with double_precision(settings.x64):
        with console.status("building the Hamiltonian"):
            inputs = load_inputs(settings)
        console.print(_description(inputs), markup=False)
        result = _sampled(inputs, folder)
    if before == chains_of(result).num_sweeps:
        console.print(f"the run in {folder} was finished: {before} sweeps", markup=False)
    if is_first():
        _report(console, inputs, result)
    return lack_of_precision(inputs, result)


def _sampled(inputs: RunInputs, folder: pathlib.Path) -> Result:
    with warnings.catch_warnings():
        # What is said below says more.
        warnings.filterwarnings("ignore", message="the precision was not reached")
        try:
            return sample(inputs, progress=True)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(f"interrupted. To go on: jaxce resume {folder}") from error
        except SystemExit:
            warnings.warn(f"SIGTERM stopped the run, which is saved. To go on: jaxce resume {folder}", stacklevel=2)
            raise


def _description(inputs: RunInputs) -> str:
    settings, num_chains = inputs.settings, len(inputs.occupancy)
    num_conditions = len(inputs.conditions.drop_duplicates())
    chains = f"{num_chains} chains at {num_conditions} condition{'s' if num_conditions > 1 else ''}"
    if settings.kind == "tempering":
        chains = f"{num_chains} ladders of {len(inputs.conditions)} temperatures"
    if settings.kind == "annealing":
        chains = f"{num_chains} chains that cool"
    return (
        f"{settings.ensemble} {settings.kind}: {chains}, {inputs.supercell.num_sites} sites, {settings.sweeps} sweeps"
    )


def _report(console: Console, inputs: RunInputs, result: Result) -> None:
    """Averages and structures, into the folder and onto the screen."""
    chains = chains_of(result)
    if inputs.settings.kind == "annealing":
        write_results(inputs, result, lowest_energies(chains), as_json(inputs, result, None))
    else:
        averages = average(inputs, result, samples_to_drop(result, None))
        console.print(as_table(averages, chains.num_prims))
        warn_of_few_samples(averages)
        write_results(inputs, result, averages, as_json(inputs, result, averages))
    lowest = chains.lowest_energy.min()
    console.print(f"lowest energy {lowest:.6f} eV, {lowest / chains.num_prims:.6f} eV/prim")
    console.print(f"averages and structures are in {inputs.settings.folder}", markup=False)
