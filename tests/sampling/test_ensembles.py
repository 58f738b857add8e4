"""Every ensemble against full enumeration: histograms of states of small cells, from independent chains."""

import dataclasses

import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

import jaxce
from jaxce.sampling.ensemble_parameters import charge_of_name
from jaxce.sampling.ensembles import check_ensemble

KELVIN = 1200.0
CUBE = 4.0 * np.eye(3)
TWO = [[0, 0, 0], [0.5, 0.5, 0.5]]


# The slow tests see smaller deviations.
@pytest.fixture(params=[2500, pytest.param(10_000, marks=pytest.mark.slow)], autouse=True)
def num_chains(request, monkeypatch):
    monkeypatch.setattr(Crystal, "num_chains", request.param)


class Crystal:
    """A small supercell with a random Hamiltonian, and all its states."""

    num_chains = 2500

    def __init__(self, prim, cutoffs, transformation, scale=0.01):
        self.space = jaxce.ClusterSpace(prim, cutoffs)
        ecis = np.random.default_rng(0).normal(scale=scale, size=self.space.num_correlations)
        expansion = jaxce.ClusterExpansion(self.space, ecis * self.space.multiplicities)
        self.supercell = jaxce.Supercell(prim, transformation)
        self.hamiltonian = jaxce.build_hamiltonian(expansion, self.supercell)
        numbers = prim.num_species[self.supercell.prim_sites]
        self.states = np.stack(np.unravel_index(np.arange(np.prod(numbers)), numbers), axis=1).astype(np.int8)
        self.names = np.array([[self.supercell.species[s][c] for s, c in enumerate(state)] for state in self.states])
        self.log_boltzmann = -np.asarray(jax.jit(jaxce.energy)(self.hamiltonian, self.states)) / (ase.units.kB * KELVIN)

    def count(self, name, sites=slice(None)):
        """Number of sites with a species in every state."""
        return np.sum(self.names[:, sites] == name, axis=1)

    def sites(self, sublattice):
        return next(s.sites for s in self.supercell.sublattices if s.name == sublattice)

    def run(self, start, ensemble, num_sweeps=40, seed=1, **keywords):
        """Final occupancies of independent chains from one start."""
        occupancy = np.tile(np.asarray(start, dtype=np.int8), (self.num_chains, 1))
        return jaxce.run_monte_carlo(
            jax.random.key(seed),
            self.hamiltonian,
            occupancy,
            ensemble,
            temperature=KELVIN,
            num_sweeps=num_sweeps,
            sample_every=num_sweeps,
            **keywords,
        )

    def check(self, result, log_weights):
        """Chi-square test of the final occupancies; log weights are -inf where a state cannot be."""
        row_of = {state.tobytes(): row for row, state in enumerate(self.states)}
        rows = [row_of[occupancy.tobytes()] for occupancy in np.asarray(result.occupancy, dtype=np.int8)]
        probabilities = np.exp(log_weights - np.logaddexp.reduce(log_weights))
        found, expected = np.bincount(rows, minlength=len(self.states)), len(rows) * probabilities
        assert np.all(found[probabilities == 0] == 0)
        rare = expected < 10
        found, expected = np.append(found[~rare], found[rare].sum()), np.append(expected[~rare], expected[rare].sum())
        assert len(expected) > 8
        assert chisquare(found[expected > 0], expected[expected > 0]).pvalue > 1e-3


@pytest.fixture(scope="module")
def shared():
    """Six sites, two sublattices that share magnesium and the vacancy."""
    return Crystal(jaxce.Prim(CUBE, TWO, [["Li", "Mg", "X"], ["O", "X", "Mg"]]), {2: 4.1, 3: 4.1}, [1, 1, 3])


@pytest.fixture(scope="module")
def oxide():
    """Six sites: two of three species, four of two that symmetry makes equivalent in pairs."""
    lattice = np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]])
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    return Crystal(
        jaxce.Prim(lattice, sites, [["Ni", "Mg", "Co"], ["O", "X"], ["O", "X"]]), {2: 3.0}, [2, 1, 1], scale=0.004
    )


