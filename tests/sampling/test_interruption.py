"""Ctrl-C and SIGTERM in runs with a folder: saved, then stopped; and handlers as they were before."""

import signal
import threading

import jax
import numpy as np
import pytest

import jaxce
from jaxce.sampling import chunks
from jaxce.sampling.interruption import Interruption

FCC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
HAMILTONIAN = jaxce.build_hamiltonian(
    jaxce.ClusterExpansion(jaxce.ClusterSpace(FCC, {2: 3.0}), [0.0, 0.01, 0.03]), jaxce.Supercell(FCC, 2)
)
START = np.tile(np.array([0, 1], dtype=np.int8), (2, 4))
ENDS = {signal.SIGINT: (KeyboardInterrupt, "^$"), signal.SIGTERM: (SystemExit, "^143$")}


@pytest.fixture(autouse=True)
def handlers():
    """Those of a Python program, before and after every test."""
    before = {number: signal.getsignal(number) for number in ENDS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    for number, handler in before.items():
        signal.signal(number, handler)


def run(folder=None):
    return jaxce.run_monte_carlo(
        jax.random.key(1), HAMILTONIAN, START, temperature=800.0, num_sweeps=20, sample_every=2, folder=folder
    )


def after_calls(monkeypatch, signals):
    """Send signals, {number of the call: signals}; every call is one sweep."""
    original, calls = chunks._call, []

    def interrupted(*arguments):
        calls.append(1)
        for number in signals.get(len(calls), ()):
            signal.raise_signal(number)
        return original(*arguments)

    monkeypatch.setattr(chunks, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(chunks, "_call", interrupted)


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
@pytest.mark.parametrize("call", [1, 7, 20])
def test_a_signal_saves_what_was_done_and_the_run_goes_on_bit_for_bit(tmp_path, monkeypatch, number, call):
    """Fault: all since the last checkpoint is lost, which here is everything."""
    error, message = ENDS[number]
    with monkeypatch.context() as patch:
        after_calls(patch, {call: [number]})
        with pytest.raises(error, match=message):
            run(tmp_path)
    with np.load(tmp_path / "checkpoint.npz", allow_pickle=False) as stored:
        assert stored["sweeps"] == call
    resumed, whole = run(tmp_path), run()
    for name in ("energy", "occupancy", "lowest_energy", "acceptance_rate"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))


def test_a_second_ctrl_c_stops_at_once(tmp_path, monkeypatch):
    after_calls(monkeypatch, {7: [signal.SIGINT, signal.SIGINT]})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert not (tmp_path / "checkpoint.npz").exists()


def test_without_a_folder_there_is_nothing_to_save(monkeypatch):
    after_calls(monkeypatch, {1: [signal.SIGINT]})
    with pytest.raises(KeyboardInterrupt):
        run()


def test_other_threads_and_other_handlers_are_left_alone():
    found = []

    def enter():
        with Interruption(is_active=True):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
    came = []
    own = lambda number, frame: came.append(number)
    signal.signal(signal.SIGINT, own)
    try:
        with Interruption(is_active=True) as interruption:
            signal.raise_signal(signal.SIGINT)
        interruption.stop()
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert came == [signal.SIGINT]
