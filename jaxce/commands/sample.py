"""What `jaxce sample` does: random structures at exact composition, and their energies."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from jaxce.commands.lattice_source import LatticeSource
from jaxce.commands.screen import screen
from jaxce.commands.structure_energies import structure_energies
from jaxce.commands.structure_outputs import check_place, structure_format, write_structures
from jaxce.lattice.structures import occupancy_to_ase
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.random_occupancies import random_occupancy


class Placed(NamedTuple):
    """An occupancy of a supercell."""

    supercell: Supercell
    occupancy: np.ndarray


def sample(
    source: LatticeSource, supercell: Any, composition: Mapping[str, Any], number: int, seed: int, out: pathlib.Path
) -> None:
    """Write random structures; with a model extxyz has their energies.

    The occupancies are `random_occupancy(jax.random.key(seed), supercell, composition, (number,))`.

    Raises:
        ValueError: if the composition does not fill the supercell, or `out` cannot be written.
    """
    check_place(out)
    console = screen()
    cell = Supercell(source.prim, supercell)
    occupancies = np.asarray(random_occupancy(jax.random.key(seed), cell, composition, (number,)))
    structures = [occupancy_to_ase(cell, occupancy) for occupancy in occupancies]
    energies = None
    if source.expansion is not None:
        energies, _ = structure_energies(source.expansion, [Placed(cell, occupancy) for occupancy in occupancies])
        if structure_format(out) == "extxyz":
            for atoms, energy in zip(structures, energies, strict=True):
                atoms.calc = SinglePointCalculator(atoms, energy=float(energy))
    write_structures(out, structures)
    console.print(f"random structures: {number}, of {cell.num_sites} sites and {cell.num_prims} prims each")
    if energies is not None:
        per_prim = energies / cell.num_prims
        console.print(
            f"energies {per_prim.mean():.6f} +- {per_prim.std():.6f} eV/prim (standard deviation), "
            f"lowest {per_prim.min():.6f}"
        )
    console.print(f"wrote {out}", markup=False)
