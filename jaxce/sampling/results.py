"""What a Monte Carlo run gives, and its statistics."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd

from jaxce.sampling.chains import Samples, is_accumulated
from jaxce.sampling.chunks import Done
from jaxce.sampling.diagnostics import (
    Estimate,
    find_equilibration,
    heat_capacity,
    summarize,
    susceptibility,
    to_datatree,
)
from jaxce.sampling.precision import PrecisionCheck
from jaxce.sampling.run_setup import Setup


@dataclasses.dataclass(frozen=True, kw_only=True)
class MonteCarloResult:
    """Samples and final states of all chains.

    Attributes:
        energy: `[chains, samples]` E (never E - sum mu N), eV per supercell, float64.
        counts: `[chains, samples, labels]` number of sites with each species; `species` names them.
        species: names of the labels.
        work: `[chains, samples]` sum over species of mu N, eV per supercell; None without chemical potentials.
        observables: name -> `[chains, samples, ...]`, or what `Moments` and `Histogram` give.
        temperature: `[chains]` kelvin, at the end.
        conditions: `[chains]` number that is the same for chains of equal temperature and other parameters.
        occupancy: `[chains, sites]` final occupancies.
        acceptance_rate: `[chains]` accepted part of the proposals.
        lowest_energy: `[chains]` lowest energy after any sweep, eV per supercell.
        lowest_occupancy: `[chains, sites]` the occupancy that has it.
        energy_drift: `[chains]` largest difference between the running energy and the full one at a sample, eV.
        num_sweeps: sweeps that were done.
        sample_every: sweeps between samples.
        num_prims: prims in the supercell.
        is_precise: whether the precision that was asked for was reached; None if none was.
        precision: the last judgement of it, a table.
        labels: name of an observable -> names of its axes and labels along them, for `to_datatree`.
    """

    energy: np.ndarray
    counts: np.ndarray
    species: tuple[str, ...]
    work: np.ndarray | None
    observables: Mapping[str, Any]
    temperature: np.ndarray
    conditions: np.ndarray
    occupancy: jax.Array
    acceptance_rate: np.ndarray
    lowest_energy: np.ndarray
    lowest_occupancy: jax.Array
    energy_drift: np.ndarray
    num_sweeps: int
    sample_every: int
    num_prims: int
    is_precise: bool | None = None
    precision: pd.DataFrame | None = None
    labels: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def quantities(self, drop: int = 0) -> dict[str, np.ndarray]:
        """Name -> `[chains, samples, ...]` of all that was traced: energy, numbers of species, observables."""
        counts = {name: self.counts[:, drop:, label] for label, name in enumerate(self.species)}
        traces = {name: values[:, drop:] for name, values in self.observables.items() if isinstance(values, np.ndarray)}
        return {"energy": self.energy[:, drop:], **counts, **traces}

    def summary(self, drop: int = 0) -> pd.DataFrame:
        """Means with standard errors, effective sample sizes and R-hat, for each condition.

        Args:
            drop: samples at the beginning that do not count.
        """
        varying = {name: v for name, v in self.quantities(drop).items() if name not in self.species or np.ptp(v) > 0}
        return summarize(varying, self.conditions)

    def equilibration(self) -> dict[int, int]:
        """Condition -> first sample from which the energy counts as equilibrated: how many to drop.

        By `diagnostics.find_equilibration`. Near half of the samples means that the run was too short to tell.
        """
        return {condition: find_equilibration(self.energy[chains]) for condition, chains, _ in self._by_condition()}

    def heat_capacity(self, drop: int = 0) -> dict[int, Estimate]:
        """Condition -> heat capacity of the configurations, kB per prim: Var(E - sum mu N) / (kT)^2.

        Args:
            drop: samples at the beginning that do not count.
        """
        work = np.zeros_like(self.energy) if self.work is None else self.work
        return {
            condition: heat_capacity(self.energy[chains, drop:], kelvin, self.num_prims, work[chains, drop:])
            for condition, chains, kelvin in self._by_condition()
        }

    def susceptibility(self, species: str, drop: int = 0) -> dict[int, Estimate]:
        """Condition -> dN/dmu of a species, per eV and prim: Var(N) / kT. For samples at fixed chemical potentials.

        Args:
            species: the species.
            drop: samples at the beginning that do not count.
        """
        if species not in self.species:
            raise ValueError(f"{species!r} is none of the species {self.species}.")
        counts = self.counts[:, drop:, self.species.index(species)]
        return {
            condition: susceptibility(counts[chains], kelvin, self.num_prims)
            for condition, chains, kelvin in self._by_condition()
        }

    def to_datatree(self) -> Any:
        """An `xarray.DataTree` for ArviZ: samples in "posterior" (chain, draw, ...), acceptance in "sample_stats".

        Chains of unlike conditions stand beside each other: select one by its coordinate before R-hat is taken.
        """
        posterior: dict[str, Any] = {
            "energy": (("chain", "draw"), self.energy),
            "counts": (("chain", "draw", "species"), self.counts),
        }
        coords: dict[str, Any] = {
            "species": list(self.species),
            "temperature": ("chain", self.temperature),
            "condition": ("chain", self.conditions),
            "sweep": ("draw", self.sample_every * np.arange(1, self.energy.shape[1] + 1)),
        }
        for name, values in self.observables.items():
            if isinstance(values, np.ndarray):
                dims, labels = self.labels.get(name) or (None, {})
                dims = dims or tuple(str(axis) for axis in range(values.ndim - 2))
                # Axes of unlike observables may have the same name, but other labels.
                posterior[name] = (("chain", "draw", *(f"{name}_{dim}" for dim in dims)), values)
                coords |= {f"{name}_{dim}": along for dim, along in labels.items()}
        stats = {"acceptance_rate": (("chain",), self.acceptance_rate), "drift": (("chain",), self.energy_drift)}
        return to_datatree({"posterior": posterior, "sample_stats": stats}, coords)

    def _by_condition(self) -> list[tuple[int, np.ndarray, float]]:
        chains = [np.flatnonzero(self.conditions == condition) for condition in np.unique(self.conditions)]
        return [(int(self.conditions[c[0]]), c, float(self.temperature[c[0]])) for c in chains]


def traced_quantities(setup: Setup, samples: Samples) -> dict[str, np.ndarray]:
    """Name -> `[chains, samples, ...]` of the energy, the numbers of species, and the traces of observables."""
    chains_first = lambda values: np.swapaxes(values, 0, 1)
    # The constant is added in double precision, whatever the dtype of the energies.
    constant = np.asarray(setup.plan.run.hamiltonian.constant, dtype=np.float64)
    energy = chains_first(samples.energy).astype(np.float64) + constant[..., None]
    counts = chains_first(setup.counts_by_label(samples.counts))
    by_species = {name: counts[..., label] for label, name in enumerate(setup.species)}
    return {"energy": energy, **by_species, **{name: chains_first(v) for name, v in samples.traces.items()}}


def assembled(setup: Setup, done: Done, samples: Samples, check: PrecisionCheck | None) -> MonteCarloResult:
    """The result of a run."""
    plan, progress = setup.plan, done.progress
    if check is not None:
        _conclude(check)
    quantities = traced_quantities(setup, samples)
    num_chains = len(setup.occupancy)
    work = setup.work(samples.counts)
    steps = done.sweeps * sum(move.steps for move in plan.run.moves)
    hamiltonian = plan.run.hamiltonian
    repeats = num_chains // plan.schedule.beta.shape[1]
    return MonteCarloResult(
        energy=quantities["energy"],
        counts=np.stack([quantities[name] for name in setup.species], axis=-1),
        species=setup.species,
        work=None if work is None else work.T,
        observables=_observed(setup, done, quantities),
        temperature=np.tile(np.broadcast_to(setup.temperature[-1], plan.schedule.beta.shape[1]), repeats),
        conditions=setup.conditions(),
        occupancy=progress.states.occupancy,
        acceptance_rate=done.num_accepted / steps,
        lowest_energy=np.asarray(progress.lowest_energy, dtype=np.float64) + np.asarray(hamiltonian.constant),
        lowest_occupancy=progress.lowest_occupancy,
        energy_drift=np.asarray(progress.drift),
        num_sweeps=done.sweeps,
        sample_every=plan.sample_every,
        num_prims=int(np.ravel(hamiltonian.num_prims)[0]),
        is_precise=None if check is None else check.is_reached,
        precision=None if check is None else check.table,
        labels={name: (o.dims, o.coords) for name, o in plan.run.observables.items() if getattr(o, "dims", None)},
    )


def _observed(setup: Setup, done: Done, quantities: Mapping[str, np.ndarray]) -> dict[str, Any]:
    results = {}
    for name, observable in setup.plan.run.observables.items():
        if is_accumulated(observable):
            finished = observable.finish(done.progress.accumulators[name])
            results[name] = jax.tree.map(np.asarray, finished)
        else:
            results[name] = quantities[name]
    return results


def _conclude(check: PrecisionCheck) -> None:
    """The last judgement is of all samples; a precision that was not reached is said."""
    if not check.is_reached:
        check.judge()
    if not check.is_reached:
        failed = check.table[~check.table["is_precise"]].reset_index().iloc[0]
        warnings.warn(
            f"the precision was not reached within `num_sweeps`: the error of {failed['quantity']} (condition "
            f"{failed['condition']}) is {failed['mcse']:.3g}, wanted {failed['target']:.3g}; R-hat "
            f"{failed['r_hat']:.3f}. Run on with more sweeps or chains.",
            stacklevel=4,
        )
