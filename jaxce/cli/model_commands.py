"""Commands that make, read and convert models."""

import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from jaxce.cli.option_values import allowed_species
from jaxce.cli.readable_errors import BAD_INPUT, NOT_CONVERGED, show

EstimatorName = Literal[
    "physical-prior",
    "ridge",
    "bayesian-ridge",
    "ard",
    "lasso",
    "adaptive-lasso",
    "elastic-net",
    "group-lasso",
    "hierarchical-lasso",
    "orthogonal-matching-pursuit",
    "recursive-elimination",
    "least-squares",
]


def fit(
    source: Annotated[
        list[pathlib.Path],
        typer.Argument(help="Structures with energies: folder, ASE database, extxyz, CSV, or pymatgen's JSON."),
    ],
    prim: Annotated[pathlib.Path, typer.Option(help="The primitive cell: any file of ASE, or pymatgen's JSON.")],
    cutoff: Annotated[
        list[str],
        typer.Option(help="Order and largest distance, such as 2:7.0. Several sets, one option each: 2:7.0,3:5.0."),
    ],
    species: Annotated[
        list[str] | None, typer.Option(help="Symbol in the prim and what may stand there: Ti:Ti,Fe or O:O,X.")
    ] = None,
    energy: Annotated[str | None, typer.Option(help="Name of the energies in the files.")] = None,
    per: Annotated[Literal["structure", "atom", "prim"], typer.Option(help="What an energy is of.")] = "structure",
    structures: Annotated[
        pathlib.Path | None, typer.Option(help="For a CSV of energies: the file or folder of structures.")
    ] = None,
    estimator: Annotated[EstimatorName, typer.Option(help="How coefficients are found.")] = "physical-prior",
    cv: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 10,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Part of the structures kept apart.")] = 0.0,
    report: Annotated[pathlib.Path, typer.Option(help="Where report and model go.")] = pathlib.Path("jaxce-fit"),
    learning_curve: Annotated[bool, typer.Option(help="Whether to fit parts of the data too.")] = True,
) -> None:
    """Fit a cluster expansion to structures with energies; choose between sets of cutoffs; write a report.

    The exit code is 3 if an estimator did not converge; the report is written all the same.
    """
    from jaxce.commands.fit import convergence_warnings, read_prim, run_fit

    with convergence_warnings() as unconverged:
        run_fit(
            source,
            read_prim(prim, allowed_species(species)),
            _cutoff_sets(cutoff),
            report,
            estimator=estimator,
            energy=energy,
            energies_per=per,
            structures=structures,
            cv=cv,
            test_fraction=test,
            with_learning_curve=learning_curve,
        )
    if unconverged:
        show("not converged", "coefficients may depend on where the estimator stopped.", "bold yellow")
        raise typer.Exit(NOT_CONVERGED)


def info(
    path: Annotated[pathlib.Path, typer.Argument(help="A model, structures, or the folder of a run.", exists=True)],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say what is in a file or folder: a model of any program, structures, a run."""
    from jaxce.commands.info import info as print_info

    print_info(path, json)


def predict(
    model: Annotated[
        pathlib.Path, typer.Argument(help="A model of any program, or the report of jaxce fit.", exists=True)
    ],
    structures: Annotated[list[pathlib.Path], typer.Argument(help="Files and folders of structures.", exists=True)],
    energy: Annotated[str | None, typer.Option(help="Name of reference energies in the files, eV.")] = None,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Write .csv, .json, or the structures with energies as .extxyz.")
    ] = None,
    plot: Annotated[pathlib.Path | None, typer.Option(help="Draw predicted against reference energies.")] = None,
    max_displacement: Annotated[
        float | None, typer.Option(min=0, help="Largest distance of an atom from its site, angstrom.")
    ] = None,
    skip: Annotated[bool, typer.Option("--skip", help="Exit code 0 although structures have no energy.")] = False,
) -> None:
    """Energies of structures, ideal or relaxed, in any supercells; errors where the files have energies.

    The exit code is 2 if a structure could not be read or mapped.
    """
    from jaxce.commands.predict import predict as predict_energies

    num_failed = predict_energies(
        model, structures, energy=energy, out=out, plot=plot, max_displacement=max_displacement
    )
    if num_failed and not skip:
        raise typer.Exit(BAD_INPUT)


def convert(
    source: Annotated[pathlib.Path, typer.Argument(help="A model of any program, or structures.", exists=True)],
    target: Annotated[
        pathlib.Path,
        typer.Argument(help="Models: .json, or a folder for ATAT. Structures: .extxyz, .cif, .vasp, a folder."),
    ],
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Leave out what the format of structures cannot hold, such as energies.")
    ] = False,
) -> None:
    """Convert models to JSON of jaxce or to ATAT, and structures between formats; nothing is lost in silence."""
    from jaxce.commands.convert import convert as convert_file

    convert_file(source, target, lossy=lossy)


def convert_pickle(
    source: Annotated[
        pathlib.Path,
        typer.Argument(
            help="Pickle or joblib file: a linear model, a Pipeline, or a StandardScaler.", exists=True, dir_okay=False
        ),
    ],
    target: Annotated[pathlib.Path, typer.Argument(help="Where the numbers go, as JSON.")],
    i_trust_this_file: Annotated[
        bool, typer.Option("--i-trust-this-file", help="Run the program that a pickle is.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for reading it.")] = 60.0,
) -> None:
    """Get the numbers out of a pickled scikit-learn model, at your own risk; a pickle can do anything that you can."""
    from jaxce.commands import convert_pickle as conversion

    if not i_trust_this_file:
        raise ValueError(f"{source} was not read. {conversion.RISK}")
    model = conversion.convert_pickle(source, target, timeout)
    typer.echo(f"wrote {target}: {model.num_features} features of {model.source['class']}")
    if warning := conversion.version_warning(model):
        show("warning", warning, "bold yellow")


def _cutoff_sets(options: Sequence[str]) -> list[dict[int, float]]:
    """One set for each option; single pairs of order and distance, given as several options, make one set."""
    sets = [_cutoffs(option) for option in options]
    orders = [order for one in sets for order in one]
    if all(len(one) == 1 for one in sets) and len(set(orders)) == len(orders):
        return [{order: distance for one in sets for order, distance in one.items()}]
    return sets


def _cutoffs(option: str) -> dict[int, float]:
    try:
        pairs = [part.split(":") for part in option.split(",")]
        return {int(order): float(distance) for order, distance in pairs}
    except ValueError as error:
        raise ValueError(
            f"--cutoff needs orders with distances, such as 2:7.0 or 2:7.0,3:5.0, but is {option!r}."
        ) from error
