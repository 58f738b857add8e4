"""The Cu-Au expansion that several tests read; see tests/data/README.md."""

import json
import pathlib

import ase.io
import jax.numpy as jnp
import numpy as np

import jaxce

DATA = pathlib.Path(__file__).parent / "data" / "cuau"


def load_expansion():
    """CLEASE's Au = +1, Cu = -1 is the trigonometric basis with copper first; its ECIs are our coefficients."""
    reference = json.loads((DATA / "reference_4x4x4.json").read_text(encoding="utf-8"))
    prim = jaxce.Prim(np.array([[0, 1.9, 1.9], [1.9, 0, 1.9], [1.9, 1.9, 0]]), [[0, 0, 0]], [["Cu", "Au"]])
    space = jaxce.ClusterSpace(prim, {2: 6.0, 3: 4.5, 4: 4.5})
    supercell = jaxce.Supercell(prim, 4)
    template = ase.Atoms("Cu64", positions=reference["positions"], cell=reference["cell"], pbc=True)
    site_of_atom = jaxce.map_structure(prim, template, supercell).site_of_atom
    occupancies = np.zeros((len(reference["structures"]), 64), dtype=np.int8)
    for row, structure in zip(occupancies, reference["structures"], strict=True):
        row[site_of_atom] = [1 if letter == "0" else 0 for letter in structure["occ"]]
    ours = np.asarray(jaxce.correlations(jaxce.build_tables(space, supercell), jnp.asarray(occupancies)))
    theirs = np.array([structure["cf"] for structure in reference["structures"]])
    # Two quadruplets share a diameter, so their order is matched by their values.
    order = [int(np.argmin(np.abs(theirs - column[:, None]).max(axis=0))) for column in ours.T]
    np.testing.assert_allclose(ours, theirs[:, order], atol=1e-12)
    assert sorted(order) == list(range(11))
    result = jaxce.ClusterExpansion(space, np.array(reference["eci_eV_per_atom"])[order])
    energies = jaxce.energy(jaxce.build_hamiltonian(result, supercell), jnp.asarray(occupancies))
    np.testing.assert_allclose(energies, [s["energy_eV"] for s in reference["structures"]], atol=1e-9)
    return result


def all_states():
    """The 16-site cell, its states `[states, sites]`, their energies, and the bit of the state that each site is."""
    prim = jaxce.datasets.load_cuau_model().space.prim
    mapping = jaxce.map_structure(prim, ase.io.read(DATA / "cuau_fcc_2x2x4_supercell.vasp"))
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    states = np.empty((2**16, 16), dtype=np.int8)
    states[:, mapping.site_of_atom] = 1 - bits
    return mapping.supercell, states, np.load(DATA / "energies_2x2x4_all.npy"), np.argsort(mapping.site_of_atom)
