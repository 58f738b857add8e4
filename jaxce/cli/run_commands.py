"""Commands that run and read Monte Carlo."""

import pathlib
from typing import Annotated, Literal

import typer

from jaxce.cli.option_values import by_species, grid
from jaxce.cli.readable_errors import NOT_CONVERGED, show

Kind = Literal["monte-carlo", "tempering", "annealing"]
EnsembleName = Literal["canonical", "canonical-global", "semi-grand", "vcsgc", "charge-neutral"]
_GRID = "A number, several (300,600,900), or first:last:count, evenly spaced; :geometric behind it for equal ratios."
Cores = Annotated[int | None, typer.Option(min=1, help="Processor cores to use; all by default. Results are the same.")]
# Of one of several processes.
Distributed = Annotated[bool, typer.Option("--distributed", help="One of several processes of Slurm or Open MPI.")]
Coordinator = Annotated[str | None, typer.Option(help="Processes started by hand: host:port of the first one.")]
NumProcesses = Annotated[int | None, typer.Option(help="How many there are.")]
ProcessId = Annotated[int | None, typer.Option(help="Which one this is, from 0.")]


def mc(
    settings: Annotated[
        pathlib.Path | None, typer.Argument(help="TOML file with settings; flags take their place.", exists=True)
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model: of jaxce, icet, smol, ATAT, CASM or CLEASE.")] = None,
    supercell: Annotated[str | None, typer.Option(help="Such as 4,4,4, or the nine integers of a matrix.")] = None,
    start: Annotated[str | None, typer.Option(help="Structure to start from: POSCAR, CIF, extxyz.")] = None,
    composition: Annotated[
        str | None,
        typer.Option(help="Of random starts, such as Cu=0.5,Au=0.5 or Cu=32,Au=32; A:Sr=0.9 on sublattice A."),
    ] = None,
    kind: Annotated[Kind | None, typer.Option(help="Constant temperatures, or exchanged ones, or cooling.")] = None,
    ensemble: Annotated[EnsembleName | None, typer.Option(help="What is kept, and the weight of states.")] = None,
    temperature: Annotated[str | None, typer.Option(help=f"Kelvin. {_GRID} Annealing: first:last.")] = None,
    mu: Annotated[
        str | None, typer.Option(help="Chemical potentials, eV: Au=0.1 or Au=-0.2:0.2:9, a grid with the temperatures.")
    ] = None,
    phi: Annotated[str | None, typer.Option(help="Of vcsgc: about -2 times the concentration, such as Au=-1.")] = None,
    kappa: Annotated[float | None, typer.Option(help="Of vcsgc: how strongly concentrations are held.")] = None,
    charges: Annotated[
        str | None, typer.Option(help="Of charge-neutral: Sr=2,O=-2; by default read from names such as Mn3+.")
    ] = None,
    chains: Annotated[int | None, typer.Option(help="Chains at each condition; ladders of tempering.")] = None,
    sweeps: Annotated[int | None, typer.Option(help="Sweeps: steps per active site.")] = None,
    sample_every: Annotated[int | None, typer.Option(help="Sweeps between samples.")] = None,
    exchange_every: Annotated[int | None, typer.Option(help="Of tempering: sweeps between exchanges.")] = None,
    short_range_order: Annotated[int | None, typer.Option(help="Shells of Warren-Cowley parameters.")] = None,
    until: Annotated[
        str | None, typer.Option(help="Stop as soon as errors are so small, such as energy=0.01 (eV per supercell).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    x64: Annotated[bool | None, typer.Option("--x64/--x32", help="Double precision, or single.")] = None,
    folder: Annotated[str | None, typer.Option(help="Where the run is kept; jaxce-run by default.")] = None,
    cores: Cores = None,
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
) -> None:
    """Run Monte Carlo in a folder, which can be resumed at any time; write averages, errors and structures.

    The exit code is 3 if --until was not reached, and 130 after Ctrl-C.

    R-hat above 1.05 and fewer than 100 effective samples are warned of, with exit code 0.
    """
    from jaxce.commands.processor import begin_process

    begin_process(cores, distributed, coordinator, num_processes, process_id)
    from jaxce.commands.mc import run_mc
    from jaxce.commands.run_settings import read_settings

    flags = {
        "model": model,
        "supercell": supercell,
        "start": start,
        "composition": by_species("composition", composition),
        "kind": kind,
        "ensemble": ensemble,
        "temperature": grid(temperature),
        "mu": by_species("mu", mu),
        "phi": by_species("phi", phi),
        "kappa": kappa,
        "charges": by_species("charges", charges),
        "chains": chains,
        "sweeps": sweeps,
        "sample_every": sample_every,
        "exchange_every": exchange_every,
        "short_range_order": short_range_order,
        "until": by_species("until", until),
        "seed": seed,
        "x64": x64,
        "folder": folder,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    _end(run_mc(read_settings(settings, given)))


def resume(
    folder: Annotated[pathlib.Path, typer.Argument(help="The folder of the run.", exists=True, file_okay=False)],
    sweeps: Annotated[
        int | None, typer.Option(min=1, help="Sweeps in all; more than there were make a finished run longer.")
    ] = None,
    cores: Cores = None,
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
) -> None:
    """Go on with an interrupted run, bit for bit as if it had never stopped; or make a finished one longer.

    A run that is finished is only read again. Exit codes are those of jaxce mc.
    """
    from jaxce.commands.processor import begin_process

    begin_process(cores, distributed, coordinator, num_processes, process_id)
    from jaxce.commands import mc as run

    _end(run.resume(folder, sweeps))


def analyze(
    folder: Annotated[pathlib.Path, typer.Argument(help="The folder of the run.", exists=True, file_okay=False)],
    drop: Annotated[
        int | None, typer.Option(help="Samples at the beginning that do not count; by default found from the energies.")
    ] = None,
    csv: Annotated[pathlib.Path | None, typer.Option(help="Write the averages as a table.")] = None,
    json: Annotated[pathlib.Path | None, typer.Option(help="Write the averages and facts of the run.")] = None,
    netcdf: Annotated[pathlib.Path | None, typer.Option(help="Write all samples for xarray and ArviZ.")] = None,
    zarr: Annotated[pathlib.Path | None, typer.Option(help="The same, as zarr.")] = None,
    plots: Annotated[bool, typer.Option("--plots", help="Draw figures into FOLDER/plots.")] = False,
) -> None:
    """Averages with errors of a run, finished or going on, from its folder; nothing is run."""
    from jaxce.commands.analyze import Outputs, analyze as analyze_run

    analyze_run(folder, drop, Outputs(csv, json, netcdf, zarr, plots))


def _end(lack: str | None) -> None:
    if lack is not None:
        show("not converged", lack, "bold yellow")
        raise typer.Exit(NOT_CONVERGED)
