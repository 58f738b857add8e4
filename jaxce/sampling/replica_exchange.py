"""Exchange between the rungs of temperature ladders: replicas keep their occupancies and change rungs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxce.sampling.moves import log_uniform
from jaxce.sampling.weights import Weight, log_weight_change


class Ladder(NamedTuple):
    """Where the replicas of all ladders are; those of one ladder follow each other.

    Attributes:
        rung: `[chains]` rung of each replica.
        origin: `[chains]` the end of the ladder that it visited last: 1 the first rung, -1 the last, 0 neither yet.
        round_trips: `[chains]` journeys from the first rung to the last and back.
        num_accepted: `[ladders, rungs - 1]` exchanges between a rung and the next.
        num_tried: `[ladders, rungs - 1]` attempts.
    """

    rung: Int[Array, " chains"]
    origin: Int[Array, " chains"]
    round_trips: Int[Array, " chains"]
    num_accepted: Int[Array, "ladders gaps"]
    num_tried: Int[Array, "ladders gaps"]

    def chain_at_rung(self) -> Int[Array, " chains"]:
        """`[chains]` the chain at each rung of each ladder, ladder by ladder."""
        num_ladders, gaps = self.num_tried.shape
        rungs = self.rung.reshape(num_ladders, gaps + 1)
        first = jnp.arange(num_ladders, dtype=self.rung.dtype)[:, None] * (gaps + 1)
        return (jnp.argsort(rungs, axis=1).astype(self.rung.dtype) + first).ravel()


def start_ladders(num_ladders: int, num_rungs: int) -> Ladder:
    """Ladders whose replicas stand in the order of the rungs."""
    zeros = lambda *shape: jnp.zeros(shape, jnp.int32)
    gaps = (num_ladders, num_rungs - 1)
    rung = jnp.tile(jnp.arange(num_rungs, dtype=jnp.int32), num_ladders)
    origin = jnp.where(rung == 0, 1, jnp.where(rung == num_rungs - 1, -1, 0)).astype(jnp.int32)
    return Ladder(rung, origin, zeros(num_ladders * num_rungs), zeros(*gaps), zeros(*gaps))


def exchange_replicas(
    keys: Any,
    ladder: Ladder,
    energy: Float[Array, " chains"],
    counts: Int[Array, "chains sublattices species"],
    weights: Weight,
    number: Int[Array, ""],
) -> Ladder:
    """Try to exchange neighbours on every ladder, even pairs of rungs in even attempts and odd ones in odd attempts.

    The even and odd attempts take turns, not at random: replicas travel the ladder faster (Syed et al., J. R. Stat.
    Soc. B 84, 321 (2022)).

    Args:
        keys: `[ladders]`, consumed.
        ladder: where the replicas are.
        energy: energies of the replicas, eV.
        counts: their species counts.
        weights: weights of the rungs, leaves `[rungs, ...]`.
        number: number of the attempt.
    """
    num_ladders, num_gaps = ladder.num_tried.shape
    by_rung = lambda values: values[ladder.chain_at_rung()].reshape(num_ladders, num_gaps + 1, *values.shape[1:])
    energies, counts = by_rung(energy), by_rung(counts)
    log_ratio = jax.vmap(jax.vmap(_log_ratio), in_axes=(0, 0, None, None))(
        energies[:, 1:] - energies[:, :-1],
        jnp.stack([counts[:, :-1], counts[:, 1:]], axis=2),
        jax.tree.map(lambda leaf: leaf[:-1], weights),
        jax.tree.map(lambda leaf: leaf[1:], weights),
    )
    gaps = jnp.arange(num_gaps, dtype=number.dtype)[None, :]
    is_tried = jnp.broadcast_to(gaps % 2 == number % 2, log_ratio.shape)
    bits = jax.vmap(lambda key: jax.random.bits(key, (num_gaps,), jnp.uint32))(keys)
    is_accepted = is_tried & (log_uniform(bits, log_ratio.dtype) < log_ratio)
    # A replica on the lower side of an accepted pair goes up one rung, the other one goes down.
    up = jnp.pad(is_accepted, ((0, 0), (0, 1))).astype(jnp.int32)
    down = jnp.pad(is_accepted, ((0, 0), (1, 0))).astype(jnp.int32)
    shift = jnp.take_along_axis(up - down, ladder.rung.reshape(up.shape), axis=1)
    return _with_journeys(
        ladder._replace(
            rung=ladder.rung + shift.ravel(),
            num_accepted=ladder.num_accepted + is_accepted.astype(jnp.int32),
            num_tried=ladder.num_tried + is_tried.astype(jnp.int32),
        )
    )


def _log_ratio(energy_change: Any, counts: Any, lower: Weight, upper: Weight) -> Any:
    """Weight of the exchanged states over that of the present ones; the state of the upper rung less the lower's."""
    change = counts[1] - counts[0]
    return log_weight_change(energy_change, counts[0], change, lower) - log_weight_change(
        energy_change, counts[0], change, upper
    )


def _with_journeys(ladder: Ladder) -> Ladder:
    is_first, is_last = ladder.rung == 0, ladder.rung == ladder.num_tried.shape[1]
    origin = jnp.where(is_first, 1, jnp.where(is_last, -1, ladder.origin)).astype(jnp.int32)
    # Coming back to the first rung from the last one.
    is_back = is_first & (ladder.origin == -1)
    return ladder._replace(origin=origin, round_trips=ladder.round_trips + is_back.astype(jnp.int32))
