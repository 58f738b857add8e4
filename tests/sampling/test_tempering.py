"""Parallel tempering against exact averages of small cells and long runs of another program."""

import json

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cuau
import jaxce
from jaxce.sampling.replica_exchange import exchange_replicas, start_ladders
from jaxce.sampling.weights import Weight, log_weight

TEMPERATURES = np.array([500.0, 580.0, 680.0, 900.0, 1200.0])


@pytest.fixture(scope="module")
def exact():
    return json.loads((cuau.DATA / "exact_2x2x4.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def reference():
    return json.loads((cuau.DATA / "pt_reference_4x4x4.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def expansion():
    return cuau.load_expansion()


@pytest.fixture(scope="module")
def small_cell(expansion):
    mapping = jaxce.map_structure(expansion.space.prim, ase.io.read(cuau.DATA / "cuau_fcc_2x2x4_supercell.vasp"))
    return mapping.supercell, jaxce.build_hamiltonian(expansion, mapping.supercell)


@pytest.mark.slow
def test_averages_of_sixteen_sites_are_the_exact_ones(small_cell, exact):
    """Semi-grand, with the chemical potential that makes pure copper and pure gold equally stable."""
    supercell, hamiltonian = small_cell
    mu = (exact["E_pure_Au_eV"] - exact["E_pure_Cu_eV"]) / 16
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (64,))
    result = jaxce.run_tempering(
        jax.random.key(1), hamiltonian, start, jaxce.SemiGrand({"Au": mu}), temperatures=TEMPERATURES,
        num_sweeps=1000, sample_every=2,
    )  # fmt: skip
    assert result.energy.shape == (64, 5, 500)
    assert np.all((result.exchange_rate > 0.3) & (result.exchange_rate < 1))
    assert result.round_trips.sum() > 100
    summary = result.summary(drop=50)
    for row in (row for row in exact["semigrand_mu0_formation_energy"] if row["T_K"] in TEMPERATURES):
        rung = list(TEMPERATURES).index(row["T_K"])
        formation = result.energy[:, rung, 50:] - mu * result.counts[:, rung, 50:, 1] - exact["E_pure_Cu_eV"]
        means = formation.mean(axis=1)
        assert abs(means.mean() - row["E_mean_eV"]) < 4 * means.std(ddof=1) / 8
        gold = summary.loc[(rung, "Au")]
        assert abs(gold["mean"] / 16 - row["x_Au_mean"]) < 4 * gold["mcse"] / 16
        assert gold["r_hat"] < 1.05
        heat_capacity = result.heat_capacity(drop=50)[rung]
        assert abs(16 * heat_capacity.value - row["Cv_kB"]) < 4 * 16 * heat_capacity.error


def test_canonical_averages_of_sixteen_sites_are_the_exact_ones(small_cell, exact):
    supercell, hamiltonian = small_cell
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (64,))
    result = jaxce.run_tempering(
        jax.random.key(2), hamiltonian, start, temperatures=TEMPERATURES, num_sweeps=500, exchange_every=2
    )
    for row in (row for row in exact["canonical_nCu8"] if row["T_K"] in TEMPERATURES):
        means = result.energy[:, list(TEMPERATURES).index(row["T_K"]), 50:].mean(axis=1)
        assert abs(means.mean() - row["E_mean_eV"]) < 4 * means.std(ddof=1) / 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ensemble"),
    [
        ("semigrand_mu0_bare_energy", jaxce.SemiGrand()),
        ("semigrand_mu0_formation_energy", None),
        ("canonical_32_32_bare_energy", jaxce.Canonical()),
    ],
)
def test_averages_of_64_sites_are_those_of_another_program(expansion, exact, reference, name, ensemble):
    rows = reference[name]
    kelvin = [row["T_K"] for row in rows]
    supercell = jaxce.Supercell(expansion.space.prim, 4)
    pure_gold, pure_copper = exact["E_pure_Au_eV"] / 16, exact["E_pure_Cu_eV"] / 16
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 32, "Au": 32}, (8,))
    result = jaxce.run_tempering(
        jax.random.key(3),
        jaxce.build_hamiltonian(expansion, supercell),
        start,
        ensemble or jaxce.SemiGrand({"Au": pure_gold - pure_copper}),
        temperatures=kelvin,
        num_sweeps=2000,
        sample_every=10,
    )
    energies, gold = result.energy[:, :, 20:], result.counts[:, :, 20:, 1]
    if ensemble is None:
        energies = energies - gold * pure_gold - (64 - gold) * pure_copper
    for rung, row in enumerate(rows):
        if row["T_K"] not in (500.0, 680.0, 1200.0):
            continue
        for values, key in ((energies, "E_{}_eV_per_atom"), (gold, "x_Au_{}")):
            means = values[:, rung].mean(axis=1) / 64
            error = np.hypot(means.std(ddof=1) / np.sqrt(8), row[key.format("sem")])
            assert abs(means.mean() - row[key.format("mean")]) <= 3 * error + 1e-12


