"""Runs in pieces: cut anywhere, stopped, killed, resumed, refused."""

import contextlib
import errno
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import h5py
import jax
import numpy as np
import pytest

import jaxce
from jaxce.sampling import chunks, run_folder

FCC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])


@pytest.fixture(scope="module")
def alloy():
    space = jaxce.ClusterSpace(FCC, {2: 3.0})
    expansion = jaxce.ClusterExpansion(space, [0.0, 0.01, 0.03])
    return jaxce.build_hamiltonian(expansion, jaxce.Supercell(FCC, 2))


def first_two(occupancy):
    return occupancy[:, :2]


def first_one(occupancy):
    return occupancy[:, 0]


def run(hamiltonian, folder=None, seed=3, num_chains=4, ensemble=None, **keywords):
    settings = {"temperature": 700.0, "num_sweeps": 30, "sample_every": 3} | keywords
    occupancy = np.tile(np.array([0, 1, 0, 1, 0, 1, 0, 1], dtype=np.int8), (num_chains, 1))
    observables = {"first": first_two, "moments": jaxce.Moments(first_one)}
    ensemble = ensemble or jaxce.SemiGrand({"Au": 0.02})
    return jaxce.run_monte_carlo(
        jax.random.key(seed), hamiltonian, occupancy, ensemble, observables=observables, folder=folder, **settings
    )


def assert_same(first, second):
    """Equal to the last bit."""
    for name in ("energy", "counts", "occupancy", "acceptance_rate", "lowest_energy", "lowest_occupancy"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.observables["first"], second.observables["first"])
    for one, other in zip(first.observables["moments"], second.observables["moments"], strict=True):
        np.testing.assert_array_equal(one, other)


class Stop(Exception):
    pass


def stop_after(monkeypatch, num_calls):
    """Make a run fail after so many calls on the device."""
    original, calls = chunks._call, []

    def failing(*arguments):
        if len(calls) == num_calls:
            raise Stop
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(chunks, "_call", failing)


def begin(hamiltonian, folder, monkeypatch, num_calls):
    """A run that stops after so many calls, all of which are saved."""
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        stop_after(patch, num_calls)
        with pytest.raises(Stop):
            run(hamiltonian, folder)


@pytest.mark.parametrize(("seconds", "most_samples"), [(0.0, 256), (0.0, 1), (1e9, 4)])
def test_nothing_depends_on_how_a_run_is_cut(alloy, monkeypatch, seconds, most_samples):
    whole = run(alloy)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", seconds)
    monkeypatch.setattr(chunks, "_MOST_SAMPLES", most_samples)
    assert_same(run(alloy), whole)


def test_a_schedule_is_followed_however_a_run_is_cut(alloy, monkeypatch):
    kelvin = np.linspace(300, 3000, 30)[:, None] * np.linspace(1, 2, 4)[None, :]
    whole = run(alloy, temperature=kelvin)
    assert not np.array_equal(whole.energy, run(alloy, temperature=kelvin[0]).energy)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(chunks, "_SCHEDULE_ROWS", 7)
    assert_same(run(alloy, temperature=kelvin), whole)


def test_a_folder_changes_nothing(alloy, tmp_path):
    assert_same(run(alloy, tmp_path / "run"), run(alloy))
    with h5py.File(tmp_path / "run" / "samples.h5") as file:
        assert file["energy"].shape == (10, 4)


def test_a_finished_run_is_read_back(alloy, tmp_path, monkeypatch):
    first = run(alloy, tmp_path)
    stop_after(monkeypatch, 0)
    assert_same(run(alloy, tmp_path), first)


