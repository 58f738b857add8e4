"""Work spread over two CPU devices, in a process of its own: what is one device here cannot become two."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jaxce.devices import most_even_parts

BATCHES = """
import json
import jax, numpy as np, jaxce

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", int(input()))
prim = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
space = jaxce.ClusterSpace(prim, {2: 4.1, 3: 3.0})
expansion = jaxce.ClusterExpansion(space, np.linspace(-0.1, 0.1, space.num_correlations))
supercell = jaxce.Supercell(prim, 3)
hamiltonian, tables = jaxce.build_hamiltonian(expansion, supercell), jaxce.build_tables(space, supercell)
start = np.asarray(jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 13, "Au": 14}, (5,)))
result = {"devices": len(jax.local_devices())}
for name, function, first in (("energy", jaxce.energy, hamiltonian), ("vectors", jaxce.correlations, tables)):
    for spread in (function, jaxce.over_devices(function)):
        result.setdefault(name, []).append(np.asarray(jax.jit(spread)(first, start)).tolist())
print(json.dumps(result))
"""

CHAINS = """
settings = {"num_sweeps": 60, "sample_every": 3, "observables": {
    "first": lambda o: o[:, 0], "moments": jaxce.Moments(lambda o: o.sum(axis=1))}}
key = jax.random.key(1)
run = jaxce.run_monte_carlo(key, hamiltonian, start[:4], temperature=900.0, **settings)
result["chains"] = [run.energy.tolist(), run.observables["first"].tolist(), run.occupancy.tolist(),
    run.acceptance_rate.tolist(), jax.tree.map(lambda x: np.asarray(x).tolist(), run.observables["moments"])]
ladders = jaxce.run_tempering(key, hamiltonian, start[:2], temperatures=[700.0, 900.0, 1200.0], **settings)
result["ladders"] = [ladders.energy.tolist(), ladders.exchange_rate.tolist(), ladders.round_trips.tolist()]
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def batches():
    return runs_of(BATCHES)


@pytest.fixture(scope="module")
def chains():
    return runs_of(BATCHES.replace("print(json.dumps(result))", CHAINS))


def runs_of(program):
    """What a program gives on one device and on two."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    results = []
    for count in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], input=count, env=environment, capture_output=True, text=True, check=True
        )
        results.append(json.loads(done.stdout))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chains", "ladders"])
def test_chains_do_the_same_on_any_number_of_devices(chains, name):
    one, two = chains
    assert (one["devices"], two["devices"]) == (1, 2)
    assert one[name] == two[name]


@pytest.mark.parametrize("name", ["energy", "vectors"])
def test_batches_are_the_same_on_any_number_of_devices(batches, name):
    # Five structures, which two devices do not divide.
    for plain, spread in (run[name] for run in batches):
        np.testing.assert_allclose(plain, batches[0][name][0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(spread, batches[0][name][0], rtol=0, atol=1e-12)


def test_parts_are_even():
    assert [most_even_parts(count, 4) for count in (1, 2, 3, 5, 6, 8, 9)] == [1, 2, 3, 1, 3, 4, 3]
