"""Ensembles: what is conserved, and the weight of a state. Which moves sample them is apart (`ensemble_moves`)."""

import dataclasses
import fractions
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

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


class Rules(NamedTuple):
    """What an ensemble asks of moves, and the parameters of its weight (`weights.Weight`) but temperature.

    Attributes:
        is_swapped: `[sublattices]` whether unlike species of the sublattice are to be swapped.
        is_flipped: `[sublattices]` whether sites of the sublattice are to change species one by one.
        conserved: `[constraints, sublattices, species]` integers whose sum over the counts never changes; moves across
            sublattices that keep them are to be found. Empty where swaps and flips are enough.
        chemical_potentials: `[sweeps or 1, chains, sublattices, species]` eV, or None.
        stiffness: the same shape, or None.
        centre: the same shape, or None.
    """

    is_swapped: np.ndarray
    is_flipped: np.ndarray
    conserved: np.ndarray
    chemical_potentials: np.ndarray | None = None
    stiffness: np.ndarray | None = None
    centre: np.ndarray | None = None


@runtime_checkable
class Ensemble(Protocol):
    """An ensemble is anything with these two methods."""

    def rules(self, problem: Problem) -> Rules:
        """The rules for a problem; raises `ValueError` if they cannot be."""
        ...

    def check_start(self, problem: Problem, counts: np.ndarray) -> None:
        """Raise `ValueError` if counts `[chains, sublattices, species]` of the start are not of the ensemble."""
        ...


class _AnyStart:
    def check_start(self, problem: Problem, counts: np.ndarray) -> None:
        del problem, counts


@dataclasses.dataclass(frozen=True)
class Canonical(_AnyStart):
    """Fixed composition: weight exp(-E / kT), sampled by swaps of unlike species.

    Attributes:
        exchange: "sublattice": each sublattice keeps its composition. "global": species that several sublattices share
            are exchanged between them too, so that only the totals over the crystal are kept.

    Raises:
        ValueError: if `exchange` is anything else.
    """

    exchange: str = "sublattice"

    def __post_init__(self) -> None:
        if self.exchange not in ("sublattice", "global"):
            raise ValueError(f'`exchange` must be "sublattice" or "global", but is {self.exchange!r}.')

    def rules(self, problem: Problem) -> Rules:
        conserved = _no_constraints(problem)
        if self.exchange == "global":
            conserved = _species_totals(problem.sublattices)
        count = len(problem.sublattices)
        return Rules(np.ones(count, dtype=bool), np.zeros(count, dtype=bool), conserved)


@dataclasses.dataclass(frozen=True)
class SemiGrand(_AnyStart):
    """Fixed exchange chemical potentials: weight exp(-(E - sum_i mu_i N_i) / kT), sampled by flips of single sites.

    Attributes:
        chemical_potentials: species -> mu in eV per atom; or sublattice -> {species -> mu}. A number, one per chain, or
            `[sweeps, chains]`. Species that are not named have 0. Only differences on a sublattice matter.
    """

    chemical_potentials: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def rules(self, problem: Problem) -> Rules:
        potentials = _by_species(problem, self.chemical_potentials, "chemical potential")
        count = len(problem.sublattices)
        return Rules(np.zeros(count, dtype=bool), np.ones(count, dtype=bool), _no_constraints(problem), potentials)


@dataclasses.dataclass(frozen=True)
class VCSGC(_AnyStart):
    """Variance-constrained semi-grand: weight exp(-E / kT - kappa N (c + phi / 2)^2), also inside miscibility gaps.

    N is the number of sites of a sublattice and c the concentration of a species on it; one such factor for every
    species that `phis` names. Sadigh and Erhart, Phys. Rev. B 86, 134204 (2012).

    Attributes:
        phis: species -> phi (about -2 c), dimensionless; or sublattice -> {species -> phi}. A number, one per chain, or
            `[sweeps, chains]`. For m species on a sublattice name m - 1.
        kappa: how strongly the concentration is held, dimensionless; a number or one per chain.
    """

    phis: Mapping[str, Any]
    kappa: Any = 200.0

    def rules(self, problem: Problem) -> Rules:
        if not self.phis:
            raise ValueError("`phis` must name a species whose concentration is held, such as {'Au': -1.0}.")
        phi = _by_species(problem, self.phis, "phi")
        is_named = ~np.isnan(_by_species(problem, self.phis, "phi", missing=np.nan)[:1, :1])
        kappa = _per_chain(self.kappa, problem, "kappa")[..., None, None]
        if np.any(kappa <= 0):
            raise ValueError(f"`kappa` must be positive, but is {self.kappa!r}.")
        num_sites = np.array([len(sublattice.sites) for sublattice in problem.sublattices])[:, None]
        count = len(problem.sublattices)
        stiffness = np.broadcast_to(np.where(is_named, kappa / num_sites, 0.0), phi.shape)
        swapped, flipped = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
        return Rules(swapped, flipped, _no_constraints(problem), None, stiffness, -phi * num_sites / 2)


