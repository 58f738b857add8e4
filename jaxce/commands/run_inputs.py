"""From the folder of a run to what the samplers of `jaxce` take, and their call."""

import itertools
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from jaxce.build import build_hamiltonian
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.commands.run_settings import RunSettings, flat, numbers_of, read_settings
from jaxce.io.structure_forms import as_atoms
from jaxce.lattice.structures import map_structure
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.annealing import anneal
from jaxce.sampling.ensembles import VCSGC, Canonical, ChargeNeutral, Ensemble, SemiGrand
from jaxce.sampling.monte_carlo import run_monte_carlo
from jaxce.sampling.order_parameters import short_range_order
from jaxce.sampling.random_occupancies import random_occupancy
from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult, run_tempering

Result = MonteCarloResult | TemperingResult


class RunInputs(NamedTuple):
    """What a run is made of.

    Attributes:
        settings: its settings.
        supercell: the supercell.
        hamiltonian: the Hamiltonian.
        key: the random key of the run.
        occupancy: `[chains, sites]` starts, or `[ladders, sites]` of tempering.
        ensemble: the ensemble.
        conditions: a row for each chain, or each rung: `temperature` (kelvin), and columns such as `mu_Au`.
        observables: name -> observable.
    """

    settings: RunSettings
    supercell: Supercell
    hamiltonian: Any
    key: Any
    occupancy: Any
    ensemble: Ensemble
    conditions: pd.DataFrame
    observables: dict[str, Any]


def stored_settings(folder: str | os.PathLike) -> RunSettings:
    """The settings of the run in a folder.

    Raises:
        ValueError: if it has none.
    """
    path = pathlib.Path(folder) / "run.toml"
    if not path.is_file():
        raise ValueError(f"{folder} has no run.toml, so it is no folder that `jaxce mc` wrote.")
    return read_settings(path, {})


def load_inputs(settings: RunSettings) -> RunInputs:
    """The inputs of a run, whose model is one of jaxce, in the precision that JAX is set to.

    Raises:
        ValueError: if the settings do not fit the model.
    """
    expansion = ClusterExpansion.load(settings.model)
    start_key, run_key = jax.random.split(jax.random.key(settings.seed))
    conditions = _conditions(settings)
    num_starts = settings.chains if settings.kind == "tempering" else len(conditions)
    supercell, occupancy = _starts(settings, expansion, start_key, num_starts)
    return RunInputs(
        settings=settings,
        supercell=supercell,
        hamiltonian=build_hamiltonian(expansion, supercell),
        key=run_key,
        occupancy=occupancy,
        ensemble=_ensemble(settings, conditions),
        conditions=conditions,
        observables=_observables(settings, supercell),
    )


def sample(inputs: RunInputs, *, progress: bool = False, only_read: bool = False) -> Result:
    """The result of a run, or of what there is of it; the run goes on where its folder says."""
    settings = inputs.settings
    start = (inputs.key, inputs.hamiltonian, inputs.occupancy, inputs.ensemble)
    common: dict[str, Any] = {
        "num_sweeps": settings.sweeps,
        "folder": settings.folder,
        "progress": progress,
        "only_read": only_read,
    }
    if settings.kind == "annealing":
        return anneal(*start, temperatures=numbers_of(settings.temperature), **common)
    common |= {
        "sample_every": settings.sample_every,
        "observables": inputs.observables,
        "until": settings.until or None,
    }
    kelvin = inputs.conditions["temperature"].to_numpy()
    if settings.kind == "tempering":
        return run_tempering(*start, temperatures=kelvin, exchange_every=settings.exchange_every, **common)
    return run_monte_carlo(*start, temperature=kelvin, **common)


def _conditions(settings: RunSettings) -> pd.DataFrame:
    """The grid of temperatures and parameters, each point repeated for its chains; rungs are not repeated."""
    kelvin = numbers_of(settings.temperature)
    if settings.kind == "annealing":
        kelvin = kelvin[-1:]
    axes = {"temperature": kelvin} | {
        "_".join((name, *place)): numbers_of(grid)
        for name in ("mu", "phi")
        for place, grid in flat(getattr(settings, name)).items()
    }
    repeats = 1 if settings.kind == "tempering" else settings.chains
    rows = [point for point in itertools.product(*axes.values()) for _ in range(repeats)]
    return pd.DataFrame(rows, columns=list(axes))


def _starts(settings: RunSettings, expansion: ClusterExpansion, key: Any, count: int) -> tuple[Supercell, Any]:
    prim = expansion.space.prim
    supercell = None if settings.supercell is None else Supercell(prim, settings.supercell)
    if supercell is None or settings.start:
        mapping = map_structure(prim, as_atoms(settings.start), supercell)
        return mapping.supercell, np.tile(mapping.occupancy, (count, 1))
    return supercell, random_occupancy(key, supercell, settings.composition, (count,))


def _ensemble(settings: RunSettings, conditions: pd.DataFrame) -> Ensemble:
    per_chain = lambda name: _per_chain(getattr(settings, name), name, conditions)
    if settings.ensemble == "semi-grand":
        return SemiGrand(per_chain("mu"))
    if settings.ensemble == "charge-neutral":
        return ChargeNeutral(settings.charges or None, per_chain("mu"))
    if settings.ensemble == "vcsgc":
        return VCSGC(per_chain("phi"), settings.kappa)
    return Canonical("global" if settings.ensemble == "canonical-global" else "sublattice")


def _per_chain(by_species: Mapping[str, Any], prefix: str, conditions: pd.DataFrame) -> dict[str, Any]:
    """The settings `mu` or `phi` with one number for each chain in place of grids."""
    return {
        name: _per_chain(value, f"{prefix}_{name}", conditions)
        if isinstance(value, Mapping)
        else conditions[f"{prefix}_{name}"].to_numpy()
        for name, value in by_species.items()
    }


def _observables(settings: RunSettings, supercell: Supercell) -> dict[str, Any]:
    if not settings.short_range_order:
        return {}
    names = [sublattice.name for sublattice in supercell.sublattices]
    of = lambda name: short_range_order(supercell, num_shells=settings.short_range_order, sublattice=name)
    if len(names) == 1:
        return {"short_range_order": of(names[0])}
    return {f"short_range_order_{name}": of(name) for name in names}
