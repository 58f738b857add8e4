"""Several processes on this machine, which talk over loopback, against one; and what happens when one of them dies."""

import contextlib
import functools
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import distributed_job
import jaxce

JOB = pathlib.Path(distributed_job.__file__)
# JAX adds the number of a Slurm job to it.
LOWEST_PORT = 2**16 - 2**12
NUM_SWEEPS = 30_000


def start_job(num_processes, **settings):
    """The processes of a job, as Slurm would start them."""
    job_id = free_port() - LOWEST_PORT
    return [
        start_process([JOB, json.dumps(settings)], job_id, num_processes, process_id)
        for process_id in range(num_processes)
    ]


def start_process(arguments, job_id, num_processes, process_id, **options):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(JOB.parents[1]),
        "SLURM_JOB_ID": str(job_id),
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": str(num_processes),
        "SLURM_PROCID": str(process_id),
        "SLURM_LOCALID": str(process_id),
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def free_port():
    """One of those that JAX makes of the number of a Slurm job."""
    for port in random.sample(range(LOWEST_PORT, 2**16), 100):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def outcomes(job, seconds):
    """Exit codes and outputs; a job that takes longer than so many seconds fails."""
    deadline = time.monotonic() + seconds
    try:
        outputs = [process.communicate(timeout=max(1, deadline - time.monotonic()))[0] for process in job]
    finally:
        for process in job:
            process.kill()
    return [process.returncode for process in job], outputs


def run_job(folder, num_processes, **work):
    """What each process gives: name of the work -> its arrays."""
    codes, outputs = outcomes(start_job(num_processes, work=work, out=str(folder)), 300)
    assert codes == [0] * num_processes, "\n".join(outputs)
    return results(folder, num_processes, work)


def results(folder, num_processes, names):
    return [{name: dict(np.load(folder / f"{name}.{number}.npz")) for name in names} for number in range(num_processes)]


