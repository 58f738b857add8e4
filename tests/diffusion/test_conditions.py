"""Chemical potentials of guidance: what is refused."""

import numpy as np
import pytest

import jaxce
from jaxce.diffusion.conditions import site_potentials

PRIM = jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Li", "X"], ["O", "F"]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": 1.0, "Va": 2.0}, "Va on sublattice A is given twice"),
        ({"Li": 1.0, "A": {"Li": 2.0}}, "Li on sublattice A is given twice"),
        ({"Ag": 1.0}, "given for 'Ag', but the species are"),
    ],
)
def test_chemical_potentials_that_mean_nothing_or_two_things_are_refused(given, message):
    space = jaxce.ClusterSpace(PRIM, {2: 4.1})
    expansion = jaxce.ClusterExpansion(space, np.zeros(space.num_correlations))
    species = jaxce.build_hamiltonian(expansion, jaxce.Supercell(PRIM, 1)).species
    with pytest.raises(ValueError, match=message):
        site_potentials(species, given, (), np.float64)
