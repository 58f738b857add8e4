"""Everything that tells how good samples are, in one call: no single number does."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxce.diffusion.importance_weights import (
    effective_sample_fraction,
    elbo,
    eubo,
    forward_kl,
    log_importance_weights,
    log_z_estimate,
    reverse_kl,
)
from jaxce.diffusion.mode_coverage import coverage, entropic_mode_coverage
from jaxce.diffusion.yardstick import Yardstick, distances
from jaxce.sampling.diagnostics import Estimate


class Comparison(NamedTuple):
    """A number for the samples against the reference, and for the reference's halves against each other."""

    value: float
    floor: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How samples compare with a reference and with the target; None where the arguments do not tell.

    The effective sample fraction and the reverse divergence know only the modes that the samples reach. Read them
    together with the coverage, the forward divergence and the histograms.

    Attributes:
        num_samples: number of samples.
        effective_sample_fraction: effective over actual number of samples, by their weights.
        log_z: ln Z from the weights.
        elbo: lower bound of ln Z, from samples.
        eubo: upper bound of ln Z, from reference samples.
        reverse_kl: KL(q || target), nats; by the ln Z that was given, else by the estimated one.
        forward_kl: KL(target || q), nats.
        distances: name -> distance of the statistics of `Yardstick`: "energy" and "composition" in nats, "mean_energy"
            in eV per prim, "mean_composition", "short_range_order", "correlations", ...
        energy_coverage: part of the reference in energy bins where the samples have half its weight or more.
        mode_coverage: the same for the variants of the ordered state, and what is near none of them.
        entropic_mode_coverage: 1 if all variants are equally often among the samples, 0 if one alone is.
    """

    num_samples: int
    effective_sample_fraction: float | None
    log_z: Estimate | None
    elbo: Estimate | None
    eubo: Estimate | None
    reverse_kl: Estimate | None
    forward_kl: Estimate | None
    distances: Mapping[str, Comparison]
    energy_coverage: Comparison
    mode_coverage: Comparison | None
    entropic_mode_coverage: float | None

    def __str__(self) -> str:
        """A table, one quantity a line."""
        single = ("effective_sample_fraction", "log_z", "elbo", "eubo", "reverse_kl", "forward_kl")
        rows = [("samples", str(self.num_samples), "")]
        for name in (*single, "entropic_mode_coverage"):
            value = getattr(self, name)
            rows += [] if value is None else [(name, f"{value:.4g}" if isinstance(value, float) else str(value), "")]
        compared = {"energy_coverage": self.energy_coverage, "mode_coverage": self.mode_coverage}
        compared |= {f"distance: {name}": comparison for name, comparison in self.distances.items()}
        rows += [(name, f"{c.value:.4g}", f"{c.floor:.4g}") for name, c in compared.items() if c is not None]
        table = [("", "samples against reference", "its halves"), *rows]
        widths = [max(len(row[column]) for row in table) for column in range(3)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join(line.rstrip() for line in lines)


def evaluate(
    yardstick: Yardstick,
    reference: Mapping[str, np.ndarray],
    occupancy: Any,
    energy: Any,
    *,
    log_weights: Any = None,
    log_probability: Any = None,
    temperature: Any = None,
    work: Any = 0.0,
    log_z: Estimate | float | None = None,
    reference_log_weights: Any = None,
) -> Evaluation:
    """All measures of a set of samples.

    Args:
        yardstick: what to measure.
        reference: `yardstick.reference(...)` of samples that are right, or a stored one (`load_cuau_reference`).
        occupancy: `[samples, sites]` species codes.
        energy: `[samples]` eV per supercell.
        log_weights: `[samples]` with which the samples are to be averaged, such as those of sequential Monte Carlo;
            without them samples are judged as they are.
        log_probability: `[samples]` ln q of the sampler, if it is known: gives ln Z, the ELBO and, unless there are
            `log_weights`, the effective sample fraction.
        temperature: kelvin; needed with `log_probability`.
        work: `[samples]` sum over species of chemical potential times number, eV.
        log_z: the right ln Z, if it is known.
        reference_log_weights: `log_importance_weights` of reference samples, with the sampler's ln q of these: gives
            the EUBO.

    Raises:
        ValueError: if shapes disagree, numbers are not finite, or the reference was made by another yardstick.
    """
    statistics = yardstick.statistics(occupancy, energy, log_weights)
    _check_reference(statistics, reference)
    first, second = ({name: halves[half] for name, halves in reference.items()} for half in (0, 1))
    whole = {name: np.mean(halves, axis=0) for name, halves in reference.items()}
    found, floor = distances(statistics, whole), distances(first, second)
    covered, evenness = None, None
    if yardstick.variants is not None:
        covered = Comparison(
            coverage(statistics["modes"], _symmetrized(whole["modes"])),
            coverage(first["modes"], _symmetrized(second["modes"])),
        )
        evenness = _entropic(statistics["modes"][:-1])
    return Evaluation(
        num_samples=len(occupancy),
        **_by_weights(log_weights, log_probability, energy, temperature, work, log_z, reference_log_weights),
        distances={name: Comparison(found[name], floor[name]) for name in found},
        energy_coverage=Comparison(
            coverage(statistics["energy"], whole["energy"]), coverage(first["energy"], second["energy"])
        ),
        mode_coverage=covered,
        entropic_mode_coverage=evenness,
    )


def _by_weights(
    log_weights: Any, log_probability: Any, energy: Any, temperature: Any, work: Any, log_z: Any, of_reference: Any
) -> dict[str, Any]:
    """What follows from log weights alone, by the names of `Evaluation`."""
    names = ("effective_sample_fraction", "log_z", "elbo", "eubo", "reverse_kl", "forward_kl")
    found: dict[str, Any] = dict.fromkeys(names)
    if log_probability is not None:
        if temperature is None:
            raise ValueError("`log_probability` needs the `temperature` to which it is compared.")
        own = log_importance_weights(log_probability, energy, temperature, work)
        found |= {"log_z": log_z_estimate(own), "elbo": elbo(own)}
        log_z = found["log_z"] if log_z is None else log_z
        found["reverse_kl"] = reverse_kl(own, log_z)
        log_weights = own if log_weights is None else log_weights
    if log_weights is not None:
        found["effective_sample_fraction"] = effective_sample_fraction(log_weights)
    if of_reference is not None:
        found["eubo"] = eubo(of_reference)
        found["forward_kl"] = None if log_z is None else forward_kl(of_reference, log_z)
    return found


def _check_reference(statistics: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> None:
    shapes = {name: (2, *values.shape) for name, values in statistics.items()}
    given = {name: np.shape(values) for name, values in reference.items()}
    differing = sorted(name for name in shapes | given if shapes.get(name) != given.get(name))
    if differing:
        listed = ", ".join(f"{name}: {given.get(name)} for {shapes.get(name)}" for name in differing)
        raise ValueError(
            "the reference must be made by the same yardstick (edges, tables, ordered state, shells), but has other "
            f"shapes: {listed}."
        )


def _symmetrized(modes: np.ndarray) -> np.ndarray:
    """Weights of the variants, which symmetry makes equal, and of what is near none."""
    return np.append(np.full(len(modes) - 1, np.mean(modes[:-1])), modes[-1])


def _entropic(variants: np.ndarray) -> float:
    """NaN if no sample is near a variant."""
    return entropic_mode_coverage(variants) if np.sum(variants) > 0 else float("nan")