@pytest.mark.parametrize("num_calls", [0, 1, 2, 5, 13, 29])
def test_a_stopped_run_goes_on_bit_for_bit(alloy, tmp_path, monkeypatch, num_calls):
    whole = run(alloy)
    # Every call is one sweep, and every one is saved.
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(run_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with monkeypatch.context() as patch:
        stop_after(patch, num_calls)
        with pytest.raises(Stop):
            run(alloy, tmp_path)
    assert_same(run(alloy, tmp_path), whole)


def test_what_an_unfinished_run_has_is_read_without_a_change_to_it(alloy, tmp_path, monkeypatch):
    whole = run(alloy)
    with pytest.raises(ValueError, match="needs the folder"):
        run(alloy, tmp_path / "none", only_read=True)
    with pytest.raises(ValueError, match="no checkpoint yet"):
        run(alloy, tmp_path, only_read=True)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(run_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    stop_after(monkeypatch, 13)
    with pytest.raises(Stop):
        run(alloy, tmp_path)
    # What a run that goes on is writing just now.
    (tmp_path / ".checkpoint.new.npz").touch()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    part = run(alloy, tmp_path, only_read=True)
    assert part.num_sweeps == 13
    np.testing.assert_array_equal(part.energy, whole.energy[:, :4])
    np.testing.assert_array_equal(part.observables["first"], whole.observables["first"][:, :4])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match="another run: it differs in temperature"):
        run(alloy, tmp_path, only_read=True, temperature=500.0)


def test_a_finished_run_is_read_on_another_kind_of_machine(alloy, tmp_path):
    first = run(alloy, tmp_path, method="fields")
    assert_same(run(alloy, tmp_path, method="environment", only_read=True), first)


def test_samples_after_the_last_checkpoint_are_made_again(alloy, tmp_path, monkeypatch):
    whole = run(alloy)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    begin(alloy, tmp_path, monkeypatch, 7)
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stop):
            run(alloy, tmp_path)
    assert_same(run(alloy, tmp_path), whole)


def test_a_stopped_tempering_goes_on_bit_for_bit(alloy, tmp_path, monkeypatch):
    occupancy = np.tile(np.array([0, 1, 0, 1, 0, 1, 0, 1], dtype=np.int8), (2, 1))
    temper = lambda folder: jaxce.run_tempering(
        jax.random.key(0), alloy, occupancy, temperatures=[300, 500, 900], num_sweeps=30, sample_every=5, folder=folder
    )
    whole = temper(None)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(run_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with monkeypatch.context() as patch:
        stop_after(patch, 17)
        with pytest.raises(Stop):
            temper(tmp_path)
    resumed = temper(tmp_path)
    np.testing.assert_array_equal(resumed.energy, whole.energy)
    np.testing.assert_array_equal(resumed.occupancy, whole.occupancy)
    np.testing.assert_array_equal(resumed.round_trips, whole.round_trips)
    np.testing.assert_array_equal(resumed.exchange_rate, whole.exchange_rate)


def test_another_run_is_refused_with_the_reason(alloy, tmp_path):
    run(alloy, tmp_path)
    other = jaxce.build_hamiltonian(
        jaxce.ClusterExpansion(jaxce.ClusterSpace(FCC, {2: 3.0}), [0.0, 0.01, 0.04]), jaxce.Supercell(FCC, 2)
    )
    with pytest.raises(ValueError, match=r"another run: it differs in model\. "):
        run(other, tmp_path)
    for keywords, name in (
        ({"seed": 4}, "key"),
        ({"temperature": 701.0}, "temperature"),
        ({"ensemble": jaxce.SemiGrand({"Au": 0.021})}, "ensemble"),
        ({"num_sweeps": 27}, "holds 30 sweeps of this run, but `num_sweeps` is 27"),
        ({"temperature": np.full((33, 1), 700.0), "num_sweeps": 33}, "temperature"),
        ({"sample_every": 1}, "sample_every"),
        ({"moves": jaxce.Moves(frozen_sites=[0])}, "moves"),
        ({"num_chains": 5}, "occupancy"),
    ):
        with pytest.raises(ValueError, match=name):
            run(alloy, tmp_path, **keywords)


def test_a_run_is_made_longer_bit_for_bit(alloy, tmp_path):
    whole = run(alloy)
    run(alloy, tmp_path, num_sweeps=12)
    assert_same(run(alloy, tmp_path), whole)
    with h5py.File(tmp_path / "samples.h5") as file:
        assert file["energy"].shape == (10, 4)


def test_what_is_no_array_tells_runs_apart_too(alloy, tmp_path):
    start = np.zeros((2, 8), dtype=np.int8)
    histogram = lambda edges: {"first": jaxce.Histogram(first_one, edges)}
    propose = lambda key, occupancy: (jax.random.randint(key, (), 0, 8), 1, 0.0)
    moves = lambda steps: jaxce.Moves(proposals=[jaxce.Proposal(propose, steps)])
    go = lambda edges, steps: jaxce.run_monte_carlo(
        jax.random.key(0), alloy, start, jaxce.SemiGrand(), temperature=900.0, num_sweeps=2,
        observables=histogram(edges), moves=moves(steps), folder=tmp_path,
    )  # fmt: skip
    go([0, 1, 2], 2)
    with pytest.raises(ValueError, match="observables"):
        go([0, 2, 4], 2)
    with pytest.raises(ValueError, match="moves"):
        go([0, 1, 2], 3)


def test_a_damaged_checkpoint_is_refused(alloy, tmp_path):
    run(alloy, tmp_path)
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        run(alloy, tmp_path)


@pytest.fixture(scope="module")
def finished(alloy, tmp_path_factory):
    """The folder of a run; tests read it only."""
    folder = tmp_path_factory.mktemp("finished")
    run(alloy, folder)
    return folder


def with_arrays(source, target, **changed):
    """A checkpoint with some arrays in place of its own."""
    with np.load(source) as stored:
        np.savez(target, **(dict(stored) | changed))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"sweeps": np.array(-1)}, "samples after -1 sweeps"),
        ({"sweeps": np.array([30, 30])}, "whole numbers"),
        ({"num_samples": np.array(1.5)}, "whole numbers"),
        ({"num_samples": np.array(29)}, "energy has 10 samples, but 29 are counted"),
        ({"num_accepted": np.array("many")}, "whole numbers"),
        ({"identity": np.array("{")}, "does not say of which run"),
        ({"identity": np.array("[]")}, "does not say of which run"),
        ({"progress.reference": np.zeros(5)}, r"progress\.reference in .* has shape \(5,\)"),
        ({"progress.reference": np.zeros(4, np.int8)}, "type int8"),
    ],
)
def test_a_checkpoint_that_makes_no_sense_is_refused(alloy, finished, tmp_path, arrays, message):
    """Fault: the run goes on from arrays that are not its own, or fails on the device."""
    with_arrays(finished / "checkpoint.npz", tmp_path / "checkpoint.npz", **arrays)
    (tmp_path / "samples.h5").write_bytes((finished / "samples.h5").read_bytes())
    with pytest.raises(ValueError, match=message):
        run(alloy, tmp_path)


