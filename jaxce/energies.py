"""Energies and exact energy differences of occupancies.

Every function adds up what the terms of the Hamiltonian give (`jaxce.terms`) and never asks which terms there are.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

# The terms register themselves.
from jaxce import (
    cluster_term as cluster_term,
    pair_term as pair_term,
    table_term as table_term,
)
from jaxce.blocks import over_batch
from jaxce.site_species import check_occupancy, is_allowed, swapped_codes
from jaxce.tables import Batch, Hamiltonian, check_hamiltonian
from jaxce.terms import (
    Changes,
    term_couplings,
    term_energy,
    term_potentials,
    term_relaxed_energy,
    term_site_potentials,
    term_site_tables,
)

# Per-structure work on single sites gathers a table for each structure: this many at a time.
_LOCAL_BLOCK = 256


def energy(
    hamiltonian: Hamiltonian | Batch, occupancy: Int[ArrayLike, "*batch sites"] | None = None
) -> Float[Array, "*batch"]:
    """Energy, eV per supercell.

    Large batches are evaluated in blocks; give the whole batch rather than `vmap` over it. Like all functions of this
    module it is meant for `jax.jit`, outside of which every call is compiled again.

    Args:
        hamiltonian: a Hamiltonian, or a padded `Batch` that brings its own occupancies.
        occupancy: species codes; left out with a `Batch`.
    """
    if isinstance(hamiltonian, Batch):
        return jax.vmap(energy)(hamiltonian.hamiltonian, _own_occupancy(hamiltonian, occupancy))
    _check(hamiltonian, occupancy)
    return over_batch(lambda o: _total(hamiltonian, term_energy, o), None, (occupancy, 1))


def relaxed_energy(
    hamiltonian: Hamiltonian | Batch, probabilities: Float[ArrayLike, "*batch sites species"]
) -> Float[Array, "*batch"]:
    """Expected energy when each site has its own, independent distribution over species, eV per supercell.

    The multilinear extension of `energy`; repeated sites in small cells are folded before averaging. Probabilities of
    a site must add up to 1. Only differences of the gradient between species of one site mean anything: at one-hot
    points they are exactly the substitution energies. This is a mean-field energy, not a free energy.
    """
    if isinstance(hamiltonian, Batch):
        return jax.vmap(relaxed_energy)(hamiltonian.hamiltonian, probabilities)
    check_hamiltonian(hamiltonian)
    expected = (len(hamiltonian.species.kind), hamiltonian.species.labels.shape[-1])
    if jnp.shape(probabilities)[-2:] != expected:
        raise ValueError(
            f"`probabilities` must have shape [..., {expected[0]}, {expected[1]}] (sites, species), "
            f"but has shape {jnp.shape(probabilities)}."
        )
    return over_batch(lambda p: _total(hamiltonian, term_relaxed_energy, p), None, (probabilities, 2))


def substitution_energies(
    hamiltonian: Hamiltonian | Batch, occupancy: Int[ArrayLike, "*batch sites"] | None = None
) -> Float[Array, "*batch sites species"]:
    """Energy change of every single-site substitution, eV: E(site -> species) - E.

    Exactly 0 at the species present and +inf where a species is not allowed. Costs about one evaluation of the fields.

    Args:
        hamiltonian: a Hamiltonian, or a padded `Batch` that brings its own occupancies.
        occupancy: species codes; left out with a `Batch`.
    """
    if isinstance(hamiltonian, Batch):
        return jax.vmap(substitution_energies)(hamiltonian.hamiltonian, _own_occupancy(hamiltonian, occupancy))
    _check(hamiltonian, occupancy)

    def of_block(occupancies):
        potentials = _added([term_potentials(term, occupancies) for term in hamiltonian.terms])
        present = jnp.take_along_axis(potentials, occupancies[..., None].astype(jnp.int32), axis=-1)
        return jnp.where(is_allowed(hamiltonian.species), potentials - present, jnp.inf)

    return over_batch(of_block, None, (occupancy, 1))


def swap_energy(
    hamiltonian: Hamiltonian,
    occupancy: Int[ArrayLike, "*batch sites"],
    i: Int[ArrayLike, "..."],
    j: Int[ArrayLike, "..."],
) -> Float[Array, "*result"]:
    """Energy change when sites `i` and `j` exchange their species, eV.

    Across sublattices species are matched by name; +inf where a site does not allow the other's. `i` and `j`
    broadcast with the batch.
    """
    _check(hamiltonian, occupancy)

    def of_one(occupancy, i, j):
        new_i, new_j, is_allowed = swapped_codes(hamiltonian.species, occupancy, i, j)
        first = _site_change(hamiltonian, occupancy, i, new_i)
        # The sites may share clusters: the second change is taken with the first already made.
        second = _site_change(hamiltonian, occupancy, j, new_j, changed=[(i, new_i)])
        return jnp.where(is_allowed, first + second, jnp.inf)

    return over_batch(jax.vmap(of_one), _LOCAL_BLOCK, (occupancy, 1), (i, 0), (j, 0))


def all_swap_energies(
    hamiltonian: Hamiltonian, occupancy: Int[ArrayLike, "*batch sites"], sites: Int[ArrayLike, " chosen"]
) -> Float[Array, "*batch chosen chosen"]:
    """Energy change of every exchange among the given sites, eV: `swap_energy` at the cost of one field per site."""
    _check(hamiltonian, occupancy)
    sites = jnp.asarray(sites)
    if sites.ndim != 1 or not jnp.issubdtype(sites.dtype, jnp.integer):
        raise ValueError(f"`sites` must be [n] site numbers, but has shape {sites.shape} and dtype {sites.dtype}.")

    def of_one(occupancy):
        potentials = jax.vmap(lambda site: _site_potentials(hamiltonian, occupancy, site))(sites)
        couplings = _added([term_couplings(term, occupancy, sites) for term in hamiltonian.terms])
        new_i, new_j, is_allowed = jax.vmap(
            lambda i: jax.vmap(lambda j: swapped_codes(hamiltonian.species, occupancy, i, j))(sites)
        )(sites)
        old = occupancy[sites].astype(new_i.dtype)
        rows = jnp.arange(len(sites), dtype=new_i.dtype)
        i, j = rows[:, None], rows[None, :]
        old_i, old_j = old[:, None], old[None, :]
        change = potentials[i, new_i] - potentials[i, old_i] + potentials[j, new_j] - potentials[j, old_j]
        # Both sites change: add the second difference.
        change += couplings[i, new_i, j, new_j] - couplings[i, old_i, j, new_j]
        change += couplings[i, old_i, j, old_j] - couplings[i, new_i, j, old_j]
        return jnp.where(i == j, jnp.zeros((), change.dtype), jnp.where(is_allowed, change, jnp.inf))

    return over_batch(jax.vmap(of_one), 8, (occupancy, 1))


def _check(hamiltonian: Any, occupancy: Any) -> None:
    check_hamiltonian(hamiltonian)
    check_occupancy(len(hamiltonian.species.kind), occupancy)


def _own_occupancy(batch: Batch, occupancy: Any) -> Int[Array, "structures sites"]:
    if occupancy is not None:
        raise ValueError(
            "a Batch brings its own occupancies, so `occupancy` must be left out; "
            "batch.replace(occupancy=...) puts others in."
        )
    return batch.occupancy


def _total(hamiltonian: Hamiltonian, of_term: Any, argument: Any) -> Float[Array, " batch"]:
    total = _added([of_term(term, argument) for term in hamiltonian.terms])
    return total + jnp.asarray(hamiltonian.constant, total.dtype)


def relative_energy(hamiltonian: Hamiltonian, occupancy: Int[ArrayLike, "*batch sites"]) -> Float[Array, "*batch"]:
    """`energy` without the Hamiltonian's constant, which would cost digits in float32."""
    _check(hamiltonian, occupancy)
    return over_batch(lambda o: _added([term_energy(term, o) for term in hamiltonian.terms]), None, (occupancy, 1))


