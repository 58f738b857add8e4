"""Every example runs, as a user would run it."""

import pathlib
import subprocess
import sys

import pytest

EXAMPLES = sorted((pathlib.Path(__file__).parents[1] / "examples").glob("*.py"))
# It does what diffusion_cuau.py does, on another crystal.
SLOW = "diffusion_perovskite.py"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow) if path.name == SLOW else path for path in EXAMPLES],
    ids=lambda path: path.name,
)
def test_example_runs(path, tmp_path):
    outcome = subprocess.run(
        [sys.executable, "-W", "error", path, "--short"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip()
