"""Many chains on the device: the loops over rounds, sweeps and chains, and what is recorded.

All random numbers of sweep s come from keys folded with s, so chains go the same way however the sweeps are cut into
calls. Which class of move a step is, all chains share.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from jaxce.devices import BATCH, leading_axis_specs
from jaxce.energies import relative_energy
from jaxce.energy_changes import EnergyChanges
from jaxce.sampling.chain_sweep import Cache, start_cache, sweep_of_chain
from jaxce.sampling.moves import State
from jaxce.sampling.replica_exchange import Ladder, exchange_replicas
from jaxce.sampling.weights import Weight
from jaxce.tables import Hamiltonian


class Run(NamedTuple):
    """What stays the same during a run.

    Attributes:
        hamiltonian: the Hamiltonian, or a stack with one for each chain.
        changes: its energy changes, stacked alike.
        moves: the moves of a sweep, in their order.
        class_key: key of the classes of moves.
        chain_keys: `[chains]` keys.
        exchange_keys: `[chains]` keys of exchanges; the first one of each ladder is used.
        observables: name -> observable of all occupancies `[chains, sites]`.
    """

    hamiltonian: Hamiltonian
    changes: EnergyChanges
    moves: tuple[Any, ...]
    class_key: Any
    chain_keys: Any
    exchange_keys: Any
    observables: dict[str, Any]


class Progress(NamedTuple):
    """All that the next sweep needs; what a checkpoint holds.

    Attributes:
        states: states of all chains.
        caches: what they keep for the choice and the use of fields.
        reference: `[chains]` eV from which the energies of the states count; without the Hamiltonian's constant.
        lowest_energy: `[chains]` lowest energy after any sweep, eV.
        lowest_occupancy: `[chains, sites]` its occupancy.
        drift: `[chains]` largest difference of a running energy and the full one, eV.
        accumulators: of the observables that are accumulated.
        ladder: which rung of its ladder each chain is on; None without tempering.
    """

    states: State
    caches: Cache
    reference: Float[Array, " chains"]
    lowest_energy: Float[Array, " chains"]
    lowest_occupancy: Int[Array, "chains sites"]
    drift: Float[Array, " chains"]
    accumulators: dict[str, Any]
    ladder: Ladder | None


class Samples(NamedTuple):
    """What is recorded at each sample. Chains are in the order of the rungs of the ladders, if there are any.

    Attributes:
        energy: `[samples, chains]` eV, without the Hamiltonian's constant.
        counts: `[samples, chains, sublattices, species]`.
        traces: values of the observables that are not accumulated, `[samples, chains, ...]`.
    """

    energy: Any
    counts: Any
    traces: dict[str, Any]


def start_progress(
    run: Run, occupancy: Int[Array, "chains sites"], counts: Int[Array, "chains rows species"], ladder: Ladder | None
) -> Progress:
    """Progress before the first sweep."""
    energy = jax.jit(_energies)(run.hamiltonian, occupancy)
    num_chains = len(energy)
    accumulators = {
        name: observable.start(jax.eval_shape(observable, occupancy).shape[1:], num_chains)
        for name, observable in run.observables.items()
        if is_accumulated(observable)
    }
    return Progress(
        states=State(occupancy, jnp.zeros_like(energy), counts),
        caches=start_cache(_changes_of_first(run), run.moves, occupancy),
        reference=energy,
        # Copies: a buffer that is given away is given away once.
        lowest_energy=jnp.copy(energy),
        lowest_occupancy=jnp.copy(occupancy),
        drift=jnp.zeros_like(energy),
        accumulators=accumulators,
        ladder=ladder,
    )


def is_accumulated(observable: Any) -> bool:
    """Whether an observable keeps a result in place of its trace."""
    return hasattr(observable, "add") and hasattr(observable, "finish")


@functools.partial(jax.jit, static_argnames=("capacity", "exchange_every", "mesh"), donate_argnames="progress")
def advance(
    progress: Progress,
    run: Run,
    schedule: Weight,
    first_sweep: Int[Array, ""],
    num_rounds: Int[Array, ""],
    sweeps_per_round: Int[Array, ""],
    is_sampled: Any,
    capacity: int,
    exchange_every: int,
    mesh: jax.sharding.Mesh | None = None,
) -> tuple[Progress, Samples, Int[Array, " chains"]]:
    """Some rounds of sweeps, each of which ends with a sample if `is_sampled`.

    Args:
        progress: where the chains are; its buffers are used again.
        run: what stays the same.
        schedule: weights `[sweeps or 1, chains or rungs, ...]`, the first row for the first sweep of this call.
        first_sweep: number of sweeps done before.
        num_rounds: rounds, at most `capacity`.
        sweeps_per_round: sweeps in each.
        is_sampled: whether to record at the end of each round.
        capacity: samples that there is room for.
        exchange_every: sweeps between exchanges within ladders.
        mesh: the devices to spread the chains over (`even_mesh`); None for one.

    Returns:
        The progress, the samples (the first `num_rounds` are meant), and the accepted proposals of each chain, or of
        each rung of each ladder.
    """
    advanced = functools.partial(_advanced, capacity=capacity, exchange_every=exchange_every)
    if mesh is not None:
        advanced = _spread_over(mesh, advanced, progress, run, schedule)
    return advanced(progress, run, schedule, first_sweep, num_rounds, sweeps_per_round, is_sampled)


def _advanced(
    progress: Progress,
    run: Run,
    schedule: Weight,
    first_sweep: Any,
    num_rounds: Any,
    sweeps_per_round: Any,
    is_sampled: Any,
    *,
    capacity: int,
    exchange_every: int,
) -> tuple[Progress, Samples, Int[Array, " chains"]]:
    """`advance` on one device."""

    def sweep(index, carry):
        progress, accepted = carry
        number = first_sweep + index
        weights = jax.tree.map(lambda leaf: leaf[jnp.minimum(index, len(leaf) - 1)], schedule)
        progress, more = _sweep(run, progress, weights, number)
        more = _in_order(progress, more)
        if progress.ladder is not None:
            is_time = (number + 1) % exchange_every == 0
            exchange = lambda progress: _exchanged(run, progress, progress.ladder, weights, number // exchange_every)
            progress = jax.lax.cond(is_time, exchange, lambda progress: progress, progress)
        return progress, accepted + more

    def one_round(index, carry):
        progress, accepted, samples = carry
        start = index * sweeps_per_round
        progress, accepted = jax.lax.fori_loop(start, start + sweeps_per_round, sweep, (progress, accepted))
        record = lambda progress, samples: _record(run, progress, samples, index)
        progress, samples = jax.lax.cond(is_sampled, record, lambda *same: same, progress, samples)
        return progress, accepted, samples

    shapes = sample_shapes(run, progress)
    samples = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), shapes)
    accepted = jnp.zeros(len(progress.reference), jnp.int32)
    progress, accepted, samples = jax.lax.fori_loop(0, num_rounds, one_round, (progress, accepted, samples))
    return progress, samples, accepted


def _spread_over(mesh: jax.sharding.Mesh, advanced: Any, progress: Progress, run: Run, schedule: Weight) -> Any:
    """The function for chains, or whole ladders, that are spread over devices; these never wait for each other."""
    everywhere, by_chain, second = PartitionSpec(), PartitionSpec(BATCH), PartitionSpec(None, BATCH)
    of_progress = leading_axis_specs(progress)
    of_run = jax.tree.map(lambda _: everywhere, run)._replace(chain_keys=by_chain, exchange_keys=by_chain)
    if run.hamiltonian.num_models is not None:
        stacked = {name: jax.tree.map(lambda _: by_chain, getattr(run, name)) for name in ("hamiltonian", "changes")}
        of_run = of_run._replace(**stacked)
    # The rows of a schedule are chains, or rungs that all ladders share.
    of_schedule = jax.tree.map(lambda _: second if progress.ladder is None else everywhere, schedule)
    of_samples = jax.tree.map(lambda _: second, sample_shapes(run, progress))
    return jax.shard_map(
        advanced,
        mesh=mesh,
        in_specs=(of_progress, of_run, of_schedule, *[everywhere] * 4),
        out_specs=(of_progress, of_samples, by_chain),
        check_vma=False,
    )


def sample_shapes(run: Run, progress: Progress) -> Samples:
    """Shapes and dtypes of one sample; nothing is computed."""
    return jax.eval_shape(lambda run, progress: _sample(run, progress)[1], run, progress)


def _sweep(run: Run, progress: Progress, weights: Weight, number: Any) -> tuple[Progress, Any]:
    """One sweep of all chains, and the number of proposals that each accepted."""
    ladder = progress.ladder
    if ladder is not None:
        weights = jax.tree.map(lambda leaf: leaf[ladder.rung], weights)
    class_key = jax.random.fold_in(run.class_key, number)
    chosen = [move.classes(jax.random.fold_in(class_key, index)) for index, move in enumerate(run.moves)]

    is_stacked = run.hamiltonian.num_models is not None

    def of_chain(chain):
        state, cache, weight, key, own_changes = chain
        key = jax.random.fold_in(key, number)
        return sweep_of_chain(
            own_changes if is_stacked else run.changes, run.moves, chosen, (state, cache), weight, key, number
        )

    chains = (progress.states, progress.caches, weights, run.chain_keys, run.changes if is_stacked else None)
    over_chains = jax.vmap(of_chain) if run.changes.is_mapped else functools.partial(jax.lax.map, of_chain)
    states, caches = over_chains(chains)
    energy = progress.reference + states.energy
    is_lower = energy < progress.lowest_energy
    progress = progress._replace(
        states=states,
        caches=caches,
        lowest_energy=jnp.where(is_lower, energy, progress.lowest_energy),
        lowest_occupancy=jnp.where(is_lower[:, None], states.occupancy, progress.lowest_occupancy),
    )
    return progress, caches.num_accepted


def _exchanged(run: Run, progress: Progress, ladder: Ladder, rung_weights: Weight, number: Any) -> Progress:
    energy = progress.reference + progress.states.energy
    num_rungs = ladder.num_tried.shape[1] + 1
    keys = jax.vmap(lambda key: jax.random.fold_in(key, number))(run.exchange_keys[::num_rungs])
    moved = exchange_replicas(keys, ladder, energy, progress.states.counts, rung_weights, number)
    return progress._replace(ladder=moved)


def _record(run: Run, progress: Progress, samples: Samples, index: Any) -> tuple[Progress, Samples]:
    progress, sample = _sample(run, progress)
    return progress, jax.tree.map(lambda buffer, value: buffer.at[index].set(value), samples, sample)


def _sample(run: Run, progress: Progress) -> tuple[Progress, Samples]:
    """One sample; running energies start anew from full ones."""
    occupancy = progress.states.occupancy
    energy = _energies(run.hamiltonian, occupancy)
    drift = jnp.abs(energy - (progress.reference + progress.states.energy))
    traces, accumulators = {}, {}
    for name, observable in run.observables.items():
        values = _in_order(progress, observable(occupancy))
        if is_accumulated(observable):
            accumulators[name] = observable.add(progress.accumulators[name], values)
        else:
            traces[name] = values
    sample = Samples(_in_order(progress, energy), _in_order(progress, progress.states.counts), traces)
    progress = progress._replace(
        states=progress.states._replace(energy=jnp.zeros_like(energy)),
        reference=energy,
        drift=jnp.maximum(progress.drift, drift),
        accumulators=accumulators,
    )
    return progress, sample


def _energies(hamiltonian: Hamiltonian, occupancy: Int[Array, "chains sites"]) -> Float[Array, " chains"]:
    """Energies without the constant, of each chain by its own model if there is a stack."""
    if hamiltonian.num_models is None:
        return relative_energy(hamiltonian, occupancy)
    return jax.vmap(relative_energy)(hamiltonian, occupancy)


def _changes_of_first(run: Run) -> EnergyChanges:
    if run.hamiltonian.num_models is None:
        return run.changes
    return jax.tree.map(lambda leaf: leaf[0], run.changes)


def _in_order(progress: Progress, values: Any) -> Any:
    """Values of the chains in the order of the rungs of the ladders, if there are any."""
    return values if progress.ladder is None else values[progress.ladder.chain_at_rung()]
