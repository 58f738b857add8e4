"""Limits on what a foreign file may ask for: enumerating clusters takes memory that no file should take by mistake."""

import math
from collections.abc import Mapping

import numpy as np

from jaxce.lattice.prim import Prim

# Sites of a prim; distances between all of them are a table.
LARGEST_PRIM = 1000
# Neighbours of a site, and choices of a cluster's other points among them.
_MOST_NEIGHBOURS = 3000
_MOST_CHOICES = 3e7


def check_prim_size(num_sites: int) -> None:
    """Raise `ValueError` if a prim has more sites than a model has."""
    if num_sites > LARGEST_PRIM:
        raise ValueError(f"a prim has at most {LARGEST_PRIM} sites, but this has {num_sites}: is it a supercell?")


def check_reach(prim: Prim, cutoffs: Mapping[int, float]) -> None:
    """Raise `ValueError` if clusters within the cutoffs (angstrom, by order) are too many to be listed."""
    density = len(prim.active_sites) / abs(np.linalg.det(prim.lattice))
    for order, cutoff in cutoffs.items():
        neighbours = 4 / 3 * math.pi * cutoff**3 * density
        if neighbours > _MOST_NEIGHBOURS or math.comb(math.ceil(neighbours), order - 1) > _MOST_CHOICES:
            raise ValueError(
                f"clusters of {order} sites reach {cutoff:g} angstrom, within which a site has about {neighbours:.0f} "
                "neighbours: too many clusters to list. Are lengths in angstrom, and cutoffs those of the model?"
            )
