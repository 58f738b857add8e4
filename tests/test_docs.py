"""The documentation names everything that is public, and nothing that is not there."""

import importlib
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"
DOCUMENTED = re.findall(
    r"^::: (\S+)$", "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md")), re.MULTILINE
)


def public_names(module):
    """By `__all__`, or else all of jaxce that a module of names imports."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return {name for name in names if getattr(getattr(module, name), "__module__", "").startswith("jaxce.")}


@pytest.mark.parametrize(
    "name", ["jaxce", "jaxce.diffusion", "jaxce.estimators", "jaxce.observables", "jaxce.plotting"]
)
def test_every_public_name_is_in_the_api_pages_once(name):
    module = importlib.import_module(name)
    listed = [entry.rpartition(".")[2] for entry in DOCUMENTED if entry.rpartition(".")[0] == name]
    assert len(listed) == len(set(listed))
    assert public_names(module) <= set(listed)
    # PyTorch is optional.
    assert all(hasattr(module, entry) for entry in listed if entry != "torch")


def test_every_page_is_in_the_navigation():
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"(\S+\.md)$", navigation, re.MULTILINE))
    assert named == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
