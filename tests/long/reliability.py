"""Runs that are killed, interrupted and starved of disk space at random times, then compared with undisturbed ones.

    python tests/long/reliability.py --minutes 30

Each round takes a kind of run (Monte Carlo, tempering, annealing), and starts it again and again in the same folder.
Every start meets one of: SIGKILL, Ctrl-C, SIGTERM (after a random time), a disk that is full (the kernel refuses to
write beyond a random size of files). At last it is left alone, and its result must be that of an undisturbed run, bit
for bit.
The exit code is 1 if one was not, or if a start failed for another reason.
"""

import argparse
import collections
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

PROGRAM = """
import sys
import jax
import numpy as np
import jaxce
from jaxce.sampling import chunks, run_folder

kind, folder, cache = sys.argv[1:]
# Often, so that much can go wrong.
chunks._CALL_SECONDS = 0.1
run_folder.SECONDS_BETWEEN_CHECKPOINTS = 0.2
jax.config.update("jax_compilation_cache_dir", cache)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
prim = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(prim, {2: 3.0}), [0.0, 0.01, 0.03])
hamiltonian = jaxce.build_hamiltonian(expansion, jaxce.Supercell(prim, 3))
start = np.tile(np.arange(27, dtype=np.int8) % 2, (48, 1))
key = jax.random.key(0)
if kind == "Monte Carlo":
    first = {"first": lambda o: o[:, :3], "moments": jaxce.Moments(lambda o: o[:, 0])}
    result = jaxce.run_monte_carlo(
        key, hamiltonian, start, jaxce.SemiGrand({"Au": 0.01}), temperature=900.0, num_sweeps=12000, sample_every=4,
        observables=first, folder=folder,
    )
elif kind == "tempering":
    result = jaxce.run_tempering(
        key, hamiltonian, start[:12], temperatures=[300, 500, 700, 900], num_sweeps=12000, sample_every=4, folder=folder
    ).chains
else:
    result = jaxce.anneal(key, hamiltonian, start, temperatures=(3000, 300), num_sweeps=12000, folder=folder)
arrays = {f"observable {name}": value for name, value in result.observables.items() if isinstance(value, np.ndarray)}
np.savez(
    folder + "/result.npz", energy=result.energy, occupancy=result.occupancy, lowest=result.lowest_energy,
    acceptance=result.acceptance_rate, **arrays,
)
"""
KINDS = ("Monte Carlo", "tempering", "annealing")
DISTURBANCES = ("SIGKILL", "SIGINT", "SIGTERM", "full disk")
MOST_STARTS = 12


def main() -> int:
    """Rounds until the time is over; a table of what was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, counts = random.Random(arguments.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        place = Place(pathlib.Path(name))
        whole = {kind: place.undisturbed(kind) for kind in KINDS}
        until = time.monotonic() + 60 * arguments.minutes
        for number, kind in enumerate(KINDS * 10**6):
            if time.monotonic() > until:
                break
            counts += one_round(place, kind, f"{number}", rng, whole[kind])
    for what, count in sorted(counts.items()):
        print(f"{what:50s} {count:6d}")
    return 1 if any(what.startswith("FAULT") for what in counts) else 0


class Place:
    """A folder for the program, its compiled code, and all runs."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM, encoding="utf-8")

    def start(self, kind: str, run: str, largest_file: int | None = None) -> subprocess.Popen:
        limit = None if largest_file is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file,) * 2)
        command = [sys.executable, "program.py", kind, run, "cache"]
        return subprocess.Popen(
            command, cwd=self.folder, preexec_fn=limit, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def undisturbed(self, kind: str) -> dict[str, np.ndarray]:
        process = self.start(kind, f"whole {kind}")
        _, said = process.communicate(timeout=600)
        if process.returncode:
            sys.exit(f"an undisturbed run failed:\n{said.decode()}")
        return self.result(f"whole {kind}")

    def result(self, run: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / run / "result.npz", allow_pickle=False) as stored:
            return dict(stored)

    def sweeps(self, run: str) -> int:
        """Sweeps of the last checkpoint."""
        path = self.folder / run / "checkpoint.npz"
        if not path.exists():
            return 0
        with np.load(path, allow_pickle=False) as stored:
            return int(stored["sweeps"])


def one_round(place: Place, kind: str, run: str, rng: random.Random, whole: dict) -> collections.Counter:
    """One run, disturbed until it ends or was started often enough."""
    counts = collections.Counter()
    for _ in range(MOST_STARTS):
        if (place.folder / run / "result.npz").exists():
            break
        counts[f"{kind}: {disturbed(place, kind, run, rng)}"] += 1
    process = place.start(kind, run)
    _, said = process.communicate(timeout=600)
    if process.returncode:
        print(said.decode(), flush=True)
        return counts + collections.Counter([f"FAULT: {kind} did not go on"])
    result = place.result(run)
    names = sorted(whole.keys() | result.keys())
    differing = [name for name in names if not np.array_equal(result.get(name), whole.get(name))]
    leftovers = [path.name for path in (place.folder / run).glob(".*") if path.name != ".lock"]
    if differing or leftovers:
        print(f"{kind}: {differing} differ, {leftovers} are left", flush=True)
        return counts + collections.Counter([f"FAULT: {kind} has another result"])
    return counts + collections.Counter(["runs that ended as if undisturbed"])


def disturbed(place: Place, kind: str, run: str, rng: random.Random) -> str:
    """Start a run and disturb it: what was done, or what went wrong."""
    what = rng.choice(DISTURBANCES)
    before = place.sweeps(run)
    if what == "full disk":
        process = place.start(kind, run, rng.choice((1_000, 20_000, 100_000, 1_000_000)))
        _, said = process.communicate(timeout=600)
        is_right = process.returncode == 0 or b"OSError" in said or b"File too large" in said
        return what if is_right and place.sweeps(run) >= before else fault(said, what)
    process = place.start(kind, run)
    # Now and then while the program starts, but mostly in the run.
    while rng.random() < 0.999 and process.poll() is None and place.sweeps(run) <= before:
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5))
    process.send_signal(signal.Signals[what])
    _, said = process.communicate(timeout=600)
    wanted = {"SIGKILL": (-9,), "SIGINT": (-2, 130, 1), "SIGTERM": (-15, 143)}[what]
    is_right = process.returncode in (0, *wanted) and place.sweeps(run) >= before
    return what if is_right else fault(said, what)


def fault(said: bytes, what: str) -> str:
    print(said.decode(errors="replace"), flush=True)
    return f"FAULT after {what}"


if __name__ == "__main__":
    sys.exit(main())
