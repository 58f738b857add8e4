import dataclasses

import numpy as np
import pytest

import jaxce
from helpers import random_occupancies

PRIM = jaxce.Prim(4 * np.eye(3), [[0, 0, 0]], [["Ag", "Pd"]])


def training_set(energies, cells=None):
    """Chains of four atoms of growing Pd content, with these energies per prim; `cells` deforms them."""
    supercell = jaxce.Supercell(PRIM, [1, 1, 4])
    occupancies = [[0] * (4 - n) + [1] * n for n in range(5)]
    structures = [jaxce.occupancy_to_ase(supercell, np.array(o)) for o in occupancies]
    for atoms, scale in zip(structures, cells or [1.0] * 5, strict=True):
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return jaxce.map_training_data(PRIM, structures, energies, energies_per="prim")


def test_weights_fall_with_the_energy_above_hull():
    # Structure 2 is 0.1 eV above the line between 0 and 4, structure 3 0.05 eV; 1 is on the hull.
    data = training_set(np.array([0.0, 0.0, 0.1, 0.05, 0.0]) + 0.3 * np.arange(5))
    weights = jaxce.structure_weights(data, above_hull=0.05)
    np.testing.assert_allclose(weights / weights[0], np.exp([0, 0, -2, -1, 0]), rtol=1e-9)
    assert weights.mean() == pytest.approx(1)


def test_weights_fall_with_the_strain_but_not_with_the_volume():
    cells = [1.0, 1.05, np.array([1.06, 1.06, 1.06**-2])[:, None], 1.0, 1.0]
    data = training_set(np.zeros(5), cells)
    weights = jaxce.structure_weights(data, strain=0.1)
    largest = 1 - 1.06**-2
    np.testing.assert_allclose(weights / weights[0], [1, 1, np.exp(-0.5 * (largest / 0.1) ** 2), 1, 1], rtol=1e-6)
    both = jaxce.structure_weights(data, strain=0.1, above_hull=0.05)
    np.testing.assert_allclose(both, weights)


def test_weights_go_into_the_fit():
    space = jaxce.ClusterSpace(PRIM, {2: 4.1})
    generator = np.random.default_rng(0)
    supercell = jaxce.Supercell(PRIM, [2, 2, 2])
    structures = [jaxce.occupancy_to_ase(supercell, o) for o in random_occupancies(supercell, 20, 0)]
    data = jaxce.map_training_data(PRIM, structures, generator.normal(size=20))
    weights = generator.uniform(0.1, 2, size=20)
    weighted = data.with_weights(weights)
    assert weighted.weights == pytest.approx(weights / weights.mean())
    assert data.weights is None
    result = jaxce.fit_training_set(space, weighted, cv=4)
    given = dataclasses.replace(data, weights=weights / weights.mean())
    expected = jaxce.fit_training_set(space, given, cv=4)
    np.testing.assert_array_equal(result.expansion.coefficients, expected.expansion.coefficients)
    plain = jaxce.fit_training_set(space, data, cv=4)
    assert not np.allclose(result.expansion.coefficients, plain.expansion.coefficients, atol=1e-6)


def test_bad_scales_and_weights_are_refused():
    data = training_set(np.zeros(5))
    for keywords in ({}, {"above_hull": 0.0}, {"strain": -0.1}):
        with pytest.raises(ValueError, match="positive"):
            jaxce.structure_weights(data, **keywords)
    for weights in ([1.0, 2.0], [-1.0] * 5, [np.nan] * 5):
        with pytest.raises(ValueError, match="weights"):
            data.with_weights(weights)
    assert len(data.rows([])) == 0
