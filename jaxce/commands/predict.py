"""What `jaxce predict` does: energies of structures by a model."""

import pathlib
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console

from jaxce.atomic_files import check_file_place, replacing
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.commands.fit import POSTERIOR
from jaxce.commands.model_files import read_model
from jaxce.commands.run_files import write_csv, write_json
from jaxce.commands.screen import plain_table, screen
from jaxce.commands.structure_energies import structure_energies
from jaxce.commands.structure_inputs import read_structures
from jaxce.commands.structure_outputs import write_structures
from jaxce.fitting.posterior import Posterior
from jaxce.fitting.posterior_file import read_posterior
from jaxce.io.frames import Frame, ReadFailure, frame_energy, listed_numbers
from jaxce.lattice.structures import Mapping, map_structure

# Structures on the screen; all are in the files.
_MOST_LISTED = 30


class Mapped(NamedTuple):
    """A structure that was read, and how it lies on the lattice."""

    frame: Frame
    mapping: Mapping


def predict(
    model: pathlib.Path,
    paths: Sequence[pathlib.Path],
    *,
    energy: str | None = None,
    out: pathlib.Path | None = None,
    plot: pathlib.Path | None = None,
    max_displacement: float | None = None,
) -> int:
    """Print the energies of structures, write them to `out`; return how many structures could not be mapped.

    Args:
        model: a model of any program, or the report folder of `jaxce fit`, whose posterior gives standard deviations.
        paths: files and folders of structures.
        energy: name of the reference energies in the files; by default the energy of a calculation.
        out: CSV, JSON, or extxyz; the latter keeps the structures, and only those that were mapped.
        plot: parity plot against the reference energies.
        max_displacement: as for `map_structure`.

    Raises:
        ValueError: if the model or a path cannot be read, the ending of `out` is another, no structure could be mapped,
            or there are no reference energies for a plot.
    """
    _check_out(out)
    console = screen()
    expansion, posterior = read_model(model), read_posterior_of(model)
    with console.status("reading and mapping structures"):
        found = [_placed(expansion, item, max_displacement) for item in read_structures(paths)]
    placed = [item for item in found if isinstance(item, Mapped)]
    failures = [item for item in found if isinstance(item, ReadFailure)]
    if not placed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures[:3]) or "the paths hold no structures"
        raise ValueError(f"none of {len(found)} structures could be mapped: {reasons}")
    with console.status(f"{len(placed)} energies"):
        table = prediction_table(expansion, posterior, placed, energy)
    if energy is not None and table["reference"].isna().all():
        raise ValueError(f"no structure has {energy!r}: {listed_numbers(placed[0].frame.values)}.")
    if plot is not None and table["reference"].isna().all():
        raise ValueError("a parity plot needs reference energies in the files; `--energy` names them.")
    _print(console, table, failures)
    if out is not None:
        _write(out, table, placed, failures)
        console.print(f"wrote {out}", markup=False)
    if plot is not None:
        _plot(plot, table)
        console.print(f"wrote {plot}", markup=False)
    return len(failures)


def read_posterior_of(model: pathlib.Path) -> Posterior | None:
    """The posterior beside the model of a report folder; None if there is none.

    Raises:
        ValueError: if it is damaged, or of another model.
    """
    path = model / POSTERIOR if model.is_dir() else model.with_name(POSTERIOR)
    if not path.is_file() or (not model.is_dir() and model.name != "model.json"):
        return None
    posterior = read_posterior(path)
    mean = read_model(model).coefficients
    if posterior.mean.shape != mean.shape or not np.allclose(posterior.mean, mean, rtol=1e-9, atol=1e-9):
        raise ValueError(f"{path} is the posterior of another model than {model}: remove the one that is not right.")
    return posterior


def _check_out(out: pathlib.Path | None) -> None:
    if out is not None and out.suffix not in (".csv", ".json", ".extxyz", ".xyz"):
        raise ValueError(f"--out must end in .csv, .json or .extxyz, but is {out}.")
    if out is not None:
        check_file_place(out)


def _placed(
    expansion: ClusterExpansion, item: Frame | ReadFailure, max_displacement: float | None
) -> Mapped | ReadFailure:
    if isinstance(item, ReadFailure):
        return item
    try:
        return Mapped(item, map_structure(expansion.space.prim, item.atoms, max_displacement=max_displacement))
    except ValueError as error:
        return ReadFailure(item.name, str(error))