@pytest.fixture(scope="module")
def alloy():
    """Eight fcc sites of two species."""
    lattice = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
    return Crystal(jaxce.Prim(lattice, [[0, 0, 0]], [["Cu", "Au"]]), {2: 4.1, 3: 3.0}, 2, scale=0.02)


@pytest.fixture(scope="module")
def manganate():
    """Eight sites of four species with charges 1 to 4."""
    return Crystal(jaxce.Prim(CUBE, [[0, 0, 0]], [["Li", "Mn2", "Mn3", "Mn4"]]), {2: 4.1}, 2, scale=0.01)


def test_global_exchange_keeps_totals_only(shared):
    start = [0, 1, 1, 0, 1, 1]
    totals = {"Li": 1, "Mg": 2, "X": 2, "O": 1}
    can_be = np.all([shared.count(name) == number for name, number in totals.items()], axis=0)
    assert can_be.sum() == 54
    result = shared.run(start, jaxce.Canonical("global"))
    shared.check(result, np.where(can_be, shared.log_boltzmann, -np.inf))


@pytest.mark.slow
def test_exchange_within_sublattices_keeps_the_composition_of_each(shared):
    result = shared.run([0, 1, 1, 0, 1, 1], jaxce.Canonical())
    first, second = (shared.sites(name) for name in ("A", "B"))
    can_be = (shared.count("Mg", first) == 2) & (shared.count("Li") == 1)
    can_be &= (shared.count("X", second) == 2) & (shared.count("O") == 1)
    shared.check(result, np.where(can_be, shared.log_boltzmann, -np.inf))


def test_hybrid_has_a_different_ensemble_on_each_sublattice(oxide):
    metal, oxygen = oxide.supercell.sublattices[0].name, oxide.supercell.sublattices[1].name
    ensemble = jaxce.Hybrid({metal: jaxce.Canonical(), oxygen: jaxce.SemiGrand({"X": 0.05})})
    can_be = (oxide.count("Ni") == 1) & (oxide.count("Co") == 1)
    work = 0.05 * oxide.count("X") / (ase.units.kB * KELVIN)
    result = oxide.run([0, 2, 0, 0, 0, 0], ensemble)
    oxide.check(result, np.where(can_be, oxide.log_boltzmann + work, -np.inf))


def test_hybrid_leaves_a_sublattice_without_ensemble_alone(oxide):
    metal, oxygen = (sublattice.name for sublattice in oxide.supercell.sublattices)
    ensemble = jaxce.Hybrid({metal: None, oxygen: jaxce.SemiGrand()})
    can_be = np.all(oxide.states[:, :2] == [0, 2], axis=1)
    oxide.check(oxide.run([0, 2, 0, 0, 0, 0], ensemble), np.where(can_be, oxide.log_boltzmann, -np.inf))


def test_variance_constrained_weights(alloy):
    phi, kappa = -0.7, 3.0
    concentration = alloy.count("Au") / 8
    log_weights = alloy.log_boltzmann - kappa * 8 * (concentration + phi / 2) ** 2
    alloy.check(alloy.run(np.zeros(8), jaxce.VCSGC({"Au": phi}, kappa)), log_weights)


@pytest.mark.slow
def test_variance_constrained_weights_of_three_species(oxide):
    metal, oxygen = (sublattice.name for sublattice in oxide.supercell.sublattices)
    ensemble = jaxce.Hybrid(
        {metal: jaxce.VCSGC({"Mg": -0.6, "Co": -0.4}, 2.0), oxygen: jaxce.VCSGC({oxygen: {"X": -0.5}}, 1.0)}
    )
    log_weights = oxide.log_boltzmann.copy()
    for name, phi, kappa, number in (("Mg", -0.6, 2.0, 2), ("Co", -0.4, 2.0, 2), ("X", -0.5, 1.0, 4)):
        log_weights -= kappa * number * (oxide.count(name) / number + phi / 2) ** 2
    oxide.check(oxide.run(np.zeros(6), ensemble), log_weights)


