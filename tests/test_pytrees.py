"""Dataclasses as trees of arrays, told apart by their class."""

import dataclasses
import pathlib
import typing

import jax
import jax.numpy as jnp
import pytest

from jaxce.pytrees import pytree

PACKAGE = pathlib.Path(__file__).parents[1] / "jaxce"


@pytree
@dataclasses.dataclass(frozen=True)
class One:
    first: typing.Any
    second: typing.Any
    name: str = dataclasses.field(default="", metadata={"static": True})


@pytree
@dataclasses.dataclass(frozen=True)
class Other(One):
    pass


@pytree
@dataclasses.dataclass(frozen=True)
class Positive:
    value: typing.Any

    def __post_init__(self):
        if self.value <= 0:
            raise ValueError("positive numbers only")


def test_structures_of_two_classes_differ():
    assert jax.tree.structure(One(1, 2)) != jax.tree.structure(Other(1, 2))
    assert jax.tree.structure(One(1, 2)) == jax.tree.structure(One(3, 4))
    assert jax.tree.structure(One(1, 2, "a")) != jax.tree.structure(One(1, 2, "b"))


def test_trees_are_taken_apart_and_put_together():
    one = One(jnp.zeros(2), {"inner": 3}, "name")
    assert [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(one)] == [".first", ".second['inner']"]
    doubled = jax.jit(lambda tree: jax.tree.map(lambda leaf: 2 * leaf, tree))(one)
    assert (type(doubled), doubled.name, doubled.second["inner"]) == (One, "name", 6)


def test_what_the_constructor_refuses_may_be_a_leaf():
    """Under `jit` and `vmap` leaves may be anything."""
    assert jax.tree.map(lambda _: None, Positive(3)).value is None
    assert jax.grad(lambda tree: tree.value**2)(Positive(3.0)).value == 6
    with pytest.raises(ValueError, match="positive"):
        Positive(-1)


def test_every_class_is_registered_so():
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "pytrees.py"]
    assert not [path for path in files if "register_dataclass" in path.read_text(encoding="utf-8")]
