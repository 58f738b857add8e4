"""Structures and models from other programs."""

from jaxce.io.atat.model import (
    read_atat as read_atat,
    read_atat_structure as read_atat_structure,
    write_atat as write_atat,
)
from jaxce.io.casm.model import read_casm as read_casm
from jaxce.io.clease.model import read_clease as read_clease
from jaxce.io.icet.model import read_icet as read_icet
from jaxce.io.linear_model_file import (
    FeatureScaler as FeatureScaler,
    LinearModel as LinearModel,
    read_linear_model as read_linear_model,
    write_linear_model as write_linear_model,
)
from jaxce.io.motif.model import MotifModel as MotifModel, read_motif_model as read_motif_model
from jaxce.io.motif.perovskite_lattice import DistanceWindows as DistanceWindows
from jaxce.io.poscar import read_poscar as read_poscar, write_poscar as write_poscar
from jaxce.io.pymatgen_json import (
    atoms_from_pymatgen as atoms_from_pymatgen,
    prim_from_pymatgen as prim_from_pymatgen,
)
from jaxce.io.sklearn_models import from_sklearn as from_sklearn
from jaxce.io.smol.model import read_smol as read_smol
from jaxce.io.structure_forms import as_atoms as as_atoms
from jaxce.io.training_data import TrainingData as TrainingData, read_training_data as read_training_data

__all__ = [
    "DistanceWindows",
    "FeatureScaler",
    "LinearModel",
    "MotifModel",
    "TrainingData",
    "as_atoms",
    "atoms_from_pymatgen",
    "from_sklearn",
    "prim_from_pymatgen",
    "read_atat",
    "read_atat_structure",
    "read_casm",
    "read_clease",
    "read_icet",
    "read_linear_model",
    "read_motif_model",
    "read_poscar",
    "read_smol",
    "read_training_data",
    "write_atat",
    "write_linear_model",
    "write_poscar",
]
