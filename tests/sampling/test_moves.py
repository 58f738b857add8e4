"""Single steps of chains: lists, counts, energies, and exact detailed balance of small crystals."""

import itertools

import ase.units
import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.stats import chisquare

import jaxce
from jaxce.sampling import move_classes
from jaxce.sampling.move_classes import Change, MoveKind, swap
from jaxce.sampling.moves import Draws, Proposed, State, settle
from jaxce.sampling.sublattices import count_species
from jaxce.sampling.weights import Weight
from move_crystals import built, flips, swaps

KELVIN = 1200.0
BETA = 1 / (ase.units.kB * KELVIN)

# Two sites of one species and a third on another sublattice; and a chain a -> b -> c.
VECTOR = MoveKind((Change(0, 0, 2), Change(1, 0, 1), Change(1, 0, 1)), 1.0)
CHAIN = MoveKind((Change(0, 0, 1), Change(0, 1, 2)), 1.0)
CASES = {
    "binary swaps": ("alloy", swaps(0, 2)),
    "quaternary flips": ("quaternary", flips(0, 4) + flips(1, 3)),
    "quaternary swaps": ("quaternary", [*swaps(0, 4), *swaps(1, 3), CHAIN]),
    "flips in groups": ("oxide", flips(0, 3) + flips(1, 2)),
    "swaps between groups": ("oxide", swaps(0, 3) + swaps(1, 2)),
    "vectors": ("quaternary", [VECTOR, MoveKind((*swap(0, 0, 3), Change(1, 1, 2)), 1.0)]),
    "vectors in groups": ("oxide", [VECTOR]),
}


def the_case(request):
    name, kinds = CASES[request.param]
    crystal = request.getfixturevalue(name)
    return crystal, built(crystal, kinds)


# The others in the slow tests.
FAST = ("binary swaps", "quaternary swaps", "swaps between groups", "vectors in groups")


@pytest.fixture(params=[pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in CASES])
def case(request):
    return the_case(request)


@pytest.fixture(params=["quaternary swaps", "vectors in groups"])
def some_case(request):
    return the_case(request)


@jax.jit
def walked(move, changes, state, weight, key):
    """All states and proposals of the steps of one sweep."""
    class_key, draw_key = jax.random.split(key)
    steps = (move.draws(draw_key, state.energy.dtype), move.classes(class_key))

    def step(state, draws_and_class):
        draws, chosen = draws_and_class
        proposal = move.propose(draws, state, changes, weight, chosen)
        state = settle(state, proposal, changes)
        return state, (state, proposal)

    return jax.lax.scan(step, move.start(state), steps)[1]


@jax.jit
def started(move, state):
    return move.start(state)


def listed(move, lists):
    """Every list as a set of sites; none is listed twice."""
    longest = move.group_sites.shape[1]
    sites = np.asarray(lists.sites).reshape(-1, longest)
    parts = [row[:count].tolist() for row, count in zip(sites, np.asarray(lists.counts), strict=True)]
    assert all(len(set(part)) == len(part) for part in parts)
    return [set(part) for part in parts]


def expected_lists(move, occupancy):
    """The same by loops."""
    lists = []
    for sites, size in zip(np.asarray(move.group_sites), np.asarray(move.group_sizes), strict=True):
        members = sites[:size].tolist()
        lists += [{s for s in members if occupancy[s] == code} for code in range(move.num_species)]
    return lists