def test_charge_neutral_chains_on_unequal_sublattices():
    """Charges 2/3 | 4/3 | -2/0: vectors of two and of three sites, drawn from lists of unlike lengths."""
    prim = jaxce.Prim(CUBE, [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]], [["Sr", "La"], ["Ti", "Fe"], ["O", "X"]])
    crystal = Crystal(prim, {2: 3.0}, [1, 1, 3])
    charges = {"Sr": 2, "La": 3, "Ti": 0, "Fe": -1, "O": -2}
    net = sum(charge * crystal.count(name) for name, charge in charges.items())
    work = (0.1 * crystal.count("La") - 0.07 * crystal.count("X")) / (ase.units.kB * KELVIN)
    ensemble = jaxce.ChargeNeutral(charges, {"La": 0.1, "X": -0.07})
    result = crystal.run([0] * 9, ensemble, num_sweeps=80)
    crystal.check(result, np.where(net == 0, crystal.log_boltzmann + work, -np.inf))


@pytest.mark.slow
def test_four_species_with_a_charge_visit_all_compositions(manganate):
    start = [0, 0, 0, 2, 2, 3, 1, 1]
    constraint = {"Li": 1, "Mn2": 2, "Mn3": 3, "Mn4": 4}
    assert sum(constraint[manganate.supercell.species[0][code]] for code in start) == 17
    net = sum(charge * manganate.count(name) for name, charge in constraint.items())
    result = manganate.run(start, jaxce.Constrained([constraint], {"Mn3": 0.02}))
    counts = np.stack([manganate.count(name) for name in constraint], axis=1)
    log_weights = np.where(net == 17, manganate.log_boltzmann + 0.02 * counts[:, 2] / (ase.units.kB * KELVIN), -np.inf)
    compositions, inverse = np.unique(counts[net == 17], axis=0, return_inverse=True)
    assert len(compositions) == 11
    probabilities = np.exp(log_weights[net == 17] - np.logaddexp.reduce(log_weights))
    expected = manganate.num_chains * np.bincount(inverse.ravel(), probabilities)
    final = np.stack([np.sum(np.asarray(result.occupancy) == code, axis=1) for code in range(4)], axis=1)
    found = np.array([np.sum(np.all(final == composition, axis=1)) for composition in compositions])
    assert found.sum() == manganate.num_chains
    assert chisquare(found, expected).pvalue > 1e-3


@pytest.mark.slow
def test_charges_are_read_from_names():
    prim = jaxce.Prim(CUBE, TWO, [["Li+", "Mn3+"], ["O2-", "F-"]])
    crystal = Crystal(prim, {2: 3.6}, [1, 1, 3])
    by_name, given = (jaxce.ChargeNeutral(c) for c in (None, {"Li+": 1, "Mn3+": 3, "O2-": -2, "F-": -1}))
    net = 1 * crystal.count("Li+") + 3 * crystal.count("Mn3+") - 2 * crystal.count("O2-") - crystal.count("F-")
    start = crystal.states[np.flatnonzero(net == 0)[3]]
    results = [crystal.run(start, ensemble, num_sweeps=20) for ensemble in (by_name, given)]
    np.testing.assert_array_equal(results[0].occupancy, results[1].occupancy)
    assert np.ptp(results[0].energy) > 0