def test_a_packed_checkpoint_is_refused(finished, tmp_path):
    """Fault: a small file fills the memory."""
    np.savez_compressed(tmp_path / "checkpoint.npz", sweeps=np.zeros(10**6))
    with pytest.raises(ValueError, match="are packed"):
        run_folder.sweeps_done(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "zeroed", "packed", "text"])
def test_damaged_samples_are_refused(alloy, finished, tmp_path, damage):
    content = (finished / "samples.h5").read_bytes()
    path = tmp_path / "samples.h5"
    path.write_bytes({"cut": content[:-100], "empty": b"", "zeroed": bytes(200) + content[200:]}.get(damage, content))
    if damage in ("packed", "text"):
        with h5py.File(path, "r+") as file:
            del file["energy"]
            words = {"data": np.zeros((10, 4)), "chunks": True} if damage == "packed" else {"data": ["a", "b"]}
            file.create_dataset("energy", **words)
    (tmp_path / "checkpoint.npz").write_bytes((finished / "checkpoint.npz").read_bytes())
    with pytest.raises(ValueError, match=r"samples\.h5 does not hold the samples of a run, or is damaged"):
        run(alloy, tmp_path)


def test_missing_samples_are_said(alloy, tmp_path):
    run(alloy, tmp_path)
    (tmp_path / "samples.h5").unlink()
    with pytest.raises(ValueError, match=r"samples\.h5"):
        run(alloy, tmp_path)


def test_a_full_disk_loses_nothing_that_was_saved(alloy, tmp_path, monkeypatch):
    whole = run(alloy)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(run_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    original, calls = np.savez, []

    def full(path, **arrays):
        calls.append(1)
        if len(calls) == 6:
            pathlib.Path(path).write_bytes(b"part")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError, match="space"):
            run(alloy, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "checkpoint.npz", "samples.h5"]
    assert_same(run(alloy, tmp_path), whole)