def assert_same(first, second):
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lists_counts_and_energies_are_right_after_every_step(case):
    crystal, move = case
    start = crystal.random_state(1)
    states, proposals = walked(move, crystal.changes, start, Weight(jnp.asarray(BETA / 3)), jax.random.key(2))
    is_accepted = np.asarray(proposals.is_accepted)
    assert 0.1 < is_accepted.mean() < 0.9
    occupancies = np.asarray(states.occupancy)
    np.testing.assert_array_equal(states.counts, count_species(crystal.sublattices, occupancies))
    energies = jax.jit(jaxce.energy)(crystal.hamiltonian, states.occupancy)
    np.testing.assert_allclose(
        states.energy, energies - jax.jit(jaxce.energy)(crystal.hamiltonian, start.occupancy), rtol=0, atol=1e-10
    )
    before = start.occupancy
    for index, occupancy in enumerate(occupancies):
        lists = jax.tree.map(lambda leaf, index=index: leaf[index], states.lists)
        assert listed(move, lists) == expected_lists(move, occupancy)
        # What is drawn changes, and nothing else; nothing at all if it is rejected.
        changed = np.flatnonzero(occupancy != before).tolist()
        drawn = sorted(int(place[index]) for place in proposals.move.sites)
        assert changed == (drawn if is_accepted[index] else [])
        before = occupancy
    # As if built anew.
    last = State(states.occupancy[-1], states.energy[-1], states.counts[-1])
    assert listed(move, started(move, last).lists) == listed(move, jax.tree.map(lambda leaf: leaf[-1], states.lists))


def test_a_rejected_step_changes_nothing(some_case):
    crystal, move = some_case
    state = started(move, crystal.random_state(3))
    draws = move.draws(jax.random.key(4), jnp.float64)
    draws = jax.tree.map(lambda leaf: leaf[:64], draws)
    is_forward = np.asarray(draws.words[-1] % 2 == 0)

    @jax.jit
    def step(log_uniform, beta, chosen):
        one = lambda d: move.propose(d, state, crystal.changes, Weight(beta), chosen)
        proposals = jax.vmap(one)(draws._replace(log_uniform=jnp.full(64, log_uniform)))
        return proposals, jax.vmap(settle, in_axes=(None, 0, None))(state, proposals, crystal.changes)

    for chosen in range(len(move.cumulative)):
        # Any rise of the energy is refused, ...
        proposals, after = step(0.0, 1e9, jnp.int32(chosen))
        is_accepted = np.asarray(proposals.is_accepted)
        assert not np.any(is_accepted & (np.asarray(proposals.energy_change) > 1e-6))
        for row in np.flatnonzero(~is_accepted)[:8]:
            assert_same(jax.tree.map(lambda leaf, row=row: leaf[row], after), state)
        # ... and with the smallest random number everything that can be is accepted.
        proposals, _ = step(-jnp.inf, BETA, jnp.int32(chosen))
        can_be = np.where(is_forward, *(_is_possible(move, state, chosen, way) for way in (True, False)))
        np.testing.assert_array_equal(proposals.is_accepted, can_be)


def _is_possible(move, state, chosen, is_forward):
    old = (move.old if is_forward else move.new)[chosen]
    taken = np.asarray(move.group[chosen] * move.num_species + old)
    return all(np.sum(taken == of) <= int(state.lists.counts[of]) for of in taken)


@pytest.mark.parametrize(
    "kind", [swap(0, 1, 2), (Change(0, 1, 2),), (Change(0, 1, 2), Change(0, 1, 2)), (Change(0, 0, 1), Change(1, 1, 2))]
)
def test_sites_that_are_missing_are_never_drawn(quaternary, kind):
    move = built(quaternary, [MoveKind(kind, 1.0)], steps=50)
    occupancy = np.zeros(quaternary.supercell.num_sites, dtype=np.int8)
    if kind[:1] == kind[1:]:
        # One site, where two are needed.
        occupancy[quaternary.sublattices[0].sites[5]] = 1
    state = started(move, quaternary.state(occupancy))
    draws = move.draws(jax.random.key(0), jnp.float64)._replace(log_uniform=jnp.full(50, -jnp.inf))

    @jax.jit
    @jax.vmap
    def step(draws):
        proposal = move.propose(draws, state, quaternary.changes, Weight(jnp.asarray(BETA)), jnp.int32(0))
        return proposal.is_accepted, settle(state, proposal, quaternary.changes)

    is_accepted, after = step(draws)
    assert not np.any(is_accepted)
    for row in range(50):
        assert_same(jax.tree.map(lambda leaf, row=row: leaf[row], after), state)


