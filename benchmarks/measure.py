"""Rates of jaxce and of the peers for one system: CPU seconds of one core, best of several, compilation apart."""

import dataclasses
import time

import jax
import numpy as np

import jaxce

BOLTZMANN = 8.617333e-5
# Accepted parts of the swaps.
TARGETS = {"hot": 0.40, "cold": 0.02}
# In the first sweep there is no acceptance yet, and the second makes the fields where it was low.
WARM_UP = 2
LEAST_SWEEPS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long everything takes.

    Attributes:
        chains: numbers of chains of jaxce.
        batches: numbers of structures that are evaluated at once.
        equilibrated: chains that are equilibrated; all runs start from them. For so many, methods are compared.
        sweeps: sweeps of the cooling, and as many at the temperature.
        steps: Monte Carlo steps of jaxce that are timed in one go, at least `LEAST_SWEEPS` sweeps.
        seconds: time of a peer's run.
    """

    chains: tuple[int, ...] = (1, 64, 1024)
    batches: tuple[int, ...] = (64, 1024)
    equilibrated: int = 64
    sweeps: int = 300
    steps: int = 600_000
    seconds: float = 1.0


QUICK = Effort(chains=(16,), batches=(64,), equilibrated=16, sweeps=30, steps=20_000, seconds=0.1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regime:
    """A temperature and chains that are in equilibrium at it."""

    name: str
    kelvin: float
    occupancies: np.ndarray
    acceptance: np.ndarray

    def start(self, chains):
        """Occupancies for so many chains; for one, that of the chain whose acceptance is the median."""
        order = np.argsort(self.acceptance)
        first = order[len(order) // 2]
        return np.roll(self.occupancies, -first, axis=0)[np.arange(chains) % len(order)]


def find_regimes(problem, effort):
    """A hot and a cold regime: acceptances of `TARGETS`."""
    kelvins = temperature_grid(problem, effort.equilibrated)
    cooled = cool(problem, kelvins, effort)
    # Chains in glassy states are not in order.
    acceptance = np.maximum.accumulate(np.clip(cooled.acceptance_rate, 1e-6, 1))
    regimes = []
    for name, target in TARGETS.items():
        kelvin = float(np.exp(np.interp(np.log(target), np.log(acceptance), np.log(kelvins))))
        held = cool(problem, np.full(effort.equilibrated, kelvin), effort)
        occupancies = np.asarray(held.occupancy)
        regimes.append(Regime(name=name, kelvin=kelvin, occupancies=occupancies, acceptance=held.acceptance_rate))
    return regimes


def temperature_grid(problem, count):
    """Ascending temperatures around the size of the energy changes; the widest sensible range."""
    changes = np.asarray(jaxce.substitution_energies(problem.hamiltonian, problem.random_start(4)))
    kelvin = changes[np.isfinite(changes) & (changes != 0)].std() / BOLTZMANN
    return np.geomspace(0.02 * kelvin, 4 * kelvin, count)


def cool(problem, kelvins, effort):
    """Chains cooled from twice the highest temperature to one temperature each, and then held there: the held part."""
    cooling = np.geomspace(np.full(len(kelvins), 2 * kelvins.max()), kelvins, effort.sweeps)
    holding = np.broadcast_to(kelvins, cooling.shape)
    cooled = run(problem, jax.random.key(1), problem.random_start(len(kelvins)), cooling, effort.sweeps)
    return run(problem, jax.random.key(2), cooled.occupancy, holding, effort.sweeps)


def run(problem, key, start, kelvin, sweeps, method="auto"):
    return jaxce.run_monte_carlo(
        key, problem.hamiltonian, start, temperature=kelvin, num_sweeps=sweeps, sample_every=sweeps, method=method
    )


def monte_carlo_of_jaxce(problem, regimes, effort):
    """Swaps per second for each number of chains and each way to find energy changes."""
    rows = []
    for chains in effort.chains:
        # One program serves all temperatures, so that the first row tells what it costs to compile.
        jax.clear_caches()
        methods = ("auto", "environment", "fields") if chains == effort.equilibrated else ("auto",)
        for regime in regimes:
            rows += [time_chains(problem, regime, chains, method, effort) for method in methods]
    return rows


def time_chains(problem, regime, chains, method, effort):
    sites = problem.supercell.num_sites
    start = jax.numpy.asarray(regime.start(chains))
    go = lambda sweeps: run(problem, jax.random.key(3), start, regime.kelvin, sweeps, method)
    seconds, first, result = time_of_sweep(go, max(LEAST_SWEEPS, effort.steps // (chains * sites)))
    return {
        "program": "jaxce",
        "regime": regime.name,
        "chains": chains,
        "method": method,
        "swaps per second": chains * sites / seconds,
        "accepted": float(result.acceptance_rate.mean()),
        "first call, s": first,
    }


def time_of_sweep(go, sweeps, clock=time.process_time):
    """Seconds of a sweep, from two lengths; seconds of the first call; a result."""
    began = time.perf_counter()
    go(WARM_UP)
    first = time.perf_counter() - began
    go(WARM_UP + sweeps)
    lengths = (WARM_UP, WARM_UP + sweeps)
    seconds = {length: [] for length in lengths}
    for length in 3 * lengths:
        began = clock()
        result = go(length)
        seconds[length].append(clock() - began)
    short, long = (min(seconds[length]) for length in lengths)
    return (long - short) / sweeps, first, result


def monte_carlo_of_peer(name, peer, problem, regimes, effort):
    """Swaps per second of one chain from the same starts."""
    rows = []
    for regime in regimes:
        start = regime.start(1)[0]
        trial, _ = peer.canonical(start, regime.kelvin, 5)
        seconds = best(trial, rounds=1)
        sweeps = max(5, round(5 * effort.seconds / seconds))
        go, accepted = peer.canonical(start, regime.kelvin, sweeps)
        seconds = best(go)
        rows.append(
            {
                "program": name,
                "regime": regime.name,
                "chains": 1,
                "swaps per second": sweeps * problem.supercell.num_sites / seconds,
                "accepted": accepted(),
            }
        )
    return rows


def evaluation_of_jaxce(problem, effort):
    """Structures per second of batches of random structures."""
    rows = []
    for batch in effort.batches:
        occupancies = jax.numpy.asarray(problem.random_start(batch))
        for quantity, function, tables in (
            ("correlation vectors", jaxce.correlations, problem.tables),
            ("energies", jaxce.energy, problem.hamiltonian),
            ("all substitution energies", jaxce.substitution_energies, problem.hamiltonian),
        ):
            jitted = jax.jit(function)
            go = lambda f=jitted, t=tables, o=occupancies: jax.block_until_ready(f(t, o))
            began = time.perf_counter()
            go()
            first = time.perf_counter() - began
            rate = batch / best(go, repeats=max(1, effort.steps // (20 * batch * problem.supercell.num_sites)))
            rows.append(
                {"program": "jaxce", "quantity": quantity, "batch": batch, "per second": rate, "first call, s": first}
            )
    return rows


def evaluation_of_peer(name, peer, problem):
    """Structures per second, one after the other."""
    structures = [peer.native(occupancy) for occupancy in np.asarray(problem.random_start(24))]
    rows = []
    for quantity, function in (("correlation vectors", peer.vector), ("energies", peer.energy)):
        seconds = best(lambda f=function: [f(structure) for structure in structures])
        rows.append({"program": name, "quantity": quantity, "per second": len(structures) / seconds})
    return rows


def best(function, repeats=1, rounds=3):
    """Least CPU seconds of one call, over rounds of `repeats` calls; one call before does not count."""
    function()
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(repeats):
            function()
        seconds.append((time.process_time() - began) / repeats)
    return min(seconds)
