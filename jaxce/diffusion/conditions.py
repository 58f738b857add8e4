"""Temperatures and chemical potentials of samples: one for all, or one for each."""

from collections.abc import Mapping
from typing import Any

import ase.units
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxce.sampling.ensemble_parameters import canonical_name
from jaxce.tables import SiteSpecies

# Species -> mu, or sublattice -> {species -> mu}; eV per atom, a number or one per sample. A dict is a pytree, so that
# it can be an argument of a jitted function.
ChemicalPotentials = Mapping[str, Any]


def inverse_temperature(temperature: ArrayLike, batch_shape: tuple[int, ...], dtype: Any) -> Float[Array, "*batch"]:
    """1 / kT of each sample, 1/eV, from a temperature in kelvin."""
    kelvin = jnp.broadcast_to(jnp.asarray(temperature, dtype), batch_shape)
    return 1 / (jnp.asarray(ase.units.kB, dtype) * kelvin)


def site_potentials(
    species: SiteSpecies, chemical_potentials: ChemicalPotentials, batch_shape: tuple[int, ...], dtype: Any
) -> Float[Array, "*batch sites species"]:
    """Chemical potential of each species on each site, eV; what stands at codes that do not exist means nothing.

    Raises:
        ValueError: if a name is no species or sublattice, or a potential is given twice.
    """
    table = _by_label(species, chemical_potentials)
    rows = [jnp.stack([jnp.broadcast_to(jnp.asarray(mu, dtype), batch_shape) for mu in row], axis=-1) for row in table]
    labels = species.labels[species.kind]
    return jnp.stack(rows, axis=-2)[..., species.kind[:, None], jnp.maximum(labels, 0)]


def _by_label(species: SiteSpecies, chemical_potentials: ChemicalPotentials) -> list[list[Any]]:
    """`[kinds][labels]` values; the last label is that of padded sites."""
    named = {name: {} for name in species.sublattice_names if name}
    for key, value in chemical_potentials.items():
        by_name = value if isinstance(value, Mapping) else {key: value}
        sublattices = [key] if isinstance(value, Mapping) else list(named)
        for name, mu in by_name.items():
            if not set(sublattices) <= set(named) or canonical_name(name) not in species.names[:-1]:
                raise ValueError(
                    f"a chemical potential is given for {key!r}{f' and {name!r}' if by_name is value else ''}, but the "
                    f"species are {list(species.names[:-1])} and the sublattices {list(named)}."
                )
            for sublattice in sublattices:
                if canonical_name(name) in named[sublattice]:
                    raise ValueError(
                        f"a chemical potential of {name} on sublattice {sublattice} is given twice: "
                        f"{dict(chemical_potentials)}."
                    )
                named[sublattice][canonical_name(name)] = mu
    return [[named.get(row, {}).get(name, 0.0) for name in species.names] for row in species.sublattice_names]
