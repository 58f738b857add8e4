"""What `jaxce bench` does: the speed of energies and of Monte Carlo on this machine."""

import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxce.build import build_hamiltonian, build_tables
from jaxce.commands.doctor import version_of
from jaxce.commands.screen import plain_table, screen
from jaxce.correlation_vectors import correlations
from jaxce.datasets import load_perovskite_model
from jaxce.energies import energy, substitution_energies
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.monte_carlo import run_monte_carlo
from jaxce.sampling.random_occupancies import random_occupancy

COMPOSITION = {"Sr": 24, "La": 8, "Ti": 24, "Fe": 8, "O": 88, "X": 8}
_SYSTEM = "perovskite (Sr,La)(Ti,Fe)(O,X)3, 2x4x4 prims, 160 sites, pairs to 7 A, triplets to 5 A"
# Kelvin at which about 40 % and 2 % of the swaps are accepted.
_TEMPERATURES = {"hot": 5200.0, "cold": 1000.0}
_BATCH, _CHAINS, _SWEEPS = 1024, 64, 60


def bench(as_json: bool) -> dict[str, Any]:
    """Measure and print rates, compilation apart, best of several.

    They are those of benchmarks/run.py, per second of wall-clock time and of processor time.
    """
    console = screen()
    expansion = load_perovskite_model()
    began = time.perf_counter()
    supercell = Supercell(expansion.space.prim, (2, 4, 4))
    hamiltonian, tables = build_hamiltonian(expansion, supercell), build_tables(expansion.space, supercell)
    build_seconds = time.perf_counter() - began
    rows = []
    with console.status("structures"):
        occupancies = random_occupancy(jax.random.key(0), supercell, COMPOSITION, (_BATCH,))
        for quantity, function, arrays in (
            ("correlation vectors", correlations, tables),
            ("energies", energy, hamiltonian),
            ("all substitution energies", substitution_energies, hamiltonian),
        ):
            rows.append({"quantity": quantity, "unit": "structures", **_rate_of(function, arrays, occupancies)})
    with console.status("Monte Carlo"):
        for name, kelvin in _TEMPERATURES.items():
            quantity = f"canonical Monte Carlo, {name} ({kelvin:g} K)"
            rows.append({"quantity": quantity, "unit": "swaps", **_swap_rate(hamiltonian, occupancies, kelvin)})
    result = {"machine": _machine(), "system": _SYSTEM, "build, s": build_seconds, "rates": rows}
    if as_json:
        console.print(json.dumps(result, indent=1), markup=False)
        return result
    console.print(f"{_SYSTEM}; {result['machine']['device']}, {result['machine']['cores']} cores")
    shown = [
        (
            row["quantity"],
            row["unit"],
            f"{row['per second']:,.0f}",
            f"{row['per CPU second']:,.0f}",
            row["batch"],
            f"{100 * row['accepted']:.1f} %" if "accepted" in row else "",
            f"{row['first call, s']:.1f}",
        )
        for row in rows
    ]
    headings = ("quantity", "unit", "per second", "per CPU second", "at once", "accepted", "first call (s)")
    console.print(plain_table({name: "left" if name in ("quantity", "unit") else "right" for name in headings}, shown))
    return result


def _rate_of(function: Callable[..., Any], arrays: Any, occupancies: Any) -> dict[str, Any]:
    jitted = jax.jit(function)
    go = lambda: jax.block_until_ready(jitted(arrays, occupancies))
    first = float(_seconds(go)[0])
    return {"batch": len(occupancies), **_rates(len(occupancies), _best(go)), "first call, s": first}


def _swap_rate(hamiltonian: Any, occupancies: Any, kelvin: float) -> dict[str, Any]:
    """Swaps per second, from two lengths of a run, so that what happens once does not count."""
    keys = iter(jax.random.split(jax.random.key(1), 100))
    run = lambda start, sweeps: run_monte_carlo(
        next(keys), hamiltonian, start, temperature=kelvin, num_sweeps=sweeps, sample_every=sweeps
    )
    began = time.perf_counter()
    warm = run(occupancies[:_CHAINS], 2)
    first = time.perf_counter() - began
    warm = run(np.asarray(warm.occupancy), _SWEEPS)
    start = np.asarray(warm.occupancy)
    short, long = (_least([_seconds(lambda n=n: run(start, n)) for _ in range(3)]) for n in (2, 2 + _SWEEPS))
    accepted = float(run(start, 2 + _SWEEPS).acceptance_rate.mean())
    steps = _CHAINS * _SWEEPS * occupancies.shape[1]
    return {"batch": _CHAINS, **_rates(steps, long - short), "accepted": accepted, "first call, s": first}


def _rates(count: int, seconds: np.ndarray) -> dict[str, float]:
    return {"per second": count / float(seconds[0]), "per CPU second": count / float(seconds[1])}


def _seconds(function: Callable[[], Any]) -> np.ndarray:
    """`[wall-clock, processor]` seconds of a call."""
    clocks = (time.perf_counter, time.process_time)
    began = np.array([clock() for clock in clocks])
    function()
    return np.array([clock() for clock in clocks]) - began


def _least(seconds: list[np.ndarray]) -> np.ndarray:
    return np.min(seconds, axis=0)


def _best(function: Callable[[], Any]) -> np.ndarray:
    repeats = max(1, min(100, round(0.3 / max(float(_seconds(function)[0]), 1e-6))))
    return _least([_seconds(lambda: [function() for _ in range(repeats)]) for _ in range(3)]) / repeats


def _machine() -> dict[str, Any]:
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jaxce": version_of("jaxce"),
        "jax": version_of("jax"),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
