"""Commands that make, read and convert models."""

import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from jaxce.cli.readable_errors import show

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
    """Fit a cluster expansion to structures with energies; choose between sets of cutoffs; write a report."""
    from jaxce.commands.fit import read_prim, run_fit

    run_fit(
        source,
        read_prim(prim, _species(species or [])),
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


def _species(options: Sequence[str]) -> dict[str, list[str]]:
    found = {}
    for option in options:
        symbol, _, names = option.partition(":")
        if not names:
            raise ValueError(f"--species needs a symbol and a list, such as Ti:Ti,Fe, but is {option!r}.")
        found[symbol] = names.split(",")
    return found


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
