"""The host's loop: a run in calls of about a second each, between which samples are kept, shown, judged and saved.

Nothing that a run gives depends on how it is cut into calls: the tests cut it in several ways.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.devices import even_mesh, spread_out
from jaxce.processes import clock, gathered
from jaxce.sampling.chains import Progress, Run, Samples, advance, sample_shapes
from jaxce.sampling.weights import Weight

# A call is as long as this, in seconds, as soon as the speed is known.
_CALL_SECONDS = 1.0
# Samples of one call: at most this many, in at most this much memory (bytes).
_MOST_SAMPLES = 256
_SAMPLE_MEMORY = 2**26
# Rows of a schedule that are on the device at a time.
_SCHEDULE_ROWS = 1024


class Plan(NamedTuple):
    """A run from its first sweep to its last.

    Attributes:
        run: what stays the same on the device.
        schedule: weights, leaves `[sweeps or 1, chains or rungs, ...]`; NumPy.
        num_sweeps: sweeps in all, at most.
        sample_every: sweeps between samples.
        exchange_every: sweeps between exchanges within ladders.
    """

    run: Run
    schedule: Weight
    num_sweeps: int
    sample_every: int
    exchange_every: int = 1


class Done(NamedTuple):
    """How far a run has come.

    Attributes:
        progress: state of the chains.
        sweeps: sweeps done.
        num_accepted: `[chains]` accepted proposals, int64.
    """

    progress: Progress
    sweeps: int
    num_accepted: np.ndarray


# Told after every call: how far the run has come, and what was sampled in the call. True ends the run.
Listener = Callable[[Done, Samples], bool]


def run_chunks(plan: Plan, done: Done, listeners: list[Listener], next_stop: Callable[[int], int]) -> Done:
    """Run on from `done` to the end of the plan, or until a listener ends it.

    Args:
        plan: the run.
        done: where to start. Its progress is used up.
        listeners: told after every call, in their order.
        next_stop: the number of samples at which a call must end, given the number there is.
    """
    ladder = done.progress.ladder
    mesh = even_mesh(len(done.progress.reference)) if ladder is None else even_mesh(len(ladder.num_tried), "ladders")
    done = done._replace(progress=spread_out(done.progress, mesh))
    capacity = _capacity(sample_shapes(plan.run, done.progress), plan.num_sweeps // plan.sample_every)
    sweeps_per_call = 1
    while done.sweeps < plan.num_sweeps:
        rounds, sweeps, is_sampled = _next_call(plan, done.sweeps, sweeps_per_call, capacity, next_stop)
        began = clock()
        done, samples = _call(plan, done, rounds, sweeps, is_sampled, capacity, mesh)
        sweeps_per_call = _adapted(sweeps_per_call, rounds * sweeps, clock() - began)
        # All are told, whatever the first one says.
        if any([listener(done, samples) for listener in listeners]):
            break
    return done


def _capacity(samples: Any, num_samples: int) -> int:
    bytes_each = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(samples))
    most = min(_MOST_SAMPLES, max(1, _SAMPLE_MEMORY // bytes_each), max(1, num_samples))
    # Runs of similar length share compiled code.
    return 2 ** math.floor(math.log2(most))


def _next_call(
    plan: Plan, sweeps: int, sweeps_per_call: int, capacity: int, next_stop: Callable[[int], int]
) -> tuple[int, int, bool]:
    """Rounds, sweeps in each, and whether they end with a sample."""
    every = plan.sample_every
    is_constant = all(len(leaf) == 1 for leaf in jax.tree.leaves(plan.schedule))
    limit = sweeps_per_call if is_constant else min(sweeps_per_call, _SCHEDULE_ROWS)
    to_sample = every - sweeps % every
    if to_sample < every or limit < every:
        # Part of the way to the next sample.
        part = min(to_sample, limit)
        return 1, part, part == to_sample
    num_samples = sweeps // every
    rounds = min(limit // every, capacity, (plan.num_sweeps - sweeps) // every, next_stop(num_samples) - num_samples)
    return max(1, rounds), every, True


def _call(
    plan: Plan, done: Done, rounds: int, sweeps: int, is_sampled: bool, capacity: int, mesh: Any
) -> tuple[Done, Samples]:
    index = lambda number: jnp.asarray(number, jnp.int32)
    progress, samples, accepted = advance(
        done.progress,
        plan.run,
        _rows(plan.schedule, done.sweeps),
        index(done.sweeps),
        index(rounds),
        index(sweeps),
        jnp.asarray(is_sampled),
        capacity,
        plan.exchange_every,
        mesh,
    )
    kept = rounds if is_sampled else 0
    samples, accepted = gathered((samples, accepted))
    samples = jax.tree.map(lambda leaf: np.asarray(leaf)[:kept], samples)
    num_accepted = done.num_accepted + np.asarray(accepted, dtype=np.int64)
    return Done(progress, done.sweeps + rounds * sweeps, num_accepted), samples


def _rows(schedule: Weight, start: int) -> Weight:
    """The schedule from a sweep on, always of the same length."""

    def rows(leaf):
        if len(leaf) == 1:
            return jnp.asarray(leaf)
        part = leaf[start : start + _SCHEDULE_ROWS]
        # Rows behind the end are never read.
        return jnp.asarray(np.concatenate([part, np.repeat(part[-1:], _SCHEDULE_ROWS - len(part), axis=0)]))

    return jax.tree.map(rows, schedule)


def _adapted(sweeps_per_call: int, sweeps: int, seconds: float) -> int:
    """More sweeps for the next call if this one was short, fewer if it was long."""
    if seconds < _CALL_SECONDS / 2 and sweeps >= sweeps_per_call // 2:
        return sweeps_per_call * 2
    if seconds > _CALL_SECONDS * 2 and sweeps > 1:
        return max(1, sweeps // 2)
    return sweeps_per_call
