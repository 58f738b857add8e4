"""Monte Carlo against numbers of others: icet's long runs, exact Ising models."""

import json
import pathlib

import ase.units
import jax
import numpy as np
import pytest

import jaxce
from jaxce.sampling.diagnostics import heat_capacity
from test_conformance import expansion_in_order, icet_order, icet_space, read

DATA = pathlib.Path(__file__).parents[1] / "data"
ISING = json.loads((DATA / "exact" / "exact.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def icet():
    content = json.loads((DATA / "icet_mc" / "fcc_binary_mc.json").read_text(encoding="utf-8"))
    case = read("icet", "fcc_binary")
    space = icet_space(case)
    expansion = expansion_in_order(space, icet_order(space, case), content["parameters"])
    return content, space.prim, expansion


@pytest.mark.slow
@pytest.mark.parametrize("index", range(6))
def test_long_runs_of_icet_on_64_sites(icet, index):
    content, prim, expansion = icet
    reference = content["long_mc"][index]
    supercell = jaxce.Supercell(prim, content["long_mc_cell"]["supercell_matrix"])
    start = jaxce.random_occupancy(jax.random.key(0), supercell, content["canonical_composition"], (32,))
    is_canonical = reference["ensemble"] == "canonical"
    kelvin = reference["temperature"]
    result = jaxce.run_monte_carlo(
        jax.random.key(index),
        jaxce.build_hamiltonian(expansion, supercell),
        start,
        jaxce.Canonical() if is_canonical else jaxce.SemiGrand(content["chemical_potentials"]),
        temperature=kelvin,
        num_sweeps=1200,
        sample_every=5,
    )
    summary = result.summary(drop=40)
    energy = summary.loc[(0, "energy")]
    assert energy["r_hat"] < 1.05
    error = np.hypot(energy["mcse"] / 64, reference["mean_energy_per_site_stderr"])
    assert abs(energy["mean"] / 64 - reference["mean_energy_per_site"]) < 4 * error
    # Var(E), also at fixed chemical potentials.
    variance = heat_capacity(result.energy[:, 40:], kelvin, 64)
    error = np.hypot(variance.error, reference["variance_energy_over_kT2_per_site_stderr"])
    assert abs(variance.value - reference["variance_energy_over_kT2_per_site"]) < 4 * error
    if not is_canonical:
        copper = summary.loc[(0, "Cu")]
        error = np.hypot(copper["mcse"] / 64, reference["mean_fraction_Cu_stderr"])
        assert abs(copper["mean"] / 64 - reference["mean_fraction_Cu"]) < 4 * error


def ising(length):
    """The square torus with H = - sum of s s over bonds, in units of 1 eV: kT is in eV too."""
    prim = jaxce.Prim(np.diag([1.0, 1.0, 9.0]), [[0, 0, 0]], [["down", "up"]])
    space = jaxce.ClusterSpace(prim, {2: 1.1})
    # Two bonds per site.
    expansion = jaxce.ClusterExpansion(space, [0.0, 0.0, -2.0])
    supercell = jaxce.Supercell(prim, [length, length, 1])
    return supercell, jaxce.build_hamiltonian(expansion, supercell)


@pytest.mark.slow
def test_an_ising_torus_of_64_spins_has_its_exact_energy_and_specific_heat():
    supercell, hamiltonian = ising(8)
    rows = ISING["square_torus_L8"]
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"down": 32, "up": 32}, (16,))
    result = jaxce.run_tempering(
        jax.random.key(1),
        hamiltonian,
        start,
        jaxce.SemiGrand(),
        temperatures=[row["T"] / ase.units.kB for row in rows],
        num_sweeps=2000,
        sample_every=4,
    )
    for rung, row in enumerate(rows):
        means = result.energy[:, rung, 50:].mean(axis=1) / 64
        assert abs(means.mean() - row["energy_per_site"]) < 4 * means.std(ddof=1) / 4 + 1e-12
        heat = result.heat_capacity(drop=50)[rung]
        assert abs(heat.value - row["specific_heat_per_site"]) < 4 * heat.error


@pytest.mark.parametrize("magnetization", [0, 4])
def test_canonical_ising_energies_are_exact(magnetization):
    supercell, hamiltonian = ising(4)
    rows = ISING["square_4x4_enumeration"][f"canonical_M{magnetization}"]
    up = (16 + magnetization) // 2
    chains = 200
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"down": 16 - up, "up": up}, (chains * len(rows),))
    result = jaxce.run_monte_carlo(
        jax.random.key(1),
        hamiltonian,
        start,
        temperature=np.repeat([row["T"] for row in rows], chains) / ase.units.kB,
        num_sweeps=400,
        sample_every=4,
    )
    energies = result.energy[:, 25:].reshape(len(rows), chains, -1)
    for row, samples in zip(rows, energies, strict=True):
        means = samples.mean(axis=1)
        assert abs(means.mean() - row["mean_E"]) < 4 * means.std(ddof=1) / np.sqrt(chains)
        squares = (samples**2).mean(axis=1)
        expected = row["var_E"] + row["mean_E"] ** 2
        assert abs(squares.mean() - expected) < 4 * squares.std(ddof=1) / np.sqrt(chains)


def test_energies_drift_by_less_than_rounding_over_a_million_steps():
    supercell, hamiltonian = ising(8)
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"down": 32, "up": 32}, (1,))
    result = jaxce.run_monte_carlo(
        jax.random.key(1), hamiltonian, start, temperature=3 / ase.units.kB, num_sweeps=16_000, sample_every=16_000
    )
    assert result.energy_drift[0] < 64 * 1e-10


@pytest.mark.slow
def test_single_precision_drift_is_small_and_reported():
    expansion = jaxce.datasets.load_perovskite_model()
    supercell = jaxce.Supercell(expansion.space.prim, (2, 4, 4))
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell, dtype=np.float32)
    composition = {"Sr": 24, "La": 8, "Ti": 24, "Fe": 8, "O": 88, "X": 8}
    start = jaxce.random_occupancy(jax.random.key(0), supercell, composition, (8,))
    result = jaxce.run_monte_carlo(
        jax.random.key(1), hamiltonian, start, temperature=2000.0, num_sweeps=60, sample_every=30
    )
    assert result.energy.dtype == np.float64
    assert np.all(result.energy_drift < 5e-3)
    double = jax.jit(jaxce.energy)(jaxce.build_hamiltonian(expansion, supercell), result.occupancy)
    np.testing.assert_allclose(result.energy[:, -1], double, rtol=0, atol=1e-3)
