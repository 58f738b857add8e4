"""A cluster expansion as an ASE calculator."""

from typing import Any

from ase.calculators.calculator import Calculator, all_changes

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.oracle import Model, Oracle

# Supercells whose Hamiltonians are kept.
_MOST_KEPT = 8


def ase_calculator(model: ClusterExpansion | Model) -> Calculator:
    """A calculator that gives `atoms.get_potential_energy()`, eV; ideal and relaxed structures of any supercell.

    The energy is that of the species on their sites: displacements do not change it, so there are no forces and no
    stress, and asking for them raises ASE's `PropertyNotImplementedError`.

    Args:
        model: a `ClusterExpansion`, or another model that `jaxce.Oracle` takes.
    """
    return _EnergyCalculator(model)


class _EnergyCalculator(Calculator):
    """Energies only. The tables of the last supercells are kept."""

    def __init__(self, model: ClusterExpansion | Model):
        super().__init__()
        self.implemented_properties = ["energy"]
        self._model = model
        self._oracles: dict[tuple, Oracle] = {}

    def check_state(self, atoms: Any, tol: float = 1e-15) -> list[str]:
        """What has changed; ASE does not know that species with oxidation states matter."""
        changes = list(super().check_state(atoms, tol=tol))
        if self.atoms is not None and not changes and _labels(self.atoms) != _labels(atoms):
            changes.append("numbers")
        return changes

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = tuple(all_changes)
    ) -> None:
        """Compute the energy of `atoms`.

        Raises:
            ValueError: if the structure does not fit the model's lattice.
        """
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": self._oracle(self.atoms).compute_energy(self.atoms)}

    def _oracle(self, atoms: Any) -> Oracle:
        # Where a structure lies is found by its cell; the number of its prims follows.
        key = tuple(atoms.cell.array.round(6).ravel())
        if key not in self._oracles:
            self._oracles[key] = Oracle(self._model, atoms)
            while len(self._oracles) > _MOST_KEPT:
                del self._oracles[next(iter(self._oracles))]
        return self._oracles[key]


def _labels(atoms: Any) -> list[str]:
    return atoms.arrays["species"].tolist() if "species" in atoms.arrays else atoms.get_chemical_symbols()
