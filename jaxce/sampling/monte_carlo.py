"""Monte Carlo: many chains in one call."""

import contextlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.devices import even_mesh
from jaxce.processes import are_several, check_same, ending_together, gathered, is_first
from jaxce.sampling.chains import Progress, is_accumulated, start_progress
from jaxce.sampling.chunks import Done, Listener, run_chunks
from jaxce.sampling.ensemble_moves import Moves
from jaxce.sampling.ensembles import Canonical, Ensemble
from jaxce.sampling.interruption import Interruption
from jaxce.sampling.precision import Precision, PrecisionCheck
from jaxce.sampling.progress_bar import ProgressBar
from jaxce.sampling.replica_exchange import Ladder, start_ladders
from jaxce.sampling.results import MonteCarloResult, assembled, traced_quantities
from jaxce.sampling.run_folder import RunFolder, fingerprint
from jaxce.sampling.run_setup import Settings, Setup, checked_start, first_model, prepare
from jaxce.sampling.sample_list import SampleList
from jaxce.sampling.shared_folder import SharedFolder
from jaxce.tables import Hamiltonian

_CANONICAL = Canonical()
_MOVES = Moves()


def run_monte_carlo(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble = _CANONICAL,
    *,
    temperature: Any,
    num_sweeps: int = 1000,
    sample_every: int = 1,
    observables: Any = (),
    moves: Moves | None = None,
    until: Precision | Mapping[str, float | int] | None = None,
    folder: str | os.PathLike | None = None,
    progress: bool = False,
    method: str = "auto",
    only_read: bool = False,
) -> MonteCarloResult:
    """Run one Markov chain from each occupancy.

    A sweep is one step per active site: a swap of unlike species, a change of species, or of several sites together,
    as the ensemble needs; a step costs the same for any number of sites. Energies are updated by exact differences and
    set to the full energy at every sample.

    Args:
        key: random key, consumed. Chain number c uses `fold_in(key, c)`: what it does depends neither on how many
            chains run beside it nor on samples, progress bars and interruptions. All chains share which kind of move
            (sublattice and species) a step is.
        hamiltonian: the Hamiltonian; or one for each chain, stacked along a leading axis, such as draws from a
            posterior (`ExpansionSamples.hamiltonians`).
        occupancy: `[chains, sites]` starting occupancies.
        ensemble: `Canonical`, `SemiGrand`, `Hybrid`, `VCSGC`, `ChargeNeutral`, `Constrained`, or one's own.
        temperature: kelvin; a number, one per chain, or `[sweeps, chains]` (or `[sweeps, 1]`).
        num_sweeps: sweeps in all, or at most with `until`; a multiple of `sample_every`.
        sample_every: sweeps between samples.
        observables: what to measure at each sample besides the energy and the numbers of species: a sequence of
            observables (`jaxce.observables`), or name -> function of occupancies `[chains, sites]` that returns
            `[chains, ...]`. Wrapped in `Moments` or `Histogram` they leave no trace but their result.
        moves: weights of sublattices, frozen sites, moves of one's own; by default all that the ensemble needs.
        until: stop as soon as averages have these standard errors (name -> error, or a `Precision`).
        folder: a folder for samples and checkpoints. If it holds this same run, unfinished or with fewer sweeps, the
            run goes on, bit for bit as if it had never stopped; another run is refused. After Ctrl-C or SIGTERM the
            state is saved before the run stops; a second one stops it at once.
        progress: whether to show a bar with the rate, the time left, acceptance and energy.
        method: how energy changes are found. "environment": from the neighbours of the sites, for each proposal;
            "fields": from energies that are kept up to date, which is faster where few proposals are accepted; "auto":
            for each chain and sweep, whichever suits the acceptance of the sweeps before. The chains are the same but
            for rounding.
        only_read: whether to give what `folder` holds of this run, finished or not, and to do no sweep. Nothing in the
            folder is changed, so the run may be going on elsewhere.

    Raises:
        ValueError: if shapes disagree, a temperature is not positive, a species is unknown, a chain is frozen, the
            start breaks the ensemble's constraint, or the folder holds another run, or none with `only_read`.
    """
    codes = checked_start(first_model(hamiltonian, len(occupancy)), occupancy)
    settings = Settings(
        num_sweeps, sample_every, observables, moves or _MOVES, until, folder, progress, method, only_read=only_read
    )
    setup = prepare(key, hamiltonian, codes, ensemble, temperature, len(codes), settings)
    return perform(setup, settings)[0]


def perform(setup: Setup, settings: Settings) -> tuple[MonteCarloResult, Ladder | None]:
    """Run to the end: the result, and where replicas are on their ladders, if there are any."""
    if settings.only_read:
        return _stored(setup, settings)
    with ending_together(settings.folder):
        return _performed(setup, settings)