def test_a_proposal_of_ones_own_with_unequal_probabilities(alloy):
    """Flips that favour the first species by far: right only with the ratio of the probabilities."""

    def propose(key, occupancy):
        site_key, code_key = jax.random.split(key)
        site = jax.random.randint(site_key, (), 0, 8)
        code = jax.random.bernoulli(code_key, 0.2).astype(jnp.int8)
        old = occupancy[site]
        log_ratio = jnp.log(jnp.where(old == 1, 0.2, 0.8)) - jnp.log(jnp.where(code == 1, 0.2, 0.8))
        return site, code, log_ratio

    moves = jaxce.Moves(proposals=[jaxce.Proposal(propose, steps=8)], without_defaults=True)
    result = alloy.run(np.zeros(8), jaxce.SemiGrand({"Au": 0.03}), moves=moves)
    alloy.check(result, alloy.log_boltzmann + 0.03 * alloy.count("Au") / (ase.units.kB * KELVIN))


@pytest.mark.slow
def test_a_proposal_of_several_sites_beside_the_others(alloy):
    def propose(key, occupancy):
        sites = jax.random.choice(key, 8, (3,), replace=False)
        return sites, 1 - occupancy[sites], 0.0

    moves = jaxce.Moves(proposals=[jaxce.Proposal(propose, steps=2)])
    alloy.check(alloy.run(np.zeros(8), jaxce.SemiGrand(), num_sweeps=50, moves=moves), alloy.log_boltzmann)


@pytest.mark.slow
def test_flip_vectors_of_ones_own_are_additional_moves(oxide):
    metal, oxygen = (sublattice.name for sublattice in oxide.supercell.sublattices)
    vector = {metal: {"Ni": -1, "Co": 1}, oxygen: {"O": -2, "X": 2}}
    moves = jaxce.Moves(flip_vectors=[vector])
    oxide.check(oxide.run(np.zeros(6), jaxce.SemiGrand(), moves=moves), oxide.log_boltzmann)


@pytest.mark.parametrize("ensemble", [jaxce.Canonical(), pytest.param(jaxce.SemiGrand(), marks=pytest.mark.slow)])
def test_frozen_sites_stay_as_they_are(alloy, ensemble):
    moves = jaxce.Moves(frozen_sites=[1, 6])
    start = [0, 1, 0, 1, 0, 1, 0, 1]
    can_be = (alloy.states[:, 1] == 1) & (alloy.states[:, 6] == 0)
    if ensemble == jaxce.Canonical():
        can_be &= alloy.count("Au") == 4
    alloy.check(alloy.run(start, ensemble, moves=moves), np.where(can_be, alloy.log_boltzmann, -np.inf))


@pytest.mark.slow
def test_variance_constraint_counts_frozen_sites_too(alloy):
    moves = jaxce.Moves(frozen_sites=[1, 6])
    can_be = (alloy.states[:, 1] == 1) & (alloy.states[:, 6] == 1)
    log_weights = alloy.log_boltzmann - 4.0 * 8 * (alloy.count("Au") / 8 - 0.25) ** 2
    result = alloy.run([0, 1, 0, 0, 0, 0, 1, 0], jaxce.VCSGC({"Au": -0.5}, 4.0), moves=moves)
    alloy.check(result, np.where(can_be, log_weights, -np.inf))


@pytest.mark.slow
def test_sublattice_weights_change_rates_and_not_averages(oxide):
    oxygen = oxide.supercell.sublattices[1].name
    moves = jaxce.Moves(sublattice_weights={oxygen: 0.25})
    oxide.check(oxide.run(np.zeros(6), jaxce.SemiGrand(), num_sweeps=80, moves=moves), oxide.log_boltzmann)
    left_out = jaxce.Moves(sublattice_weights={oxygen: 0})
    result = oxide.run(np.zeros(6), jaxce.SemiGrand(), num_sweeps=20, moves=left_out)
    assert np.all(np.asarray(result.occupancy)[:, 2:] == 0)
    assert np.any(np.asarray(result.occupancy)[:, :2] > 0)


