"""Prunings and mergers of icet's orbits, replayed."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxce.cluster_space import ClusterSpace


def with_history(space: ClusterSpace, history: Iterable[tuple[str, Any]]) -> ClusterSpace:
    """The space after prunings `("prune", [indices])` and mergers `("merge", {kept: [merged]})`, one after the other.

    icet counts orbits from 0, without the empty cluster, as they are at the moment of each step.

    Raises:
        ValueError: if a step does not fit the orbits.
    """
    for kind, what in history:
        try:
            space = _pruned(space, what) if kind == "prune" else _merged(space, what)
        except ValueError as error:
            raise ValueError(
                f"the step {kind!r} of its pruning history does not fit its {len(space.orbits) - 1} orbits (in icet "
                f"they are counted from 0, without the empty cluster): {error}"
            ) from error
    return space


def _pruned(space: ClusterSpace, indices: Sequence[int]) -> ClusterSpace:
    return space.without_orbits(index + 1 for index in indices)


def _merged(space: ClusterSpace, groups: Mapping[int, Sequence[int]]) -> ClusterSpace:
    counted = [[kept + 1, *(index + 1 for index in merged)] for kept, merged in groups.items() if merged]
    orbits = list(space.orbits)
    for kept, *merged in counted:
        for index in merged:
            if max(kept, index) < len(orbits) and orbits[index].order == orbits[kept].order:
                # The functions of the kept orbit are those of all, also where the merged one has more or fewer.
                orbits[index] = dataclasses.replace(orbits[index], functions=orbits[kept].functions)
    changed = ClusterSpace.from_orbits(space.prim, space.site_functions, orbits, space.metadata)
    return changed.with_merged_orbits(counted)