def _performed(setup: Setup, settings: Settings) -> tuple[MonteCarloResult, Ladder | None]:
    if are_several():
        _check_processes(setup, settings)
    with contextlib.closing(_keeper(setup, settings)) as keeper:
        done = _resumed(setup, settings, keeper)
        check = _precision_check(setup, settings, keeper)
        done = _run(setup, settings, keeper, check, done)
        samples = keeper.read_samples()
    done = done._replace(progress=gathered(done.progress))
    return assembled(setup, done, samples, check), done.progress.ladder


def _run(setup: Setup, settings: Settings, keeper: Any, check: PrecisionCheck | None, done: Done) -> Done:
    """Run on from `done`; at the end all is saved."""
    plan = setup.plan
    # What several processes do they must do together.
    interruption = Interruption(settings.folder is not None and not are_several())
    is_shown = settings.progress and is_first()
    with interruption, ProgressBar(plan, done.sweeps, setup.conditions(), is_shown=is_shown) as bar:
        listeners: list[Listener] = [keeper, bar, interruption, *([] if check is None else [check])]
        if check is None or not check.is_over(done):
            next_stop = (lambda num_samples: plan.num_sweeps) if check is None else check.next_stop
            done = run_chunks(plan, done, listeners, next_stop)
        keeper.save(done)
    interruption.stop()
    return done


def _check_processes(setup: Setup, settings: Settings) -> None:
    """All are given the same run, and can take part in it."""
    check_same(identity(setup) | fingerprint(num_sweeps=setup.plan.num_sweeps, until=str(settings.until)))
    num_chains, num_rungs = len(setup.occupancy), setup.num_rungs
    even_mesh(num_chains) if num_rungs is None else even_mesh(num_chains // num_rungs, "ladders")


def _keeper(setup: Setup, settings: Settings) -> Any:
    """What keeps the samples."""
    if settings.folder is None:
        return SampleList()
    kind = SharedFolder if are_several() else RunFolder
    return kind(settings.folder, identity(setup), setup.plan.num_sweeps // setup.plan.sample_every)


def _resumed(setup: Setup, settings: Settings, keeper: Any) -> Done:
    """How far the run has come."""
    done = keeper.resume(Done(_start(setup), 0, np.zeros(len(setup.occupancy), dtype=np.int64)))
    num_sweeps = setup.plan.num_sweeps
    if done.sweeps > num_sweeps:
        raise ValueError(f"{settings.folder} holds {done.sweeps} sweeps of this run, but `num_sweeps` is {num_sweeps}.")
    return done


def _start(setup: Setup) -> Progress:
    num_rungs = setup.num_rungs
    ladder = None if num_rungs is None else start_ladders(len(setup.occupancy) // num_rungs, num_rungs)
    counts = jnp.asarray(np.asarray(setup.counts, dtype=np.int32))
    return start_progress(setup.plan.run, jnp.asarray(setup.occupancy), counts, ladder)


def _stored(setup: Setup, settings: Settings) -> tuple[MonteCarloResult, Ladder | None]:
    """As `perform`, of what the folder holds."""
    if settings.folder is None or not pathlib.Path(settings.folder).is_dir():
        raise ValueError(f"`only_read` needs the folder of a run, but `folder` is {settings.folder}.")
    keeper = RunFolder(settings.folder, identity(setup), setup.plan.num_sweeps // setup.plan.sample_every)
    # Only its structure is looked at.
    start = Done(jax.eval_shape(lambda: _start(setup)), 0, np.zeros(0, dtype=np.int64))
    done = keeper.read(start)
    check = _precision_check(setup, settings, keeper)
    return assembled(setup, done, keeper.read_samples(), check), done.progress.ladder


def identity(setup: Setup) -> dict[str, str]:
    """The fingerprint of a run, but for its length."""
    run = setup.plan.run
    return fingerprint(
        key=run.chain_keys[0],
        model=run.hamiltonian,
        occupancy=setup.occupancy,
        temperature=setup.plan.schedule.beta,
        ensemble=setup.plan.schedule._replace(beta=None),
        moves=(run.moves, [move.steps for move in run.moves]),
        method=(run.changes.method, run.changes.is_mapped),
        # The edges of histograms are no leaves.
        observables=[(name, o, getattr(o, "edges", ())) for name, o in sorted(run.observables.items())],
        sample_every=setup.plan.sample_every,
        ladders=(setup.num_rungs or 0, setup.plan.exchange_every),
    )


def _precision_check(setup: Setup, settings: Settings, keeper: Any) -> PrecisionCheck | None:
    if settings.until is None:
        return None
    wanted = settings.until if isinstance(settings.until, Precision) else Precision(settings.until)
    run = setup.plan.run
    known = [
        "energy",
        *setup.species,
        *(n for n, observable in run.observables.items() if not is_accumulated(observable)),
    ]
    unknown = sorted(set(wanted.errors) - set(known))
    if unknown:
        raise ValueError(f"`until` names {unknown}, but what is traced is {known}.")
    quantities = lambda: traced_quantities(setup, keeper.read_samples())
    return PrecisionCheck(wanted, quantities, setup.conditions(), setup.plan.sample_every)