def test_an_exchange_follows_the_weights_of_the_exchanged_states():
    """Two rungs and many ladders of fixed states: the accepted part is the ratio of the weights."""
    num_ladders = 40_000
    rng = np.random.default_rng(0)
    weights = Weight(
        jnp.asarray([10.0, 4.0]),
        jnp.asarray(rng.normal(size=(2, 1, 2)) * 0.1),
        jnp.asarray(rng.uniform(0.01, 0.02, size=(2, 1, 2))),
        jnp.asarray(rng.uniform(3, 5, size=(2, 1, 2))),
    )
    energies, counts = np.array([0.3, 0.35]), np.array([[[5, 3]], [[2, 6]]])
    ladder = start_ladders(num_ladders, 2)
    keys = jax.random.split(jax.random.key(0), num_ladders)
    moved = exchange_replicas(
        keys,
        ladder,
        jnp.tile(jnp.asarray(energies), num_ladders),
        jnp.tile(jnp.asarray(counts, jnp.int32), (num_ladders, 1, 1)),
        weights,
        jnp.int32(0),
    )
    of = lambda state, rung: float(
        log_weight(
            jnp.asarray(energies[state]),
            jnp.asarray(counts[state], jnp.int32),
            jax.tree.map(lambda leaf: leaf[rung], weights),
        )
    )
    expected = min(1.0, np.exp(of(0, 1) + of(1, 0) - of(0, 0) - of(1, 1)))
    assert 0.1 < expected < 0.9
    accepted = np.asarray(moved.num_accepted).mean()
    assert abs(accepted - expected) < 4 * np.sqrt(expected * (1 - expected) / num_ladders)
    # Odd attempts leave the only pair alone.
    idle = exchange_replicas(
        keys, ladder, jnp.zeros(2 * num_ladders), jnp.zeros((2 * num_ladders, 1, 2), jnp.int32), weights,
        jnp.int32(1),
    )  # fmt: skip
    np.testing.assert_array_equal(idle.rung, ladder.rung)
    assert int(idle.num_tried.sum()) == 0


def test_chemical_potentials_are_exchanged_with_the_rungs(small_cell):
    """Rungs of one temperature and unlike chemical potentials: each rung has its own composition."""
    supercell, hamiltonian = small_cell
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (32,))
    potentials = [-0.1, 0.0, 0.1]
    settings = {"num_sweeps": 200, "sample_every": 2}
    tempered = jaxce.run_tempering(
        jax.random.key(1), hamiltonian, start, jaxce.SemiGrand({"Au": potentials}), temperatures=[1500] * 3, **settings
    )
    assert np.all(tempered.exchange_rate > 0.02)
    alone = jaxce.run_monte_carlo(
        jax.random.key(2),
        hamiltonian,
        np.repeat(start, 3, axis=0),
        jaxce.SemiGrand({"Au": np.tile(potentials, 32)}),
        temperature=1500.0,
        **settings,
    )
    gold = alone.counts[:, 20:, 1].mean(axis=1).reshape(32, 3)
    for rung in range(3):
        means = tempered.counts[:, rung, 20:, 1].mean(axis=1)
        error = np.hypot(means.std(ddof=1), gold[:, rung].std(ddof=1)) / np.sqrt(32)
        assert abs(means.mean() - gold[:, rung].mean()) < 4 * error


