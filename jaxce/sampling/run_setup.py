"""From what a user gives to a run that can start: all checks come first, before any work is done."""

import collections
import numbers
import os
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import ase.units
import jax
import jax.numpy as jnp
import numpy as np

# The terms register themselves.
from jaxce import (
    change_tables as change_tables,
    pair_changes as pair_changes,
)
from jaxce.energies import relative_energy
from jaxce.energy_changes import EnergyChanges, energy_changes
from jaxce.sampling.chains import Run
from jaxce.sampling.chunks import Plan
from jaxce.sampling.ensemble_moves import Moves, moves_of_ensemble
from jaxce.sampling.ensemble_parameters import Problem
from jaxce.sampling.ensembles import Ensemble, Rules, check_ensemble
from jaxce.sampling.observables import check_shapes, named_observables
from jaxce.sampling.sublattices import ActiveSublattice, count_species, find_sublattices
from jaxce.sampling.weights import Weight
from jaxce.tables import Hamiltonian, check_hamiltonian

# Measured (benchmarks/scaling.py): so many chains are faster together in cells of up to so many sites, hot and cold.
# In larger cells cold chains of models with many neighbours lose.
_MANY_CHAINS, _FEW_SITES = 16, 16


class Settings(NamedTuple):
    num_sweeps: int
    sample_every: int
    observables: Any
    moves: Moves
    until: Any
    folder: Any
    progress: bool
    method: str
    exchange_every: int = 1
    only_read: bool = False


