"""The energy oracle: any model and a template, energies of structures in any form."""

import functools
from typing import Any, NamedTuple, Protocol, runtime_checkable

import ase
import jax
import jax.numpy as jnp
import numpy as np

from jaxce.build import build_hamiltonian
from jaxce.cluster_expansion import ClusterExpansion
from jaxce.double_precision import double_precision
from jaxce.energies import energy, swap_energy
from jaxce.io.structure_forms import as_atoms
from jaxce.lattice.atom_kinds import occupancy_on_sites
from jaxce.lattice.prim import VACANCY, Prim
from jaxce.lattice.structures import checked_occupancy, map_structure, occupancy_to_ase
from jaxce.lattice.supercell import Supercell
from jaxce.tables import Hamiltonian

# Atoms that are nearer than this to those of the template are on its sites, in its order.
_SAME_POSITION = 1e-3

_energy = jax.jit(energy)
_swap_energy = jax.jit(swap_energy)


@runtime_checkable
class Model(Protocol):
    """A model that is no `ClusterExpansion`, such as `jaxce.io.MotifModel`."""

    @property
    def prim(self) -> Prim: ...

    def hamiltonian(self, supercell: Supercell, dtype: Any = None) -> Hamiltonian:
        """The Hamiltonian of a supercell."""
        ...


class OracleState(NamedTuple):
    """One occupancy and its energy. Nothing is remembered elsewhere: keep it, or keep the one before.

    Attributes:
        occupancy: `[sites]` species codes, in the site order of `Oracle.supercell`.
        energy: eV per supercell.
    """

    occupancy: np.ndarray
    energy: float


