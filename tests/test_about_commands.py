"""`jaxce bench` and `jaxce doctor`, and completion in a shell."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import tomllib

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import cuau
from jaxce.cli import app
from jaxce.commands import bench, doctor


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_the_numbers_that_doctor_holds_are_those_of_all_states():
    energies = cuau.all_states()[2]
    lowest = energies.min()
    assert lowest == doctor._LOWEST
    assert np.sum(energies < lowest + 1e-6) == doctor._NUM_LOWEST
    weights = np.exp(-doctor._INVERSE_KT * (energies - lowest))
    assert np.average(energies, weights=weights) == pytest.approx(doctor._MEAN, abs=1e-12)


def test_doctor_finds_nothing_here():
    outcome = run("doctor")
    assert outcome.exit_code == 0, outcome.output
    for part in ("jaxlib", "scikit-learn", "devices: ", "settings: ", "16-site Cu-Au is exact"):
        assert part in outcome.output


def test_doctor_says_what_is_wrong(monkeypatch):
    versions = {"jax": "0.10.2", "jaxlib": "0.9.1", "spglib": None}
    real = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda name: versions[name] if name in versions else real(name))
    monkeypatch.setattr(doctor, "energy_deviation", lambda: 0.5)
    outcome = run("doctor")
    assert outcome.exit_code == 1
    for part in (
        "jax 0.10.2 gives wrong numbers on CPU",
        "do not belong together",
        "spglib is not installed",
        "energies of 16-site Cu-Au deviate by 0.5 eV",
    ):
        assert part in outcome.stderr


def test_excluded_versions_are_those_of_the_package():
    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    requirement = next(entry for entry in project["dependencies"] if entry.startswith("jax>"))
    oldest, *excluded = requirement.removeprefix("jax").split(",")
    assert set(doctor.BAD_JAX) == {entry.removeprefix("!=") for entry in excluded}
    assert oldest == ">=" + ".".join(map(str, doctor._OLDEST_JAX))


def test_bench_reports_rates(monkeypatch):
    monkeypatch.setattr(bench, "_swap_rate", lambda *given: {"batch": 1, **bench._rates(9, np.array([3.0, 1.5]))})
    monkeypatch.setattr(bench, "_BATCH", 8)
    outcome = run("bench", "--json")
    assert outcome.exit_code == 0, outcome.output
    content = json.loads(outcome.output)
    assert [row["unit"] for row in content["rates"]] == ["structures"] * 3 + ["swaps"] * 2
    assert all(row["per second"] > 0 for row in content["rates"][:3])
    assert (content["rates"][4]["per second"], content["rates"][4]["per CPU second"]) == (3, 6)
    assert content["machine"]["device"] == jax.devices()[0].device_kind


@pytest.mark.slow
def test_bench_accepts_what_it_says():
    outcome = run("bench")
    assert outcome.exit_code == 0, outcome.output
    hot, cold = (float(value) for value in re.findall(r"([\d.]+) %", outcome.output))
    assert 35 < hot < 45
    assert 0.8 < cold < 4


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("jaxce pre", "predict"), ("jaxce enumerate --max", "--max-size"), ("jaxce fit --estimator group", "group-lasso")],
)
def test_completion_in_bash(words, wanted):
    environment = os.environ | {
        "_JAXCE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    script = "import sys; sys.argv = ['jaxce']; from jaxce.cli import main; main()"
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        seconds.append(time.perf_counter() - began)
        if seconds[-1] < 0.5:
            break
    assert wanted in done.stdout.split(), done.stderr
    # Of an idle machine; tests share one.
    assert min(seconds) < 2
