"""The Python of the README and of the guides runs as it stands."""

import gzip
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# The pages, and what stands for the files of a user that they read.
PAGES = {
    "README.md": {},
    "docs/monte_carlo.md": {},
    "docs/fitting.md": {},
    "docs/bring_your_model.md": {"model.ce": "icet/fcc_binary.ce.gz"},
}


@pytest.mark.parametrize("name", PAGES)
def test_python_of_page_runs_as_it_stands(name, tmp_path):
    """One process for all blocks, in order, with the settings of a user: not those of conftest.py."""
    for file, packed in PAGES[name].items():
        (tmp_path / file).write_bytes(gzip.decompress((ROOT / "tests" / "data" / packed).read_bytes()))
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks, f"{name} has no ```python block"
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"the Python code of {name} fails:\n{done.stderr}"
