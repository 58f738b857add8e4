"""Structures in unlike supercells as one padded pytree."""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.tables import Batch, ClusterTerm, Hamiltonian, SiteSpecies

# Padded slots and products come in multiples of this many, so that batches of different supercells have few shapes.
_SLOT_MULTIPLE = 8
_TERM_MULTIPLE = 32
# Index arrays that name sites: padded with the null site.
_SITE_INDICES = ("neighbours", "members", "column_sites")


def pad_batch(structures: Sequence[tuple[Hamiltonian, Any]], pad_to: int | None = None) -> Batch:
    """Stack structures of unlike supercells of one prim into one batch.

    A structure's sites come first, in their own order, then the padded ones. The result is a pytree: pass it to
    jitted functions; `batch.replace(occupancy=...)` puts in new occupancies without building anything again.

    Args:
        structures: pairs of a Hamiltonian and its occupancy `[sites]`.
        pad_to: number of sites to pad to; by default that of the largest structure. Batches padded to the same number
            share compiled code if the rest of their tables has the same size.

    Raises:
        ValueError: if the batch is empty, `pad_to` is too small, an occupancy does not fit, or the models differ in
            terms, dtype, or the species that sites allow.
    """
    if len(structures) == 0:
        raise ValueError("a batch needs at least one structure.")
    hamiltonians = [hamiltonian for hamiltonian, _ in structures]
    occupancies = [_checked_occupancy(i, h, o) for i, (h, o) in enumerate(structures)]
    _check_compatible(hamiltonians)
    num_sites = [len(occupancy) for occupancy in occupancies]
    padded_sites = max(num_sites) if pad_to is None else int(pad_to)
    if padded_sites < max(num_sites):
        raise ValueError(f"`pad_to` is {pad_to}, but the largest structure has {max(num_sites)} sites.")
    codes = np.zeros((len(structures), padded_sites), dtype=np.int8)
    for row, occupancy in zip(codes, occupancies, strict=True):
        row[: len(occupancy)] = occupancy
    largest = max(num_sites)
    # Cells grow with the sites.
    in_proportion = lambda longest: -(-longest * padded_sites // largest)
    lengths = {"sites": lambda _: padded_sites, "members": in_proportion, "cells": in_proportion}
    return Batch(
        hamiltonian=_stacked(hamiltonians, lengths),
        occupancy=jnp.asarray(codes),
        site_mask=jnp.asarray(np.arange(padded_sites) < np.array(num_sites)[:, None]),
    )


def _checked_occupancy(index: int, hamiltonian: Hamiltonian, occupancy: Any) -> np.ndarray:
    codes = np.asarray(occupancy)
    kind = np.asarray(hamiltonian.species.kind)
    if codes.shape != kind.shape or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"structure {index}: the occupancy must be {len(kind)} integers, but has shape {codes.shape} "
            f"and dtype {codes.dtype}."
        )
    wrong = np.flatnonzero((codes < 0) | (codes >= np.asarray(hamiltonian.species.num_species)[kind]))
    if len(wrong):
        raise ValueError(
            f"structure {index}: the species codes of sites {wrong[:10]} are out of range: {codes[wrong[:10]]}."
        )
    return codes


def _check_compatible(hamiltonians: list[Hamiltonian]) -> None:
    first = hamiltonians[0]
    for index, other in enumerate(hamiltonians[1:], start=1):
        if not _same_species(first.species, other.species):
            reason = "their sites allow different species"
        elif jax.tree.structure(first) != jax.tree.structure(other):
            reason = "they have different terms or cluster orders"
        elif [leaf.dtype for leaf in jax.tree.leaves(first)] != [leaf.dtype for leaf in jax.tree.leaves(other)]:
            reason = "they were built with different dtypes"
        else:
            continue
        raise ValueError(f"structures 0 and {index} cannot be in one batch: {reason}. Use models on one prim.")


def _same_species(first: SiteSpecies, other: SiteSpecies) -> bool:
    return (
        first.names == other.names
        and first.sublattice_names == other.sublattice_names
        and np.array_equal(first.labels, other.labels)
        and np.array_equal(first.codes, other.codes)
    )


def _stacked(nodes: list[Any], lengths: dict[str, Any]) -> Any:
    """The dataclasses as one whose arrays are padded and have a leading axis.

    `lengths` gives for the name of an axis the padded length as a function of the longest one.
    """
    if isinstance(nodes[0], ClusterTerm):
        lengths = {**lengths, **_environment_lengths(nodes[0])}
    fields = {}
    for field in dataclasses.fields(nodes[0]):
        parts = [getattr(node, field.name) for node in nodes]
        if field.metadata.get("static"):
            fields[field.name] = parts[0]
            continue
        fill = _fill_value(nodes[0], field.name)
        fields[field.name] = _stacked_field(parts, field.type, lengths, fill)
    return type(nodes[0])(**fields)


def _stacked_field(parts: list[Any], annotation: Any, lengths: dict[str, Any], fill: int) -> Any:
    if isinstance(parts[0], tuple):
        of_element = typing.get_args(annotation)[0]
        return tuple(_stacked_field(list(p), of_element, lengths, fill) for p in zip(*parts, strict=True))
    if dataclasses.is_dataclass(parts[0]):
        return _stacked(parts, lengths)
    # The axes are named in the annotation, such as `Int[Array, "*batch sites slots"]`.
    annotation = typing.get_args(annotation)[0] if typing.get_args(annotation) else annotation
    axes = annotation.dim_str.split()[1:]
    return _stacked_arrays([np.asarray(part) for part in parts], axes, lengths, fill)


def _environment_lengths(term: ClusterTerm) -> dict[str, Any]:
    num_groups, num_functions = len(term.table), term.linear.shape[-1]
    per_slot = _multiple_of(_SLOT_MULTIPLE * num_functions)
    return {
        "slots": _multiple_of(_SLOT_MULTIPLE),
        "slot_functions": per_slot,
        "many_functions": per_slot,
        "terms": _multiple_of(_TERM_MULTIPLE),
        # Lower symmetry needs more tables, but never more than one per group.
        "tables": lambda _: num_groups,
    }


def _multiple_of(unit: int) -> Any:
    return lambda longest: -(-longest // unit) * unit


def _fill_value(node: Any, name: str) -> int:
    if name == "kind" and hasattr(node, "num_species"):
        return len(node.num_species) - 1
    return -1 if name in _SITE_INDICES else 0


def _stacked_arrays(arrays: list[np.ndarray], axes: list[str], lengths: dict[str, Any], fill: int) -> Any:
    longest = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    shape = [lengths[axis](size) if axis in lengths else size for axis, size in zip(axes, longest, strict=True)]
    stacked = np.full((len(arrays), *shape), fill, dtype=arrays[0].dtype)
    for index, array in enumerate(arrays):
        stacked[(index, *(slice(length) for length in array.shape))] = array
    return jnp.asarray(stacked)
