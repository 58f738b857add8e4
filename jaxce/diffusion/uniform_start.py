"""Uniform occupancies, whose number is known: where annealing starts."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln

from jaxce.sampling.ensemble_moves import Moves
from jaxce.sampling.ensemble_parameters import Problem
from jaxce.sampling.ensembles import Ensemble, Rules
from jaxce.sampling.run_setup import Settings, Setup, checked_start, prepare
from jaxce.sampling.sublattices import ActiveSublattice, count_species
from jaxce.tables import Hamiltonian


def uniform_setup(
    key: Any,
    hamiltonian: Hamiltonian,
    occupancy: Any,
    ensemble: Ensemble,
    num_chains: int,
    moves: Moves | None,
    method: str,
) -> tuple[Setup, float]:
    """Chains with uniform occupancies, ready to be moved, and the logarithm of the number of these occupancies.

    Args:
        key: random key, consumed.
        hamiltonian: the Hamiltonian.
        occupancy: `[sites]`; says what is not drawn: compositions that the ensemble keeps, and frozen sites.
        ensemble: the ensemble.
        num_chains: number of chains.
        moves: as in `run_monte_carlo`.
        method: as in `run_monte_carlo`.

    Raises:
        ValueError: if the number of occupancies is not known, or anything else does not fit.
    """
    if hamiltonian.num_models is not None:
        raise ValueError("annealing takes one model, but `hamiltonian` is a stack: give `hamiltonian.model(index)`.")
    template = checked_start(hamiltonian, np.asarray(occupancy)[None])
    start_key, run_key = jax.random.split(key)
    settings = Settings(1, 1, (), moves or Moves(), None, None, progress=False, method=method)
    # The temperature changes from level to level.
    setup = prepare(run_key, hamiltonian, np.repeat(template, num_chains, axis=0), ensemble, 1.0, 1, settings)
    rules = ensemble.rules(Problem(setup.sublattices, setup.inactive, num_chains=1, num_sweeps=1))
    if len(rules.conserved) or rules.stiffness is not None:
        raise ValueError(
            "annealing starts from uniform occupancies, which are drawn and counted for SemiGrand, Canonical() and "
            f"Hybrid of these, but `ensemble` is {ensemble!r}."
        )
    codes = _uniform_occupancies(start_key, setup.occupancy, setup.sublattices, rules)
    log_number = sum(_log_number(template[0], s, row, rules) for row, s in enumerate(setup.sublattices))
    return setup._replace(occupancy=codes, counts=count_species(setup.sublattices, codes)), log_number


def _uniform_occupancies(
    key: Any, occupancy: np.ndarray, sublattices: tuple[ActiveSublattice, ...], rules: Rules
) -> np.ndarray:
    """`[chains, sites]`: free species where sites are flipped, shuffled where they are swapped, else as they are."""
    codes = occupancy.copy()
    for row, (sublattice, row_key) in enumerate(zip(sublattices, jax.random.split(key, len(sublattices)), strict=True)):
        present = codes[:, sublattice.movable]
        if rules.is_flipped[row]:
            codes[:, sublattice.movable] = jax.random.randint(row_key, present.shape, 0, len(sublattice.species))
        elif rules.is_swapped[row]:
            shuffled = jax.random.permutation(row_key, jnp.asarray(present), axis=1, independent=True)
            codes[:, sublattice.movable] = shuffled
    return codes


def _log_number(occupancy: np.ndarray, sublattice: ActiveSublattice, row: int, rules: Rules) -> float:
    """Logarithm of the number of ways to fill the movable sites of a sublattice."""
    num_sites = len(sublattice.movable)
    if rules.is_flipped[row]:
        return num_sites * math.log(len(sublattice.species))
    if rules.is_swapped[row]:
        return float(gammaln(num_sites + 1) - gammaln(np.bincount(occupancy[sublattice.movable]) + 1).sum())
    return 0.0
