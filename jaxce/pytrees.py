"""Dataclasses that JAX takes for trees of arrays."""

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

Dataclass = TypeVar("Dataclass")


def pytree(cls: type[Dataclass]) -> type[Dataclass]:
    """Make trees of a dataclass's instances; fields with `metadata={"static": True}` are no arrays and are compared.

    `jax.tree_util.register_dataclass` does not tell classes apart: in jax 0.10.1 and 0.12.0.1 (not in 0.7.0) the
    structures of two classes with equally many fields are equal to it, and where their hashes also meet, which happens
    now and then, a compiled function runs the program of one class for the other. Structures of nodes that are
    registered one by one, as here, have their class.
    """
    fields: Any = cls
    is_static = {field.name: bool(field.metadata.get("static")) for field in dataclasses.fields(fields)}
    arrays = [name for name in is_static if not is_static[name]]
    static = [name for name in is_static if is_static[name]]
    keys = [jax.tree_util.GetAttrKey(name) for name in arrays]

    values, aside_of = _getter(arrays), _getter(static)

    def flatten(instance: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return values(instance), aside_of(instance)

    def flatten_with_keys(instance: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(zip(keys, values(instance), strict=True)), aside_of(instance)

    def unflatten(aside: tuple[Any, ...], children: Any) -> Any:
        # Not by the constructor, which may look at values that are not there under `jit`.
        instance = object.__new__(cls)
        instance.__dict__.update(zip(arrays, children, strict=True))
        instance.__dict__.update(zip(static, aside, strict=True))
        return instance

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """What takes these attributes, fast: every call of a compiled function takes its arguments apart."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda instance: tuple([getattr(instance, name) for name in names])