def test_final_occupancies_and_observables_are_in_the_order_of_the_rungs(small_cell):
    supercell, hamiltonian = small_cell
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (3,))
    energies = lambda occupancy: jax.jit(jaxce.energy)(hamiltonian, occupancy)
    result = jaxce.run_tempering(
        jax.random.key(1), hamiltonian, start, jaxce.SemiGrand(), temperatures=TEMPERATURES, num_sweeps=21,
        sample_every=3, observables={"occupancy": _as_floats, "moments": jaxce.Moments(energies)},
    )  # fmt: skip
    final = jax.jit(jaxce.energy)(hamiltonian, jnp.asarray(result.occupancy))
    np.testing.assert_allclose(result.energy[:, :, -1], final, atol=1e-12)
    np.testing.assert_array_equal(result.observables["occupancy"][:, :, -1], result.occupancy)
    np.testing.assert_allclose(result.observables["moments"].mean, result.energy.mean(axis=2), atol=1e-12)
    np.testing.assert_array_equal(result.counts[..., 1], result.observables["occupancy"].sum(axis=-1))
    tree = result.to_datatree()
    assert tree["posterior"]["energy"].sel(temperature=900).shape == (3, 7)


def _as_floats(occupancy):
    return occupancy.astype(float)


@pytest.mark.slow
def test_a_tuned_ladder_has_equal_exchange_rates(small_cell):
    supercell, hamiltonian = small_cell
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (32,))
    badly = np.array([450.0, 460.0, 470.0, 1500.0])
    tuned = jaxce.tune_temperatures(
        jax.random.key(1), hamiltonian, start, temperatures=badly, num_sweeps=400, num_rounds=5
    )
    assert tuned[[0, -1]] == pytest.approx(badly[[0, -1]])
    rates = [
        jaxce.run_tempering(
            jax.random.key(2), hamiltonian, start, temperatures=kelvin, num_sweeps=300, sample_every=300
        ).exchange_rate
        for kelvin in (badly, tuned)
    ]
    assert np.ptp(rates[0]) > 0.5
    assert np.ptp(rates[1]) < 0.15


def test_a_geometric_ladder_has_equal_ratios():
    ladder = jaxce.geometric_temperatures(300, 2400, 4)
    np.testing.assert_allclose(ladder, [300, 600, 1200, 2400])


def test_bad_input_is_refused(small_cell):
    supercell, hamiltonian = small_cell
    start = np.asarray(jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (2,)))
    temper = lambda **keywords: jaxce.run_tempering(
        jax.random.key(0), hamiltonian, **{"occupancy": start, "temperatures": [300, 600], "num_sweeps": 2} | keywords
    )
    mixed = np.repeat(start[:, None], 2, axis=1)
    mixed[1, 1] = 0
    mixed[1, 1, 0] = 1
    for keywords, message in (
        ({"temperatures": [300.0]}, "two or more"),
        ({"temperatures": [300.0, -1.0]}, "positive"),
        ({"occupancy": start[0]}, "ladders"),
        ({"occupancy": mixed[:, :1]}, "1 replicas per ladder"),
        ({"occupancy": mixed}, "replicas of ladder 1 differ"),
        ({"exchange_every": 0}, "exchange_every"),
    ):
        with pytest.raises(ValueError, match=message):
            temper(**keywords)
    with pytest.raises(ValueError, match="low < high"):
        jaxce.geometric_temperatures(500, 300, 4)
    untried = temper(num_sweeps=1, exchange_every=5)
    with pytest.raises(ValueError, match="never tried"):
        untried.equalized_temperatures()


def test_annealing_finds_the_ground_state(small_cell, exact):
    supercell, hamiltonian = small_cell
    start = jaxce.random_occupancy(jax.random.key(0), supercell, {"Cu": 8, "Au": 8}, (16,))
    result = jaxce.anneal(jax.random.key(1), hamiltonian, start, temperatures=(2000, 50), num_sweeps=130)
    assert result.energy.shape == (16, 65)
    assert result.lowest_energy.min() == pytest.approx(exact["min_energy_eV"], abs=1e-9)
    assert np.mean(result.lowest_energy < exact["min_energy_eV"] + 1e-9) > 0.5
    np.testing.assert_allclose(jaxce.energy(hamiltonian, result.lowest_occupancy), result.lowest_energy, atol=1e-12)
    atoms = jaxce.occupancy_to_ase(supercell, np.asarray(result.lowest_occupancy[0]))
    assert atoms.get_chemical_formula() == "Au8Cu8"
    with pytest.raises(ValueError, match="high > low"):
        jaxce.anneal(jax.random.key(1), hamiltonian, start, temperatures=(50, 2000))
