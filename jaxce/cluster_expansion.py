"""A cluster expansion: a cluster space and its coefficients."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxce.build import Interaction, build_hamiltonian
from jaxce.cluster_space import ClusterSpace
from jaxce.double_precision import double_precision
from jaxce.energies import energy
from jaxce.lattice.structures import map_structure
from jaxce.model_file import read_model, write_model


class ClusterExpansion:
    """The energy of a crystal as a linear function of its correlation vector.

    `energy = num_prims * coefficients . correlations`, eV per supercell. A coefficient is an ECI (the energy of one
    cluster with one labeling) times its total multiplicity (clusters per prim times equivalent labelings). Interactions
    add their own energy.

    Args:
        space: the cluster space.
        coefficients: `[correlations]` eV per prim.
        metadata: anything JSON can hold that should stay with the model; kept in files, not used.
        interactions: energies of pairs that the clusters do not hold, such as an `EwaldInteraction`.

    Raises:
        ValueError: if the coefficients are too many, too few, complex, or not finite, or an interaction is of another
            prim.
    """

    def __init__(
        self,
        space: ClusterSpace,
        coefficients: Any,
        metadata: Mapping[str, Any] | None = None,
        interactions: Iterable[Interaction] = (),
    ):
        self.space = space
        self.coefficients = _checked_coefficients(coefficients, space.num_correlations)
        self.metadata = dict(metadata or {})
        self.interactions = tuple(interactions)
        for interaction in self.interactions:
            interaction.check_prim(space.prim)

    @property
    def ecis(self) -> np.ndarray:
        """`[correlations]` energy of one cluster with one labeling, eV: coefficients / `space.multiplicities`."""
        return self.coefficients / self.space.multiplicities

    def to_dataframe(self) -> pd.DataFrame:
        """The rows of `space.to_dataframe()` with the coefficient (eV per prim) and the ECI (eV) of each."""
        return self.space.to_dataframe().assign(coefficient=self.coefficients, eci=self.ecis)

    def energy_of(self, atoms: Any) -> float:
        """Energy of an `ase.Atoms`, eV for the whole structure, computed in float64 whatever JAX is set to.

        A convenience that maps the structure and builds the tables each time; for many structures use
        `build_hamiltonian` and `energy`.

        Raises:
            ValueError: if the structure does not fit the prim.
        """
        mapping = map_structure(self.space.prim, atoms)
        with double_precision(True):
            hamiltonian = build_hamiltonian(self, mapping.supercell)
            return float(jax.jit(energy)(hamiltonian, jnp.asarray(mapping.occupancy)))

    def without_orbits(self, indices: Iterable[int]) -> "ClusterExpansion":
        """The expansion without the orbits of these indices; the other coefficients stay as they are."""
        indices = set(indices)
        space = self.space.without_orbits(indices)
        kept = ~np.isin(self.space.orbit_of_correlation, list(indices))
        return ClusterExpansion(space, self.coefficients[kept], self.metadata, self.interactions)

    def without_correlations(self, indices: Iterable[int]) -> "ClusterExpansion":
        """The expansion without these correlations; the other coefficients stay as they are."""
        indices = list(indices)
        space = self.space.without_correlations(indices)
        return ClusterExpansion(space, np.delete(self.coefficients, indices), self.metadata, self.interactions)

    def save(self, path: str | pathlib.Path) -> None:
        """Write the model to one JSON file: prim, orbits, functions, coefficients, interactions, units and a checksum.

        The file is written whole or not at all, and reads back to the last bit.

        Raises:
            ValueError: if an interaction is of a kind that the file has no form for.
        """
        write_model(path, self.space, self.coefficients, self.metadata, self.interactions)

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "ClusterExpansion":
        """Read a model that `save` wrote.

        Raises:
            ValueError: if the file is no model, is damaged, or comes from a newer version.
        """
        return cls(*read_model(path))

    def __repr__(self) -> str:
        largest = np.abs(self.coefficients[1:]).max(initial=0.0)
        return (
            f"ClusterExpansion: {len(self.coefficients)} coefficients on {self.space.prim}, "
            f"constant {self.coefficients[0]:.6f} eV per prim, largest other {largest:.6f}" + self._source()
        )

    def _source(self) -> str:
        """What a reader understood of another program's file, if the model comes from one."""
        source = self.metadata.get("source")
        if not isinstance(source, Mapping) or "understood" not in source:
            return ""
        program = " ".join(str(source[name]) for name in ("program", "version") if source.get(name))
        return "\n".join(
            [f"\nread from {source.get('file')} ({program}):", *(f"- {line}" for line in source["understood"])]
        )


def _checked_coefficients(coefficients: Any, count: int) -> np.ndarray:
    given = np.asarray(coefficients)
    if np.iscomplexobj(given) or not np.issubdtype(given.dtype, np.number):
        raise ValueError(f"coefficients must be real numbers (eV per prim), but have dtype {given.dtype}.")
    if given.shape != (count,):
        raise ValueError(
            f"this cluster space needs {count} coefficients, one per correlation (the constant first), "
            f"but got an array of shape {given.shape}."
        )
    if not np.all(np.isfinite(given)):
        raise ValueError(f"coefficients must be finite, but entries {np.flatnonzero(~np.isfinite(given))} are not.")
    values = given.astype(np.float64)
    values.setflags(write=False)
    return values
