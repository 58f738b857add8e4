"""Where the conditions of a run stand in a picture: their temperatures, chemical potentials, curves and labels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxce.sampling.results import MonteCarloResult
from jaxce.sampling.tempering import TemperingResult, chains_of

_AXES = ("temperature", "chemical_potential")


class Points(NamedTuple):
    """The conditions of a run, by temperature and then by chemical potential.

    Attributes:
        conditions: `[conditions]` their numbers.
        temperature: `[conditions]` kelvin.
        potential: `[conditions]` chemical potential of `species`, eV per atom; None if it was not given.
        species: whose chemical potential it is.
    """

    conditions: np.ndarray
    temperature: np.ndarray
    potential: np.ndarray | None
    species: str


class Curve(NamedTuple):
    """Conditions that differ in what is on the horizontal axis only, in its order.

    Attributes:
        label: what they have in common; empty if there is one curve.
        x: `[points]`.
        conditions: `[points]` numbers of the conditions.
    """

    label: str
    x: np.ndarray
    conditions: np.ndarray


def checked_chains(result: MonteCarloResult | TemperingResult, drop: int) -> MonteCarloResult:
    """The chains of a run, after a check that some samples are left."""
    chains = chains_of(result)
    num_samples = chains.energy.shape[1]
    if not 0 <= drop < num_samples:
        raise ValueError(
            f"`drop` must leave some of the {num_samples} samples, so be 0 to {num_samples - 1}, not {drop}."
        )
    return chains


def points_of(chains: MonteCarloResult, chemical_potential: Mapping[str, Any] | None) -> Points:
    """The conditions of a run, with the chemical potential of one species.

    Raises:
        ValueError: if there is not one chemical potential for each chain, or chains of one condition have unlike ones.
    """
    conditions, first, place = np.unique(chains.conditions, return_index=True, return_inverse=True)
    temperature = chains.temperature[first]
    if chemical_potential is None:
        order = np.argsort(temperature, kind="stable")
        return Points(conditions[order], temperature[order], None, "")
    if len(chemical_potential) != 1:
        raise ValueError(
            f"`chemical_potential` must be of one species, such as {{'Au': mu}}, but is of {list(chemical_potential)}."
        )
    species, values = next(iter(chemical_potential.items()))
    by_chain = _by_chain(values, len(chains.conditions), len(conditions))
    potential = by_chain[first]
    if not np.array_equal(potential[place], by_chain):
        raise ValueError(f"chains of one condition have unlike chemical potentials of {species}: {by_chain}.")
    order = np.lexsort((potential, temperature))
    return Points(conditions[order], temperature[order], potential[order], species)


def _by_chain(values: Any, num_chains: int, num_rungs: int) -> np.ndarray:
    """`[chains]` from a number, one for each chain, or one for each rung of tempering."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (num_chains,), (num_rungs,)) or not np.all(np.isfinite(array)):
        raise ValueError(
            f"a chemical potential must be a finite number, or one for each of the {num_chains} chains (rungs of a "
            f"ladder), but has shape {array.shape}."
        )
    return np.tile(array, num_chains // len(array)) if array.ndim else np.full(num_chains, array)


def curves_of(points: Points, against: str | None) -> tuple[str, list[Curve]]:
    """The label of the horizontal axis, and the curves.

    Raises:
        ValueError: if `against` is no axis or its values are not known, or two points of a curve have the same ones.
    """
    axis = against or ("temperature" if points.potential is None else "chemical_potential")
    if axis not in _AXES or (axis == "chemical_potential" and points.potential is None):
        raise ValueError(
            f"`against` must be one of {_AXES}, the second with `chemical_potential={{'Au': mu}}`, but is {against!r}."
        )
    potential = np.zeros(len(points.conditions)) if points.potential is None else points.potential
    if axis == "temperature":
        label, x, others = "temperature (K)", points.temperature, potential
        name = lambda value: f"μ({points.species}) = {value:g} eV"
    else:
        label, x, others = f"chemical potential of {points.species} (eV per atom)", potential, points.temperature
        name = lambda value: f"{value:g} K"
    distinct = np.unique(others)
    curves = []
    for value in distinct:
        rows = np.flatnonzero(others == value)
        rows = rows[np.argsort(x[rows], kind="stable")]
        _check_different(x[rows], label)
        curves.append(Curve(name(value) if len(distinct) > 1 else "", x[rows], points.conditions[rows]))
    return label, curves


def _check_different(x: np.ndarray, label: str) -> None:
    if np.any(np.diff(x) == 0):
        raise ValueError(
            f"several conditions have the same {label}, so they differ in something else: say in what, with "
            "`chemical_potential={'Au': mu}`, one number for each chain."
        )


def condition_labels(points: Points) -> list[str]:
    """What to call each condition: by its temperature, the chemical potential if it is known, or its number."""
    kelvin = [f"{value:.4g} K" for value in points.temperature]
    if points.potential is not None:
        return [f"{t}, μ({points.species}) = {mu:g} eV" for t, mu in zip(kelvin, points.potential, strict=True)]
    if len(set(kelvin)) == len(kelvin):
        return kelvin
    return [f"condition {number}, {t}" for number, t in zip(points.conditions, kelvin, strict=True)]