def prediction_table(
    expansion: ClusterExpansion, posterior: Posterior | None, placed: Sequence[Mapped], energy: str | None
) -> pd.DataFrame:
    """One row for each structure: energies, standard deviation, reference, how it lies on the lattice."""
    mappings = [item.mapping for item in placed]
    sizes = np.array([mapping.supercell.num_prims for mapping in mappings])
    atoms = np.array([len(item.frame.atoms) for item in placed])
    energies, vectors = structure_energies(expansion, mappings)
    lengths = [np.linalg.norm(mapping.displacements, axis=1) for mapping in mappings]
    table = pd.DataFrame(
        {
            "name": [item.frame.name for item in placed],
            "formula": [item.frame.atoms.get_chemical_formula() for item in placed],
            "prims": sizes,
            "atoms": atoms,
            "energy": energies,
            "energy_per_prim": energies / sizes,
            "energy_per_atom": energies / atoms,
        }
    )
    if posterior is not None:
        table["standard_deviation"] = posterior.predict(vectors, sizes)[1] * sizes
    table["reference"] = [_reference(item.frame, energy) for item in placed]
    table["error_per_prim"] = (table["energy"] - table["reference"]) / sizes
    table["largest_displacement"] = [values.max() for values in lengths]
    table["largest_strain"] = [np.abs(np.linalg.eigvalsh(mapping.strain)).max() for mapping in mappings]
    table["atoms_in_doubt"] = [len(mapping.ambiguous) for mapping in mappings]
    return table


def _reference(frame: Frame, name: str | None) -> float:
    try:
        return frame_energy(frame, name)
    except ValueError:
        return np.nan


def _print(console: Console, table: pd.DataFrame, failures: Sequence[ReadFailure]) -> None:
    has_reference = not table["reference"].isna().all()
    columns = {
        "structure": table["name"],
        "prims": table["prims"],
        "energy (eV)": table["energy"].map("{:.6f}".format),
        "eV/prim": table["energy_per_prim"].map("{:.6f}".format),
        "eV/atom": table["energy_per_atom"].map("{:.6f}".format),
    }
    if "standard_deviation" in table:
        columns["+- eV/prim"] = (table["standard_deviation"] / table["prims"]).map("{:.6f}".format)
    if has_reference:
        columns["error (meV/prim)"] = ((1e3 * table["error_per_prim"]).round(3) + 0.0).map("{:.3f}".format)
    columns["displaced (A)"] = table["largest_displacement"].map("{:.3f}".format)
    columns["strain (%)"] = (100 * table["largest_strain"]).map("{:.2f}".format)
    sides = {name: "left" if name == "structure" else "right" for name in columns}
    console.print(plain_table(sides, list(zip(*columns.values(), strict=True)), most=_MOST_LISTED))
    if failures:
        console.print(f"without an energy: {len(failures)}")
        for name, reason in failures[:_MOST_LISTED]:
            console.print(f"  {name}: {reason}", markup=False)
    if has_reference:
        console.print(_errors(table))
    _warn(table)


def _warn(table: pd.DataFrame) -> None:
    doubtful = table[table["atoms_in_doubt"] > 0]
    if len(doubtful):
        names = ", ".join(doubtful["name"].head(5))
        warnings.warn(
            f"{len(doubtful)} structures have atoms that lie nearly as near to another site, so their energies may be "
            f"those of other configurations: {names}{', ...' if len(doubtful) > 5 else ''}.",
            stacklevel=2,
        )


def _errors(table: pd.DataFrame) -> str:
    known = table[table["reference"].notna()]
    by_unit = {"prim": known["error_per_prim"], "atom": known["error_per_prim"] * known["prims"] / known["atoms"]}
    parts = [
        f"RMSE {1e3 * np.sqrt(np.mean(e**2)):.3f}, MAE {1e3 * np.mean(np.abs(e)):.3f} meV/{unit}"
        for unit, e in by_unit.items()
    ]
    return f"against {len(known)} reference energies: " + "; ".join(parts)


def _write(out: pathlib.Path, table: pd.DataFrame, placed: Sequence[Mapped], failures: Sequence[ReadFailure]) -> None:
    failed = pd.DataFrame(failures, columns=list(ReadFailure._fields))
    if out.suffix == ".csv":
        write_csv(out, pd.concat([table, failed], ignore_index=True))
    elif out.suffix == ".json":
        records = [{k: None if v != v else v for k, v in row.items()} for row in table.to_dict(orient="records")]
        write_json(out, {"structures": records, "failures": failed.to_dict(orient="records")})
    else:
        for (frame, _), row in zip(placed, table.to_dict(orient="records"), strict=True):
            # The energy of the file, if it has one, stays what it is.
            frame.atoms.info["predicted_energy"] = row["energy"]
            if "standard_deviation" in row:
                frame.atoms.info["predicted_standard_deviation"] = row["standard_deviation"]
        write_structures(out, [frame.atoms for frame, _ in placed])


def _plot(path: pathlib.Path, table: pd.DataFrame) -> None:
    from jaxce.plotting import parity_plot

    known = table[table["reference"].notna()]
    error = float(np.sqrt(np.mean(known["error_per_prim"] ** 2)))
    deviations = (known["standard_deviation"] / known["prims"]).to_numpy() if "standard_deviation" in known else None
    reference = (known["reference"] / known["prims"]).to_numpy()
    figure = parity_plot(reference, known["energy_per_prim"].to_numpy(), error, "", deviations)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=200)