def test_two_sites_from_one_list_are_any_two_with_equal_probability(quaternary):
    sites = quaternary.sublattices[0].sites
    occupancy = np.zeros(quaternary.supercell.num_sites, dtype=np.int8)
    occupancy[sites[:5]] = 1
    move = built(quaternary, [MoveKind((Change(0, 1, 2), Change(0, 1, 3)), 1.0)], steps=20_000)
    state = started(move, quaternary.state(occupancy))
    draws = move.draws(jax.random.key(1), jnp.float64)
    # Forwards all of them: backwards there is nothing to draw.
    draws = draws._replace(words=(*draws.words[:-1], jnp.zeros_like(draws.words[-1])))
    weight = Weight(jnp.zeros(()))
    proposals = jax.jit(
        jax.vmap(lambda d: move.propose(d, state, quaternary.changes, weight, jnp.int32(0)).move.sites)
    )(draws)
    first, second = (np.asarray(places) for places in proposals)
    pairs = list(itertools.permutations(sites[:5].tolist(), 2))
    found = [np.sum((first == a) & (second == b)) for a, b in pairs]
    assert sum(found) == 20_000
    assert chisquare(found).pvalue > 1e-3


def test_both_directions_and_all_classes_are_chosen_in_proportion(quaternary):
    kinds = [MoveKind((Change(0, a, b),), 1.0 + a) for a, b in itertools.combinations(range(4), 2)]
    move = built(quaternary, kinds, steps=6000)
    state = started(move, quaternary.random_state(0))
    draws, classes = move.draws(jax.random.key(0), jnp.float64), move.classes(jax.random.key(1))
    weight = Weight(jnp.zeros(()))
    propose = lambda d, chosen: move.propose(d, state, quaternary.changes, weight, chosen).count_changes
    changes = np.asarray(jax.jit(jax.vmap(propose))(draws, classes))[:, 0]
    for kind, weights in zip(kinds, [1, 1, 1, 2, 2, 3], strict=True):
        (change,) = kind.changes
        ways = [np.sum((changes[:, a] == -1) & (changes[:, b] == 1)) for a, b in (change[1:], change[:0:-1])]
        # Within four standard errors.
        mean = 6000 * weights / 20
        assert np.all(np.abs(np.array(ways) - mean) < 4 * np.sqrt(mean))


# Exact transition matrices


@jax.jit
def all_outcomes(move, changes, states, weight, chosen, words):
    """`[states, draws]` the probability that a draw is accepted, and `[states, draws, sites]` where it then leads.

    The probability is where the random number just accepts the move, found by bisection.
    """

    def of_one(occupancy, counts, words):
        memory = changes.start(occupancy, changes.fields(occupancy))
        state = move.start(State(occupancy, jnp.zeros(()), counts, memory))
        decide = lambda level: move.propose(Draws(tuple(words), level), state, changes, weight, chosen)
        forced = decide(jnp.asarray(-64.0))

        def halve(_, bounds):
            low, high = bounds
            middle = (low + high) / 2
            is_accepted = decide(middle).is_accepted
            return jnp.where(is_accepted, middle, low), jnp.where(is_accepted, high, middle)

        low = jax.lax.fori_loop(0, 46, halve, (jnp.asarray(-64.0), jnp.asarray(0.0)))[0]
        return jnp.where(forced.is_accepted, jnp.exp(low), 0.0), settle(state, forced, changes).occupancy

    of_all_draws = jax.vmap(of_one, in_axes=(None, None, 0))
    return jax.vmap(of_all_draws, in_axes=(0, 0, None))(states.occupancy, states.counts, words)


