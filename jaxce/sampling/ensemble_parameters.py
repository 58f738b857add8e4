"""What users give to ensembles, as arrays over the active sublattices: by species, by sublattice, by chain."""

import fractions
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxce.lattice.prim import VACANCY, VACANCY_ALIASES
from jaxce.sampling.sublattices import ActiveSublattice, species_axis


class Problem(NamedTuple):
    """What an ensemble is applied to.

    Attributes:
        sublattices: the active sublattices.
        inactive: species -> number of sites that hold nothing else.
        num_chains: number of chains, or of rungs of a ladder.
        num_sweeps: number of sweeps.
    """

    sublattices: tuple[ActiveSublattice, ...]
    inactive: Mapping[str, int]
    num_chains: int
    num_sweeps: int


def no_constraints(problem: Problem) -> np.ndarray:
    """`[0, sublattices, species]`."""
    return np.zeros((0, len(problem.sublattices), species_axis(problem.sublattices)), dtype=np.int64)


def species_totals(sublattices: tuple[ActiveSublattice, ...]) -> np.ndarray:
    """`[names, sublattices, species]` 1 where a sublattice holds the species of the name."""
    names = sorted({name for sublattice in sublattices for name in sublattice.species})
    totals = np.zeros((len(names), len(sublattices), species_axis(sublattices)), dtype=np.int64)
    for row, sublattice in enumerate(sublattices):
        for code, name in enumerate(sublattice.species):
            totals[names.index(name), row, code] = 1
    return totals


def numbers_by_species(problem: Problem, given: Mapping[str, Any], what: str, missing: float = 0.0) -> np.ndarray:
    """`[sweeps or 1, chains, sublattices, species]` numbers that are given by species or by sublattice and species."""
    names = [sublattice.name for sublattice in problem.sublattices]
    known = {name for sublattice in problem.sublattices for name in sublattice.species} | set(problem.inactive)
    table = np.full((1, problem.num_chains, len(names), species_axis(problem.sublattices)), missing)
    is_given = np.zeros(table.shape[2:], dtype=bool)
    for key, value in given.items():
        rows = range(len(names))
        if isinstance(value, Mapping):
            if key not in names:
                raise ValueError(f"a {what} is given on sublattice {key!r}, but the sublattices are {names}.")
            rows = [names.index(key)]
        by_name = value if isinstance(value, Mapping) else {key: value}
        for name, number in by_name.items():
            places = [
                (r, problem.sublattices[r].species.index(canonical_name(name)))
                for r in rows
                if canonical_name(name) in problem.sublattices[r].species
            ]
            if not places and (canonical_name(name) not in known or isinstance(value, Mapping)):
                raise ValueError(f"a {what} is given for {name!r}, but the species are {sorted(known)}.")
            column = numbers_per_chain(number, problem, f"{what} of {name}")
            if len(column) > len(table):
                table = np.repeat(table, len(column), axis=0)
            for row, code in places:
                if is_given[row, code]:
                    raise ValueError(f"a {what} of {name} on sublattice {names[row]} is given twice: {dict(given)}.")
                is_given[row, code] = True
                table[:, :, row, code] = column
    return table


def numbers_per_chain(value: Any, problem: Problem, what: str) -> np.ndarray:
    """`[sweeps or 1, chains]` finite numbers."""
    number = np.asarray(value, dtype=np.float64)
    shapes = ((), (problem.num_chains,), (problem.num_sweeps, problem.num_chains))
    if number.shape not in shapes or not np.all(np.isfinite(number)):
        raise ValueError(
            f"the {what} must be a finite number, [{problem.num_chains}] (one per chain) or "
            f"[{problem.num_sweeps}, {problem.num_chains}] (sweeps, chains), but is {value!r}."
        )
    return np.broadcast_to(number, (max(1, number.shape[0] if number.ndim == 2 else 1), problem.num_chains))


def integers_by_species(problem: Problem, constraint: Mapping[str, float | int]) -> np.ndarray:
    """`[sublattices, species]` integers; raises `ValueError` for others."""
    row = weights_by_species(problem, by_canonical_name(constraint, "a constraint"))
    if np.any(row != np.round(row)):
        raise ValueError(f"constraints must have integers, but one is {dict(constraint)}.")
    return row.astype(np.int64)


def weights_by_species(problem: Problem, values: Mapping[str, float | int]) -> np.ndarray:
    """`[sublattices, species]` numbers, 0 where none is given; raises `ValueError` for unknown species."""
    known = {name for sublattice in problem.sublattices for name in sublattice.species} | set(problem.inactive)
    unknown = sorted(set(values) - known - {VACANCY})
    if unknown:
        raise ValueError(f"a constraint names {unknown}, but the species are {sorted(known)}.")
    row = np.zeros((len(problem.sublattices), species_axis(problem.sublattices)))
    for index, sublattice in enumerate(problem.sublattices):
        row[index, : len(sublattice.species)] = [values.get(name, 0) for name in sublattice.species]
    return row


def as_integers(charges: Mapping[str, float]) -> dict[str, int]:
    """The charges times the least number that makes integers of them; raises `ValueError` if there is no small one."""
    exact = {name: fractions.Fraction(value).limit_denominator(60) for name, value in charges.items()}
    wrong = [name for name, value in charges.items() if abs(float(exact[name]) - value) > 1e-9]
    if wrong:
        raise ValueError(f"charges must be integers or simple fractions, but those of {wrong} are not.")
    scale = math.lcm(*(value.denominator for value in exact.values()))
    return {name: int(value * scale) for name, value in exact.items()}


def charge_of_name(name: str) -> float | None:
    """The oxidation state at the end of a name, such as 3 of "Mn3+" or 2.5 of "Mn2.5+"."""
    match = re.search(r"(\d+(?:\.\d+)?)?([+-])$", name)
    if match is None:
        return None
    return float(match[1] or "1") * (1 if match[2] == "+" else -1)


def by_canonical_name(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values by name, with one name for the vacancy; raises `ValueError` if it is named twice."""
    named = {canonical_name(name): value for name, value in values.items()}
    if len(named) != len(values):
        raise ValueError(f"{what} names the vacancy twice ({VACANCY} and another name): {dict(values)}.")
    return named


def canonical_name(name: str) -> str:
    """The name, or that of the vacancy for an alias of it."""
    return VACANCY if name in VACANCY_ALIASES else name
