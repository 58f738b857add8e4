"""Structures in many supercells, evaluated supercell by supercell."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.devices import filled_up


def by_supercell(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of structures in unlike supercells from one of a batch in a single supercell.

    `jaxce.by_supercell(jaxce.energy)([(hamiltonian, occupancy), ...])`, for example, gives `[structures]` energies.
    Structures with the same tables are evaluated together, which takes a small part of the time that each would take
    by itself, or in a `pad_batch`. It is for loops on the host: inside `jit`, take `pad_batch`.

    Args:
        function: `(tables, occupancies [batch, sites]) -> [batch, ...]`, such as `energy`, `correlations`,
            `substitution_energies`, or `over_devices` of these.

    Returns:
        A function of pairs of tables and occupancies `[sites]`. It returns the results in the order of the structures:
        one array if they have the same shape, else a list. It raises `ValueError` if occupancies of the same tables
        have unlike lengths.
    """
    jitted = jax.jit(function)

    def evaluated(structures: Sequence[tuple[Any, Any]]) -> np.ndarray | list[np.ndarray]:
        groups: dict[int, list[int]] = {}
        for index, (tables, _) in enumerate(structures):
            groups.setdefault(id(tables), []).append(index)
        results: list[Any] = [None] * len(structures)
        for members in groups.values():
            occupancies = _stacked([np.asarray(structures[index][1]) for index in members])
            # A power of two of structures, so that groups of many sizes share compiled code.
            batch = filled_up(jnp.asarray(occupancies), 1 << (len(members) - 1).bit_length())
            values = np.asarray(jitted(structures[members[0]][0], batch))
            for index, value in zip(members, values[: len(members)], strict=True):
                results[index] = value
        return np.stack(results) if len({result.shape for result in results}) == 1 else results

    return evaluated


def _stacked(occupancies: list[np.ndarray]) -> np.ndarray:
    shapes = sorted({occupancy.shape for occupancy in occupancies})
    if len(shapes) > 1:
        raise ValueError(f"structures with the same tables must have occupancies of one shape, but have {shapes}.")
    return np.stack(occupancies)
