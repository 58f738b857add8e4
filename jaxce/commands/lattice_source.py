"""The lattice that a command works on: that of a model, or a prim by itself."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxce.cluster_expansion import ClusterExpansion
from jaxce.commands.fit import read_prim
from jaxce.commands.model_files import model_kind, read_model
from jaxce.lattice.prim import Prim


class LatticeSource(NamedTuple):
    """A prim, and the model that it is of.

    Attributes:
        prim: the prim.
        expansion: the model; None if there is only a prim.
    """

    prim: Prim
    expansion: ClusterExpansion | None


def read_lattice_source(path: pathlib.Path, species: Mapping[str, Sequence[str]]) -> LatticeSource:
    """The model at a path, or the prim of a structure file with the species of each symbol.

    Raises:
        ValueError: if it is neither, or species are given for a model.
    """
    if model_kind(path) is None:
        return LatticeSource(read_prim(path, species), None)
    if species:
        raise ValueError(f"{path} is a model, which has its species: leave out --species.")
    expansion = read_model(path)
    return LatticeSource(expansion.space.prim, expansion)
