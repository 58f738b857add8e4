"""Structures and models from other programs."""

from jaxce.fitting.linear_models import from_sklearn as from_sklearn
from jaxce.io.pymatgen_json import (
    atoms_from_pymatgen as atoms_from_pymatgen,
    prim_from_pymatgen as prim_from_pymatgen,
)
from jaxce.io.training_data import TrainingData as TrainingData, read_training_data as read_training_data

__all__ = ["TrainingData", "atoms_from_pymatgen", "from_sklearn", "prim_from_pymatgen", "read_training_data"]