# NumPy before 2.1 leaves the archive open that it could not write, and Python says so when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("most", [100, 1000, 2500, 4000])
def test_where_the_disk_is_full_the_run_stops_and_goes_on_later(alloy, tmp_path, monkeypatch, most):
    """The kernel refuses to write beyond `most` bytes of any file: before, between and after the first checkpoints."""
    whole = run(alloy)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(run_folder, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with files_of_at_most(most), pytest.raises(OSError, match=r"(?i)large|write"):
        run(alloy, tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == [".lock"]
    assert_same(run(alloy, tmp_path), whole)


def test_a_folder_is_written_by_one_run_at_a_time(alloy, tmp_path, monkeypatch):
    whole = run(alloy)
    original, refused = chunks._call, []

    def meanwhile(*arguments):
        with pytest.raises(ValueError, match="Another run is writing") as error:
            run(alloy, tmp_path)
        refused.append(error)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(chunks, "_call", meanwhile)
        assert_same(run(alloy, tmp_path), whole)
    assert refused
    # Also after a run that failed, and whoever still holds its error.
    stop_after(monkeypatch, 0)
    with pytest.raises(Stop) as kept:
        run(alloy, tmp_path, num_sweeps=60)
    monkeypatch.undo()
    assert_same(run(alloy, tmp_path), whole)
    del kept


@contextlib.contextmanager
def files_of_at_most(num_bytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_samples_that_cannot_be_written_are_an_error(alloy, tmp_path, monkeypatch):
    """HDF5 swallows such errors where it keeps what it writes until an array is closed."""
    whole = run(alloy)
    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    begin(alloy, tmp_path, monkeypatch, 6)
    with files_of_at_most((tmp_path / "samples.h5").stat().st_size - 1), pytest.raises(OSError, match="large"):
        run(alloy, tmp_path)
    assert_same(run(alloy, tmp_path), whole)


def test_a_folder_that_cannot_be_written_is_said_before_the_first_sweep(alloy, tmp_path, monkeypatch):
    stop_after(monkeypatch, 0)
    (tmp_path / "file").touch()
    for folder in ("/proc/jaxce", tmp_path / "file"):
        with pytest.raises(OSError, match=r"jaxce|file"):
            run(alloy, folder)


def test_what_a_killed_run_was_writing_is_removed(alloy, tmp_path):
    run(alloy, tmp_path)
    leftovers = [tmp_path / ".checkpoint.abc.npz", tmp_path / ".samples.abc.h5"]
    for leftover in leftovers:
        leftover.write_bytes(b"part")
    run(alloy, tmp_path)
    assert not any(leftover.exists() for leftover in leftovers)


KILLED = """
import sys
import jax
import numpy as np
import jaxce
from jaxce.sampling import chunks, run_folder

chunks._CALL_SECONDS = 0.02
run_folder.SECONDS_BETWEEN_CHECKPOINTS = 0.02
jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
prim = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(prim, {2: 3.0}), [0.0, 0.01, 0.03])
hamiltonian = jaxce.build_hamiltonian(expansion, jaxce.Supercell(prim, 3))
result = jaxce.run_monte_carlo(
    jax.random.key(0), hamiltonian, np.zeros((64, 27), dtype=np.int8), jaxce.SemiGrand(), temperature=900.0,
    num_sweeps=4000, sample_every=2, observables={"first": lambda o: o[:, :3]}, folder=sys.argv[1],
)
np.savez(
    sys.argv[1] + "/result.npz", energy=result.energy, occupancy=result.occupancy, first=result.observables["first"],
    acceptance=result.acceptance_rate, lowest=result.lowest_energy,
)
"""


def start_killable(script, folder, cache):
    return subprocess.Popen([sys.executable, script, folder, cache], stdout=subprocess.DEVNULL)


def test_a_run_that_was_killed_equals_one_that_was_not(tmp_path):
    """Once, or as often as the environment variable JAXCE_KILLS says."""
    script, cache = tmp_path / "killed.py", tmp_path / "cache"
    script.write_text(KILLED, encoding="utf-8")
    assert start_killable(script, tmp_path / "whole", cache).wait(timeout=300) == 0
    clock = random.Random(0)
    for _ in range(int(os.environ.get("JAXCE_KILLS", "1"))):
        process = start_killable(script, tmp_path / "killed", cache)
        checkpoint = tmp_path / "killed" / "checkpoint.npz"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
            time.sleep(0.005)
        time.sleep(clock.uniform(0, 0.3))
        assert process.poll() is None, "the run ended before it was killed: make it longer"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start_killable(script, tmp_path / "killed", cache).wait(timeout=300) == 0
    whole, killed = (np.load(tmp_path / name / "result.npz") for name in ("whole", "killed"))
    for name in whole.files:
        np.testing.assert_array_equal(whole[name], killed[name])
