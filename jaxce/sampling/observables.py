"""Observables: what is measured on the device while chains run.

An observable is any function of the occupancies of all chains, `[chains, sites]` int8, that returns an array
`[chains, ...]`. Those made here and in `order_parameters.py` are pytrees: their tables are leaves, and so arguments of
a compiled function; their labels are static.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.correlation_vectors import correlations
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.sampling.accumulators import Histogram, Moments
from jaxce.tables import ClusterTables


@typing.no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledObservable:
    """What the observables of this package have in common: the labels of their values.

    Attributes:
        name: what is measured; static.
        dims: names of the axes after the chains; static.
        labels: for each of these axes, the labels along it; static.
    """

    name: str = dataclasses.field(metadata={"static": True})
    dims: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    labels: tuple[tuple[Any, ...], ...] = dataclasses.field(metadata={"static": True})

    @property
    def coords(self) -> dict[str, list]:
        """Labels by the name of the axis, as xarray takes them."""
        return {dim: list(labels) for dim, labels in zip(self.dims, self.labels, strict=True)}


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class SublatticeCompositions(LabelledObservable):
    """Fractions of the sites of each sublattice that hold each species: `[chains, sublattices, species]`.

    Attributes:
        sites: for each sublattice: `[sites]`.
        codes: `[sublattices, species]` code of each species; -1 where the sublattice does not allow it.
        num_sites: number of sites of the supercell; static.
    """

    sites: tuple[Int[Array, " _sites"], ...]
    codes: Int[Array, "sublattices species"]
    num_sites: int = dataclasses.field(metadata={"static": True})

    def __call__(self, occupancy: Int[ArrayLike, "chains sites"]) -> Float[Array, "chains sublattices species"]:
        """The fractions; 0 for species that a sublattice does not allow."""
        occupancy = checked_occupancies(self.num_sites, occupancy)
        # As many codes as there are species are enough: no sublattice has more.
        num_codes = self.codes.shape[1]
        fractions = []
        for sites, codes in zip(self.sites, self.codes, strict=True):
            counts = code_counts(occupancy[:, sites], num_codes).astype(jnp.result_type(float))
            fractions.append(jnp.where((codes >= 0)[None, :], counts[:, codes] / len(sites), 0))
        return jnp.stack(fractions, axis=1)


def composition(supercell: Supercell) -> SublatticeCompositions:
    """The fraction of the sites of each active sublattice that holds each species, `[chains, sublattices, species]`.

    Raises:
        ValueError: if no site has more than one species.
    """
    sublattices = active_sublattices(supercell)
    active = {name for sublattice in sublattices for name in sublattice.species}
    names = tuple(name for name in supercell.prim.all_species if name in active)
    codes = [[s.species.index(name) if name in s.species else -1 for name in names] for s in sublattices]
    return SublatticeCompositions(
        name="composition",
        dims=("sublattice", "species"),
        labels=(tuple(s.name for s in sublattices), names),
        sites=tuple(jnp.asarray(s.sites, jnp.int32) for s in sublattices),
        codes=jnp.asarray(codes, jnp.int32),
        num_sites=supercell.num_sites,
    )


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class SiteOccupancies(LabelledObservable):
    """Which species each site holds, as 0 and 1: `[chains, sites, species]`.

    Attributes:
        species: `[prim_sites, codes]` species of each code, by its place among the labels; -1 where there is no code.
        num_sites: number of sites of the supercell; static.
    """

    species: Int[Array, "prim_sites codes"]
    num_sites: int = dataclasses.field(metadata={"static": True})

    def __call__(self, occupancy: Int[ArrayLike, "chains sites"]) -> Float[Array, "chains sites species"]:
        """1 for the species of each site and 0 for the others."""
        occupancy = checked_occupancies(self.num_sites, occupancy)
        num_prim_sites = len(self.species)
        codes = occupancy.reshape(len(occupancy), num_prim_sites, -1).astype(jnp.int32)
        species = self.species[jnp.arange(num_prim_sites, dtype=jnp.int32)[None, :, None], codes]
        return jax.nn.one_hot(species.reshape(occupancy.shape), len(self.labels[1]), dtype=jnp.result_type(float))


def site_occupancy(supercell: Supercell) -> SiteOccupancies:
    """One-hot species of every site, inactive ones included, `[chains, sites, species]`; its mean is the occupation."""
    prim = supercell.prim
    table = np.full((prim.num_sites, max(prim.num_species)), -1)
    for row, names in zip(table, prim.species, strict=True):
        row[: len(names)] = [prim.all_species.index(name) for name in names]
    return SiteOccupancies(
        name="site_occupancy",
        dims=("site", "species"),
        labels=(tuple(range(supercell.num_sites)), prim.all_species),
        species=jnp.asarray(table, jnp.int32),
        num_sites=supercell.num_sites,
    )


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class CorrelationVectors(LabelledObservable):
    """Correlation vectors: `[chains, correlations]`.

    Attributes:
        tables: the clusters of the supercell.
    """

    tables: ClusterTables

    def __call__(self, occupancy: Int[ArrayLike, "chains sites"]) -> Float[Array, "chains correlations"]:
        """The correlation vector of each chain."""
        return correlations(self.tables, checked_occupancies(len(self.tables.products.kind), occupancy))


def correlation_vector(tables: ClusterTables) -> CorrelationVectors:
    """The correlation vector, `[chains, correlations]`, in the dtype of the tables."""
    return CorrelationVectors(
        name="correlation_vector",
        dims=("correlation",),
        labels=(tuple(range(len(tables.weights))),),
        tables=tables,
    )


def named_observables(observables: Any) -> dict[str, Callable[..., Any]]:
    """Observables by name, as a pytree that a compiled function takes.

    Functions that are no pytrees become `jax.tree_util.Partial`s, also within `Moments` and `Histogram`. Compiled
    functions are kept as long as the same functions come, so a lambda written anew compiles anew.

    Args:
        observables: a mapping from names to observables, or a list of observables, which then go by their `name` or,
            for functions, by their `__name__`.

    Raises:
        ValueError: if one is not callable, has no name, or shares it with another.
    """
    if isinstance(observables, str) or not isinstance(observables, Mapping | Iterable):
        raise ValueError(f"observables must be a mapping from names to callables or a list, not {observables!r}.")
    named = dict(observables) if isinstance(observables, Mapping) else _by_own_names(list(observables))
    if not all(isinstance(name, str) and name for name in named):
        raise ValueError(f"the names of observables must be strings, but are {list(named)}.")
    return {name: _as_pytree(observable) for name, observable in named.items()}


def _by_own_names(observables: list[Any]) -> dict[Any, Any]:
    names = [_own_name(observable) for observable in observables]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"several observables are called {repeated}: pass a mapping, {{name: observable, ...}}.")
    return dict(zip(names, observables, strict=True))


def _own_name(observable: Any) -> str:
    inner = observable.observable if isinstance(observable, Moments | Histogram) else observable
    name = getattr(inner, "name", None) or getattr(inner, "__name__", None)
    # Lambdas are called "<lambda>".
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"{observable!r} has no name of its own: pass a mapping, {{name: observable, ...}}.")
    return name


def _as_pytree(observable: Any) -> Any:
    if isinstance(observable, Moments | Histogram):
        return dataclasses.replace(observable, observable=_as_pytree(observable.observable))
    if not callable(observable):
        raise ValueError(f"an observable must be a function of occupancies [chains, sites], but is {observable!r}.")
    is_leaf = jax.tree_util.all_leaves([observable])
    return jax.tree_util.Partial(observable) if is_leaf else observable


def check_shapes(named: Mapping[str, Callable], num_chains: int, num_sites: int) -> dict[str, tuple[int, ...]]:
    """The shape of one chain's value of each observable, found without computing anything.

    Raises:
        ValueError: if an observable does not return an array of numbers `[chains, ...]`.
    """
    occupancies = jax.ShapeDtypeStruct((num_chains, num_sites), jnp.int8)
    shapes = {}
    for name, observable in named.items():
        wanted = (
            f"observable {name!r} takes occupancies [chains, sites] and must return [chains, ...]; wrap a function of "
            "one occupancy in jax.vmap."
        )
        try:
            value = jax.eval_shape(observable, occupancies)
        except Exception as error:
            # Whatever went wrong in the function is what the user must see; this is only a hint.
            error.add_note(wanted)
            raise
        if not isinstance(value, jax.ShapeDtypeStruct) or value.shape[:1] != (num_chains,):
            raise ValueError(f"{wanted} For {num_chains} chains of {num_sites} sites it returns {value}.")
        if not (jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool) or jnp.iscomplexobj(value):
            raise ValueError(f"observable {name!r} must return real numbers, but returns {value.dtype}.")
        shapes[name] = value.shape[1:]
    return shapes


def active_sublattices(supercell: Supercell) -> Any:
    """The supercell's sublattices; `ValueError` if it has none."""
    if not supercell.sublattices:
        raise ValueError(f"{supercell} has no site with more than one species, so there is nothing to measure.")
    return supercell.sublattices


def checked_occupancies(num_sites: int, occupancy: Any) -> Int[Array, "chains sites"]:
    """The occupancies as an array; `ValueError` unless they are integers `[chains, sites]`, known also in tracing."""
    shape, dtype = jnp.shape(occupancy), jnp.result_type(occupancy)
    if len(shape) != 2 or shape[1] != num_sites or not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(
            f"the observable was made for occupancies of integers [chains, {num_sites}], but is given {dtype} of shape "
            f"{list(shape)}; a single chain is occupancy[None]."
        )
    return jnp.asarray(occupancy)


def code_counts(codes: Int[Array, "*batch sites"], num_codes: int) -> Int[Array, "*batch codes"]:
    """How many sites hold each code below `num_codes`."""
    # One sum for each code: a one-hot array of all sites would be many times larger than the occupancies.
    return jnp.stack([jnp.sum(codes == code, axis=-1, dtype=jnp.int32) for code in range(num_codes)], axis=-1)