@pytest.mark.slow
def test_chemical_potentials_by_sublattice(shared):
    ensemble = jaxce.SemiGrand({"A": {"X": 0.06}, "B": {"X": -0.04, "Mg": 0.03}})
    first, second = (shared.sites(name) for name in ("A", "B"))
    work = 0.06 * shared.count("X", first) - 0.04 * shared.count("X", second) + 0.03 * shared.count("Mg", second)
    result = shared.run(np.zeros(6), ensemble)
    shared.check(result, shared.log_boltzmann + work / (ase.units.kB * KELVIN))
    np.testing.assert_allclose(result.work[:, -1], _work(shared, result), atol=1e-12)


def _work(shared, result):
    row_of = {state.tobytes(): row for row, state in enumerate(shared.states)}
    rows = [row_of[occupancy.tobytes()] for occupancy in np.asarray(result.occupancy, dtype=np.int8)]
    first, second = (shared.sites(name) for name in ("A", "B"))
    work = 0.06 * shared.count("X", first) - 0.04 * shared.count("X", second) + 0.03 * shared.count("Mg", second)
    return work[rows]


def test_a_pair_matrix_is_sampled_like_clusters():
    lattice = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
    crystal = Crystal(jaxce.Prim(lattice, [[0, 0, 0]], [["Cu", "Au"]]), {2: 3.0}, 2)
    matrix = np.random.default_rng(1).normal(scale=0.03, size=(16, 16))
    term = jaxce.build_pair_term(crystal.supercell, matrix)
    crystal.hamiltonian = dataclasses.replace(crystal.hamiltonian, terms=(*crystal.hamiltonian.terms, term))
    log_weights = -np.asarray(jaxce.energy(crystal.hamiltonian, crystal.states)) / (ase.units.kB * KELVIN)
    assert np.std(log_weights - crystal.log_boltzmann) > 0.5
    crystal.check(crystal.run(np.zeros(8), jaxce.SemiGrand()), log_weights)
    has_three = crystal.count("Au") == 3
    result = crystal.run([1, 1, 1, 0, 0, 0, 0, 0], jaxce.Canonical())
    crystal.check(result, np.where(has_three, log_weights, -np.inf))


@pytest.mark.slow
def test_chains_are_independent_although_they_share_the_kinds_of_moves(alloy):
    """Pairs of chains over many runs: the energies at the end do not correlate."""
    energies = []
    for seed in range(40):
        occupancy = np.zeros((64, 8), dtype=np.int8)
        result = jaxce.run_monte_carlo(
            jax.random.key(seed), alloy.hamiltonian, occupancy, jaxce.SemiGrand(), temperature=KELVIN, num_sweeps=30,
            sample_every=30,
        )  # fmt: skip
        energies.append(result.energy[:, -1])
    energies = np.array(energies)
    # If chains were dependent, the means of runs would scatter more than their 64 chains allow.
    scatter = 64 * energies.mean(axis=1).var(ddof=1) / energies.var()
    assert 0.45 < scatter < 1.75


@pytest.mark.parametrize(("name", "charge"), [("Mn3+", 3), ("Mn2.5+", 2.5), ("Na+", 1), ("O2-", -2), ("F-", -1)])
def test_names_tell_charges(name, charge):
    assert charge_of_name(name) == charge
    assert charge_of_name(name[:-1]) is None