@dataclasses.dataclass(frozen=True)
class Hybrid(_AnyStart):
    """A different ensemble on each sublattice.

    Attributes:
        by_sublattice: sublattice -> `Canonical()`, `SemiGrand(...)`, `VCSGC(...)`, or None for one that is left as it
            is. Every active sublattice is named.
    """

    by_sublattice: Mapping[str, Any]

    def rules(self, problem: Problem) -> Rules:
        names = [sublattice.name for sublattice in problem.sublattices]
        if set(self.by_sublattice) != set(names):
            raise ValueError(
                f"Hybrid must name each of the sublattices {names} once, but names {list(self.by_sublattice)}; "
                "give None for one that is to be left as it is."
            )
        parts = [self._part(problem._replace(sublattices=(s,)), s.name) for s in problem.sublattices]
        width = species_axis(problem.sublattices)
        return Rules(
            np.concatenate([part.is_swapped for part in parts]),
            np.concatenate([part.is_flipped for part in parts]),
            _no_constraints(problem),
            *(_joined([part[field] for part in parts], width) for field in (3, 4, 5)),
        )

    def _part(self, problem: Problem, name: str) -> Rules:
        ensemble = self.by_sublattice[name]
        if ensemble is None:
            return Rules(np.zeros(1, dtype=bool), np.zeros(1, dtype=bool), _no_constraints(problem))
        if not isinstance(ensemble, Canonical | SemiGrand | VCSGC) or ensemble == Canonical("global"):
            raise ValueError(
                f"the ensemble of sublattice {name} must be Canonical(), SemiGrand(...), VCSGC(...) or None, "
                f"but is {ensemble!r}."
            )
        return ensemble.rules(problem)


@dataclasses.dataclass(frozen=True)
class Constrained(_AnyStart):
    """Semi-grand under linear constraints: weight exp(-(E - sum_i mu_i N_i) / kT) where integer sums keep their value.

    Sampled by flip vectors: sites of several species, also of several sublattices, change together. The vectors are a
    Markov basis (Diaconis and Sturmfels, Ann. Stat. 26, 363 (1998)): they connect all compositions that can be reached.

    Attributes:
        constraints: for each constraint species -> integer; the sum over all sites is conserved. Species that are not
            named count 0.
        chemical_potentials: as in `SemiGrand`.
    """

    constraints: Sequence[Mapping[str, float | int]]
    chemical_potentials: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def rules(self, problem: Problem) -> Rules:
        potentials = _by_species(problem, self.chemical_potentials, "chemical potential")
        rows = [_integer_row(problem, constraint) for constraint in self.constraints]
        if not rows:
            raise ValueError("`constraints` is empty: without a constraint this is SemiGrand.")
        count = len(problem.sublattices)
        return Rules(np.ones(count, dtype=bool), np.zeros(count, dtype=bool), np.stack(rows), potentials)


@dataclasses.dataclass(frozen=True)
class ChargeNeutral:
    """Semi-grand at zero charge: weight exp(-(E - sum_i mu_i N_i) / kT) over the neutral compositions.

    Attributes:
        charges: species -> charge, for every species but the vacancy, inactive ones too; None reads them from names
            such as "Mn3+" and "O2-".
        chemical_potentials: as in `SemiGrand`.
    """

    charges: Mapping[str, float | int] | None = None
    chemical_potentials: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def rules(self, problem: Problem) -> Rules:
        scaled = _as_integers(self._charges(problem))
        return Constrained([scaled], self.chemical_potentials).rules(problem)

    def check_start(self, problem: Problem, counts: np.ndarray) -> None:
        charges = self._charges(problem)
        table = _row(problem, charges)
        fixed = sum(charges[name] * number for name, number in problem.inactive.items())
        net = np.einsum("crs,rs->c", counts, table) + fixed
        if np.any(np.abs(net) > 1e-9):
            chain = int(np.argmax(np.abs(net)))
            raise ValueError(
                f"the start of chain {chain} is not neutral: its charge is {net[chain]:+g}. Start from a neutral "
                "composition, or use Constrained to keep another charge."
            )

    def _charges(self, problem: Problem) -> dict[str, float]:
        names = {name for sublattice in problem.sublattices for name in sublattice.species} | set(problem.inactive)
        given = {_canonical(name): float(value) for name, value in (self.charges or {}).items()}
        if self.charges is None:
            given = {name: charge for name in names if (charge := _charge_of_name(name)) is not None}
        missing = sorted(names - set(given) - {VACANCY})
        unknown = sorted(set(given) - names - {VACANCY})
        if missing or unknown:
            raise ValueError(
                f"`charges` must give a charge for each of {sorted(names)}; missing: {missing}, unknown: {unknown}."
            )
        return {VACANCY: 0.0, **given}


def _no_constraints(problem: Problem) -> np.ndarray:
    return np.zeros((0, len(problem.sublattices), species_axis(problem.sublattices)), dtype=np.int64)