class Setup(NamedTuple):
    """A run that has passed all checks.

    Attributes:
        plan: the run.
        sublattices: the active sublattices.
        inactive: species -> number of sites that hold nothing else.
        species: all species of the prim.
        occupancy: `[chains, sites]` int8.
        counts: `[chains, sublattices, species]` of the occupancy.
        conserved: `[chains, constraints]` numbers that the ensemble's moves never change.
        potentials: `[sweeps or 1, chains or rungs, sublattices, species]` eV, or None.
        temperature: `[sweeps or 1, chains or rungs]` kelvin.
        num_rungs: rungs of each ladder; None if chains do not form ladders.
    """

    plan: Plan
    sublattices: tuple[ActiveSublattice, ...]
    inactive: Mapping[str, int]
    species: tuple[str, ...]
    occupancy: np.ndarray
    counts: np.ndarray
    conserved: np.ndarray
    potentials: np.ndarray | None
    temperature: np.ndarray
    num_rungs: int | None = None

    def conditions(self) -> np.ndarray:
        """`[chains]` number that is the same where temperature and all else are, at the end of the run.

        On ladders it is the number of the rung.
        """
        if self.num_rungs is not None:
            return np.tile(np.arange(self.num_rungs), len(self.occupancy) // self.num_rungs)
        last = [np.asarray(leaf[-1]).reshape(leaf.shape[1], -1) for leaf in jax.tree.leaves(self.plan.schedule)]
        return np.unique(np.concatenate(last, axis=1), axis=0, return_inverse=True)[1].ravel()

    def counts_by_label(self, counts: np.ndarray) -> np.ndarray:
        """`[..., labels]` numbers of all species from counts `[..., sublattices, species]` on active sublattices."""
        result = np.zeros((*counts.shape[:-2], len(self.species)), dtype=np.int64)
        result += [self.inactive.get(name, 0) for name in self.species]
        for row, sublattice in enumerate(self.sublattices):
            for code, name in enumerate(sublattice.species):
                result[..., self.species.index(name)] += counts[..., row, code]
        return result

    def work(self, counts: np.ndarray) -> np.ndarray | None:
        """`[samples, chains]` sum of mu N, eV, from counts `[samples, chains, sublattices, species]`."""
        if self.potentials is None:
            return None
        sweeps = self.plan.sample_every * np.arange(1, len(counts) + 1) - 1
        potentials = self.potentials[np.minimum(sweeps, len(self.potentials) - 1)]
        num_ladders = counts.shape[1] // potentials.shape[1]
        return np.einsum("tcrs,tcrs->tc", counts, np.tile(potentials, (1, num_ladders, 1, 1)))


def prepare(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: np.ndarray,
    ensemble: Ensemble,
    temperature: Any,
    num_conditions: int,
    settings: Settings,
) -> Setup:
    """Check everything that can be wrong, before any work is done."""
    _check_key(key)
    _check_lengths(settings)
    check_ensemble(ensemble)
    models, hamiltonian = hamiltonian, first_model(hamiltonian, len(occupancy))
    sublattices = find_sublattices(hamiltonian, settings.moves.frozen_sites)
    inactive = _inactive_species(hamiltonian)
    problem = Problem(sublattices, inactive, num_conditions, settings.num_sweeps)
    kelvin = _checked_temperature(temperature, problem)
    rules = ensemble.rules(problem)
    counts = count_species(sublattices, occupancy)
    ensemble.check_start(problem, counts)
    moves = moves_of_ensemble(hamiltonian, sublattices, rules, settings.moves, occupancy)
    observables = named_observables(settings.observables)
    _check_names(observables, hamiltonian.species.names)
    check_shapes(observables, *occupancy.shape)
    class_key, *roots = jax.random.split(key, 3)
    by_chain = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    chain_keys, exchange_keys = (by_chain(root, jnp.arange(len(occupancy))) for root in roots)
    is_mapped = _are_chains_mapped(*occupancy.shape)
    run = Run(
        models, _changes(models, settings.method, is_mapped), moves, class_key, chain_keys, exchange_keys, observables
    )
    dtype = jax.eval_shape(relative_energy, hamiltonian, jnp.asarray(occupancy[:1])).dtype
    as_dtype = lambda array: None if array is None else np.asarray(array, dtype=dtype)
    beta = np.broadcast_to(np.asarray(1 / (ase.units.kB * kelvin), dtype=dtype), (len(kelvin), num_conditions))
    weights = Weight(beta, *(as_dtype(array) for array in (rules.chemical_potentials, rules.stiffness, rules.centre)))
    plan = Plan(run, weights, settings.num_sweeps, settings.sample_every, settings.exchange_every)
    species = hamiltonian.species.names[:-1]
    conserved = _conserved(rules, counts)
    return Setup(plan, sublattices, inactive, species, occupancy, counts, conserved, rules.chemical_potentials, kelvin)


def first_model(hamiltonian: Hamiltonian, num_chains: int) -> Hamiltonian:
    """The Hamiltonian, or the first of a stack with one for each chain, which differ in nothing but their weights.

    Raises:
        ValueError: if it is no Hamiltonian, or a stack has another length or holds several supercells.
    """
    check_hamiltonian(hamiltonian)
    if hamiltonian.num_models is None:
        return hamiltonian
    if hamiltonian.num_models != num_chains:
        raise ValueError(
            f"{hamiltonian.num_models} models need as many chains, one for each, but `occupancy` has {num_chains}."
        )
    integers = [np.asarray(leaf) for leaf in jax.tree.leaves(hamiltonian) if jnp.issubdtype(leaf.dtype, jnp.integer)]
    if not all(np.all(leaf == leaf[:1]) for leaf in integers):
        raise ValueError("models of one run must be of one supercell, as `ExpansionSamples.hamiltonians` makes them.")
    return hamiltonian.model(0)


def _changes(hamiltonian: Hamiltonian, method: str, is_mapped: bool) -> EnergyChanges:
    """Energy changes; of a stack those of each model, stacked."""
    if hamiltonian.num_models is None:
        return energy_changes(hamiltonian, method, is_mapped=is_mapped)
    models = [hamiltonian.model(index) for index in range(hamiltonian.num_models)]
    built = [energy_changes(model, method, is_mapped=is_mapped) for model in models]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *built)


def _conserved(rules: Rules, counts: np.ndarray) -> np.ndarray:
    if len(rules.conserved):
        return np.einsum("crs,krs->ck", counts, rules.conserved)
    return counts[:, ~rules.is_flipped].reshape(len(counts), -1)


