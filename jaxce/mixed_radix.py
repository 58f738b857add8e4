"""States of some sites as one integer: mixed radix, the first site the most significant."""

from collections.abc import Sequence

import numpy as np


def place_values(num_species: Sequence[int]) -> tuple[int, ...]:
    """What one more in the species code of each site adds to the state."""
    values, value = [], 1
    for count in reversed(num_species):
        values.append(value)
        value *= count
    return tuple(reversed(values))


def digit(states: np.ndarray, num_species: Sequence[int], place: int) -> np.ndarray:
    """Species code of the site at a place, in each state."""
    return states // place_values(num_species)[place] % num_species[place]


def folded_states(num_species: Sequence[int], first: Sequence[int]) -> np.ndarray:
    """`[states]` the state in which each site has the code of the one at place `first` of it.

    What a table says of sites that are the same site: `table[folded_states(...)]` depends on the first of them alone.
    """
    # Place by place: all digits of all states would be many times larger than the table.
    states = np.arange(int(np.prod(num_species, dtype=np.int64)))
    places = place_values(num_species)
    return sum(
        (value * digit(states, num_species, source) for value, source in zip(places, first, strict=True)),
        start=np.zeros_like(states),
    )
