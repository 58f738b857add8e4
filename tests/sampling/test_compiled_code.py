"""What keeps chains fast, as counts and sizes of the compiled program: times would fail on a busy machine.

A chain is slow by orders of magnitude if XLA copies its state in every step, runs a step operation by operation, or
compiles anew for new numbers; none of which any result shows.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.sampling import chains, chunks

FCC = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]])
PRIM = jaxce.Prim(FCC, [[0, 0, 0]], [["Cu", "Au", "Pd"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 4.1, 3: 3.0, 4: 3.0})
ECIS = np.random.default_rng(0).normal(scale=0.01, size=SPACE.num_correlations)
# Sites of the cells; no other array of a program has a multiple of this.
SIDE = 11
NEEDS_ONE_FUNCTION = pytest.mark.skipif(
    jax.__version_info__ < (0, 12), reason="before 0.12 XLA compiles loops to one function only with a flag"
)


def start(side=SIDE, num_chains=2, scale=1.0):
    supercell = jaxce.Supercell(PRIM, side)
    hamiltonian = jaxce.build_hamiltonian(jaxce.ClusterExpansion(SPACE, scale * ECIS), supercell, jnp.float32)
    third = supercell.num_sites // 3
    composition = {"Cu": third, "Au": third, "Pd": supercell.num_sites - 2 * third}
    return hamiltonian, jaxce.random_occupancy(jax.random.key(0), supercell, composition, (num_chains,))


def lowered(monkeypatch, method, side=SIDE, num_chains=2):
    """The program of a run's calls, not yet compiled."""
    programs = []

    def caught(*arguments):
        programs.append(chains.advance.lower(*arguments))
        return chains.advance(*arguments)

    monkeypatch.setattr(chunks, "advance", caught)
    hamiltonian, occupancy = start(side, num_chains)
    jaxce.run_monte_carlo(jax.random.key(0), hamiltonian, occupancy, temperature=500.0, num_sweeps=1, method=method)
    return programs[0]


class Program:
    """The text of a compiled program: name of each computation -> its lines."""

    def __init__(self, text):
        self.text, self.parts = text, {}
        for line in text.splitlines():
            if line.endswith("{") and not line.startswith(" "):
                self.parts[re.match(r"(?:ENTRY )?%?([\w.\-]+)", line).group(1)] = lines = []
                if line.startswith("ENTRY"):
                    self.entry = lines
            elif line.startswith(" "):
                lines.append(line)

    def below(self, lines, *, into_functions=True):
        """All lines that are executed by these, also those of loops, branches and calls."""
        for line in lines:
            yield line
            if "small_call" in line and not into_functions:
                continue
            for name in re.findall(r"(?:body|condition|to_apply|calls)=%?([\w.\-]+)", line):
                yield from self.below(self.parts[name], into_functions=into_functions)
            for names in re.findall(r"branch_computations=\{([^}]*)\}", line):
                for name in re.findall(r"%?([\w.\-]+)", names):
                    yield from self.below(self.parts[name], into_functions=into_functions)

    def step_loops(self, num_sites, lines):
        """Loops over the steps of a chain among the lines: they carry an occupancy, and take one step for each site."""
        is_loop = lambda line: " while(" in line and f"s8[{num_sites}]{{0}}, f32[]" in line
        return [line for line in lines if is_loop(line) and f'"known_trip_count":{{"n":"{num_sites}"}}' in line]

    def body(self, loop):
        """All lines of a loop's body, and below."""
        return list(self.below(self.parts[re.search(r"body=%?([\w.\-]+)", loop).group(1)]))


# "auto" holds both.
@pytest.fixture(params=["auto", *(pytest.param(one, marks=pytest.mark.slow) for one in ("environment", "fields"))])
def method(request):
    return request.param


def test_no_step_copies_the_state(monkeypatch, method):
    num_sites = SIDE**3
    program = Program(lowered(monkeypatch, method).compile().as_text())
    loops = program.step_loops(num_sites, program.below(program.entry))
    # With and without fields.
    assert len(loops) == (2 if method == "auto" else 1)
    for loop in loops:
        copies = [line for line in program.body(loop) if re.search(r"= \S+ copy\(", line)]
        sizes = [
            np.prod([int(n) for n in re.search(r"\[([\d,]*)\]", c).group(1).split(",") if n] or [1]) for c in copies
        ]
        assert [int(size) for size in sizes if size >= num_sites] == []


@NEEDS_ONE_FUNCTION
def test_all_steps_of_a_sweep_are_one_function(monkeypatch, method):
    program = Program(lowered(monkeypatch, method).compile().as_text())
    assert program.step_loops(SIDE**3, program.below(program.entry))
    assert not program.step_loops(SIDE**3, program.below(program.entry, into_functions=False))


def test_the_program_has_no_callback_and_no_transfer(monkeypatch, method):
    text = lowered(monkeypatch, method).compile().as_text()
    assert not re.findall(r" (?:infeed|outfeed|send|recv)\(|custom_call_target=\"[^\"]*callback", text)


def test_the_program_is_as_long_for_larger_tables(monkeypatch, method):
    """Tables are arguments: were they constants, compilation would take longer for larger cells."""
    sizes = [len(lowered(monkeypatch, method, side).as_text()) for side in (SIDE, 2 * SIDE)]
    assert sizes[1] < 1.02 * sizes[0]


def test_new_numbers_need_no_new_compilation(method):
    def run(scale, kelvin, seed, sweeps):
        key, problem = jax.random.key(seed), start(5, scale=scale)
        jaxce.run_monte_carlo(key, *problem, temperature=kelvin, num_sweeps=sweeps, sample_every=4, method=method)

    run(1.0, 500.0, 0, 8)
    compiled = chains.advance._cache_size()
    run(2.0, 500.0, 1, 12)
    run(1.0, [300.0, 400.0], 2, 8)
    assert chains.advance._cache_size() == compiled
