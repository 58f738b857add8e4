"""(Sr,La)(Ti,Fe)(O,vacancy)3: relaxed energies of 662 configurations, and an expansion fitted to them.

Energies are those of the CHGNet potential, not of DFT; see slfo/README.md for provenance and licence.
"""

import importlib.resources
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import ase.io
import numpy as np
import pandas as pd

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.lattice.prim import Prim

_FOLDER = importlib.resources.files("jaxce.datasets") / "slfo"


class PerovskiteData(NamedTuple):
    """Structures with energies.

    Attributes:
        prim: the ideal cubic perovskite, sublattices "A", "B" and "O".
        structures: relaxed structures without the vacancies; `info["id"]` names each.
        energies: `[structures]` relaxed energies, eV per structure.
        info: one row per structure: id, supercell name, octahedral tilts that fit ("full", "partial", "none"),
            `charge_excess` per formula unit, whether every atom is still nearest to its own site (`on_lattice`),
            and whether the relaxation converged.
        template: an ideal 2x4x4 supercell, 160 sites, La8 Sr24 Fe8 Ti24 O92 and four vacancies.
    """

    prim: Prim
    structures: list[Any]
    energies: np.ndarray
    info: pd.DataFrame
    template: Any


def load_perovskite() -> PerovskiteData:
    """The perovskite data set, all 662 structures; reading it takes a few seconds."""
    structures = _read("relaxed.extxyz.gz", lambda path: ase.io.read(path, ":"))
    columns = ("id", "cell_name", "kind", "tilts", "charge_excess", "on_lattice", "converged", "max_disp")
    return PerovskiteData(
        prim=_read("prim.json", _read_prim),
        structures=structures,
        energies=np.array([atoms.info["energy_relaxed"] for atoms in structures], dtype=float),
        info=pd.DataFrame([{name: atoms.info[name] for name in columns} for atoms in structures]),
        template=_read("template_2x4x4.vasp", ase.io.read),
    )


def load_perovskite_model() -> ClusterExpansion:
    """The expansion that `jaxce demo` fits: pairs to 7 A, triplets to 5 A; `metadata` says on what."""
    return _read("model.json", ClusterExpansion.load)


def _read(name: str, reader: Callable[[str], Any]) -> Any:
    with importlib.resources.as_file(_FOLDER / name) as path:
        return reader(str(path))


def _read_prim(path: str) -> Prim:
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    sites = content["sites"]
    return Prim(
        content["lattice_A"],
        [site["frac"] for site in sites],
        [site["species"] for site in sites],
        sublattice_names=list(dict.fromkeys(site["sublattice"] for site in sites)),
    )
