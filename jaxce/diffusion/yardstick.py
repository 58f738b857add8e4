"""What is measured of samples and of the reference alike, and how far apart two such measurements are."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxce.diffusion.mode_coverage import normalized, ordered_variants, variant_of
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.observables import active_sublattices, correlation_vector, named_observables
from jaxce.sampling.order_parameters import short_range_order
from jaxce.site_species import check_occupancy
from jaxce.tables import ClusterTables

# What is compared as distributions; all else is a mean.
_HISTOGRAMS = ("energy", "composition", "modes")

_measured = jax.jit(lambda observable, occupancy: observable(occupancy))


class Yardstick:
    """What to measure: histograms of energy, composition and ordered variants, and means of observables.

    Args:
        supercell: the supercell.
        energy_edges: `[edges]` of the energy histogram, eV per prim, increasing; what lies outside is counted in a bin
            below and a bin above.
        tables: if given, the mean correlation vector is compared too.
        ordered_state: if given, an ordered occupancy `[sites]`, such as the ground state: its symmetric variants are
            the modes.
        num_shells: neighbour shells of the Warren-Cowley parameters, on every active sublattice; 0 for none.
        observables: further ones, as of `run_monte_carlo`, whose means are compared, such as order parameters that are
            the same for all variants.

    Raises:
        ValueError: if the edges do not increase, or an observable is none.
    """

    def __init__(
        self,
        supercell: Supercell,
        energy_edges: Any,
        tables: ClusterTables | None = None,
        ordered_state: Any = None,
        num_shells: int = 2,
        observables: Any = (),
    ):
        self.supercell = supercell
        self.energy_edges = np.asarray(energy_edges, dtype=np.float64)
        if self.energy_edges.ndim != 1 or len(self.energy_edges) < 2 or np.any(np.diff(self.energy_edges) <= 0):
            raise ValueError(f"`energy_edges` must be two or more increasing numbers, not {energy_edges!r}.")
        self._sublattices = active_sublattices(supercell)
        self.variants = None if ordered_state is None else ordered_variants(supercell, ordered_state)
        self._observables = named_observables(observables)
        if tables is not None:
            self._observables["correlations"] = correlation_vector(tables)
        self._orders = [
            short_range_order(supercell, num_shells=num_shells, sublattice=s.name)
            for s in self._sublattices
            if num_shells
        ]

    def statistics(self, occupancy: Any, energy: Any, log_weights: Any = None) -> dict[str, np.ndarray]:
        """Name -> histogram (probabilities) or mean, of all samples.

        Args:
            occupancy: `[samples, sites]` species codes.
            energy: `[samples]` eV per supercell.
            log_weights: `[samples]`; without them all samples count alike.

        Raises:
            ValueError: if shapes disagree, or there is no sample.
        """
        codes, per_prim, weights = self._checked(occupancy, energy, log_weights)
        counts = self._species_counts(codes)
        found = {
            "energy": self._energy_histogram(per_prim, weights),
            "composition": self._composition_histogram(counts, weights),
            "mean_energy": np.sum(weights * per_prim, keepdims=True),
            "mean_composition": weights @ (counts / self._num_sites_of_counts()),
        }
        on_device = jnp.asarray(codes)
        if self._orders:
            parts = [np.asarray(_measured(order, on_device)).reshape(len(codes), -1) for order in self._orders]
            found["short_range_order"] = _weighted_mean(np.concatenate(parts, axis=1), weights)
        for name, observable in self._observables.items():
            found[name] = _weighted_mean(np.asarray(_measured(observable, on_device)), weights)
        if self.variants is not None:
            labels = variant_of(self.supercell, self.variants, codes)
            found["modes"] = np.bincount(labels, weights, len(self.variants) + 1)
        return found

    def reference(self, occupancy: Any, energy: Any) -> dict[str, np.ndarray]:
        """Name -> `[2, ...]` statistics of the first and of the second half of reference samples.

        How far the halves are apart is the least that can be asked of other samples; halves from independent runs say
        it best.
        """
        middle = len(occupancy) // 2
        halves = [
            self.statistics(occupancy[:middle], energy[:middle]),
            self.statistics(occupancy[middle:], energy[middle:]),
        ]
        return {name: np.stack([half[name] for half in halves]) for name in halves[0]}

    def _checked(self, occupancy: Any, energy: Any, log_weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        codes, energies = np.asarray(occupancy), np.asarray(energy, dtype=np.float64)
        check_occupancy(self.supercell.num_sites, codes)
        logs = np.zeros(len(codes)) if log_weights is None else np.asarray(log_weights, dtype=np.float64)
        if codes.ndim != 2 or len(codes) == 0 or energies.shape != (len(codes),) or logs.shape != (len(codes),):
            raise ValueError(
                "occupancies [samples, sites] need as many energies and log weights, and at least one, but have the "
                f"shapes {codes.shape}, {energies.shape} and {logs.shape}."
            )
        if not np.all(np.isfinite(energies)) or np.any(np.isnan(logs)) or not np.isfinite(np.max(logs)):
            raise ValueError("energies must be finite, and log weights numbers or -inf, and not all -inf.")
        return codes.astype(np.int8), energies / self.supercell.num_prims, normalized(np.exp(logs - np.max(logs)))

    def _species_counts(self, codes: np.ndarray) -> np.ndarray:
        """`[samples, columns]` sites with each species but the first, sublattice by sublattice."""
        columns = [
            np.sum(codes[:, sublattice.sites] == code, axis=1)
            for sublattice in self._sublattices
            for code in range(1, len(sublattice.species))
        ]
        return np.stack(columns, axis=1)

    def _num_sites_of_counts(self) -> np.ndarray:
        return np.concatenate([np.full(len(s.species) - 1, len(s.sites)) for s in self._sublattices])

    def _energy_histogram(self, per_prim: np.ndarray, weights: np.ndarray) -> np.ndarray:
        bins = np.searchsorted(self.energy_edges, per_prim, side="right")
        return np.bincount(bins, weights, len(self.energy_edges) + 1)

    def _composition_histogram(self, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        length = int(self._num_sites_of_counts().max()) + 1
        return np.stack([np.bincount(column, weights, length) for column in counts.T])


def jensen_shannon(first: Any, second: Any) -> float:
    """Jensen-Shannon divergence of two histograms with the same bins, nats: from 0 (equal) to ln 2 (disjoint).

    Args:
        first: `[bins]` numbers or weights; normalised here.
        second: `[bins]`.

    Raises:
        ValueError: if shapes differ, a weight is negative or not finite, or all are 0.
    """
    p, q = normalized(first), normalized(second)
    if p.shape != q.shape:
        raise ValueError(f"histograms of the same bins are wanted, but have the shapes {p.shape} and {q.shape}.")
    middle = (p + q) / 2
    divergence = 0.0
    for part in (p, q):
        present = part > 0
        divergence += 0.5 * float(np.sum(part[present] * np.log(part[present] / middle[present])))
    return max(0.0, divergence)


def distances(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Name -> how far apart two `statistics` are.

    Jensen-Shannon divergences (nats) of histograms, of compositions the largest over species; of means the largest
    difference of any entry.
    """
    found = {}
    for name in first:
        if name in _HISTOGRAMS:
            rows = zip(np.atleast_2d(first[name]), np.atleast_2d(second[name]), strict=True)
            found[name] = max(jensen_shannon(p, q) for p, q in rows)
        else:
            found[name] = float(np.max(np.abs(first[name] - second[name])))
    return found


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over the samples that have a value: short-range order has none where a species is absent."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    is_known = ~np.isnan(flat)
    total = weights @ is_known
    means = np.divide(weights @ np.where(is_known, flat, 0), total, out=np.full(len(total), np.nan), where=total > 0)
    return means.reshape(values.shape[1:])
