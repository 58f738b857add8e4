"""Statistics of results against full enumeration of eight sites; what readers of results rely on."""

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.energy_changes import EnergyChanges
from jaxce.sampling.observables import composition
from jaxce.sampling.order_parameters import short_range_order

# Eight sites that are active, eight that are not.
PRIM = jaxce.Prim(4.0 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Cu", "Au"], ["O"]])
CELL = jaxce.Supercell(PRIM, 2)
ACTIVE = CELL.sublattices[0].sites
# At these gold is neither rare nor common.
POTENTIALS = np.array([-0.8, -0.5])
DROP = 20


class Exact:
    """Averages over all states, of those with so many gold atoms or of all at a chemical potential."""

    def __init__(self, hamiltonian, kelvin, gold=None, mu=0.0):
        states = np.zeros((256, 16), dtype=np.int8)
        states[:, ACTIVE] = (np.arange(256)[:, None] >> np.arange(8)) & 1
        numbers = states.sum(axis=1)
        chosen = np.full(256, True) if gold is None else numbers == gold
        self.energies, self.numbers = np.asarray(jax.jit(jaxce.energy)(hamiltonian, states))[chosen], numbers[chosen]
        self.enthalpies = self.energies - mu * self.numbers
        self.thermal = ase.units.kB * kelvin
        weights = np.exp(-(self.enthalpies - self.enthalpies.min()) / self.thermal)
        self.weights = weights / weights.sum()

    def mean(self, values):
        return float(np.sum(self.weights * values))

    def variance(self, values):
        return self.mean(values**2) - self.mean(values) ** 2

    @property
    def heat_capacity(self):
        return self.variance(self.enthalpies) / self.thermal**2 / 8

    @property
    def susceptibility(self):
        return self.variance(self.numbers) / self.thermal / 8


@pytest.fixture(scope="module")
def hamiltonian():
    space = jaxce.ClusterSpace(PRIM, {2: 5.7, 3: 5.7})
    ecis = np.random.default_rng(3).normal(scale=0.02, size=space.num_correlations)
    return jaxce.build_hamiltonian(jaxce.ClusterExpansion(space, ecis * space.multiplicities), CELL)


@pytest.fixture(scope="module")
def canonical(hamiltonian):
    """Chains at two temperatures in turn."""
    start = jaxce.random_occupancy(jax.random.key(0), CELL, {"Cu": 5, "Au": 3, "O": 8}, (64,))
    return jaxce.run_monte_carlo(
        jax.random.key(1), hamiltonian, start, temperature=np.tile([900.0, 600.0], 32), num_sweeps=600, sample_every=3,
        observables=[short_range_order(CELL, num_shells=2), composition(CELL)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def semi_grand(hamiltonian):
    """Chains at two chemical potentials."""
    start = np.zeros((64, 16), dtype=np.int8)
    return jaxce.run_monte_carlo(
        jax.random.key(2),
        hamiltonian,
        start,
        jaxce.SemiGrand({"Au": np.repeat(POTENTIALS, 32)}),
        temperature=800.0,
        num_sweeps=600,
        sample_every=3,
        observables=[composition(CELL)],
    )


def assert_within(estimate, exact):
    assert 0 < estimate.error < 0.2 * exact
    assert abs(estimate.value - exact) < 4 * estimate.error


def test_canonical_statistics_are_the_exact_ones(hamiltonian, canonical):
    # Chains of equal temperature are of one condition.
    assert len(np.unique(canonical.conditions)) == 2
    found, summary = canonical.heat_capacity(DROP), canonical.summary(DROP)
    for chain, kelvin in ((0, 900.0), (1, 600.0)):
        condition = int(canonical.conditions[chain])
        assert np.all((canonical.conditions == condition) == (canonical.temperature == kelvin))
        exact = Exact(hamiltonian, kelvin, gold=3)
        assert_within(found[condition], exact.heat_capacity)
        row = summary.loc[(condition, "energy")]
        assert row["num_chains"] == 32
        assert row["r_hat"] < 1.05
        assert row["sd"] == pytest.approx(np.sqrt(exact.variance(exact.energies)), rel=0.1)
        assert abs(row["mean"] - exact.mean(exact.energies)) < 4 * row["mcse"]
    # The number of a species that never changes is no row.
    quantities = set(summary.index.get_level_values("quantity"))
    assert {"energy", "short_range_order[0, 0]"} <= quantities
    assert not {"Cu", "Au", "O"} & quantities
    assert canonical.work is None


def test_semi_grand_statistics_are_the_exact_ones(hamiltonian, semi_grand):
    found, summary = semi_grand.heat_capacity(DROP), semi_grand.summary(DROP)
    gold, copper = semi_grand.susceptibility("Au", DROP), semi_grand.susceptibility("Cu", DROP)
    for chain, mu in ((0, POTENTIALS[0]), (32, POTENTIALS[1])):
        condition = int(semi_grand.conditions[chain])
        exact = Exact(hamiltonian, 800.0, mu=mu)
        assert_within(found[condition], exact.heat_capacity)
        # The work is not left out: without it the number is another one.
        bare = exact.variance(exact.energies) / exact.thermal**2 / 8
        assert abs(bare - exact.heat_capacity) > 5 * found[condition].error
        assert_within(gold[condition], exact.susceptibility)
        assert copper[condition].value == pytest.approx(gold[condition].value, rel=1e-9)
        row = summary.loc[(condition, "Au")]
        assert abs(row["mean"] - exact.mean(exact.numbers)) < 4 * row["mcse"]
    quantities = set(summary.index.get_level_values("quantity"))
    assert {"energy", "Cu", "Au", "composition[0, 1]"} <= quantities
    assert "O" not in quantities
    with pytest.raises(ValueError, match="Ag"):
        semi_grand.susceptibility("Ag")


def test_work_is_the_chemical_potential_times_the_number(semi_grand):
    gold = semi_grand.counts[..., semi_grand.species.index("Au")]
    np.testing.assert_allclose(semi_grand.work, np.repeat(POTENTIALS, 32)[:, None] * gold, atol=1e-12)


def test_work_follows_the_schedule_of_the_chemical_potential(hamiltonian):
    schedule = np.linspace(-0.1, 0.1, 12)[:, None] * np.array([1.0, 2.0])
    result = jaxce.run_monte_carlo(
        jax.random.key(0), hamiltonian, np.zeros((2, 16), dtype=np.int8), jaxce.SemiGrand({"Au": schedule, "O": 3.0}),
        temperature=2000.0, num_sweeps=12, sample_every=4,
    )  # fmt: skip
    gold = result.counts[..., result.species.index("Au")]
    assert gold.max() > 0
    np.testing.assert_allclose(result.work, schedule[[3, 7, 11]].T * gold, atol=1e-12)


def test_species_of_inactive_sites_are_counted(canonical, semi_grand):
    for result in (canonical, semi_grand):
        assert set(result.species) == {"Cu", "Au", "O"}
        of = lambda name, result=result: result.counts[..., result.species.index(name)]
        assert np.all(of("O") == 8)
        assert np.all(of("Cu") + of("Au") == 8)
        np.testing.assert_array_equal(of("Au")[:, -1], np.asarray(result.occupancy).sum(axis=1))


def test_quantities_are_all_that_was_traced(semi_grand):
    quantities = semi_grand.quantities(drop=150)
    assert set(quantities) == {"energy", "Cu", "Au", "O", "composition"}
    assert {len(values) for values in quantities.values()} == {64}
    assert {values.shape[1] for values in quantities.values()} == {50}
    np.testing.assert_array_equal(quantities["energy"], semi_grand.energy[:, 150:])
    np.testing.assert_array_equal(quantities["Au"], semi_grand.counts[:, 150:, semi_grand.species.index("Au")])
    names = list(semi_grand.labels["composition"][1].values())[-1]
    np.testing.assert_allclose(quantities["composition"][:, :, 0, list(names).index("Au")], quantities["Au"] / 8)


def test_arviz_reads_the_tree_of_a_result(canonical, semi_grand):
    import arviz_stats

    tree = canonical.to_datatree()
    posterior = tree["posterior"].to_dataset()
    assert posterior["energy"].sizes == {"chain": 64, "draw": 200}
    assert posterior["sweep"].values.tolist() == list(range(3, 601, 3))
    assert tree["sample_stats"]["acceptance_rate"].sizes == {"chain": 64}
    order = posterior["short_range_order"]
    np.testing.assert_array_equal(order, canonical.observables["short_range_order"])
    assert all(dim in posterior.coords for dim in order.dims)
    of_one = posterior[["energy", "short_range_order"]].isel(chain=posterior["temperature"].values == 900)
    of_one = of_one.isel(draw=slice(DROP, None))
    r_hat, size = arviz_stats.rhat(of_one), arviz_stats.ess(of_one, method="mean")
    summary = canonical.summary(DROP).loc[canonical.conditions[0]]
    for variable, label in ((lambda x: x["energy"], "energy"), (_first_component, "short_range_order[0, 1]")):
        assert float(variable(r_hat)) == pytest.approx(summary.loc[label, "r_hat"])
        assert float(variable(size)) == pytest.approx(summary.loc[label, "ess"])
    posterior = semi_grand.to_datatree()["posterior"].to_dataset()
    fraction = posterior["composition"].sel(composition_species="Au").squeeze("composition_sublattice")
    np.testing.assert_allclose(fraction, posterior["counts"].sel(species="Au") / 8)


def _first_component(statistics):
    return statistics["short_range_order"].values[0, 1]


def test_accumulated_observables_are_no_part_of_the_tables(hamiltonian):
    mean_code = lambda occupancy: jnp.mean(occupancy, axis=1)
    result = jaxce.run_monte_carlo(
        jax.random.key(0), hamiltonian, np.zeros((2, 16), dtype=np.int8), jaxce.SemiGrand(), temperature=900.0,
        num_sweeps=10, observables={"moments": jaxce.Moments(composition(CELL)), "code": mean_code},
    )  # fmt: skip
    assert set(result.quantities()) == {"energy", "Cu", "Au", "O", "code"}
    gold = result.counts[..., result.species.index("Au")]
    assert result.observables["moments"].count == 10
    np.testing.assert_allclose(np.sum(result.observables["moments"].mean, axis=-1), 1.0)
    np.testing.assert_allclose(
        np.max(result.observables["moments"].mean[:, 0], axis=-1) * 8,
        [max(np.mean(row), 8 - np.mean(row)) for row in gold],
    )
    np.testing.assert_allclose(result.observables["code"], gold / 16)
    assert set(result.to_datatree()["posterior"].data_vars) == {"energy", "counts", "code"}


def test_acceptance_is_of_all_proposals(hamiltonian):
    """At infinite temperature every flip that can be drawn is accepted, at zero none that costs energy."""
    run = lambda kelvin: jaxce.run_monte_carlo(
        jax.random.key(0), hamiltonian, np.zeros((2, 16), dtype=np.int8), jaxce.SemiGrand({"Au": -10.0}),
        temperature=kelvin, num_sweeps=50,
    )  # fmt: skip
    np.testing.assert_array_equal(run(1.0).acceptance_rate, 0)
    hot = run(1e9).acceptance_rate
    assert np.all((hot > 0.5) & (hot <= 1))


def test_the_drift_of_running_energies_is_measured_and_taken_out(monkeypatch):
    """Each accepted step adds an error; the energies of samples have none, and count anew from there."""
    original, error = EnergyChanges.change, 1e-3
    monkeypatch.setattr(EnergyChanges, "change", lambda *arguments: original(*arguments) + error)
    # A cell of this shape is in no other test: compiled functions that are kept have the error.
    supercell = jaxce.Supercell(PRIM, [1, 1, 7])
    space = jaxce.ClusterSpace(PRIM, {2: 4.1})
    expansion = jaxce.ClusterExpansion(space, np.linspace(0.01, 0.02, space.num_correlations))
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
    run = lambda sample_every: jaxce.run_monte_carlo(
        jax.random.key(0), hamiltonian, np.zeros((5, 14), dtype=np.int8), jaxce.SemiGrand(), temperature=1e7,
        num_sweeps=12, sample_every=sample_every, observables={"energy_again": lambda o: jaxce.energy(hamiltonian, o)},
    )  # fmt: skip
    once, often = run(12), run(3)
    np.testing.assert_allclose(once.energy_drift, error * once.acceptance_rate * 12 * 7, rtol=1e-6)
    np.testing.assert_allclose(often.acceptance_rate, once.acceptance_rate)
    # The largest of four parts.
    assert np.all(often.energy_drift <= error * 3 * 7 * (1 + 1e-9))
    assert np.all(often.energy_drift >= once.energy_drift / 4 - 1e-12)
    np.testing.assert_allclose(often.energy, often.observables["energy_again"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_progress_is_shown_if_it_is_wanted(hamiltonian, capsys, monkeypatch, terminal):
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    start = np.zeros((2, 16), dtype=np.int8)
    run = lambda **keywords: jaxce.run_monte_carlo(
        jax.random.key(0), hamiltonian, start, jaxce.SemiGrand(), temperature=900.0, num_sweeps=20, sample_every=2,
        **keywords,
    )  # fmt: skip
    quiet = run()
    assert capsys.readouterr().out == ""
    shown = run(progress=True)
    text = capsys.readouterr().out
    for part in ("20/20 sweeps", "steps/s", "% accepted", "eV", "R-hat"):
        assert part in " ".join(text.split())
    assert ("\x1b[" in text) == (terminal == "1")
    np.testing.assert_array_equal(shown.energy, quiet.energy)


def test_one_ladder_has_its_statistics_in_the_order_of_its_rungs(hamiltonian):
    start = jaxce.random_occupancy(jax.random.key(0), CELL, {"Cu": 5, "Au": 3, "O": 8}, (1,))
    kelvin = [800.0, 1500.0, 4000.0]
    result = jaxce.run_tempering(jax.random.key(0), hamiltonian, start, temperatures=kelvin, num_sweeps=300)
    assert result.chains.conditions.tolist() == [0, 1, 2]
    plain = result.energy[0].var(axis=1) / (ase.units.kB * np.array(kelvin)) ** 2 / 8
    np.testing.assert_allclose([estimate.value for estimate in result.heat_capacity()], plain, rtol=0.2)
    means = result.summary().xs("energy", level="quantity")["mean"]
    np.testing.assert_allclose(means, result.energy[0].mean(axis=1))


@pytest.mark.parametrize("name", ["energy", "Au", "counts"])
def test_an_observable_cannot_take_the_name_of_what_is_measured_anyway(hamiltonian, name):
    with pytest.raises(ValueError, match=name):
        jaxce.run_monte_carlo(
            jax.random.key(0), hamiltonian, np.zeros((1, 16), dtype=np.int8), jaxce.SemiGrand(), temperature=900.0,
            num_sweeps=2, observables={name: lambda occupancy: occupancy[:, 0]},
        )  # fmt: skip