def _species_totals(sublattices: tuple[ActiveSublattice, ...]) -> np.ndarray:
    names = sorted({name for sublattice in sublattices for name in sublattice.species})
    totals = np.zeros((len(names), len(sublattices), species_axis(sublattices)), dtype=np.int64)
    for row, sublattice in enumerate(sublattices):
        for code, name in enumerate(sublattice.species):
            totals[names.index(name), row, code] = 1
    return totals


def _by_species(problem: Problem, given: Mapping[str, Any], what: str, missing: float = 0.0) -> np.ndarray:
    """`[sweeps or 1, chains, sublattices, species]` numbers that are given by species or by sublattice and species."""
    names = [sublattice.name for sublattice in problem.sublattices]
    known = {name for sublattice in problem.sublattices for name in sublattice.species} | set(problem.inactive)
    table = np.full((1, problem.num_chains, len(names), species_axis(problem.sublattices)), missing)
    for key, value in given.items():
        rows = range(len(names))
        if isinstance(value, Mapping):
            if key not in names:
                raise ValueError(f"a {what} is given on sublattice {key!r}, but the sublattices are {names}.")
            rows = [names.index(key)]
        by_name = value if isinstance(value, Mapping) else {key: value}
        for name, number in by_name.items():
            places = [
                (r, problem.sublattices[r].species.index(_canonical(name)))
                for r in rows
                if _canonical(name) in problem.sublattices[r].species
            ]
            if not places and (_canonical(name) not in known or isinstance(value, Mapping)):
                raise ValueError(f"a {what} is given for {name!r}, but the species are {sorted(known)}.")
            column = _per_chain(number, problem, f"{what} of {name}")
            if len(column) > len(table):
                table = np.repeat(table, len(column), axis=0)
            for row, code in places:
                table[:, :, row, code] = column
    return table


def _per_chain(value: Any, problem: Problem, what: str) -> np.ndarray:
    """`[sweeps or 1, chains]` finite numbers."""
    number = np.asarray(value, dtype=np.float64)
    shapes = ((), (problem.num_chains,), (problem.num_sweeps, problem.num_chains))
    if number.shape not in shapes or not np.all(np.isfinite(number)):
        raise ValueError(
            f"the {what} must be a finite number, [{problem.num_chains}] (one per chain) or "
            f"[{problem.num_sweeps}, {problem.num_chains}] (sweeps, chains), but is {value!r}."
        )
    return np.broadcast_to(number, (max(1, number.shape[0] if number.ndim == 2 else 1), problem.num_chains))


def _joined(parts: list[np.ndarray | None], width: int) -> np.ndarray | None:
    """Arrays `[sweeps or 1, chains, 1, species]` of single sublattices as one of all; zeros for None."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    num_sweeps, num_chains = max(len(part) for part in present), present[0].shape[1]
    table = np.zeros((num_sweeps, num_chains, len(parts), width))
    for row, part in enumerate(parts):
        if part is not None:
            table[:, :, row, : part.shape[-1]] = part[:, :, 0]
    return table


def _integer_row(problem: Problem, constraint: Mapping[str, float | int]) -> np.ndarray:
    row = _row(problem, {_canonical(name): value for name, value in constraint.items()})
    if np.any(row != np.round(row)):
        raise ValueError(f"constraints must have integers, but one is {dict(constraint)}.")
    return row.astype(np.int64)


def _row(problem: Problem, values: Mapping[str, float | int]) -> np.ndarray:
    known = {name for sublattice in problem.sublattices for name in sublattice.species} | set(problem.inactive)
    unknown = sorted(set(values) - known - {VACANCY})
    if unknown:
        raise ValueError(f"a constraint names {unknown}, but the species are {sorted(known)}.")
    row = np.zeros((len(problem.sublattices), species_axis(problem.sublattices)))
    for index, sublattice in enumerate(problem.sublattices):
        row[index, : len(sublattice.species)] = [values.get(name, 0) for name in sublattice.species]
    return row


def _as_integers(charges: Mapping[str, float]) -> dict[str, int]:
    exact = {name: fractions.Fraction(value).limit_denominator(60) for name, value in charges.items()}
    wrong = [name for name, value in charges.items() if abs(float(exact[name]) - value) > 1e-9]
    if wrong:
        raise ValueError(f"charges must be integers or simple fractions, but those of {wrong} are not.")
    scale = math.lcm(*(value.denominator for value in exact.values()))
    return {name: int(value * scale) for name, value in exact.items()}


def _charge_of_name(name: str) -> float | None:
    """The oxidation state at the end of a name, such as 3 of "Mn3+"."""
    match = re.search(r"(\d*)([+-])$", name)
    if match is None:
        return None
    return float(match[1] or "1") * (1 if match[2] == "+" else -1)


def _canonical(name: str) -> str:
    return VACANCY if name in VACANCY_ALIASES else name