def _site_change(
    hamiltonian: Hamiltonian,
    occupancy: Int[Array, " sites"],
    site: Int[Array, ""],
    code: Int[Array, ""],
    changed: Changes = (),
) -> Float[Array, ""]:
    """Energy change when one site takes another species code; `changed` are made already, but not in `occupancy`."""
    potentials = _site_potentials(hamiltonian, occupancy, site, changed)
    present = occupancy[site]
    for other, other_code in changed:
        present = jnp.where(other == site, other_code.astype(present.dtype), present)
    return potentials[code] - potentials[present]


def site_tables(hamiltonian: Hamiltonian) -> np.ndarray:
    """`[sites]` numbers, on the host: sites with the same number have the same tables in every term."""
    rows = [term_site_tables(term) for term in hamiltonian.terms]
    return np.unique(np.stack(rows), axis=1, return_inverse=True)[1].ravel()


def _site_potentials(
    hamiltonian: Hamiltonian,
    occupancy: Int[Array, " sites"],
    site: Int[Array, ""],
    changed: Changes = (),
) -> Float[Array, " species"]:
    return _added([term_site_potentials(term, occupancy, site, changed) for term in hamiltonian.terms])


def _added(parts: list[Any]) -> Array:
    return functools.reduce(jnp.add, parts)
