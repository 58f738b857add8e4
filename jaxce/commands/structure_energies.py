"""Energies of structures in any supercells, in double precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxce.build import build_hamiltonian
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.double_precision import double_precision
from jaxce.energies import energy
from jaxce.fitting.correlation_matrix import correlation_matrix
from jaxce.grouping import by_supercell


def structure_energies(expansion: ClusterExpansion, mappings: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """`[structures]` energies, eV per supercell, and `[structures, correlations]` correlation vectors.

    Args:
        expansion: the model.
        mappings: objects with `supercell` and `occupancy`.

    Raises:
        ValueError: if one is of another prim.
    """
    vectors = correlation_matrix(expansion.space, mappings)
    if expansion.interactions:
        return _by_hamiltonians(expansion, mappings), vectors
    num_prims = np.array([mapping.supercell.num_prims for mapping in mappings])
    return vectors @ expansion.coefficients * num_prims, vectors


def _by_hamiltonians(expansion: ClusterExpansion, mappings: Sequence[Any]) -> np.ndarray:
    with double_precision(True):
        built: dict[bytes, Any] = {}
        for mapping in mappings:
            key = mapping.supercell.transformation.tobytes()
            if key not in built:
                built[key] = build_hamiltonian(expansion, mapping.supercell)
        pairs = [(built[m.supercell.transformation.tobytes()], m.occupancy) for m in mappings]
        return np.asarray(by_supercell(energy)(pairs))
