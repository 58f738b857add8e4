"""Damaged files for every reader, for as long as one likes, and a table of how many were tried.

    python tests/long/fuzz.py --minutes 20                    all readers, in turn, one process each
    python tests/long/fuzz.py --minutes 1 --reader smol       one of them

With the package atheris (Python 3.11 and 3.12) inputs are chosen by the code that they reach; without it they are
changed at random. Whatever is neither read nor refused with a `ValueError`, or takes more than 10 s or 2 GiB, is kept
in the folder `--failures`, and the exit code is 1.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

# Inputs that are right are changed further; so many of them are kept.
MOST_KEPT = 200
# Address space, bytes: what asks for more gets a `MemoryError`.
MOST_ADDRESSES = 2**36


def main() -> int:
    """Fuzz the readers that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for all readers together")
    parser.add_argument("--reader", action="append", help="name of a reader; may be given again")
    parser.add_argument("--engine", choices=("atheris", "random"), help="atheris where it is installed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=pathlib.Path, default=pathlib.Path("fuzz-failures"))
    parser.add_argument("--report", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    engine = arguments.engine or ("atheris" if importlib.util.find_spec("atheris") else "random")
    if arguments.report:
        fuzz(arguments, engine)
        return 0
    names = arguments.reader or list(imported("random")[0])
    seconds = 60 * arguments.minutes / len(names)
    print(f"{len(names)} readers, {seconds:.0f} s each, inputs by {engine}\n")
    print(f"{'reader':20s} {'tried':>9s} {'read':>9s} {'refused':>9s} {'slowest':>9s}  failures")
    reports = [one_process(arguments, engine, name, seconds) for name in names]
    tried, failures = (sum(report[what] for report in reports) for what in ("tried", "failed"))
    print(f"\n{tried} inputs, {failures} failures")
    return 1 if failures else 0


def one_process(arguments: argparse.Namespace, engine: str, name: str, seconds: float) -> dict:
    """Fuzz one reader in a process of its own, and print a line."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [sys.executable, __file__, "--reader", name, "--minutes", str(seconds / 60), "--engine", engine]
        command += ["--seed", str(arguments.seed), "--failures", arguments.failures, "--report", report]
        # For what no signal of Python stops: a loop outside of it.
        command = ["timeout", "--signal=KILL", str(seconds + 600), *command]
        finished = subprocess.run(command, capture_output=True, text=True)
        if not report.exists():
            sys.exit(f"{name}: no report, and the exit code is {finished.returncode}\n{finished.stderr[-1000:]}")
        counts = json.loads(report.read_text(encoding="utf-8"))
    counts["failed"] = counts["tried"] - counts["read"] - counts["refused"]
    line = f"{name:20s} {counts['tried']:9d} {counts['read']:9d} {counts['refused']:9d} {counts['slowest']:7.2f} s"
    print(line, "", "; ".join(counts["failures"]) or "none", flush=True)
    # libFuzzer ends a process that crashed with other codes than one whose time is up.
    if finished.returncode != 0:
        counts["failed"] += 1
        print(f"{name}: the exit code is {finished.returncode}\n{finished.stderr[-3000:]}", flush=True)
    return counts


def imported(engine: str) -> tuple:
    """Readers, mutations and attempts; with atheris the code of jaxce is watched."""
    if engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["jaxce"]):
            from readers import readers
    else:
        from readers import readers
    from attempts import attempt
    from mutations import mutated

    return readers(), mutated, attempt


class Count:
    """What became of the inputs, in memory and in a file that outlives the process."""

    def __init__(self, arguments: argparse.Namespace, attempt: Callable, reader: Any):
        self._arguments, self._attempt, self._reader = arguments, attempt, reader
        self.counts = {"tried": 0, "read": 0, "refused": 0, "slowest": 0.0, "failures": {}}
        self._written = 0.0

    def __call__(self, content: bytes) -> str:
        began = time.monotonic()
        outcome = self._attempt(self._reader, content)
        counts, now = self.counts, time.monotonic()
        counts["tried"] += 1
        counts["slowest"] = max(counts["slowest"], now - began)
        if outcome in ("read", "refused"):
            counts[outcome] += 1
        elif outcome.split(":")[0] not in {known.split(":")[0] for known in counts["failures"]}:
            counts["failures"][outcome] = self._keep(content)
        if now - self._written > 0.5:
            self.write()
            self._written = now
        return outcome

    def write(self) -> None:
        self._arguments.report.write_text(json.dumps(self.counts), encoding="utf-8")

    def _keep(self, content: bytes) -> str:
        name = f"{self._arguments.reader[0]}-{hashlib.sha256(content).hexdigest()[:8]}".replace(" ", "-")
        self._arguments.failures.mkdir(parents=True, exist_ok=True)
        (self._arguments.failures / name).write_bytes(content)
        return name


def fuzz(arguments: argparse.Namespace, engine: str) -> None:
    """Fuzz one reader in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    all_readers, mutated, attempt = imported(engine)
    reader = all_readers[arguments.reader[0]]
    for seed in reader.seeds:
        reader(seed)
    count = Count(arguments, attempt, reader)
    until = time.monotonic() + 60 * arguments.minutes
    if engine == "atheris":
        by_atheris(count, reader.seeds, mutated, until, arguments.seed)
    rng, kept = random.Random(arguments.seed), list(reader.seeds)
    while time.monotonic() < until:
        content = mutated(rng.choice(kept), rng)
        if count(content) == "read" and len(kept) < MOST_KEPT:
            kept.append(content)
    count.write()


def by_atheris(count: Count, seeds: list[bytes], mutated: Callable, until: float, seed: int) -> None:
    """Never returns."""
    import atheris

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        return mutated(data, rng)[:most] if rng.random() < 0.7 else atheris.Mutate(data, most)

    def one_input(content: bytes) -> None:
        count(content)
        if time.monotonic() > until:
            count.write()
            # libFuzzer would wait for Python, which waits for libFuzzer.
            os._exit(0)

    with tempfile.TemporaryDirectory() as folder:
        for place, content in enumerate(seeds):
            (pathlib.Path(folder) / str(place)).write_bytes(content)
        # Time and memory are watched here, so that libFuzzer goes on after a failure.
        options = ["-timeout=0", "-rss_limit_mb=0", f"-seed={seed + 1}", "-max_len=200000", "-len_control=0"]
        atheris.Setup([sys.argv[0], *options, "-mutate_depth=2", folder], one_input, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