def test_what_an_ensemble_cannot_be_is_said(shared, oxide, alloy):
    metal, oxygen = (sublattice.name for sublattice in oxide.supercell.sublattices)

    def run(crystal, ensemble, **keywords):
        occupancy = np.zeros((1, crystal.supercell.num_sites), dtype=np.int8)
        return jaxce.run_monte_carlo(
            jax.random.key(0), crystal.hamiltonian, occupancy, ensemble, temperature=500.0, num_sweeps=2, **keywords
        )

    with_fixed = Crystal(jaxce.Prim(CUBE, TWO, [["Cu", "X"], ["O2-"]]), {2: 4.1}, [2, 1, 1])
    charges = {"Ni": 2, "Mg": 2, "Co": 3, "O": -2}
    cases = (
        (lambda: jaxce.Canonical("everywhere"), "global"),
        (lambda: run(oxide, jaxce.Hybrid({metal: jaxce.Canonical()})), "each of the sublattices"),
        (lambda: run(oxide, jaxce.Hybrid({metal: jaxce.Canonical("global"), oxygen: None})), "must be Canonical"),
        (lambda: run(alloy, jaxce.VCSGC({})), "must name a species"),
        (lambda: check_ensemble("canonical"), r"such as jaxce\.Canonical\(\), but is 'canonical'"),
        (lambda: check_ensemble(jaxce.SemiGrand), "but is <class"),
        (lambda: run(with_fixed, jaxce.VCSGC({"Cu": -1, "O2-": -1})), r"names \['O2-'\], .* cannot change"),
        (lambda: run(with_fixed, jaxce.ChargeNeutral({"Cu": 2, "O2-": -2, "X": 0, "Va": 1})), "vacancy twice"),
        (lambda: run(alloy, jaxce.SemiGrand({"Au": 1.0, "A": {"Au": 2.0}})), "Au on sublattice A is given twice"),
        (lambda: run(with_fixed, jaxce.SemiGrand({"X": 1.0, "Va": 2.0})), "given twice"),
        (lambda: run(alloy, jaxce.VCSGC({"Au": -1}, kappa=-1.0)), "positive"),
        (lambda: run(oxide, jaxce.ChargeNeutral(charges)), "charge is -4"),
        (lambda: run(oxide, jaxce.ChargeNeutral({"Ni": 2})), "missing"),
        (lambda: run(oxide, jaxce.ChargeNeutral(charges | {"Fe": 2})), "unknown"),
        (lambda: run(alloy, jaxce.ChargeNeutral({"Cu": 0.1234567, "Au": 0})), "fractions"),
        (lambda: run(alloy, jaxce.Constrained([])), "empty"),
        (lambda: run(alloy, jaxce.Constrained([{"Ag": 1}])), "Ag"),
        (lambda: run(alloy, jaxce.Constrained([{"Au": 0.5}])), "integers"),
        (lambda: run(oxide, jaxce.SemiGrand({"Z": {"X": 1.0}})), "the sublattices are"),
        (lambda: run(oxide, jaxce.SemiGrand({metal: {"X": 1.0}})), "given for 'X'"),
        (lambda: run(alloy, jaxce.Canonical()), "chain 0 is frozen"),
        (lambda: run(alloy, jaxce.SemiGrand(), moves=jaxce.Moves(frozen_sites=range(8))), "all sites .* are frozen"),
        (lambda: run(alloy, jaxce.SemiGrand(), moves=jaxce.Moves(frozen_sites=[8])), "from 0 to 7"),
        (lambda: run(alloy, jaxce.SemiGrand(), moves=jaxce.Moves(sublattice_weights={"B": 1})), "sublattice_weights"),
        (lambda: run(alloy, jaxce.SemiGrand(), moves=jaxce.Moves(without_defaults=True)), "leaves no move"),
        (lambda: run(alloy, jaxce.SemiGrand(), moves=jaxce.Moves(flip_vectors=[{"A": {"Cu": 1}}])), "add up to 0"),
        (
            lambda: run(shared, jaxce.Canonical("global"), moves=jaxce.Moves(sublattice_weights={"A": 0, "B": 0})),
            "frozen",
        ),
        (
            lambda: run(
                oxide,
                jaxce.SemiGrand(),
                moves=jaxce.Moves(frozen_sites=[0, 1], flip_vectors=[{metal: {"Ni": -1, "Co": 1}}]),
            ),
            "all frozen",
        ),
        (
            lambda: run(alloy, jaxce.Canonical(), moves=jaxce.Moves(flip_vectors=[{"A": {"Cu": -1, "Au": 1}}])),
            "conserves",
        ),
    )
    for build, message in cases:
        with pytest.raises(ValueError, match=message):
            build()
