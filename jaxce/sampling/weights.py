"""The weight of a state in an ensemble, and how it changes with a move.

One form serves every ensemble: a Boltzmann factor, the work of chemical potentials, and parabolas in the numbers of
species (variance-constrained ensembles). What an ensemble does not use is None and costs nothing.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Weight(NamedTuple):
    """Parameters of the weight `exp(-beta (E - sum mu N) - sum stiffness (N - centre)^2)`.

    Attributes:
        beta: `[]` 1 / kT, 1/eV.
        chemical_potentials: `[sublattices, species]` mu, eV per atom; or None.
        stiffness: `[sublattices, species]` of the parabola in the number of sites with a species; or None.
        centre: `[sublattices, species]` number of sites at its minimum; or None.
    """

    beta: Any
    chemical_potentials: Any = None
    stiffness: Any = None
    centre: Any = None


def log_weight(energy: Float[Array, ""], counts: Int[Array, "sublattices species"], weight: Weight) -> Float[Array, ""]:
    """Logarithm of the weight of a state, up to a constant.

    Args:
        energy: eV per supercell, from any zero that is the same for all states that are compared.
        counts: sites of each sublattice with each species code.
        weight: the parameters.
    """
    return log_weight_change(energy, jnp.zeros_like(counts), counts, weight)


def log_weight_change(
    energy_change: Float[Array, ""],
    counts: Int[Array, "sublattices species"],
    count_changes: Int[Array, "sublattices species"],
    weight: Weight,
) -> Float[Array, ""]:
    """Change of `log_weight` with a move, without the rounding that a difference of two totals would bring."""
    changes = count_changes.astype(energy_change.dtype)
    work = energy_change
    if weight.chemical_potentials is not None:
        work -= jnp.sum(weight.chemical_potentials * changes)
    result = -weight.beta * work
    if weight.stiffness is not None:
        # The difference of two squares.
        sums = (2 * counts + count_changes).astype(changes.dtype) - 2 * weight.centre
        result -= jnp.sum(weight.stiffness * changes * sums)
    return result