def assert_alike(first, second):
    """Equal but for the rounding of numbers that are no integers."""
    assert first.keys() == second.keys()
    for name, values in first.items():
        if np.issubdtype(np.asarray(values).dtype, np.floating):
            np.testing.assert_allclose(values, second[name], rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(values, second[name])


@pytest.fixture(scope="module")
def by_one():
    """Name of the work -> what one process gives, when asked for."""
    return functools.cache(lambda name: getattr(distributed_job, name)())


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Two processes, the second of which dies in its last work: results before, the folder of the run, and outputs."""
    folder = tmp_path_factory.mktemp("job")
    work = {"ladders": {}, "batches": {}, "refused": {}, "chains": {"folder": str(folder / "run")}}
    codes, outputs = outcomes(start_job(2, work=work, out=str(folder), dying=1), 300)
    assert codes == [1, -signal.SIGKILL], "\n".join(outputs)
    return results(folder, 2, ("ladders", "batches", "refused")), folder / "run", outputs


@pytest.mark.parametrize("name", ["ladders", "batches"])
def test_two_processes_give_what_one_gives(by_one, killed, name):
    for result in killed[0]:
        assert_alike(result[name], by_one(name))


def test_what_processes_cannot_do_together_is_refused_by_all(killed):
    for result in killed[0]:
        messages = {name: str(message) for name, message in result["refused"].items()}
        assert "2 processes must be given the same arguments, but differ in key" in messages["key"]
        assert "7 chains cannot be divided evenly among 2 processes: take 6 or 8 chains" in messages["chains"]
        assert "File exists" in messages["folder"]


def test_when_a_process_is_killed_the_job_stops_and_any_number_of_processes_goes_on(by_one, killed):
    _, folder, outputs = killed
    assert "process 0 of 2 stops, since another one is gone" in outputs[0]
    assert f"{folder} holds the run up to its last checkpoint" in outputs[0]
    assert 0 < sweeps_in(folder) < 60
    assert_alike(distributed_job.chains(str(folder)), by_one("chains"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("node1:1234", 2, None), "must be given together"),
        ((None, None, 1), "must be given together"),
        (("node1", 2, 0), "a free port"),
        (("node1:0", 2, 0), "a free port"),
        (("node1:1234", 2, 2), "from 0 to `num_processes` - 1, but is 2 of 2"),
        (("node1:1234", 0, 0), "but is 0 of 0"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        jaxce.initialize_distributed(*arguments)


def test_without_a_launcher_arguments_are_needed():
    program = "import jaxce; jaxce.initialize_distributed()"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "no launcher of several processes was found" in run.stderr
    assert "or give `coordinator`, `num_processes` and `process_id`" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [2, 4])
def test_all_work_of_several_processes_is_that_of_one(by_one, tmp_path, num_processes):
    names = ("chains", "ladders", "batches", "particles")
    for result in run_job(tmp_path, num_processes, **{name: {} for name in names}):
        for name in names:
            assert_alike(result[name], by_one(name))


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_runs_go_on_with_other_numbers_of_processes(tmp_path, killed):
    """Two processes, one of which is killed in the middle; then four, killed again; then one."""
    folder, work = tmp_path / "run", {"chains": {"folder": str(tmp_path / "run"), "num_sweeps": NUM_SWEEPS}}
    before = 0
    for num_processes in (2, 4):
        job = start_job(num_processes, work=work, out=str(tmp_path))
        while all(process.poll() is None for process in job) and sweeps_in(folder) <= before:
            time.sleep(0.01)
        job[killed].send_signal(signal.SIGKILL)
        codes, outputs = outcomes(job, 120)
        assert 0 not in codes, "the run was over before a process was killed: make it longer"
        assert codes[killed] == -signal.SIGKILL, "\n".join(outputs)
        del outputs[killed]
        # The second is how JAX says it.
        assert all("another one is gone" in output or "another task died" in output for output in outputs)
        before = sweeps_in(folder)
    assert 0 < before < NUM_SWEEPS
    assert_alike(distributed_job.chains(str(folder), NUM_SWEEPS), distributed_job.chains(num_sweeps=NUM_SWEEPS))


@pytest.mark.slow
def test_the_program_of_the_guide_runs(tmp_path):
    guide = (JOB.parents[1] / "docs" / "distributed.md").read_text(encoding="utf-8")
    (tmp_path / "run.py").write_text(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0], encoding="utf-8")
    job_id = free_port() - LOWEST_PORT
    job = [start_process(["run.py"], job_id, 2, process_id, cwd=tmp_path) for process_id in range(2)]
    codes, outputs = outcomes(job, 300)
    assert codes == [0, 0], "\n".join(outputs)
    assert ["mean" in output for output in outputs] == [True, False]


@pytest.mark.slow
def test_the_command_gives_what_it_gives_alone(tmp_path):
    jaxce.datasets.load_cuau_formation_model().save(tmp_path / "model.json")
    run = ["-m", "jaxce", "mc", "--model", "model.json", "--supercell", "2", "--composition", "Cu=0.5,Au=0.5"]
    run += ["--temperature", "900,1200", "--chains", "2", "--sweeps", "100", "--seed", "3"]
    alone = subprocess.run([sys.executable, *run, "--folder", "one"], cwd=tmp_path, capture_output=True, check=False)
    assert alone.returncode == 0, alone.stderr
    job_id = free_port() - LOWEST_PORT
    together = [*run, "--folder", "two", "--distributed"]
    codes, outputs = outcomes([start_process(together, job_id, 2, number, cwd=tmp_path) for number in range(2)], 300)
    assert codes == [0, 0], "\n".join(outputs)
    assert ["averages and structures" in output for output in outputs] == [True, False]
    for file in ("summary.csv", "final.extxyz", "lowest.vasp"):
        assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()


def sweeps_in(folder):
    path = folder / "checkpoint.npz"
    return int(np.load(path)["sweeps"]) if path.exists() else 0