def transition_matrices(move, crystal, occupancies, weight):
    """`[classes, states, states]` exact probabilities of one step, by all draws; without the diagonal."""
    # The length of any list divides the period, so that each of its sites is drawn equally often.
    period = {2: 2, 4: 12}[move.group_sites.shape[1]]
    words = np.array(list(itertools.product(*[range(period)] * move.group.shape[1], range(2))), dtype=np.uint32)
    counts = jnp.asarray(count_species(crystal.sublattices, occupancies), jnp.int32)
    states = State(jnp.asarray(occupancies), jnp.zeros(len(occupancies)), counts)
    row_of = {occupancy.tobytes(): row for row, occupancy in enumerate(occupancies)}
    matrices = np.zeros((len(move.cumulative), len(occupancies), len(occupancies)))
    rows = np.repeat(np.arange(len(occupancies)), len(words))
    for chosen, matrix in enumerate(matrices):
        probability, final = all_outcomes(move, crystal.changes, states, weight, jnp.int32(chosen), jnp.asarray(words))
        columns = [row_of[occupancy.tobytes()] for occupancy in np.asarray(final).reshape(len(rows), -1)]
        np.add.at(matrix, (rows, columns), np.asarray(probability).ravel() / len(words))
        np.fill_diagonal(matrix, 0)
    return matrices


BALANCED = {
    "flips": flips(0, 3) + flips(1, 2),
    "swaps": [*swaps(0, 3), *swaps(1, 2), CHAIN],
    "two from one list": [MoveKind((Change(1, 0, 1), Change(1, 0, 1)), 1.0)],
    "vectors": [VECTOR],
}


@pytest.mark.parametrize("in_groups", [False, True])
@pytest.mark.parametrize("name", BALANCED)
def test_every_class_is_in_detailed_balance(tiny, monkeypatch, name, in_groups):
    """pi_i P_ij = pi_j P_ji for all pairs of states, by all draws there are; of each class by itself."""
    monkeypatch.setattr(move_classes, "_SMALLEST_GROUP", 1 if in_groups else 100)
    move = built(tiny, BALANCED[name])
    uses_oxygen = any(change.sublattice == 1 for kind in BALANCED[name] for change in kind.changes)
    assert (move.like is not None) == (in_groups or not uses_oxygen)
    numbers = tiny.supercell.prim.num_species[tiny.supercell.prim_sites]
    occupancies = np.stack(np.unravel_index(np.arange(np.prod(numbers)), numbers), axis=1).astype(np.int8)
    rng = np.random.default_rng(5)
    potentials, stiffness, centre = (rng.normal(scale=scale, size=(2, 3)) for scale in (0.05, 0.2, 2.0))
    weight = Weight(*(jnp.asarray(array) for array in (BETA, potentials, np.abs(stiffness), centre)))
    matrices = transition_matrices(move, tiny, occupancies, weight)

    counts = count_species(tiny.sublattices, occupancies)
    energies = np.asarray(jax.jit(jaxce.energy)(tiny.hamiltonian, occupancies))
    log_weights = -BETA * (energies - np.sum(potentials * counts, axis=(1, 2)))
    log_weights -= np.sum(np.abs(stiffness) * (counts - centre) ** 2, axis=(1, 2))
    weights = np.exp(log_weights - log_weights.max())
    assert np.ptp(log_weights) > 2
    for matrix in matrices:
        assert matrix.sum(axis=1).max() <= 1 + 1e-12
        flow = weights[:, None] * matrix
        np.testing.assert_allclose(flow, flow.T, rtol=1e-8, atol=1e-15)
    assert np.count_nonzero(matrices.sum(axis=0)) > 20


# Compilation, keys, several chains


