"""What `jaxce info` does: say what is in a file or folder."""

import collections
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.commands.model_files import json_of, model_kind, read_model
from jaxce.commands.run_inputs import stored_settings
from jaxce.commands.screen import plain_table, screen
from jaxce.commands.structure_inputs import read_structures
from jaxce.io.frames import Frame, ReadFailure, is_number
from jaxce.io.linear_model_file import FORMAT as LINEAR_MODEL, LinearModel, read_linear_model
from jaxce.io.skops_files import read_estimator
from jaxce.sampling.run_folder import sweeps_done

_MOST_LISTED = 20
_LARGEST_ECIS = 8


def info(path: pathlib.Path, as_json: bool) -> None:
    """Print what a file or folder holds, as tables or as JSON.

    Raises:
        ValueError: if it is nothing that jaxce reads.
    """
    facts = facts_of(path)
    console = screen()
    if as_json:
        console.print(json.dumps(facts, indent=1, allow_nan=False), markup=False)
        return
    for key, value in facts.items():
        if not isinstance(value, list | Mapping):
            console.print(f"{key}: {value}", markup=False)
    _print_lists(console, facts)


def facts_of(path: pathlib.Path) -> dict[str, Any]:
    """What a file or folder holds, for JSON.

    Raises:
        FileNotFoundError: if there is nothing at the path.
        ValueError: if it is nothing that jaxce reads.
    """
    kind = model_kind(path)
    if path.is_dir() and (path / "run.toml").is_file():
        return {"kind": "run of jaxce mc", **_run_facts(path), "model": model_facts(read_model(path))}
    if kind is not None:
        return {"kind": f"cluster expansion ({kind})", **model_facts(read_model(path))}
    if not path.is_dir():
        linear = _linear_facts(path)
        if linear is not None:
            return linear
    return {"kind": "structures", **structure_facts(read_structures([path]))}


def model_facts(expansion: ClusterExpansion) -> dict[str, Any]:
    """Prim, sublattices, orbits by order, coefficients and source of a model."""
    space, prim = expansion.space, expansion.space.prim
    functions = expansion.to_dataframe()
    largest = functions.iloc[1:]["eci"].abs().sort_values(ascending=False, kind="stable").index[:_LARGEST_ECIS]
    columns = ["order", "diameter", "multiplicity", "sublattices", "functions", "eci"]
    source = expansion.metadata.get("source")
    return {
        "prim": f"{prim.num_sites} site{'s' if prim.num_sites > 1 else ''}, {abs(np.linalg.det(prim.lattice)):.3f} A^3",
        "lattice, A": prim.lattice.tolist(),
        "sublattices": [
            {"sublattice": s.name, "sites per prim": len(s.sites), "species": "/".join(s.species)}
            for s in prim.sublattices
        ],
        "inactive sites": dict(collections.Counter(names[0] for names in prim.species if len(names) == 1)),
        "site functions": str(space.metadata.get("site_basis", "those of the file")),
        "orbits": list(_orbit_facts(expansion)),
        "number of functions": space.num_correlations,
        "clusters per prim": space.num_clusters_per_prim,
        "constant, eV/prim": float(expansion.coefficients[0]),
        "largest ECIs": functions.loc[largest, columns].rename(columns={"eci": "ECI, eV"}).to_dict(orient="records"),
        "interactions": [repr(interaction) for interaction in expansion.interactions],
        **({"source": source} if isinstance(source, Mapping) else {}),
        "metadata": {k: v for k, v in expansion.metadata.items() if k != "source" and isinstance(v, str | int | float)},
    }


def _orbit_facts(expansion: ClusterExpansion) -> Iterator[dict[str, Any]]:
    by_order, cutoffs = collections.defaultdict(list), expansion.space.metadata.get("cutoffs")
    for orbit in expansion.space.orbits:
        by_order[orbit.order].append(orbit)
    for order, orbits in sorted(by_order.items()):
        yield {
            "order": order,
            "orbits": len(orbits),
            "functions": sum(len(orbit.functions) for orbit in orbits),
            "largest diameter, A": round(max(orbit.diameter for orbit in orbits), 4),
            "cutoff, A": cutoffs.get(str(order), "") if isinstance(cutoffs, Mapping) else "",
        }


