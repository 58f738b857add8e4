"""Structure factors: occupancies seen by scattering."""

import dataclasses
import itertools
import typing
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.sampling.observables import LabelledObservable, checked_occupancies

# Numbers of waves along a supercell vector that differ from whole ones by less are rounded to them.
_COMMENSURATE_TOLERANCE = 1e-4
# Site weights that are held at a time: some tens of MiB.
_BLOCK = 2**22


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class StructureFactor(LabelledObservable):
    """Scattered intensity per site at some wave vectors: `[chains, q]`.

    Attributes:
        weights: `[prim_sites, species]` scattering weight of each code.
        cell_waves: `[2, cells, q]` real and imaginary part of `exp(i q.R)` for each cell.
        site_waves: `[2, prim_sites, q]` the same for the place of each prim site in its cell.
    """

    weights: Float[Array, "prim_sites species"]
    cell_waves: Float[Array, "2 cells q"]
    site_waves: Float[Array, "2 prim_sites q"]

    def __call__(self, occupancy: Int[ArrayLike, "chains sites"]) -> Float[Array, "chains q"]:
        """The intensities."""
        num_sites = len(self.weights) * self.cell_waves.shape[1]
        occupancy = checked_occupancies(num_sites, occupancy)
        # The weights of all sites are floats, so many chains of many sites are not held at once.
        block = min(len(occupancy), max(1, _BLOCK // num_sites))
        return jax.lax.map(self._of_one, occupancy, batch_size=block)

    def _of_one(self, occupancy: Int[Array, " sites"]) -> Float[Array, " q"]:
        num_prim_sites = len(self.weights)
        codes = occupancy.reshape(num_prim_sites, -1).astype(jnp.int32)
        weights = self.weights[jnp.arange(num_prim_sites, dtype=jnp.int32)[:, None], codes]
        real, imaginary = (jnp.matmul(weights, waves, precision="highest") for waves in self.cell_waves)
        site_real, site_imaginary = self.site_waves
        total_real = jnp.sum(real * site_real - imaginary * site_imaginary, axis=0)
        total_imaginary = jnp.sum(real * site_imaginary + imaginary * site_real, axis=0)
        return (total_real**2 + total_imaginary**2) / len(occupancy)


def structure_factor(supercell: Supercell, q: Any, weights: Mapping[str, float]) -> StructureFactor:
    """`S(q) = |sum_i w_i exp(i q.r_i)|^2 / N` over all N sites of the supercell, inactive ones included, `[chains, q]`.

    Args:
        supercell: the supercell.
        q: `[q, 3]` or `[3]` wave vectors in units of the prim's reciprocal lattice vectors, which contain 2 pi: the
            phase of a site at the fractional coordinates x of the prim is 2 pi q.x.
        weights: species -> scattering weight; 0 for species that are left out. Names of the vacancy are understood.

    Raises:
        ValueError: if a wave vector does not fit into the supercell, or a species is unknown.
    """
    prim = supercell.prim
    given = np.atleast_2d(np.asarray(q, dtype=np.float64))
    if given.ndim != 2 or given.shape[1] != 3 or len(given) == 0 or not np.all(np.isfinite(given)):
        raise ValueError(f"`q` must be wave vectors [q, 3] of finite numbers, but has shape {np.shape(q)}.")
    exact = _commensurate(supercell, given)
    return StructureFactor(
        name="structure_factor",
        dims=("q",),
        labels=(tuple(_written(vector) for vector in exact),),
        weights=jnp.asarray(_site_weights(prim, weights), jnp.result_type(float)),
        cell_waves=_waves(supercell.cells @ exact.T),
        site_waves=_waves(prim.frac_coords @ exact.T),
    )


def _commensurate(supercell: Supercell, q: np.ndarray) -> np.ndarray:
    """The wave vectors with whole numbers of waves along each supercell vector, to all digits."""
    waves = q @ supercell.transformation.T
    to_q = np.linalg.inv(supercell.transformation).T
    misfit = np.max(np.abs(waves - np.round(waves)), axis=1) > _COMMENSURATE_TOLERANCE
    if np.any(misfit):
        steps = np.array(list(itertools.product(range(-1, 3), repeat=3)))
        reciprocal = np.linalg.inv(supercell.prim.lattice).T
        lines = []
        for vector, start in zip(q[misfit], np.floor(waves[misfit]), strict=True):
            around = (start + steps) @ to_q
            distances = np.linalg.norm((around - vector) @ reciprocal, axis=1)
            lines.append(f"{_written(vector)}: nearest is {_written(around[np.argmin(distances)])}")
        raise ValueError(
            "wave vectors must have a whole number of waves along each supercell vector "
            f"{supercell.transformation.tolist()}; those that have not are\n  " + "\n  ".join(lines)
        )
    return np.round(waves) @ to_q


def _written(vector: np.ndarray) -> str:
    # Adding 0 turns -0 into 0.
    return " ".join(f"{x + 0:.6g}" for x in vector.round(12))


def _waves(cycles: np.ndarray) -> Float[Array, "2 points q"]:
    phase = 2 * np.pi * (cycles - np.round(cycles))
    return jnp.asarray(np.stack([np.cos(phase), np.sin(phase)]), jnp.result_type(float))


def _site_weights(prim: Prim, weights: Mapping[str, float]) -> np.ndarray:
    """`[prim_sites, species]` weight of each code."""
    named = {prim.canonical_species(name): float(value) for name, value in weights.items()}
    unknown = sorted(set(named) - set(prim.all_species))
    if unknown:
        raise ValueError(f"`weights` names {unknown}, but the species are {list(prim.all_species)}.")
    if len(named) != len(weights) or not np.all(np.isfinite(list(named.values()))):
        raise ValueError(f"`weights` must give each species one finite number, but is {dict(weights)}.")
    table = np.zeros((prim.num_sites, max(prim.num_species)))
    for row, names in zip(table, prim.species, strict=True):
        row[: len(names)] = [named.get(name, 0.0) for name in names]
    return table
