"""Parallel tempering: replicas at a ladder of temperatures exchange places, so that cold ones get over barriers."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd

from jaxce.sampling.diagnostics import Estimate, to_datatree
from jaxce.sampling.ensemble_moves import Moves
from jaxce.sampling.ensembles import Canonical, Ensemble
from jaxce.sampling.monte_carlo import perform
from jaxce.sampling.precision import Precision
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.run_setup import Settings, Setup, checked_start, prepare
from jaxce.tables import Hamiltonian, check_hamiltonian

_CANONICAL = Canonical()
_MOVES = Moves()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemperingResult:
    """Samples of all ladders by rung. Rungs of a ladder depend on each other; ladders do not.

    Attributes:
        temperatures: `[temperatures]` kelvin.
        exchange_rate: `[temperatures - 1]` accepted part of the exchanges between a rung and the next; NaN if none was
            tried.
        round_trips: `[ladders, temperatures]` journeys of each replica from the first rung to the last and back.
        chains: the run, its chains being the rungs of the first ladder, then those of the second, and so on.
    """

    temperatures: np.ndarray
    exchange_rate: np.ndarray
    round_trips: np.ndarray
    chains: MonteCarloResult

    @property
    def energy(self) -> np.ndarray:
        """`[ladders, temperatures, samples]` E, eV per supercell."""
        return self._by_rung(self.chains.energy)

    @property
    def counts(self) -> np.ndarray:
        """`[ladders, temperatures, samples, labels]` number of sites with each species."""
        return self._by_rung(self.chains.counts)

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.chains.species

    @property
    def observables(self) -> dict[str, Any]:
        """Name -> `[ladders, temperatures, samples, ...]`, or what `Moments` and `Histogram` give, by rung."""
        return {name: jax.tree.map(self._if_by_chain, values) for name, values in self.chains.observables.items()}

    @property
    def occupancy(self) -> np.ndarray:
        """`[ladders, temperatures, sites]` final occupancies."""
        return self._by_rung(np.asarray(self.chains.occupancy))

    @property
    def acceptance_rate(self) -> np.ndarray:
        """`[ladders, temperatures]` accepted part of the proposals."""
        return self._by_rung(self.chains.acceptance_rate)

    @property
    def lowest_energy(self) -> np.ndarray:
        """`[ladders, replicas]` lowest energy that each replica had after any sweep, eV per supercell."""
        return self._by_rung(self.chains.lowest_energy)

    @property
    def lowest_occupancy(self) -> np.ndarray:
        """`[ladders, replicas, sites]` the occupancies that have it."""
        return self._by_rung(np.asarray(self.chains.lowest_occupancy))

    @property
    def is_precise(self) -> bool | None:
        """Whether the precision that was asked for was reached; None if none was."""
        return self.chains.is_precise

    def summary(self, drop: int = 0) -> pd.DataFrame:
        """Means with errors and diagnostics at each rung; R-hat is taken across ladders."""
        return self.chains.summary(drop)

    def heat_capacity(self, drop: int = 0) -> list[Estimate]:
        """Heat capacity of the configurations at each rung, kB per prim: Var(E - sum mu N) / (kT)^2."""
        return list(self.chains.heat_capacity(drop).values())

    def susceptibility(self, species: str, drop: int = 0) -> list[Estimate]:
        """dN/dmu of a species at each rung, per eV and prim: Var(N) / kT. For samples at fixed chemical potentials."""
        return list(self.chains.susceptibility(species, drop).values())

    def to_datatree(self) -> Any:
        """An `xarray.DataTree` for ArviZ: a ladder is a chain, and rungs are an axis of every quantity."""
        rungs_last = lambda values: np.moveaxis(self._by_rung(values), 1, 2)
        posterior = {
            "energy": (("chain", "draw", "temperature"), rungs_last(self.chains.energy)),
            "counts": (("chain", "draw", "temperature", "species"), rungs_last(self.chains.counts)),
        }
        for name, values in self.chains.observables.items():
            if isinstance(values, np.ndarray):
                axes = tuple(f"{name}_{axis}" for axis in range(values.ndim - 2))
                posterior[name] = (("chain", "draw", "temperature", *axes), rungs_last(values))
        stats = {"acceptance_rate": (("chain", "temperature"), self.acceptance_rate)}
        coords = {"temperature": self.temperatures, "species": list(self.species)}
        return to_datatree({"posterior": posterior, "sample_stats": stats}, coords)

    def equalized_temperatures(self) -> np.ndarray:
        """A ladder between the same ends on which all exchanges would be accepted equally often.

        The rejected parts add up, along the ladder, to a function of temperature that is divided evenly (Syed et al.,
        J. R. Stat. Soc. B 84, 321 (2022), algorithm 2).

        Raises:
            ValueError: if some exchange was never tried.
        """
        if np.any(np.isnan(self.exchange_rate)):
            raise ValueError("some exchange was never tried: run more sweeps before the ladder is tuned.")
        # No rung is left out, even where everything was accepted.
        barrier = np.concatenate([[0.0], np.cumsum(np.maximum(1 - self.exchange_rate, 1e-3))])
        wanted = np.linspace(0, barrier[-1], len(barrier))
        return 1 / np.interp(wanted, barrier, 1 / self.temperatures)

    def _by_rung(self, values: np.ndarray) -> np.ndarray:
        return values.reshape((-1, len(self.temperatures), *values.shape[1:]))

    def _if_by_chain(self, values: np.ndarray) -> np.ndarray:
        return self._by_rung(values) if values.shape[:1] == self.chains.temperature.shape else values


def chains_of(result: MonteCarloResult | TemperingResult) -> MonteCarloResult:
    """The chains of a run; those of tempering are its rungs."""
    return result.chains if isinstance(result, TemperingResult) else result


def run_tempering(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble = _CANONICAL,
    *,
    temperatures: Any,
    num_sweeps: int = 1000,
    sample_every: int = 1,
    exchange_every: int = 1,
    observables: Any = (),
    moves: Moves | None = None,
    until: Precision | Mapping[str, float | int] | None = None,
    folder: str | os.PathLike | None = None,
    progress: bool = False,
    method: str = "auto",
    only_read: bool = False,
) -> TemperingResult:
    """Parallel tempering of several independent ladders.

    Every ladder has one replica at each temperature; after every `exchange_every` sweeps neighbours try to exchange
    temperatures, even and odd pairs in turn. Chemical potentials of the ensemble may differ between the rungs too (one
    number per rung), and are exchanged with the temperatures.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: `[ladders, temperatures, sites]` starting occupancies, or `[ladders, sites]`, which start all rungs.
            With `Canonical()` all replicas of a ladder have one composition.
        ensemble: as in `run_monte_carlo`; "one per chain" means one per rung.
        temperatures: kelvin, one per rung, in the order in which neighbours exchange.
        num_sweeps: sweeps of every replica, or at most with `until`; a multiple of `sample_every`.
        sample_every: sweeps between samples.
        exchange_every: sweeps between exchanges.
        observables: as in `run_monte_carlo`; what is accumulated, is so by rung.
        moves: as in `run_monte_carlo`.
        until: as in `run_monte_carlo`, for every rung.
        folder: as in `run_monte_carlo`.
        progress: as in `run_monte_carlo`.
        method: as in `run_monte_carlo`.
        only_read: as in `run_monte_carlo`.

    Raises:
        ValueError: as `run_monte_carlo`; if there are fewer than two temperatures; or if the replicas of a ladder have
            unlike compositions, which canonical exchanges would mix.
    """
    check_hamiltonian(hamiltonian)
    if hamiltonian.num_models is not None:
        raise ValueError("replicas of a ladder share one model: give one of the stack, `hamiltonian.model(index)`.")
    kelvin = np.asarray(temperatures, dtype=np.float64)
    if kelvin.ndim != 1 or len(kelvin) < 2:
        raise ValueError(f"`temperatures` must be two or more numbers, but has shape {kelvin.shape}.")
    codes = _starts(hamiltonian, occupancy, len(kelvin))
    ladders = codes.shape[:2]
    settings = Settings(
        num_sweeps,
        sample_every,
        observables,
        moves or _MOVES,
        until,
        folder,
        progress,
        method,
        exchange_every,
        only_read,
    )
    setup = prepare(key, hamiltonian, codes.reshape(-1, codes.shape[2]), ensemble, kelvin, len(kelvin), settings)
    setup = setup._replace(num_rungs=len(kelvin))
    _check_compositions(setup, ladders)
    result, ladder = perform(setup, settings)
    return _tempering_result(kelvin, result, ladder)


def geometric_temperatures(low: float | int, high: float | int, num_temperatures: int) -> np.ndarray:
    """`[temperatures]` from low to high in equal ratios, kelvin: equal acceptance where the heat capacity is constant.

    Raises:
        ValueError: unless 0 < low < high and there are two or more.
    """
    if not 0 < low < high < np.inf or num_temperatures < 2:
        raise ValueError(
            f"a ladder needs 0 < low < high and two or more temperatures, not {low}, {high}, {num_temperatures}."
        )
    return np.geomspace(low, high, num_temperatures)


def tune_temperatures(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble = _CANONICAL,
    *,
    temperatures: Any,
    num_sweeps: int = 500,
    num_rounds: int = 4,
    **keywords: Any,
) -> np.ndarray:
    """A ladder of as many temperatures between the same ends with about equal acceptance of all exchanges.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: as in `run_tempering`.
        ensemble: as in `run_tempering`.
        temperatures: the ladder to begin with.
        num_sweeps: sweeps of each round; they start where the round before ended.
        num_rounds: rounds of `run_tempering`, after each of which the ladder is adapted.
        **keywords: further arguments of `run_tempering`.

    Returns:
        `[temperatures]` kelvin.
    """
    for round_key in jax.random.split(key, num_rounds):
        result = run_tempering(
            round_key,
            hamiltonian,
            occupancy,
            ensemble,
            temperatures=temperatures,
            num_sweeps=num_sweeps,
            sample_every=num_sweeps,
            **keywords,
        )
        occupancy, temperatures = result.occupancy, result.equalized_temperatures()
    return np.asarray(temperatures)


def _starts(hamiltonian: Hamiltonian, occupancy: Any, num_rungs: int) -> np.ndarray:
    """`[ladders, temperatures, sites]`."""
    if np.ndim(occupancy) == 2:
        codes = checked_start(hamiltonian, occupancy, "ladders")
        return np.repeat(codes[:, None], num_rungs, axis=1)
    codes = checked_start(hamiltonian, occupancy, "ladders, temperatures")
    if codes.shape[1] != num_rungs:
        raise ValueError(
            f"`occupancy` has {codes.shape[1]} replicas per ladder, but there are {num_rungs} temperatures."
        )
    return codes


def _check_compositions(setup: Setup, ladders: tuple[int, int]) -> None:
    """What the moves of the ensemble cannot change must be the same for all replicas of a ladder."""
    by_ladder = setup.conserved.reshape(*ladders, setup.conserved.shape[1])
    differing = np.flatnonzero(np.any(by_ladder != by_ladder[:, :1], axis=(1, 2)))
    if len(differing):
        raise ValueError(
            f"the replicas of ladder {differing[0]} differ in what the ensemble conserves (composition or constraint), "
            "so an exchange would mix unlike ensembles: start all replicas of a ladder from one composition."
        )


def _tempering_result(kelvin: np.ndarray, chains: MonteCarloResult, ladder: Any) -> TemperingResult:
    tried = np.sum(np.asarray(ladder.num_tried, dtype=np.int64), axis=0)
    accepted = np.sum(np.asarray(ladder.num_accepted, dtype=np.int64), axis=0)
    rate = np.where(tried > 0, accepted / np.maximum(tried, 1), np.nan)
    # Final occupancies belong to replicas; here they are put in the order of the rungs.
    order = np.asarray(ladder.chain_at_rung())
    chains = dataclasses.replace(chains, occupancy=chains.occupancy[order])
    return TemperingResult(
        temperatures=kelvin,
        exchange_rate=rate,
        round_trips=np.asarray(ladder.round_trips).reshape(-1, len(kelvin)),
        chains=chains,
    )