def checked_start(hamiltonian: Hamiltonian, occupancy: Any, axes: str = "chains") -> np.ndarray:
    """Starting occupancies `[..., sites]` as int8; `axes` names the leading axes, separated by commas."""
    codes = np.asarray(occupancy)
    kind = np.asarray(hamiltonian.species.kind)
    num_axes = len(axes.split(",")) + 1
    if codes.ndim != num_axes or codes.shape[-1] != len(kind) or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"`occupancy` must hold integer species codes of shape [{axes}, {len(kind)}], but has shape {codes.shape} "
            f"and dtype {codes.dtype}; a single chain is occupancy[None]."
        )
    if codes.size == 0:
        raise ValueError(f"`occupancy` has shape {codes.shape}: there is no chain to run.")
    if np.any((codes < 0) | (codes >= np.asarray(hamiltonian.species.num_species)[kind])):
        raise ValueError("`occupancy` has species codes that its sites do not allow.")
    return codes.astype(np.int8)


def _check_names(observables: Mapping[str, Any], species: tuple[str, ...]) -> None:
    """Names of observables are not those of what is kept anyway, nor of its labels."""
    taken = {"energy", "counts", "species", "temperature", "condition", "sweep", "chain", "draw", *species}
    clashes = sorted(taken & set(observables))
    if clashes:
        raise ValueError(f"observables cannot be named {clashes}, which results use: give them other names.")


def _check_key(key: Any) -> None:
    is_key = hasattr(key, "dtype") and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not is_key or key.shape != ():
        raise ValueError(f"`key` must be one random key, such as jax.random.key(0), but is {key!r}.")


def _are_chains_mapped(num_chains: int, num_sites: int) -> bool:
    """Whether chains take their steps together; if not, one after the other.

    Many chains of a small cell share the cost of starting each operation, and their states fit into the cache. Older
    versions of JAX compile the loop over the steps of a chain to one function only if they are told to (jax 0.7 crashes
    if it is told). Else every operation of a step costs as much as for a few chains; but older versions also copy the
    state of mapped chains in each step.
    """
    flag = "xla_cpu_small_while_loop_byte_threshold"
    if jax.default_backend() != "cpu":
        return True
    if num_chains >= _MANY_CHAINS and num_sites <= _FEW_SITES:
        return True
    if jax.__version_info__ >= (0, 12) or flag in os.environ.get("XLA_FLAGS", ""):
        return False
    if jax.__version_info__ >= (0, 8):
        warnings.warn(
            f"jax {jax.__version__} runs chains several times faster with XLA_FLAGS="
            f"--xla_backend_extra_options={flag}=1000000000 in the environment from the start; 0.12 needs no flag.",
            stacklevel=4,
        )
    return num_chains >= 8 and num_sites <= 1000


def _check_lengths(settings: Settings) -> None:
    every, sweeps = settings.sample_every, settings.num_sweeps
    check_integers(num_sweeps=sweeps, sample_every=every, exchange_every=settings.exchange_every)
    if sweeps < 1 or every < 1 or sweeps % every:
        raise ValueError(f"`num_sweeps` ({sweeps}) must be a positive multiple of `sample_every` ({every}).")
    if settings.exchange_every < 1:
        raise ValueError(f"`exchange_every` must be 1 sweep at least, but is {settings.exchange_every}.")


def check_integers(**values: Any) -> None:
    """Raise `ValueError` naming the first value that is no integer, such as 1e3."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError(f"`{name}` must be an integer, but is {value!r}.")


def _inactive_species(hamiltonian: Hamiltonian) -> dict[str, int]:
    """Species -> number of sites that hold nothing else."""
    species = hamiltonian.species
    kind, labels = np.asarray(species.kind), np.asarray(species.labels)
    is_inactive = np.asarray(species.num_species)[kind] == 1
    return dict(collections.Counter(species.names[label] for label in labels[kind[is_inactive], 0]))


def _checked_temperature(temperature: Any, problem: Problem) -> np.ndarray:
    """`[sweeps or 1, chains or 1]` kelvin."""
    kelvin = np.asarray(temperature, dtype=np.float64)
    chains, sweeps = problem.num_chains, problem.num_sweeps
    if kelvin.shape not in ((), (chains,), (sweeps, chains), (sweeps, 1)):
        raise ValueError(
            f"`temperature` must be a number, [{chains}] (chains) or [{sweeps}, {chains}] (sweeps, chains), "
            f"but has shape {kelvin.shape}."
        )
    if not np.all(np.isfinite(kelvin) & (kelvin > 0)):
        raise ValueError("temperatures must be positive and finite, in kelvin.")
    return kelvin.reshape((1,) * (2 - kelvin.ndim) + kelvin.shape)
