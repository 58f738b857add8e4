"""Structures and energies on the lattice: what every fit starts from."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from jaxce.fitting.energy_units import warn_of_wrong_units
from jaxce.lattice.equivalence import canonical_key
from jaxce.lattice.prim import VACANCY, Prim
from jaxce.lattice.structures import Failure, Mapping, map_structures
from jaxce.lattice.supercell import Supercell

# Energies of equivalent structures that differ by more than this (eV per prim) contradict each other.
_CONFLICT = 1e-3

EnergyUnit = Literal["structure", "atom", "prim"]


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSet:
    """Mapped structures with their energies.

    Attributes:
        prim: the prim.
        mappings: how each structure lies on the lattice.
        energies_per_prim: `[structures]` eV per prim.
        weights: `[structures]` sample weights of mean 1, or None.
        names: what each structure is called.
        indices: `[structures]` place of each in the caller's list.
        equivalence_classes: `[structures]` equal for structures that symmetry makes equivalent, also across supercells.
        failures: structures that could not be mapped, with the reason.
    """

    prim: Prim
    mappings: tuple[Mapping, ...]
    energies_per_prim: np.ndarray
    weights: np.ndarray | None
    names: tuple[str, ...]
    indices: np.ndarray
    equivalence_classes: np.ndarray
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.mappings)

    @property
    def num_prims(self) -> np.ndarray:
        """`[structures]` prims of each supercell."""
        return np.array([mapping.supercell.num_prims for mapping in self.mappings], dtype=np.int64)

    @property
    def num_atoms(self) -> np.ndarray:
        """`[structures]` atoms of each structure, vacancies not counted."""
        return np.array([_num_atoms(mapping) for mapping in self.mappings], dtype=np.int64)

    def rows(self, rows: Any) -> "TrainingSet":
        """The structures of these rows (integers or booleans), without the failures."""
        chosen = np.arange(len(self))[np.asarray(rows) if len(rows) else np.zeros(0, dtype=np.int64)]
        return dataclasses.replace(
            self,
            mappings=tuple(self.mappings[row] for row in chosen),
            energies_per_prim=self.energies_per_prim[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            names=tuple(self.names[row] for row in chosen),
            indices=self.indices[chosen],
            equivalence_classes=self.equivalence_classes[chosen],
            failures=(),
        )

    def with_weights(self, weights: Any) -> "TrainingSet":
        """The same structures with sample weights `[structures]`, such as `structure_weights`.

        Raises:
            ValueError: if there are too many or too few, or one is negative or not finite.
        """
        checked = _checked_weights(weights, len(self))
        return dataclasses.replace(self, weights=checked / checked.mean())

    def to_dataframe(self) -> pd.DataFrame:
        """One row per structure: name, size, energy, strain, displacements (angstrom), atoms whose site is in doubt."""
        lengths = [np.linalg.norm(mapping.displacements, axis=1) for mapping in self.mappings]
        strains = [np.linalg.eigvalsh(mapping.strain) for mapping in self.mappings]
        return pd.DataFrame(
            {
                "index": self.indices,
                "name": self.names,
                "num_prims": self.num_prims,
                "num_atoms": self.num_atoms,
                "energy_per_prim": self.energies_per_prim,
                "largest_strain": [np.abs(values).max() for values in strains],
                "volume_change": [np.prod(1 + values) - 1 for values in strains],
                "rms_displacement": [np.sqrt(np.mean(values**2)) for values in lengths],
                "largest_displacement": [values.max() for values in lengths],
                "num_ambiguous": [len(mapping.ambiguous) for mapping in self.mappings],
            }
        )

    def duplicates(self) -> list[np.ndarray]:
        """Rows of structures that symmetry makes equivalent; one array for each group."""
        classes, counts = np.unique(self.equivalence_classes, return_counts=True)
        return [np.flatnonzero(self.equivalence_classes == number) for number in classes[counts > 1]]

    def conflicts(self, tolerance: float | int = _CONFLICT) -> list[np.ndarray]:
        """Those groups of duplicates whose energies differ by more than `tolerance`, eV per prim."""
        return [rows for rows in self.duplicates() if np.ptp(self.energies_per_prim[rows]) > tolerance]

    def summary(self) -> str:
        """What was mapped, how far atoms moved, duplicates, and what was left out and why."""
        table = self.to_dataframe()
        sizes = ", ".join(f"{count} of {size}" for size, count in table["num_prims"].value_counts(sort=False).items())
        lines = [f"{len(self)} structures on {self.prim}; prims per cell: {sizes or 'none'}"]
        if len(self):
            lines.append(
                f"largest principal strain {100 * table['largest_strain'].max():.1f} %, rms displacement "
                f"{table['rms_displacement'].mean():.3f} A on average, "
                f"largest {table['largest_displacement'].max():.3f} A"
            )
        doubtful = table[table["num_ambiguous"] > 0]
        lines += [f"{len(doubtful)} structures have atoms whose site is in doubt: {_listed(doubtful['name'])}"] * bool(
            len(doubtful)
        )
        for rows in self.duplicates():
            spread = np.ptp(self.energies_per_prim[rows])
            kind = "contradict each other" if spread > _CONFLICT else "are equivalent"
            lines.append(f"{kind} (energies within {1e3 * spread:.3f} meV per prim): {_listed(self.name_of(rows))}")
        lines += [f"left out: structure {f.index} ({f.name}): {f.reason}" for f in self.failures]
        return "\n".join(lines)

    def name_of(self, rows: Any) -> list[str]:
        """Names of rows."""
        return [self.names[int(row)] for row in rows]


def map_training_data(
    prim: Prim,
    structures: Sequence[Any],
    energies: Any,
    *,
    energies_per: EnergyUnit = "structure",
    weights: Any = None,
    supercells: Sequence[Supercell] | None = None,
    max_displacement: float | int | None = None,
    max_strain: float | int = 0.2,
) -> TrainingSet:
    """Find the lattice sites of all structures. Those that fail are left out, with a warning, and listed.

    Args:
        prim: the prim.
        structures: `ase.Atoms`, ideal or relaxed.
        energies: `[structures]` eV.
        energies_per: what an energy is of: "structure" (total), "atom" (vacancies are none) or "prim".
        weights: `[structures]` sample weights.
        supercells: the supercell of each structure, if they are known.
        max_displacement: as for `map_structure`.
        max_strain: as for `map_structure`.

    Raises:
        ValueError: if lengths disagree, energies or weights are missing or not finite, or no structure can be mapped.
    """
    if energies_per not in ("structure", "atom", "prim"):
        raise ValueError(f'`energies_per` must be "structure", "atom" or "prim", but is {energies_per!r}.')
    if len(structures) == 0:
        raise ValueError("there are no structures: `structures` is empty.")
    targets = _checked_numbers(energies, len(structures), "energies")
    given_weights = None if weights is None else _checked_weights(weights, len(structures))
    if supercells is not None and len(supercells) != len(structures):
        raise ValueError(
            f"`supercells` needs one supercell for each of the {len(structures)} structures, but has {len(supercells)}."
        )
    mapped = map_structures(prim, structures, supercells, max_displacement=max_displacement, max_strain=max_strain)
    mappings = tuple(mapping for mapping in mapped.mappings if mapping is not None)
    if not mappings:
        raise ValueError(_nothing_mapped(mapped.failures, prim))
    if mapped.failures:
        message = f"{len(mapped.failures)} of {len(structures)} structures could not be mapped; see `failures`."
        warnings.warn(message, stacklevel=2)
    indices = np.array([i for i, mapping in enumerate(mapped.mappings) if mapping is not None], dtype=np.int64)
    num_prims = np.array([mapping.supercell.num_prims for mapping in mappings])
    num_atoms = np.array([_num_atoms(mapping) for mapping in mappings])
    totals = targets[indices] * {"structure": 1, "atom": num_atoms, "prim": num_prims}[energies_per]
    names = tuple(_name(structures[i], i) for i in indices.tolist())
    warn_of_wrong_units(mappings, totals, num_atoms, energies_per, names)
    if given_weights is not None:
        given_weights = _of_mean_one(given_weights[indices])
    keys = [canonical_key(mapping.supercell, mapping.occupancy) for mapping in mappings]
    first_of = {key: row for row, key in reversed(list(enumerate(keys)))}
    classes = np.array([first_of[key] for key in keys])
    return TrainingSet(
        prim, mappings, totals / num_prims, given_weights, names, indices, classes, tuple(mapped.failures)
    )


def _num_atoms(mapping: Mapping) -> int:
    vacancy = np.array([names.index(VACANCY) if VACANCY in names else -1 for names in mapping.supercell.prim.species])
    return int(np.sum(mapping.occupancy != vacancy[mapping.supercell.prim_sites]))


def _name(atoms: Any, index: int) -> str:
    return str(atoms.info.get("id") or atoms.info.get("name") or f"{index} ({atoms.get_chemical_formula()})")


def _nothing_mapped(failures: Sequence[Failure], prim: Prim) -> str:
    listed = "\n".join(f"  structure {f.index} ({f.name}): {f.reason}" for f in failures[:5])
    return f"none of the {len(failures)} structures lies on {prim}; are they of another crystal? The first:\n{listed}"


def _checked_weights(weights: Any, count: int) -> np.ndarray:
    array = _checked_numbers(weights, count, "weights")
    if np.any(array < 0) or not np.any(array > 0):
        raise ValueError("`weights` must not be negative, and at least one must be positive.")
    return array


def _of_mean_one(weights: np.ndarray) -> np.ndarray:
    if not np.any(weights > 0):
        raise ValueError("all structures that could be mapped have weight 0; see the warning about the others.")
    return weights / weights.mean()


def _checked_numbers(values: Any, count: int, name: str) -> np.ndarray:
    missing = [i for i, value in enumerate(values) if value is None] if isinstance(values, list | tuple) else []
    if missing:
        raise ValueError(f"`{name}` of structures {missing[:10]} are missing (None): leave these structures out.")
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise ValueError(f"`{name}` needs one number for each of the {count} structures, but has shape {array.shape}.")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise ValueError(f"`{name}` must be finite, but those of structures {wrong[:10].tolist()} are not.")
    return array


def _listed(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
