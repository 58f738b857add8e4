"""Ensembles: what is conserved, and the weight of a state. Which moves sample them is apart (`ensemble_moves`)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from jaxce.lattice.prim import VACANCY
from jaxce.sampling.ensemble_parameters import (
    Problem,
    as_integers,
    by_canonical_name,
    canonical_name,
    charge_of_name,
    integers_by_species,
    no_constraints,
    numbers_by_species,
    numbers_per_chain,
    species_totals,
    weights_by_species,
)
from jaxce.sampling.sublattices import species_axis


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


def check_ensemble(value: Any) -> None:
    """Raise `ValueError` for anything else, such as a name, or a class in place of its instance."""
    if isinstance(value, type) or not isinstance(value, Ensemble):
        raise ValueError(f"`ensemble` must be one such as jaxce.Canonical(), but is {value!r}.")


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
        conserved = no_constraints(problem)
        if self.exchange == "global":
            conserved = species_totals(problem.sublattices)
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
        potentials = numbers_by_species(problem, self.chemical_potentials, "chemical potential")
        count = len(problem.sublattices)
        return Rules(np.zeros(count, dtype=bool), np.ones(count, dtype=bool), no_constraints(problem), potentials)


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
        phi = numbers_by_species(problem, self.phis, "phi")
        is_named = ~np.isnan(numbers_by_species(problem, self.phis, "phi", missing=np.nan)[:1, :1])
        held = {name for sublattice in problem.sublattices for name in sublattice.species}
        fixed = [name for name, phi in self.phis.items() if not isinstance(phi, Mapping)]
        if fixed := [name for name in fixed if canonical_name(name) not in held]:
            raise ValueError(f"`phis` names {fixed}, whose concentration cannot change: only {sorted(held)} can.")
        kappa = numbers_per_chain(self.kappa, problem, "kappa")[..., None, None]
        if np.any(kappa <= 0):
            raise ValueError(f"`kappa` must be positive, but is {self.kappa!r}.")
        num_sites = np.array([len(sublattice.sites) for sublattice in problem.sublattices])[:, None]
        count = len(problem.sublattices)
        stiffness = np.broadcast_to(np.where(is_named, kappa / num_sites, 0.0), phi.shape)
        swapped, flipped = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
        return Rules(swapped, flipped, no_constraints(problem), None, stiffness, -phi * num_sites / 2)


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
            no_constraints(problem),
            *(_joined([part[field] for part in parts], width) for field in (3, 4, 5)),
        )

    def _part(self, problem: Problem, name: str) -> Rules:
        ensemble = self.by_sublattice[name]
        if ensemble is None:
            return Rules(np.zeros(1, dtype=bool), np.zeros(1, dtype=bool), no_constraints(problem))
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
        potentials = numbers_by_species(problem, self.chemical_potentials, "chemical potential")
        rows = [integers_by_species(problem, constraint) for constraint in self.constraints]
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
        scaled = as_integers(self._charges(problem))
        return Constrained([scaled], self.chemical_potentials).rules(problem)

    def check_start(self, problem: Problem, counts: np.ndarray) -> None:
        charges = self._charges(problem)
        table = weights_by_species(problem, charges)
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
        given = {name: float(value) for name, value in by_canonical_name(self.charges or {}, "`charges`").items()}
        if self.charges is None:
            given = {name: charge for name in names if (charge := charge_of_name(name)) is not None}
        missing = sorted(names - set(given) - {VACANCY})
        unknown = sorted(set(given) - names - {VACANCY})
        if missing or unknown:
            raise ValueError(
                f"`charges` must give a charge for each of {sorted(names)}; missing: {missing}, unknown: {unknown}."
            )
        return {VACANCY: 0.0, **given}


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
