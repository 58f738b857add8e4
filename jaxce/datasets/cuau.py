"""Cu-Au on the fcc lattice: the expansion on which generative models of alloys are compared, and what is right for it.

See cuau/README.md for provenance and licence.
"""

import importlib.resources
import json
from typing import NamedTuple

import numpy as np

from jaxce.cluster_expansion import ClusterExpansion

_FOLDER = importlib.resources.files("jaxce.datasets") / "cuau"


class CuAuReference(NamedTuple):
    """Averages of the 64-site cell (4x4x4 prims) from parallel tempering, at one temperature.

    Attributes:
        num_samples: samples in both halves together.
        effective_samples: how many independent ones they are worth, by the energy.
        energy: mean, eV per prim, and its standard error.
        gold_fraction: mean x_Au and its standard error.
        energy_edges: `[64]` edges of the energy histogram, eV per prim.
        ordered_state: `[64]` the ground state, L1_0.
        halves: what `jaxce.diffusion.Yardstick.reference` gives: name -> `[2, ...]`, from independent ladders. The
            yardstick has these edges and this ordered state, and the tables of the expansion.
    """

    num_samples: int
    effective_samples: float
    energy: tuple[float, float]
    gold_fraction: tuple[float, float]
    energy_edges: np.ndarray
    ordered_state: np.ndarray
    halves: dict[str, np.ndarray]


def load_cuau_model() -> ClusterExpansion:
    """The Cu-Au expansion; pairs to 6.0 A, triplets and quadruplets to 4.5 A, 11 coefficients."""
    with importlib.resources.as_file(_FOLDER / "model.json") as path:
        return ClusterExpansion.load(path)


def load_cuau_formation_model() -> ClusterExpansion:
    """The Cu-Au expansion less the energies of the pure phases, on which published samplers run.

    The same canonical distributions, and those at other chemical potentials: mu of each species less its energy.
    """
    expansion = load_cuau_model()
    space, coefficients = expansion.space, expansion.coefficients.copy()
    orders = np.array([space.orbits[orbit].order for orbit in space.orbit_of_correlation])
    # The site function is -1 for copper and 1 for gold.
    copper, gold = (np.sum(coefficients * sign**orders) for sign in (-1.0, 1.0))
    coefficients[:2] -= [(gold + copper) / 2, (gold - copper) / 2]
    return ClusterExpansion(space, coefficients, {"data": f"{expansion.metadata['data']}, less the pure phases"})


def load_cuau_reference(ensemble: str, temperature: int) -> CuAuReference:
    """What a right sampler finds in the 64-site cell of `load_cuau_formation_model`.

    Args:
        ensemble: "semi-grand" (all chemical potentials 0) or "canonical" (32 Cu and 32 Au).
        temperature: 500, 680 or 1200 K.

    Raises:
        ValueError: for any other.
    """
    content = json.loads((_FOLDER / "reference_4x4x4.json").read_text(encoding="utf-8"))
    found = {(row["ensemble"], row["temperature"]): row for row in content["conditions"]}
    if (ensemble, temperature) not in found:
        raise ValueError(f"there are references for {list(found)}, but not for {(ensemble, temperature)}.")
    row = found[ensemble, temperature]
    return CuAuReference(
        num_samples=row["num_samples"],
        effective_samples=row["effective_samples"],
        energy=tuple(row["energy"]),
        gold_fraction=tuple(row["gold_fraction"]),
        energy_edges=np.array(row["energy_edges"]),
        ordered_state=np.array(content["ordered_state"], dtype=np.int8),
        halves={name: np.array(values) for name, values in row["halves"].items()},
    )
