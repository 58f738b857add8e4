"""What every term of a Hamiltonian can do: five functions, dispatched on the term's type.

A new kind of term is a pytree and one registration of each.
"""

import functools
from typing import Any

from jaxtyping import Array, Float, Int


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
def term_site_potentials(term: Any, occupancy: Int[Array, " sites"], site: Int[Array, ""]) -> Float[Array, " species"]:
    """`term_potentials` of one site of one occupancy, at the cost of its neighbours only."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_site_potentials` for it.")


@functools.singledispatch
def term_couplings(
    term: Any, occupancy: Int[Array, " sites"], sites: Int[Array, " chosen"]
) -> Float[Array, "chosen species chosen species"]:
    """How the potentials of one site change with the species of another, for all pairs of the given sites, eV."""
    raise TypeError(f"{type(term).__name__} is no term of a Hamiltonian: register `term_couplings` for it.")
