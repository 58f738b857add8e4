"""Accumulators: what is kept of an observable during a run in place of its trace.

`Moments(observable)` and `Histogram(observable, edges)` are observables themselves and pytrees, and add three pure
functions: `start` gives an empty accumulator, `add` takes in the values of one sample, `finish` gives the result. Each
chain has its own.
"""

import dataclasses
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from jaxce.pytrees import pytree


class MomentsAccumulator(NamedTuple):
    """Sums of a running mean and variance, each with the digits that did not fit into it.

    Attributes:
        count: `[]` samples so far.
        mean: `[chains, ...]`.
        mean_rest: `[chains, ...]` to be added to the mean.
        squares: `[chains, ...]` sum of squared deviations from the mean.
        squares_rest: `[chains, ...]` to be added to it.
    """

    count: Int[Array, ""]
    mean: Float[Array, "chains ..."]
    mean_rest: Float[Array, "chains ..."]
    squares: Float[Array, "chains ..."]
    squares_rest: Float[Array, "chains ..."]


class MomentsResult(NamedTuple):
    """Mean and variance over the samples of each chain.

    Attributes:
        count: `[]` number of samples.
        mean: `[chains, ...]`; NaN without samples, or if a sample was NaN.
        variance: `[chains, ...]` mean squared deviation from the mean (divided by `count`, as samples are correlated).
    """

    count: Int[Array, ""]
    mean: Float[Array, "chains ..."]
    variance: Float[Array, "chains ..."]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True)
class Moments:
    """The mean and the variance of an observable over the samples.

    Welford's updates with compensated sums: float32 keeps its digits over millions of samples, and also where the mean
    is much larger than the fluctuations (Welford 1962, Technometrics 4, 419).

    Attributes:
        observable: a callable; a pytree, unless it goes through `named_observables`.
    """

    observable: Callable[..., Any]

    def __call__(self, occupancy: Int[Array, "chains sites"]) -> Num[Array, "chains ..."]:
        """The values that are accumulated."""
        return self.observable(occupancy)

    @property
    def dims(self) -> tuple[str, ...] | None:
        """Names of the axes after the chains in the mean and the variance; None if the observable has none."""
        return getattr(self.observable, "dims", None)

    @property
    def coords(self) -> dict[str, list]:
        """Labels along these axes."""
        return getattr(self.observable, "coords", {})

    def start(self, shape: tuple[int, ...], num_chains: int) -> MomentsAccumulator:
        """An empty accumulator for values of this shape in each chain."""
        # Separate arrays, as one buffer cannot be donated twice.
        zeros = [jnp.zeros((num_chains, *shape), jnp.result_type(float)) for _ in range(4)]
        return MomentsAccumulator(jnp.zeros((), jnp.int32), *zeros)

    def add(self, accumulator: MomentsAccumulator, values: Num[Array, "chains ..."]) -> MomentsAccumulator:
        """The accumulator after one more sample."""
        count, mean, mean_rest, squares, squares_rest = accumulator
        values = values.astype(mean.dtype)
        count = count + 1
        before = (values - mean) - mean_rest
        mean, mean_rest = _compensated(mean, mean_rest, before / count.astype(mean.dtype))
        after = (values - mean) - mean_rest
        return MomentsAccumulator(count, mean, mean_rest, *_compensated(squares, squares_rest, before * after))

    def finish(self, accumulator: MomentsAccumulator) -> MomentsResult:
        """The moments of what was added."""
        count, mean, mean_rest, squares, squares_rest = accumulator
        mean = jnp.where(count > 0, mean + mean_rest, jnp.nan)
        return MomentsResult(count, mean, (squares + squares_rest) / count.astype(mean.dtype))


def _compensated(total: Any, rest: Any, increment: Any) -> tuple[Any, Any]:
    """Sum and rest after an addition whose lost digits go into the rest (Kahan 1965, Commun. ACM 8, 40)."""
    increment = increment + rest
    new = total + increment
    return new, increment - (new - total)


class HistogramResult(NamedTuple):
    """How often the values of each chain fell into each bin.

    Attributes:
        counts: `[chains, ..., bins + 2]` int32; first what lies below the edges, last what lies above.
        edges: `[bins + 1]`.
    """

    counts: Int[Array, "chains ..."]
    edges: Float[Array, " edges"]


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True)
class Histogram:
    """How often each value of an observable fell between the edges.

    A bin holds its lower edge; the last one holds both, as in NumPy. NaN is counted in no bin.

    Attributes:
        observable: a callable; a pytree, unless it goes through `named_observables`.
        edges: `[bins + 1]` finite, strictly increasing; kept as a tuple, static, since they label the result.

    Raises:
        ValueError: if the edges are anything else.
    """

    observable: Callable[..., Any]
    edges: Any = dataclasses.field(metadata={"static": True})

    def __post_init__(self):
        edges = np.asarray(self.edges, dtype=np.float64)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
            raise ValueError(f"the edges of a histogram must be two or more increasing numbers, not {self.edges!r}.")
        object.__setattr__(self, "edges", tuple(edges.tolist()))

    def __call__(self, occupancy: Int[Array, "chains sites"]) -> Num[Array, "chains ..."]:
        """The values that are counted."""
        return self.observable(occupancy)

    @property
    def dims(self) -> tuple[str, ...] | None:
        """Names of the axes after the chains in the counts; None if the observable has none."""
        dims = getattr(self.observable, "dims", None)
        return None if dims is None else (*dims, "bin")

    @property
    def coords(self) -> dict[str, list]:
        """Labels along these axes; a bin's is its lower edge."""
        return {**getattr(self.observable, "coords", {}), "bin": [-np.inf, *self.edges]}

    def start(self, shape: tuple[int, ...], num_chains: int) -> Int[Array, "chains ..."]:
        """Empty counts for values of this shape in each chain."""
        return jnp.zeros((num_chains, *shape, len(self.edges) + 1), jnp.int32)

    def add(self, accumulator: Int[Array, "chains ..."], values: Num[Array, "chains ..."]) -> Int[Array, "chains ..."]:
        """The counts after one more sample."""
        if not jnp.issubdtype(values.dtype, jnp.floating):
            values = values.astype(jnp.result_type(float))
        flat = values.reshape(-1)
        edges = jnp.asarray(self.edges, flat.dtype)
        bins = jnp.searchsorted(edges, flat, side="right").astype(jnp.int32)
        bins = jnp.where(flat == edges[-1], len(self.edges) - 1, bins)
        # Past the end, where additions are dropped.
        bins = jnp.where(jnp.isnan(flat), accumulator.shape[-1], bins)
        counts = accumulator.reshape(-1, accumulator.shape[-1])
        counts = counts.at[jnp.arange(len(flat), dtype=jnp.int32), bins].add(1, mode="drop")
        return counts.reshape(accumulator.shape)

    def finish(self, accumulator: Int[Array, "chains ..."]) -> HistogramResult:
        """The counts and their edges."""
        return HistogramResult(accumulator, jnp.asarray(self.edges, jnp.result_type(float)))
