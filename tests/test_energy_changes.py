"""Energy changes of chains: every method against full energies, on cells whose clusters meet their own images."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce import change_tables
from jaxce.cluster_changes import Memory
from jaxce.energy_changes import EnergyChanges, Substitution, energy_changes, term_changes
from jaxce.sampling import run_setup

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
SITES = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]


class Case(NamedTuple):
    hamiltonian: Any
    num_species: np.ndarray


def case_of(prim, cutoffs, transformation, *, with_pair_term=False, basis="indicator"):
    space = jaxce.ClusterSpace(prim, cutoffs, site_basis=basis)
    rng = np.random.default_rng(0)
    expansion = jaxce.ClusterExpansion(space, rng.normal(size=space.num_correlations))
    supercell = jaxce.Supercell(prim, transformation)
    slots = prim.num_species[supercell.prim_sites].sum()
    terms = [jaxce.build_pair_term(supercell, rng.normal(size=(slots, slots)))] if with_pair_term else []
    hamiltonian = jaxce.build_hamiltonian(expansion, supercell, pair_terms=terms)
    return Case(hamiltonian, prim.num_species[supercell.prim_sites])


CASES = {
    "binary": lambda: case_of(jaxce.Prim(FCC, [[0, 0, 0]], [["Cu", "Au"]]), {2: 4.1, 3: 3.0, 4: 3.0}, 2),
    "binary, roomy": lambda: case_of(jaxce.Prim(FCC, [[0, 0, 0]], [["Cu", "Au"]]), {2: 4.1, 3: 3.0, 4: 3.0}, 5),
    "quaternary with quadruplets": lambda: case_of(
        jaxce.Prim(FCC, [[0, 0, 0]], [["Cu", "Au", "Pd", "Ag"]]), {2: 4.1, 3: 3.0, 4: 3.0}, [2, 2, 3]
    ),
    "sublattices": lambda: case_of(
        jaxce.Prim(FCC, SITES, [["Ni", "Mg", "Co"], ["O", "X"], ["O"]]), {2: 4.1, 3: 3.5}, [2, 2, 1]
    ),
    "pairs only": lambda: case_of(jaxce.Prim(FCC, SITES, [["Ni", "Mg", "Co"], ["O", "X"], ["O", "X"]]), {2: 3.0}, 2),
    "a pair matrix besides": lambda: case_of(
        jaxce.Prim(FCC, SITES, [["Ni", "Mg", "Co"], ["O", "X"], ["O"]]), {2: 3.0, 3: 3.0}, 2, with_pair_term=True
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]()


def random_move(case, num_sites, occupancy, rng):
    """Sites and their old and new codes; of two sites, half of the time an exchange if it can be."""
    active = np.flatnonzero(case.num_species > 1)
    sites = rng.choice(active, size=num_sites, replace=False)
    if num_sites == 2 and rng.integers(2):
        first = sites[0]
        unlike = np.flatnonzero((case.num_species == case.num_species[first]) & (occupancy != occupancy[first]))
        if len(unlike):
            sites = np.array([first, rng.choice(unlike)])
            return sites, occupancy[sites].astype(int), occupancy[sites[::-1]].astype(int)
    old = occupancy[sites].astype(int)
    return sites, old, (old + rng.integers(1, case.num_species[sites])) % case.num_species[sites]


def substitution(sites, old, new, *, is_reversed=False):
    lists = [[jnp.asarray(x, jnp.int32) for x in part] for part in (sites, old, new)]
    forward = list(zip(*(lists[:0:-1] if is_reversed else lists[1:]), strict=True))
    return Substitution(*lists, lists[0], forward)


# Each layout and each number of sites with every case; all pairs of them in the slow tests.
FAST = {("mapped", 1), ("matrix", 2), ("slots", 3)}


@pytest.mark.parametrize(
    ("layout", "num_sites"),
    [
        pytest.param(layout, number, marks=[] if (layout, number) in FAST else [pytest.mark.slow])
        for layout in ("mapped", "slots", "matrix")
        for number in (1, 2, 3)
    ],
)
@pytest.mark.parametrize("method", ["environment", "fields"])
def test_changes_and_what_is_remembered_are_those_of_full_energies(case, method, layout, num_sites, monkeypatch):
    monkeypatch.setattr(change_tables, "_LARGEST_MATRIX", 512 if layout == "matrix" else 0)
    is_mapped = layout == "mapped"
    changes = energy_changes(case.hamiltonian, method, is_mapped=is_mapped).using(fields=method == "fields")
    rng = np.random.default_rng(num_sites)
    occupancy = rng.integers(0, case.num_species).astype(np.int8)

    @jax.jit
    def one(memory, sites, old, new):
        move = substitution(sites, old, new)
        delta = changes.change(memory, move)
        other_way = changes.change(memory, substitution(sites, old, new, is_reversed=True))
        accepted = changes.settle(memory, move, jnp.asarray(True))
        return delta, other_way, accepted, changes.settle(memory, move, jnp.asarray(False))

    fresh = jax.jit(lambda o: changes.start(o, changes.fields(o)))
    energy = jax.jit(jaxce.energy)
    memory = fresh(occupancy)
    for _ in range(16):
        sites, old, new = random_move(case, num_sites, occupancy, rng)
        after = occupancy.copy()
        after[sites] = new
        delta, other_way, accepted, rejected = one(memory, sites, old, new)
        expected = energy(case.hamiltonian, after) - energy(case.hamiltonian, occupancy)
        np.testing.assert_allclose([delta, other_way], [expected, expected], rtol=0, atol=1e-10)
        assert_same(rejected, memory)
        memory, occupancy = accepted, after
        assert_same(memory, fresh(occupancy))


def assert_same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        if isinstance(mine, Memory):
            np.testing.assert_array_equal(mine.values, theirs.values)
            assert not np.any(np.asarray(mine.values)[-1])
            # What the null site gathers is never read.
            mine, theirs = (
                part._replace(fields=jax.tree.map(lambda f: f[:-1], part.fields)) for part in (mine, theirs)
            )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-10), mine, theirs)


def test_fields_of_many_cells_are_made_in_blocks():
    case = case_of(jaxce.Prim(FCC, [[0, 0, 0]], [["Cu", "Au", "Pd"]]), {2: 4.1, 3: 3.0}, [17, 17, 17])
    (term,) = case.hamiltonian.terms
    (changes,) = term_changes(term, has_fields=True, is_mapped=False)
    occupancy = np.random.default_rng(0).integers(0, 3, size=17**3).astype(np.int8)
    fields = jax.jit(changes.fields)(occupancy)[:-1]
    potentials = np.einsum("sf,if->is", np.asarray(changes.site_functions)[0], np.asarray(fields))
    expected = jaxce.substitution_energies(case.hamiltonian, occupancy)
    present = np.take_along_axis(potentials, occupancy[:, None].astype(int), axis=1)
    np.testing.assert_allclose(potentials - present, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("method", "is_mapped"), [("auto", False), ("fields", False), ("environment", True)])
def test_methods_give_the_same_chains(monkeypatch, method, is_mapped):
    case = CASES["a pair matrix besides"]()
    occupancy = np.random.default_rng(3).integers(0, case.num_species, size=(4, len(case.num_species))).astype(np.int8)
    run = lambda method: jaxce.run_monte_carlo(
        jax.random.key(0), case.hamiltonian, occupancy, jaxce.SemiGrand({"Mg": 0.2}), method=method,
        temperature=np.geomspace(1e5, 1e3, 150)[:, None], num_sweeps=150, sample_every=3,
    )  # fmt: skip
    monkeypatch.setattr(run_setup, "_are_chains_mapped", lambda *_: False)
    first = run("environment")
    monkeypatch.setattr(run_setup, "_are_chains_mapped", lambda *_: is_mapped)
    other = run(method)
    np.testing.assert_allclose(other.energy, first.energy, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(other.occupancy, first.occupancy)
    np.testing.assert_array_equal(other.acceptance_rate, first.acceptance_rate)
    # Hot at first, where few moves are rejected, and cold at last.
    assert 0.05 < first.acceptance_rate.mean() < 0.6


def test_chains_take_their_steps_together_in_small_cells_and_where_xla_does_not_make_one_function_of_them(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(jax, "__version_info__", (0, 12, 0))
    for chains, sites, expected in ((64, 160, False), (16, 16, True), (64, 64, False), (4, 16, False)):
        assert run_setup._are_chains_mapped(chains, sites) == expected
    monkeypatch.setattr(jax, "__version_info__", (0, 10, 1))
    for chains, sites, expected in ((64, 160, True), (1, 160, False), (64, 2000, False)):
        with pytest.warns(UserWarning, match="several times faster with XLA_FLAGS"):
            assert run_setup._are_chains_mapped(chains, sites) == expected
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000")
    assert not run_setup._are_chains_mapped(64, 160)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert run_setup._are_chains_mapped(1, 10**6)


def test_an_unknown_method_or_term_is_refused():
    case = CASES["pairs only"]()
    with pytest.raises(ValueError, match=r"`method` must be one of auto, environment, fields, but is 'fast'\."):
        energy_changes(case.hamiltonian, "fast", is_mapped=False)
    strange = dataclasses.replace(case.hamiltonian, terms=("a term",))
    with pytest.raises(TypeError, match="str is no term for Monte Carlo"):
        energy_changes(strange, "auto", is_mapped=False)
    assert isinstance(energy_changes(case.hamiltonian, "auto", is_mapped=True), EnergyChanges)
