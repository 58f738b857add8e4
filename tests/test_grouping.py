"""Structures of many supercells, grouped, against the same one by one."""

import numpy as np
import pytest

import jaxce
from helpers import random_occupancies

PRIM = jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["A", "B", "C"], ["O", "X"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 4.1})
EXPANSION = jaxce.ClusterExpansion(SPACE, np.random.default_rng(0).normal(size=SPACE.num_correlations))
SUPERCELLS = [jaxce.Supercell(PRIM, t) for t in (1, [1, 2, 2], 2)]


def structures_of(build):
    rng = np.random.default_rng(1)
    tables = [build(supercell) for supercell in SUPERCELLS]
    order = [0, 2, 1, 1, 2, 2, 2, 0, 2]
    return [(tables[i], random_occupancies(SUPERCELLS[i], 1, seed=int(rng.integers(100)))[0]) for i in order]


def test_energies_come_in_the_order_of_the_structures():
    structures = structures_of(lambda supercell: jaxce.build_hamiltonian(EXPANSION, supercell))
    energies = jaxce.by_supercell(jaxce.energy)(structures)
    assert energies.shape == (9,)
    np.testing.assert_allclose(energies, [jaxce.energy(*pair) for pair in structures], rtol=0, atol=1e-12)


def test_results_of_unlike_shapes_are_a_list():
    structures = structures_of(lambda supercell: jaxce.build_hamiltonian(EXPANSION, supercell))
    changes = jaxce.by_supercell(jaxce.substitution_energies)(structures)
    for found, pair in zip(changes, structures, strict=True):
        np.testing.assert_allclose(found, jaxce.substitution_energies(*pair), rtol=0, atol=1e-12)


def test_vectors_over_devices():
    structures = structures_of(lambda supercell: jaxce.build_tables(SPACE, supercell))
    vectors = jaxce.by_supercell(jaxce.over_devices(jaxce.correlations))(structures)
    np.testing.assert_allclose(vectors, [jaxce.correlations(*pair) for pair in structures], rtol=0, atol=1e-12)


def test_groups_of_similar_size_share_compiled_code():
    traces = []
    counted = jaxce.by_supercell(lambda *arguments: traces.append(1) or jaxce.energy(*arguments))
    structures = structures_of(lambda supercell: jaxce.build_hamiltonian(EXPANSION, supercell))
    large = [pair for pair in structures if len(pair[1]) == 16]
    assert len(large) == 5
    for count in (5, 6, 7, 8):
        counted([large[0]] * count)
    assert len(traces) == 1
    assert counted([]) == []


def test_occupancies_of_unlike_lengths_are_refused():
    (tables, occupancy), *_ = structures_of(lambda supercell: jaxce.build_hamiltonian(EXPANSION, supercell))
    with pytest.raises(ValueError, match=r"occupancies of one shape, but have \[\(1,\), \(2,\)\]"):
        jaxce.by_supercell(jaxce.energy)([(tables, occupancy), (tables, occupancy[:1])])