def _run_facts(folder: pathlib.Path) -> dict[str, Any]:
    settings = stored_settings(folder)
    return {
        "ensemble": settings.ensemble,
        "run": settings.kind,
        "temperature, K": settings.temperature,
        "chains": settings.chains,
        "sweeps": f"{sweeps_done(folder) or 0} of {settings.sweeps}",
        "settings": "run.toml; `jaxce analyze` gives the averages",
    }


def _linear_facts(path: pathlib.Path) -> dict[str, Any] | None:
    """Of numbers of a linear model, or of motifs; they have no crystal."""
    content = json_of(path)
    if isinstance(content, Mapping) and content.get("format") == LINEAR_MODEL:
        model = read_linear_model(path)
        name = "linear model" if isinstance(model, LinearModel) else "scaler of features"
        return {"kind": name, "features": model.num_features, "source": dict(model.source)}
    if isinstance(content, list) and content and all(isinstance(row, list) for row in content):
        return {"kind": "list of motifs, for jaxce.io.read_motif_model", "motifs": len(content)}
    if path.suffix == ".skops":
        estimator = read_estimator(path)
        return {"kind": f"{type(estimator).__name__} of scikit-learn", "features": int(estimator.n_features_in_)}
    return None


def structure_facts(found: list[Frame | ReadFailure]) -> dict[str, Any]:
    """Formula, cell, atoms and energy of each structure.

    Raises:
        ValueError: if none could be read.
    """
    frames = [item for item in found if isinstance(item, Frame)]
    failures = [item for item in found if isinstance(item, ReadFailure)]
    if not frames:
        reason = failures[0].reason if failures else "the folder holds no file of a known format"
        raise ValueError(f"nothing could be read: {reason}. `jaxce info` takes models and structures.")
    return {
        "number of structures": len(frames),
        "structures": [_facts_of_frame(frame) for frame in frames],
        "not read": [failure._asdict() for failure in failures],
    }


def _facts_of_frame(frame: Frame) -> dict[str, Any]:
    atoms = frame.atoms
    lengths = atoms.cell.cellpar()
    energy = frame.energy
    return {
        "name": frame.name,
        "formula": atoms.get_chemical_formula(),
        "atoms": len(atoms),
        "cell (a b c alpha beta gamma)": " ".join(f"{value:.3f}" for value in lengths),
        "volume, A^3": round(float(abs(np.linalg.det(np.array(atoms.cell)))), 4),
        "energy, eV": float(energy) if is_number(energy) and np.isfinite(energy) else None,
    }


def _print_lists(console: Console, facts: Mapping[str, Any], depth: int = 0) -> None:
    """Lists of like entries as tables, others line by line."""
    for key, value in facts.items():
        if not value and isinstance(value, list | Mapping):
            continue
        if isinstance(value, Mapping):
            console.print(f"\n{key}:", markup=False)
            for name, entry in value.items():
                if entry is not None and not isinstance(entry, list | Mapping):
                    console.print(f"  {name}: {entry}", markup=False)
            _print_lists(console, value, depth + 1)
        elif isinstance(value, list):
            console.print(f"\n{key}:", markup=False)
            if isinstance(value[0], Mapping):
                columns = {name: "left" if isinstance(entry, str) else "right" for name, entry in value[0].items()}
                rows = [[_shown(entry) for entry in row.values()] for row in value]
                console.print(plain_table(columns, rows, most=_MOST_LISTED))
            else:
                for entry in value:
                    console.print(f"  {_shown(entry)}", markup=False)


def _shown(entry: Any) -> str:
    if isinstance(entry, list):
        return " ".join(_shown(part) for part in entry)
    if entry is None:
        return ""
    return f"{entry:.6g}" if isinstance(entry, float) else str(entry)
