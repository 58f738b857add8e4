"""Energy changes of tables in chains against full energies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies
from jaxce.energy_changes import Substitution, energy_changes
from jaxce.table_build import EnvironmentTable, build_table_hamiltonian

# A centre, its neighbours of the same kind, and anions between; nothing is symmetric.
PRIM = jaxce.Prim(np.eye(3) * 4, [[0, 0, 0], [0.5, 0, 0]], [["A", "B", "C"], ["O", "X"]])
POINTS = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [1, -1, 0, 0]])
ENERGIES = np.random.default_rng(0).normal(scale=0.1, size=(3, 3, 3, 3, 2, 2))
# In the first, sites repeat.
TRANSFORMATIONS = {"small": [2, 1, 2], "roomy": [4, 4, 3]}


energy = jax.jit(jaxce.energy)


@pytest.fixture(scope="module", params=TRANSFORMATIONS)
def case(request):
    supercell = jaxce.Supercell(PRIM, TRANSFORMATIONS[request.param])
    return supercell, build_table_hamiltonian([EnvironmentTable(POINTS, ENERGIES)], 0.0, supercell)


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("is_mapped", [False, True], ids=["one by one", "mapped"])
def test_changes_and_states_are_those_of_full_energies(case, is_mapped):
    supercell, hamiltonian = case
    changes = energy_changes(hamiltonian, "environment", is_mapped=is_mapped)
    numbers = PRIM.num_species[supercell.prim_sites]
    rng = np.random.default_rng(0)

    @jax.jit
    def one(memory, sites, old, new):
        lists = [list(part) for part in (sites, old, new)]
        move = Substitution(*lists, lists[0], list(zip(*lists[1:], strict=True)))
        return (
            changes.change(memory, move),
            changes.settle(memory, move, jnp.asarray(True)),
            changes.settle(memory, move, jnp.asarray(False)),
        )

    start = jax.jit(lambda occupancy: changes.start(occupancy, changes.fields(occupancy)))
    path = [random_occupancies(supercell, 1, seed=0)[0]]
    memory, deltas = start(path[0]), []
    for _ in range(32):
        # Three sites that often share centres.
        sites = rng.choice(supercell.num_sites, size=3, replace=False)
        old = path[-1][sites].astype(np.int32)
        new = (old + rng.integers(0, numbers[sites])) % numbers[sites]
        delta, accepted, rejected = one(memory, sites.astype(np.int32), old, new.astype(np.int32))
        assert_same(rejected, memory)
        path.append(path[-1].copy())
        path[-1][sites] = new
        memory = accepted
        assert_same(memory, start(path[-1]))
        deltas.append(float(delta))
    energies = np.asarray(energy(hamiltonian, np.array(path)))
    np.testing.assert_allclose(deltas, np.diff(energies), rtol=0, atol=1e-12)
    assert np.abs(deltas).max() > 0.1
