"""What is kept fixed, and the weight of a state. Moves are apart (`jaxce.sampling.moves`)."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Canonical:
    """Fixed composition: weight exp(-E / kT), sampled by swaps of unlike species.

    Attributes:
        exchange: "sublattice": only sites of one sublattice swap, so that each keeps its composition. Swaps across
            sublattices are not built yet.

    Raises:
        ValueError: if `exchange` is anything else.
    """

    exchange: str = "sublattice"

    def __post_init__(self) -> None:
        if self.exchange != "sublattice":
            raise ValueError(f'`exchange` can only be "sublattice" so far, but is {self.exchange!r}.')


@dataclasses.dataclass(frozen=True)
class SemiGrand:
    """Fixed exchange chemical potentials: weight exp(-(E - sum_i mu_i N_i) / kT), sampled by single-site flips.

    Attributes:
        chemical_potentials: species -> mu in eV per atom, a number or one per chain; species not named have 0.
    """

    chemical_potentials: Mapping[str, Any] = dataclasses.field(default_factory=dict)
