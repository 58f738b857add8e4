"""Species of the sublattices of a motif model, by name, whatever the ids in `atom_ind_group` mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.io.motif.files import NUM_CODED
from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES


def canonical_name(name: Any) -> str:
    """A species name; "X" for all names of vacancies."""
    return VACANCY if name in VACANCY_ALIASES else str(name)


def named_sublattices(
    atom_ind_group: Sequence[Sequence[int | str]], names: list[str], of_atoms: list[str], motifs: np.ndarray
) -> tuple[tuple[tuple[str, ...], ...], str]:
    """Species of A, B and O by name, and how the ids were read.

    Args:
        atom_ind_group: three groups, of names or of ids.
        names: name of each species id of the motifs.
        of_atoms: what the atoms of the template are called.
        motifs: `[motifs, entries]` species ids.

    Raises:
        ValueError: if there are no three groups, or none or several ways to read the ids fit the motifs.
    """
    groups = [list(group) for group in atom_ind_group]
    entries = [entry for group in groups for entry in group]
    if len(groups) != 3 or not all(groups) or len(set(entries)) != len(entries):
        raise ValueError(
            "`atom_ind_group` must hold the species of the A, the B and the O sublattice, such as [[0], [1, 2], "
            f"[3, 4]] or [['Sr'], ['Ti', 'Fe'], ['O', 'VO']], each once, but is {atom_ind_group!r}."
        )
    if all(isinstance(entry, str) for entry in entries):
        readings = {"given by name": tuple(tuple(map(canonical_name, group)) for group in groups)}
    else:
        in_file_order = [canonical_name(name) for name in dict.fromkeys(of_atoms)]
        orders = {"ids are those of `species`": names, "ids are in the template's order": in_file_order}
        readings = {how: _translated(groups, order) for how, order in orders.items()}
    fitting = {how: r for how, r in readings.items() if r is not None and _fits_motifs(r, names, motifs)}
    # The order within a group is of no matter.
    if len({tuple(frozenset(group) for group in reading) for reading in fitting.values()}) != 1:
        raise ValueError(_no_reading(readings, fitting, names, motifs))
    how = next(iter(fitting))
    return fitting[how], how


def _translated(groups: list[list[Any]], order: list[str]) -> tuple[tuple[str, ...], ...] | None:
    """Names of ids in an order; None if there are no such ids."""
    if not all(type(entry) is int and 0 <= entry < len(order) for group in groups for entry in group):
        return None
    return tuple(tuple(order[entry] for entry in group) for group in groups)


def _in_motifs(names: list[str], motifs: np.ndarray) -> list[set[str]]:
    """Species that motifs have on A, B and O sites."""
    parts = (motifs[:, NUM_CODED:], motifs[:, :7], motifs[:, 7:NUM_CODED])
    return [{names[i] for i in np.unique(part)} for part in parts]


def _fits_motifs(reading: tuple[tuple[str, ...], ...], names: list[str], motifs: np.ndarray) -> bool:
    return all(found <= set(group) for found, group in zip(_in_motifs(names, motifs), reading, strict=True))


def _no_reading(readings: Mapping[str, Any], fitting: Mapping[str, Any], names: list[str], motifs: np.ndarray) -> str:
    found = " | ".join("/".join(sorted(group)) for group in _in_motifs(names, motifs))
    listed = "; ".join(f"{how}: {reading or 'no such ids'}" for how, reading in readings.items())
    problem = "can be read in several ways" if fitting else "does not fit the motifs"
    return (
        f"`atom_ind_group` {problem}, which have {found} on A | B | O sites ({listed}): give names, such as "
        "[['Sr'], ['Ti', 'Fe'], ['O', 'VO']], and in `species` the name of each id of the motif file."
    )
