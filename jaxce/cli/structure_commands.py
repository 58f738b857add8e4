"""Commands that make structures."""

import pathlib
from typing import Annotated

import typer

from jaxce.cli.option_values import allowed_species, by_species

Source = Annotated[
    pathlib.Path,
    typer.Argument(help="A model of any program, or the file of a primitive cell with --species.", exists=True),
]
Species = Annotated[
    list[str] | None, typer.Option(help="For a primitive cell: symbol and what may stand there, Ti:Ti,Fe or O:O,X.")
]


def sample(
    source: Source,
    supercell: Annotated[str, typer.Option(help="Such as 4,4,4, or the nine integers of a matrix.")],
    composition: Annotated[
        str, typer.Option(help="Such as Cu=0.5,Au=0.5 or Cu=32,Au=32; A:Sr=0.9,... on sublattices.")
    ],
    species: Species = None,
    number: Annotated[int, typer.Option(min=1, help="How many structures.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    out: Annotated[
        pathlib.Path, typer.Option(help="An .extxyz with energies, a .cif, or a folder of POSCARs.")
    ] = pathlib.Path("samples.extxyz"),
) -> None:
    """Write random structures at exact composition, with energies if a model is given."""
    from jaxce.commands.lattice_source import read_lattice_source
    from jaxce.commands.run_settings import checked_setting
    from jaxce.commands.sample import sample as sample_structures

    sample_structures(
        read_lattice_source(source, allowed_species(species)),
        checked_setting("supercell", supercell),
        checked_setting("composition", by_species("composition", composition)),
        number,
        seed,
        out,
    )


def enumerate(
    source: Source,
    max_size: Annotated[int, typer.Option(min=1, help="Prims in the largest supercells.")],
    min_size: Annotated[int, typer.Option(min=1, help="Prims in the smallest.")] = 1,
    species: Species = None,
    composition: Annotated[
        str | None,
        typer.Option(
            help="Limits: Au=0.5, Au=0.2:0.5 (fractions of sites) or Au=1:2 (sites); A:Sr=... on a sublattice."
        ),
    ] = None,
    max_count: Annotated[int, typer.Option(min=1, help="Most occupancies of one supercell to compare.")] = 2**22,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="An .extxyz with energies, .csv, .cif, or a folder of POSCARs.")
    ] = None,
) -> None:
    """List all structures that differ by symmetry; with a model, their energies and ground states."""
    from jaxce.commands.enumerate_structures import enumerate_structures
    from jaxce.commands.lattice_source import read_lattice_source

    enumerate_structures(
        read_lattice_source(source, allowed_species(species)),
        (min_size, max_size),
        by_species("composition", composition) or {},
        max_count,
        out,
    )
