"""Many expansions on one cluster space, such as draws from a posterior: one Hamiltonian with a leading axis."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.build import Interaction, build_hamiltonian, interaction_terms
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.cluster_space import ClusterSpace
from jaxce.lattice.supercell import Supercell
from jaxce.tables import Hamiltonian


class ExpansionSamples:
    """Expansions with the same cluster space and other coefficients.

    Args:
        space: the cluster space.
        coefficients: `[samples, correlations]` eV per prim.
        interactions: as for `ClusterExpansion`; all samples have the same.

    Raises:
        ValueError: if there is no sample, the shape is another one or a number is not finite.
    """

    def __init__(self, space: ClusterSpace, coefficients: Any, interactions: Iterable[Interaction] = ()):
        array = np.asarray(coefficients, dtype=np.float64)
        is_table = array.ndim == 2 and len(array) > 0 and array.shape[1] == space.num_correlations
        if not is_table or not np.all(np.isfinite(array)):
            raise ValueError(
                f"`coefficients` must be finite numbers of shape [samples, {space.num_correlations}], but have shape "
                f"{array.shape}."
            )
        self.space = space
        self.coefficients = array
        self.interactions = tuple(interactions)

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, index: int) -> ClusterExpansion:
        return ClusterExpansion(self.space, self.coefficients[index], interactions=self.interactions)

    def __iter__(self) -> Iterator[ClusterExpansion]:
        return (self[index] for index in range(len(self)))

    @property
    def mean(self) -> ClusterExpansion:
        """The expansion with the mean coefficients."""
        return ClusterExpansion(self.space, self.coefficients.mean(axis=0), interactions=self.interactions)

    def hamiltonians(self, supercell: Supercell, dtype: Any = None) -> Hamiltonian:
        """One Hamiltonian whose arrays have a leading axis of samples.

        `jax.jit(jax.vmap(jaxce.energy, in_axes=(0, None)))(hamiltonians, occupancy)` gives `[samples, ...]` energies.

        Args:
            supercell: a supercell of the prim.
            dtype: as for `build_hamiltonian`.
        """
        # The pair terms are built once, not for each sample.
        terms = interaction_terms(self.interactions, supercell, dtype)
        expansions = [ClusterExpansion(self.space, coefficients) for coefficients in self.coefficients]
        built = [build_hamiltonian(expansion, supercell, dtype, pair_terms=terms) for expansion in expansions]
        return jax.tree.map(_stacked, *built)


def _stacked(*leaves: Any) -> Any:
    # On the host, where it needs no compilation. What is kept there in double precision stays there.
    stacked = np.stack(leaves)
    return stacked if isinstance(leaves[0], np.ndarray) else jnp.asarray(stacked)
