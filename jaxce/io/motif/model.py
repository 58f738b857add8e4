"""Local-environment motif models of perovskites: linear in the numbers of motifs around B sites."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ase
import numpy as np

from jaxce.double_precision import double_precision
from jaxce.energies import energy
from jaxce.io.model_check import check_model
from jaxce.io.motif.files import NUM_CODED, read_linear_weights, read_motifs
from jaxce.io.motif.perovskite_lattice import (
    WINDOWS,
    B,
    DistanceWindows,
    direction_points,
    perovskite_mapping,
    species_of_atoms,
)
from jaxce.io.motif.species import canonical_name, named_sublattices
from jaxce.io.motif.states import motif_of_states
from jaxce.io.structure_forms import as_atoms
from jaxce.lattice.prim import Prim
from jaxce.lattice.structures import map_structure
from jaxce.lattice.supercell import Supercell
from jaxce.table_build import EnvironmentTable, build_table_hamiltonian
from jaxce.tables import Hamiltonian

# States of an environment; three species on the B and two on the O sites have 140 000.
_LARGEST_TABLE = 2**22


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MotifModel:
    """The energy of a perovskite as one look-up per B site, plus a constant.

    Attributes:
        prim: the prim, with the sites A, B, O, O, O.
        supercell: that of the template.
        site_of_atom: `[atoms]` site of each atom of the template.
        table: energy of a B site for each state of its environment, eV.
        constant: eV per prim.
        metadata: where the model is from, and what was understood of its files.
    """

    prim: Prim
    supercell: Supercell
    site_of_atom: np.ndarray
    table: EnvironmentTable
    constant: float
    metadata: Mapping[str, Any]

    def hamiltonian(self, supercell: Supercell | None = None, dtype: Any = None) -> Hamiltonian:
        """The Hamiltonian, eV per supercell, for `jaxce.energy` and everything built on it.

        Args:
            supercell: a supercell of `prim`; that of the template by default.
            dtype: float type of the energies; `jnp.result_type(float)` by default.

        Raises:
            ValueError: if the supercell has another prim.
        """
        supercell = self.supercell if supercell is None else supercell
        if supercell.prim != self.prim:
            raise ValueError(f"the supercell is one of {supercell.prim}: make it from the model's own prim.")
        return build_table_hamiltonian([self.table], self.constant, supercell, dtype)

    def energy_of(self, atoms: Any) -> float:
        """Energy of an `ase.Atoms`, eV for the whole structure, computed in float64 whatever JAX is set to.

        Raises:
            ValueError: if the structure does not fit the prim.
        """
        mapping = map_structure(self.prim, atoms)
        with double_precision(True):
            return float(energy(self.hamiltonian(mapping.supercell), mapping.occupancy))

    def __repr__(self) -> str:
        source = self.metadata["source"]
        lines = [f"MotifModel on {self.prim}, read from {source['file']}:", *(f"- {s}" for s in source["understood"])]
        return "\n".join(lines)


def read_motif_model(
    model_file: str | os.PathLike,
    scaler_file: str | os.PathLike,
    cluster_file: str | os.PathLike,
    atom_ind_group: Sequence[Sequence[int | str]],
    template: Any,
    *,
    species: Sequence[str] = ("Sr", "Ti", "Fe", "O", "VO"),
    counted_species: tuple[str, str] = ("Ti", "O"),
    windows: DistanceWindows = WINDOWS,
    opposite: Sequence[Sequence[int]] | None = None,
    check: Iterable[tuple[ase.Atoms, float]] | None = None,
) -> MotifModel:
    """A motif model: the features are the numbers of two species and of each motif in the whole structure.

    Motifs are the species of a B site and its B, O and A neighbours, as the same under the 48 operations of O_h. A
    state that is in no motif counts for no feature. The constant (intercept, and means of the scaler) is that of the
    template; in other cells it is in proportion to the number of B sites.

    Args:
        model_file: the linear model, eV per template: JSON from `jaxce convert-pickle`, or a .skops file.
        scaler_file: the scaler of its features, in the same form.
        cluster_file: JSON, a list of motifs: species ids of a B site, its 6 B, 6 O and 6 (or 8) A neighbours.
        atom_ind_group: the species of the sublattices A, B and O: names, or ids. Ids are those of `species`, or of the
            order of the template's species, whichever fits the motifs.
        template: a perovskite, `ase.Atoms` or what `as_atoms` takes; the model is of structures of its size.
        species: name of each species id; vacancies may be called "VO".
        counted_species: those whose numbers are the first two features.
        windows: distances of the neighbours.
        opposite: which of the six directions of a motif lie opposite each other, such as ((0, 1), (2, 3), (4, 5)).
            By default found from the motifs, which only fit one choice if they are complete.
        check: structures with energies, eV per structure, that the model is known to give.

    Raises:
        ValueError: if a file is a pickle, is damaged or does not fit the others, if the template is no perovskite, if
            there are several species on its A sites, or if an energy of `check` is another one.
    """
    names = [canonical_name(name) for name in species]
    motifs = read_motifs(cluster_file, len(names))
    atoms = as_atoms(template)
    sublattices, how = named_sublattices(atom_ind_group, names, species_of_atoms(atoms), motifs)
    counted = tuple(canonical_name(name) for name in counted_species)
    weights, constant = read_linear_weights(model_file, scaler_file, len(motifs) + 2)
    mapping = perovskite_mapping(atoms, sublattices, windows)
    energies, understood = _environment_energies(motifs, names, sublattices, counted, weights, opposite)
    num_prims = mapping.supercell.num_prims
    understood = [
        f"sublattices A {'/'.join(sublattices[0])}, B {'/'.join(sublattices[1])}, O {'/'.join(sublattices[2])}; {how}",
        *understood,
        f"energies are eV of a template with {num_prims} B sites; its constant, {constant:.6f} eV, is spread over them",
    ]
    points = np.concatenate([[[B, 0, 0, 0]], direction_points(B), direction_points()])
    source = {"program": "motif model", "version": None, "file": pathlib.Path(model_file).name}
    model = MotifModel(
        prim=mapping.supercell.prim,
        supercell=mapping.supercell,
        site_of_atom=mapping.site_of_atom,
        table=EnvironmentTable(points, energies),
        constant=constant / num_prims,
        metadata={"source": {**source, "understood": understood}},
    )
    if check is not None:
        check_model(model, check)
    return model


def _environment_energies(
    motifs: np.ndarray,
    names: list[str],
    sublattices: Sequence[Sequence[str]],
    counted: Sequence[str],
    weights: np.ndarray,
    opposite: Any,
) -> tuple[np.ndarray, list[str]]:
    """Energy of a B site for each state of its environment (eV, 13 axes), and what was understood."""
    _, b_species, o_species = sublattices
    num_species = _checked_numbers(sublattices, counted, motifs.shape[1] - NUM_CODED)
    code_of_id = [[group.index(n) if n in group else -1 for n in names] for group in (b_species, o_species)]
    codes = np.concatenate([np.array(code_of_id[0])[motifs[:, :7]], np.array(code_of_id[1])[motifs[:, 7:NUM_CODED]]], 1)
    motif, pairs = motif_of_states(codes, num_species, opposite)
    # Behind the last motif is what a state without one counts for.
    energies = np.append(weights[2:], 0.0)[motif].reshape(num_species)
    states = np.indices(num_species, sparse=True)
    energies = energies + weights[0] * (states[0] == b_species.index(counted[0]))
    # An O site is in the environment of two B sites.
    for of_o in states[7:]:
        energies = energies + weights[1] / 2 * (of_o == o_species.index(counted[1]))
    return energies, [
        f"features: numbers of {counted[0]} and of {counted[1]} atoms, and of {len(motifs)} motifs; scaler folded in",
        f"{energies.size} states of a B site, of which {np.sum(motif < 0)} are in no motif",
        f"opposite directions of a motif: {pairs}, " + ("found from the motifs" if opposite is None else "as given"),
    ]


def _checked_numbers(sublattices: Sequence[Sequence[str]], counted: Sequence[str], num_a: int) -> tuple[int, ...]:
    """Number of species of each site of an environment."""
    a_species, b_species, o_species = sublattices
    if len(a_species) > 1:
        raise ValueError(
            f"the A sites hold {'/'.join(a_species)}, but a motif lists {num_a} of their species without saying where "
            "they are, on which the 48 operations of O_h cannot act: only models with one species on the A sites can "
            "be read."
        )
    if counted[0] not in b_species or counted[1] not in o_species:
        raise ValueError(
            f"`counted_species` must be one of {list(b_species)} and one of {list(o_species)}, but is {counted}."
        )
    num_species = (len(b_species),) * 7 + (len(o_species),) * 6
    if np.prod(num_species, dtype=np.float64) > _LARGEST_TABLE:
        raise ValueError(f"environments with {num_species} species have too many states for a table.")
    return num_species
