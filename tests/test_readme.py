"""The Python of the README and of the guides runs as it stands."""

import gzip
import os
import pathlib
import re
import subprocess
import sys

import pytest

import motifs

ROOT = pathlib.Path(__file__).parents[1]


def write_models(folder):
    """What stands for the models of a user."""
    packed = (ROOT / "tests" / "data" / "icet" / "fcc_binary.ce.gz").read_bytes()
    (folder / "model.ce").write_bytes(gzip.decompress(packed))
    packed = (ROOT / "tests" / "data" / "smol" / "fcc_binary_sinusoid.smol.json.gz").read_bytes()
    (folder / "expansion.json").write_bytes(gzip.decompress(packed))
    motifs.write_files(folder)
    (folder / "POSCAR").write_text(motifs.template((2, 4, 4)), encoding="utf-8")


# Programs of several processes are run by test_distributed.py.
PAGES = [
    "README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.name != "distributed.md"),
]


def python_of(page):
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", [page for page in PAGES if python_of(page)])
def test_python_of_page_runs_as_it_stands(name, tmp_path):
    """One process for all blocks, in order, with the settings of a user: not those of conftest.py."""
    write_models(tmp_path)
    blocks = python_of(name)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"the Python code of {name} fails:\n{done.stderr}"