class Oracle:
    """Energies of structures on the sites of a template.

    Energies are computed in float64, whatever JAX is set to. In training loops and Monte Carlo use `hamiltonian` with
    `jaxce.energy` and its like, which take arrays on the device.

    Args:
        model: a `ClusterExpansion`, a `MotifModel`, or whatever has a prim and makes Hamiltonians.
        template: a structure of the supercell, ideal or relaxed, with any species that the model knows: `ase.Atoms`,
            the path or text of a POSCAR, a dict of lists (`jaxce.io.as_atoms`). Or a `Supercell`.

    Attributes:
        supercell: the supercell; occupancies are in its site order.
        template: the template as `ase.Atoms`.
        site_of_atom: `[atoms]` the site of each atom of the template.

    Raises:
        ValueError: if the template is no supercell of the model's lattice.
    """

    def __init__(self, model: ClusterExpansion | Model, template: Any):
        self.model = model
        prim = model.space.prim if isinstance(model, ClusterExpansion) else model.prim
        supercell = template if isinstance(template, Supercell) else None
        self.template = as_atoms(template) if supercell is None else _filled(supercell)
        mapping = map_structure(prim, self.template, supercell)
        self.supercell, self.site_of_atom = mapping.supercell, mapping.site_of_atom
        # Sites without an atom are where the cell's strain puts them.
        moved = (self.supercell.cart_coords + mapping.shift) @ (np.eye(3) + mapping.strain) @ mapping.rotation
        moved[self.site_of_atom] = self.template.positions
        self._site_positions = moved
        with double_precision(True):
            self._hamiltonian = self._built(np.float64)

    @functools.cached_property
    def hamiltonian(self) -> Hamiltonian:
        """The Hamiltonian in JAX's default float type, for `jaxce.energy`, `jaxce.run_monte_carlo` and the rest."""
        return self._built(None)

    def compute_energy(self, structure: Any) -> float:
        """Energy of one structure, eV per supercell; see `occupancy`.

        Raises:
            ValueError: if the structure does not fit the template's supercell.
        """
        return float(self.compute_energy_batch([structure])[0])

    def compute_energy_batch(self, structures: Any) -> np.ndarray:
        """`[structures]` energies, eV per supercell.

        Args:
            structures: a list of structures, each in any form; or an array of occupancies `[structures, sites]` or of
                one-hot vectors `[structures, sites, species]`.

        Raises:
            ValueError: if one does not fit; it says which.
        """
        occupancies = self._occupancies(structures)
        count = len(occupancies)
        # Few batch sizes are compiled.
        padded = np.zeros((1 << max(0, count - 1).bit_length(), self.supercell.num_sites), dtype=np.int8)
        padded[:count] = occupancies
        with double_precision(True):
            return np.asarray(_energy(self._hamiltonian, padded))[:count]

    def start(self, structure: Any) -> OracleState:
        """The state of a structure, from which swaps begin."""
        occupancy = self.occupancy(structure)
        return OracleState(occupancy, self.compute_energy(occupancy))

    def compute_energy_incremental(self, state: OracleState, i: int, j: int) -> OracleState:
        """The state after atoms `i` and `j` have exchanged their species; the old state is left as it is.

        To accept the move go on with the new state, to reject it with the old one. The energy costs two local changes.

        Args:
            state: from `start`, or from this function.
            i: place of the first atom in the template; sites where the template has no atom come after its last.
            j: place of the second.

        Raises:
            ValueError: if there is no such atom, or its site does not allow the other's species.
        """
        first, second = (self._site(atom) for atom in (i, j))
        occupancy = checked_occupancy(self.supercell, state.occupancy)
        exchanged = occupancy.copy()
        exchanged[[first, second]] = self._exchanged_codes(occupancy, first, second)
        with double_precision(True):
            change = _swap_energy(self._hamiltonian, jnp.asarray(occupancy), jnp.int32(first), jnp.int32(second))
        return OracleState(exchanged, state.energy + float(change))

    def occupancy(self, structure: Any) -> np.ndarray:
        """`[sites]` species codes (int8) of a structure, in the site order of `supercell`.

        Args:
            structure: `ase.Atoms`, the path or text of a POSCAR, or a dict (`jaxce.io.as_atoms`), atoms in any order,
                vacancies present or absent; an occupancy `[sites]`; or one-hot vectors `[sites, species]`, in which
                each site has one 1.

        Raises:
            ValueError: if it does not fit.
        """
        shape = np.shape(structure) if hasattr(structure, "dtype") or isinstance(structure, list) else None
        if shape is not None:
            codes = _codes_of_one_hot(np.asarray(structure)) if len(shape) == 2 else np.asarray(structure)
            return checked_occupancy(self.supercell, codes).astype(np.int8)
        atoms = as_atoms(structure)
        if self._is_on_template(atoms):
            return occupancy_on_sites(self.supercell, atoms, self.site_of_atom)
        return map_structure(self.supercell.prim, atoms, self.supercell).occupancy

    def structure(self, occupancy: Any) -> ase.Atoms:
        """The structure of an occupancy at the template's positions, in its order, vacancies as atoms of symbol "X".

        Sites where the template has no atom come after its last.
        """
        ideal, order = occupancy_to_ase(self.supercell, np.asarray(occupancy), keep_vacancies=True), self._site_order
        atoms = ase.Atoms(
            ideal.numbers[order], positions=self._site_positions[order], cell=self.template.cell, pbc=True
        )
        if "species" in ideal.arrays:
            atoms.set_array("species", ideal.arrays["species"][order])
        return atoms

    @functools.cached_property
    def _site_order(self) -> np.ndarray:
        """`[sites]` the sites of the template's atoms, then those without."""
        others = np.setdiff1d(np.arange(self.supercell.num_sites), self.site_of_atom)
        return np.concatenate([self.site_of_atom, others])

    def _built(self, dtype: Any) -> Hamiltonian:
        if isinstance(self.model, ClusterExpansion):
            return build_hamiltonian(self.model, self.supercell, dtype)
        return self.model.hamiltonian(self.supercell, dtype)

    def _occupancies(self, structures: Any) -> np.ndarray:
        if hasattr(structures, "dtype") and np.ndim(structures) not in (2, 3):
            raise ValueError(
                "an array of structures must have the shape [structures, sites] or [structures, sites, species], but "
                f"has {np.shape(structures)}."
            )
        found = np.zeros((len(structures), self.supercell.num_sites), dtype=np.int8)
        for place, structure in enumerate(structures):
            try:
                found[place] = self.occupancy(structure)
            except ValueError as error:
                raise ValueError(f"structure {place}: {error}") from error
        return found

    def _is_on_template(self, atoms: ase.Atoms) -> bool:
        if len(atoms) != len(self.template):
            return False
        moved = np.abs(atoms.positions - self.template.positions).max()
        strained = np.abs(np.array(atoms.cell) - np.array(self.template.cell)).max()
        return bool(max(moved, strained) < _SAME_POSITION)

    def _site(self, atom: int) -> int:
        if not 0 <= atom < self.supercell.num_sites:
            raise ValueError(f"atoms are counted from 0 to {self.supercell.num_sites - 1}, but {atom} was given.")
        return int(self._site_order[atom])

    def _exchanged_codes(self, occupancy: np.ndarray, first: int, second: int) -> list[int]:
        names = self.supercell.species
        species = names[first][occupancy[first]], names[second][occupancy[second]]
        for site, label in ((first, species[1]), (second, species[0])):
            if label not in names[site]:
                raise ValueError(
                    f"{species[0]} and {species[1]} cannot be exchanged: site {site} holds {'/'.join(names[site])}."
                )
        return [names[first].index(species[1]), names[second].index(species[0])]


def _filled(supercell: Supercell) -> ase.Atoms:
    """A structure with an atom on each site, in site order."""
    codes = [int(names[0] == VACANCY and len(names) > 1) for names in supercell.species]
    return occupancy_to_ase(supercell, np.array(codes), keep_vacancies=True)


def _codes_of_one_hot(one_hot: np.ndarray) -> np.ndarray:
    if not np.all((one_hot == 0) | (one_hot == 1)) or not np.all(one_hot.sum(axis=-1) == 1):
        raise ValueError(
            "each site of one-hot vectors must have one 1 and otherwise 0; for probabilities use jaxce.relaxed_energy."
        )
    return np.argmax(one_hot, axis=-1)
