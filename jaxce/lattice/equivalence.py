"""Whether two structures are the same crystal, whatever supercells they are written in."""

import numpy as np

from jaxce.lattice.supercell import Supercell, hermite_normal_form


def canonical_key(supercell: Supercell, occupancy: np.ndarray) -> bytes:
    """A key that two structures on one prim share if, and only if, its space group makes them equivalent.

    The structure is reduced to its smallest period. Of all its images, those with the lexicographically lowest
    Hermite normal form are kept, and of their occupancies, moved by every translation, the lowest.

    Args:
        supercell: the supercell.
        occupancy: `[sites]` species codes.
    """
    cell, codes = _smallest_period(supercell, np.asarray(occupancy))
    group = cell.space_group
    forms = np.array([hermite_normal_form(cell.transformation @ rotation.T) for rotation in group.rotations])
    lowest = forms[np.lexsort(forms.reshape(-1, 9).T[::-1])[0]]
    target = Supercell(cell.prim, lowest)
    best = None
    for operation in np.flatnonzero(np.all(forms == lowest, axis=(1, 2))).tolist():
        sites, offsets = group.apply(operation, cell.prim_sites, cell.offsets)
        places = target.site_index(sites, offsets[None] + target.cells[:, None])
        images = np.empty((target.num_prims, target.num_sites), dtype=np.int16)
        np.put_along_axis(images, places, codes[None].astype(np.int16), axis=1)
        candidate = images[np.lexsort(images.T[::-1])[0]].tobytes()
        best = candidate if best is None else min(best, candidate)
    return lowest.tobytes() + (best or b"")


def _smallest_period(supercell: Supercell, occupancy: np.ndarray) -> tuple[Supercell, np.ndarray]:
    """The structure in the smallest supercell that holds it."""
    moved = supercell.site_index(supercell.prim_sites, supercell.offsets[None] + supercell.cells[:, None])
    is_period = np.all(occupancy[moved] == occupancy, axis=1)
    if is_period.sum() == 1:
        return supercell, occupancy
    periods = np.concatenate([supercell.cells[is_period], supercell.transformation])
    smallest = Supercell(supercell.prim, hermite_normal_form(periods))
    return smallest, occupancy[supercell.site_index(smallest.prim_sites, smallest.offsets)]
