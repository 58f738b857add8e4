"""What `jaxce enumerate` does: all symmetry-distinct structures of small cells, their energies and hull."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from ase.calculators.singlepoint import SinglePointCalculator
from rich.table import Table

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.commands.lattice_source import LatticeSource
from jaxce.commands.run_files import write_csv
from jaxce.commands.sample import Placed
from jaxce.commands.screen import plain_table, screen
from jaxce.commands.structure_energies import structure_energies
from jaxce.commands.structure_outputs import check_place, structure_format, write_structures
from jaxce.fitting.convex_hull import concentrations_of, lower_hull
from jaxce.lattice.enumeration import enumerate_structures as enumerated
from jaxce.lattice.structures import occupancy_to_ase

# Ground states on the screen; all are in the file.
_MOST_LISTED = 30


def enumerate_structures(
    source: LatticeSource, sizes: tuple[int, int], composition: Mapping[str, Any], most: int, out: pathlib.Path | None
) -> None:
    """Write and count the structures of `sizes[0]` to `sizes[1]` prims within limits of composition.

    Raises:
        ValueError: if there are more than `most` occupancies in a supercell, none, or `out` cannot be written.
    """
    if out is not None and out.suffix != ".csv":
        check_place(out)
    console = screen()
    limits = {name: _limits(value) for name, value in composition.items()} or None
    with console.status("enumerating"):
        found = enumerated(source.prim, range(sizes[0], sizes[1] + 1), composition=limits, max_count=most)
        placed = [Placed(supercell, occupancy) for supercell, rows in found for occupancy in rows]
    if not placed:
        raise ValueError(f"no structure of {sizes[0]} to {sizes[1]} prims is within the limits.")
    table = _facts(placed)
    console.print(_counts(table))
    if source.expansion is not None:
        with console.status(f"{len(placed)} energies"):
            table = _with_energies(table, source.expansion, placed)
        console.print(_ground_states(table))
    if out is not None:
        _write(out, table, placed)
        console.print(f"wrote {out}", markup=False)


def _limits(value: Any) -> Any:
    """Of `0.2:0.5` two limits, of a number the number; whole numbers count sites, also below 1 as 0 and 1."""
    if isinstance(value, Mapping):
        return {name: _limits(part) for name, part in value.items()}
    try:
        numbers = [int(part) if part.isdecimal() else float(part) for part in value.split(":")]
        if len(numbers) == 1:
            return numbers[0]
        lowest, highest = numbers
        return lowest, highest
    except ValueError as error:
        raise ValueError(f"--composition needs numbers, or lowest:highest, but has {value!r}.") from error


def _facts(placed: list[Placed]) -> pd.DataFrame:
    """One row for each structure: size, formula, fractions of species on sublattices."""
    concentrations, names = concentrations_of(placed)
    facts = pd.DataFrame(
        {
            "prims": [structure.supercell.num_prims for structure in placed],
            "formula": [_formula(structure) for structure in placed],
            "transformation": [
                " ".join(map(str, structure.supercell.transformation.ravel().tolist())) for structure in placed
            ],
        }
    )
    return pd.concat([facts, pd.DataFrame(concentrations, columns=list(names))], axis=1).rename_axis("structure")


def _formula(structure: Placed) -> str:
    labels = [names[code] for names, code in zip(structure.supercell.species, structure.occupancy, strict=True)]
    names = structure.supercell.prim.all_species
    return " ".join(f"{name}{labels.count(name)}" for name in names if name in labels)


def _with_energies(table: pd.DataFrame, expansion: ClusterExpansion, placed: list[Placed]) -> pd.DataFrame:
    energies, _ = structure_energies(expansion, placed)
    per_prim = energies / table["prims"].to_numpy()
    hull = lower_hull(concentrations_of(placed)[0], per_prim)
    is_ground_state = np.isin(np.arange(len(table)), hull.vertices)
    return table.assign(
        energy=energies,
        energy_per_prim=per_prim,
        above_hull_per_prim=hull.energies_above_hull,
        is_ground_state=is_ground_state,
    )


def _counts(table: pd.DataFrame) -> Table:
    counts = table.groupby("prims").size()
    rows = [*counts.items(), ("all", len(table))]
    return plain_table({"prims": "left", "distinct structures": "right"}, rows)


def _ground_states(table: pd.DataFrame) -> Table:
    found = table[table["is_ground_state"]].sort_values(_concentrations(table), kind="stable")
    rows = [(index, row["formula"], f"{row['energy_per_prim']:.6f}") for index, row in found.iterrows()]
    columns = {"structure": "left", "ground state": "left", "eV/prim": "right"}
    return plain_table(columns, rows, most=_MOST_LISTED)


def _concentrations(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if ":" in name]


def _write(out: pathlib.Path, table: pd.DataFrame, placed: list[Placed]) -> None:
    if out.suffix == ".csv":
        write_csv(out, table.reset_index())
        return
    structures = [occupancy_to_ase(structure.supercell, structure.occupancy) for structure in placed]
    if structure_format(out) == "extxyz":
        for (_, row), atoms in zip(table.iterrows(), structures, strict=True):
            atoms.info |= {"prims": int(row["prims"])}
            if "energy" in table:
                atoms.info["above_hull_per_prim"] = float(row["above_hull_per_prim"])
                atoms.calc = SinglePointCalculator(atoms, energy=float(row["energy"]))
    write_structures(out, structures)