def test_a_step_is_traced_once_for_three_temperatures(some_case):
    crystal, move = some_case
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(lambda *a: move.propose(a[0], a[1], crystal.changes, a[2], a[3]), n=1))
    state = started(move, crystal.random_state(0))
    draws = jax.tree.map(lambda leaf: leaf[0], move.draws(jax.random.key(0), jnp.float64))
    for beta in (1.0, 10.0, 100.0):
        step(draws, state, Weight(jnp.asarray(beta)), jnp.int32(0))


def flip_any(key, occupancy):
    site = jax.random.randint(key, (), 0, occupancy.shape[0])
    return site, 1 - occupancy[site], 0.0


def proposed_of(crystal, function, steps=1):
    sublattice = np.full(crystal.supercell.num_sites, -1)
    for row, members in enumerate(crystal.sublattices):
        sublattice[members.movable] = row
    return Proposed(
        function=Partial(function),
        sublattice=jnp.asarray(sublattice, jnp.int32),
        num_species=jnp.asarray([len(members.species) for members in crystal.sublattices], jnp.int32),
        steps=steps,
    )


def test_every_key_is_used_once(alloy):
    state, weight = alloy.random_state(0), Weight(jnp.asarray(BETA))

    def sweep(move, key):
        class_key, draw_key = jax.random.split(key)
        draws, classes, here = move.draws(draw_key, jnp.float64), move.classes(class_key), move.start(state)
        for index in range(2):
            of_step = jax.tree.map(lambda leaf, index=index: leaf[index], draws)
            here = settle(here, move.propose(of_step, here, alloy.changes, weight, classes[index]), alloy.changes)
        return here.energy

    for move in (built(alloy, swaps(0, 2), steps=2), proposed_of(alloy, flip_any, steps=2)):
        with jax.debug_key_reuse(True):
            jax.jit(sweep)(move, jax.random.key(0))
    twice = proposed_of(alloy, lambda key, occupancy: flip_any(key, flip_any(key, occupancy)[1] + occupancy), steps=2)
    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(sweep)(twice, jax.random.key(0))


# Moves of users


@pytest.mark.parametrize(
    ("sites", "codes", "is_possible"),
    [
        ([0], [3], True),
        ([0, 1, 2], [1, 1, 1], True),
        ([0, 0], [1, 2], False),
        ([0, 1, 0], [1, 1, 1], False),
        ([24], [0], False),
        ([0, 24], [1, 0], False),
        ([0], [4], False),
        ([12], [3], False),
        ([12], [2], True),
        ([0], [-1], False),
        ([-1], [1], False),
    ],
)
def test_a_proposal_that_cannot_be_is_refused(quaternary, sites, codes, is_possible):
    # Sites 0 to 11 have four species, 12 to 23 three, and the rest one.
    num_sites = quaternary.supercell.num_sites
    # One more stands for a site beyond the end.
    first = np.append(np.argsort(quaternary.supercell.prim_sites, kind="stable"), num_sites)
    sites = jnp.asarray(first[np.array(sites)], jnp.int32)
    move = proposed_of(quaternary, lambda key, occupancy: (sites, jnp.asarray(codes, jnp.int32), 0.0))
    state = started(move, quaternary.state(np.zeros(quaternary.supercell.num_sites)))
    draws = (jax.random.key(0), jnp.asarray(-jnp.inf))
    proposal = move.propose(draws, state, quaternary.changes, Weight(jnp.asarray(BETA)), jnp.int32(0))
    assert bool(proposal.is_accepted) == is_possible
    after = settle(state, proposal, quaternary.changes)
    if is_possible:
        np.testing.assert_array_equal(after.occupancy[sites], codes)
        np.testing.assert_array_equal(
            after.counts, count_species(quaternary.sublattices, np.asarray(after.occupancy)[None])[0]
        )
        expected = jax.jit(jaxce.energy)(quaternary.hamiltonian, after.occupancy) - jax.jit(jaxce.energy)(
            quaternary.hamiltonian, state.occupancy
        )
        np.testing.assert_allclose(after.energy, expected, rtol=0, atol=1e-12)
    else:
        assert_same(after, state)
