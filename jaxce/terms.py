"""What every term of a Hamiltonian can do: six functions, dispatched on the term's type.

A new kind of term is a pytree and one registration of each.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int

# Pairs of a site and its new species code, in the order in which they are made.
Changes = Sequence[tuple[Int[Array, ""], Int[Array, ""]]]


@functools.singledispatch
def term_energy(term: Any, occupancy: Int[Array, "batch sites"]) -> Float[Array, " batch"]:
    """Energy of each occupancy, eV per supercell."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_energy` for it.")


@functools.singledispatch
def term_relaxed_energy(term: Any, probabilities: Float[Array, "batch sites species"]) -> Float[Array, " batch"]:
    """Expected energy when every site has its own, independent distribution over species, eV per supercell."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_relaxed_energy` for it.")


@functools.singledispatch
def term_potentials(term: Any, occupancy: Int[Array, "batch sites"]) -> Float[Array, "batch sites species"]:
    """Energy of each species on each site, the others being as they are, up to a constant per site, eV."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_potentials` for it.")


@functools.singledispatch
def term_site_potentials(
    term: Any, occupancy: Int[Array, " sites"], site: Int[Array, ""], changed: Changes
) -> Float[Array, " species"]:
    """`term_potentials` of one site of one occupancy, at the cost of its neighbours only.

    `changed` are sites that have other species codes than the occupancy says.
    """
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_site_potentials` for it.")


@functools.singledispatch
def term_couplings(
    term: Any, occupancy: Int[Array, " sites"], sites: Int[Array, " chosen"]
) -> Float[Array, "chosen species chosen species"]:
    """How the potentials of one site change with the species of another, for all pairs of the given sites, eV."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_couplings` for it.")


@functools.singledispatch
def term_site_tables(term: Any) -> np.ndarray:
    """`[sites]` numbers, on the host: sites with the same number have the same tables, seen each from its own place."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_site_tables` for it.")
