"""Order parameters: how far occupancies are from random, between neighbours and against an ordered phase."""

import dataclasses
import itertools
import typing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxce.lattice.prim import Prim, Sublattice
from jaxce.lattice.supercell import Supercell
from jaxce.pytrees import pytree
from jaxce.sampling.observables import LabelledObservable, active_sublattices, checked_occupancies, code_counts

# Distances (angstrom) that differ by less belong to one shell.
_DISTANCE_TOLERANCE = 1e-3
# Site pairs that are held at a time: some tens of MiB.
_BLOCK = 2**22


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class ShortRangeOrder(LabelledObservable):
    """Warren-Cowley parameters of one sublattice: `[chains, shells, species_pairs]`.

    A bond leads from a prim site to a neighbour; of a bond and its reverse only one is listed.

    Attributes:
        prim_site: `[bonds]` where it starts.
        neighbours: `[bonds, cells]` the site at its end, for each cell that it starts in.
        shell: `[bonds]`.
        coordination: for each shell, the mean number of neighbours of a site; static.
        num_species: number of species of the sublattice; static.
        num_sites: number of sites of the supercell; static.
    """

    prim_site: Int[Array, " bonds"]
    neighbours: Int[Array, "bonds cells"]
    shell: Int[Array, " bonds"]
    coordination: tuple[float, ...] = dataclasses.field(metadata={"static": True})
    num_species: int = dataclasses.field(metadata={"static": True})
    num_sites: int = dataclasses.field(metadata={"static": True})

    def __call__(self, occupancy: Int[ArrayLike, "chains sites"]) -> Float[Array, "chains shells species_pairs"]:
        """The parameters; NaN where a species is absent."""
        occupancy = checked_occupancies(self.num_sites, occupancy)
        # Some chains and some bonds at a time: all of them would make an array of chains x sites x neighbours.
        num_bonds, num_cells = self.neighbours.shape
        chains = min(len(occupancy), max(1, _BLOCK // num_cells))
        bonds = min(num_bonds, max(1, _BLOCK // (num_cells * chains)))
        return jax.lax.map(lambda of_chain: self._of_one(of_chain, bonds), occupancy, batch_size=chains)

    def _of_one(self, occupancy: Int[Array, " sites"], block: int) -> Float[Array, "shells species_pairs"]:
        counts = self._pair_counts(occupancy, block)
        pairs = (counts + jnp.swapaxes(counts, 1, 2)).astype(jnp.result_type(float))
        fractions = pairs / jnp.sum(pairs, axis=(1, 2), keepdims=True)
        ends = jnp.sum(fractions, axis=2)
        by_chance = ends[:, :, None] * ends[:, None, :]
        parameters = jnp.where(by_chance > 0, 1 - fractions / by_chance, jnp.nan)
        first, second = np.triu_indices(self.num_species)
        return parameters[:, first, second]

    def _pair_counts(self, occupancy: Int[Array, " sites"], block: int) -> Int[Array, "shells species species"]:
        """Bonds that start at each species and end at each, in each shell."""
        num_species = self.num_species
        by_prim_site = occupancy.reshape(-1, self.neighbours.shape[1])

        def of_bond(bond):
            prim_site, neighbours = bond
            # Wide enough for the codes of pairs, which are up to the square of the number of species.
            starts, ends = by_prim_site[prim_site].astype(jnp.int16), occupancy[neighbours].astype(jnp.int16)
            return code_counts(starts * num_species + ends, num_species**2)

        counts = jax.lax.map(of_bond, (self.prim_site, self.neighbours), batch_size=block)
        by_shell = jax.ops.segment_sum(counts, self.shell, len(self.coordination))
        return by_shell.reshape(-1, num_species, num_species)


class _Bonds(NamedTuple):
    """Pairs of sites of the prim, each in one of its two directions, by shell.

    Attributes:
        first: `[bonds]` prim site in cell 0.
        second: `[bonds]` prim site at the other end.
        offset: `[bonds, 3]` its cell.
        shell: `[bonds]`.
        distances: `[shells]` angstrom, ascending.
    """

    first: np.ndarray
    second: np.ndarray
    offset: np.ndarray
    shell: np.ndarray
    distances: np.ndarray


def short_range_order(
    supercell: Supercell,
    *,
    cutoff: float | int | None = None,
    num_shells: int | None = None,
    sublattice: str | None = None,
) -> ShortRangeOrder:
    """Warren-Cowley short-range order parameters, `[chains, shells, species_pairs]`.

    `alpha_ij = 1 - P(j | i) / c_j` (Cowley 1950, Phys. Rev. 77, 669), where P(j | i) is the probability that a
    neighbour of an i in this shell is a j, and c_j the present concentration of j among the ends of the shell's bonds.
    That is its concentration on the sublattice where all sites have as many neighbours; elsewhere it keeps
    alpha_ij = alpha_ji and sum_j c_j alpha_ij = 0. So 0 means random, a negative value for unlike species order, a
    positive one clustering. Pairs are i <= j by code, like ones included. Every neighbour of the infinite crystal
    counts, also where it is an image of the site itself: in small cells, not even random occupancies give 0.

    Args:
        supercell: the supercell.
        cutoff: distance (angstrom) up to which shells are taken; or
        num_shells: how many of the nearest shells.
        sublattice: name of the sublattice; may be left out if there is only one.

    Raises:
        ValueError: unless exactly one of `cutoff` and `num_shells` is given, and gives shells.
    """
    chosen = _chosen_sublattice(supercell, sublattice)
    sites = chosen.sites[:: supercell.num_prims] // supercell.num_prims
    bonds = _bonds_in_shells(supercell.prim, sites, cutoff, num_shells)
    ends = [
        supercell.site_index(second, supercell.cells + offset).astype(np.int32)
        for second, offset in zip(bonds.second, bonds.offset, strict=True)
    ]
    pairs = itertools.combinations_with_replacement(chosen.species, 2)
    return ShortRangeOrder(
        name="short_range_order",
        dims=("shell", "species_pair"),
        labels=(tuple(bonds.distances.round(6).tolist()), tuple(f"{i}-{j}" for i, j in pairs)),
        prim_site=jnp.asarray(bonds.first, jnp.int32),
        neighbours=jnp.asarray(np.stack(ends)),
        shell=jnp.asarray(bonds.shell, jnp.int32),
        coordination=tuple((2 * np.bincount(bonds.shell) / len(sites)).tolist()),
        num_species=len(chosen.species),
        num_sites=supercell.num_sites,
    )


def _chosen_sublattice(supercell: Supercell, name: str | None) -> Sublattice:
    sublattices = {sublattice.name: sublattice for sublattice in active_sublattices(supercell)}
    if name is None and len(sublattices) == 1:
        return next(iter(sublattices.values()))
    if name not in sublattices:
        raise ValueError(f"`sublattice` must be one of {list(sublattices)}, but is {name!r}.")
    return sublattices[name]


def _bonds_in_shells(prim: Prim, sites: np.ndarray, cutoff: Any, num_shells: Any) -> _Bonds:
    if (cutoff is None) == (num_shells is None):
        raise ValueError("give either `cutoff` or `num_shells`.")
    if num_shells is None:
        bonds = _bonds_within(prim, sites, float(cutoff)) if 0 < cutoff < np.inf else None
        if bonds is None or len(bonds.shell) == 0:
            nearest = _bonds_in_shells(prim, sites, None, 1).distances[0]
            raise ValueError(f"a cutoff of {cutoff} angstrom reaches no neighbour; the nearest is at {nearest:.4f}.")
        return bonds
    if num_shells < 1 or num_shells != int(num_shells):
        raise ValueError(f"`num_shells` must be a whole number from 1 on, but is {num_shells!r}.")
    radius = abs(np.linalg.det(prim.lattice) / len(sites)) ** (1 / 3)
    # One shell more is proof that those wanted are complete.
    while len((bonds := _bonds_within(prim, sites, radius)).distances) <= num_shells:
        radius *= 1.3
    kept = bonds.shell < num_shells
    return _Bonds(*(field[kept] for field in bonds[:-1]), bonds.distances[: int(num_shells)])


def _bonds_within(prim: Prim, sites: np.ndarray, cutoff: float) -> _Bonds:
    reach = cutoff + _DISTANCE_TOLERANCE
    # A sphere spans its radius / (distance between lattice planes) cells along each vector.
    planes = np.linalg.norm(np.linalg.inv(prim.lattice), axis=0)
    extent = np.ceil(reach * planes + np.ptp(prim.frac_coords, axis=0)).astype(int)
    cells = np.array(list(itertools.product(*(range(-n, n + 1) for n in extent))))
    middle = len(cells) // 2
    found = []
    # The cells after the middle one hold one of each bond and its reverse; in the middle one, the later sites do.
    for place, first in enumerate(sites):
        second = np.concatenate([sites[place + 1 :], np.repeat(sites, middle)])
        offset = np.concatenate(
            [np.tile(cells[middle], (len(sites) - place - 1, 1)), np.tile(cells[middle + 1 :], (len(sites), 1))]
        )
        vectors = (prim.frac_coords[second] + offset - prim.frac_coords[first]) @ prim.lattice
        distance = np.linalg.norm(vectors, axis=1)
        near = distance <= reach
        found.append((np.full(near.sum(), first), second[near], offset[near], distance[near]))
    first, second, offset, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(distance, kind="stable")
    shell = np.cumsum(np.diff(distance[order], prepend=distance[order][:1]) > _DISTANCE_TOLERANCE)
    means = np.bincount(shell, distance[order]) / np.bincount(shell)
    return _Bonds(first[order], second[order], offset[order], shell, means)


@typing.no_type_check
@pytree
@dataclasses.dataclass(frozen=True, kw_only=True)
class LongRangeOrder(LabelledObservable):
    """Order of each sublattice with respect to a reference: `[chains, sublattices, 2]`.

    Attributes:
        sites: for each sublattice: `[sites]`.
        reference: for each sublattice: `[sites]` codes of the reference.
        fractions: for each sublattice: `[species]` composition of the reference.
        num_sites: number of sites of the supercell; static.
    """

    sites: tuple[Int[Array, " _sites"], ...]
    reference: tuple[Int[Array, " _sites"], ...]
    fractions: tuple[Float[Array, " _species"], ...]
    num_sites: int = dataclasses.field(metadata={"static": True})

    def __call__(self, occupancy: Int[ArrayLike, "chains sites"]) -> Float[Array, "chains sublattices 2"]:
        """Order parameter and overlap of each sublattice."""
        occupancy = checked_occupancies(self.num_sites, occupancy)
        by_sublattice = zip(self.sites, self.reference, self.fractions, strict=True)
        return jnp.stack(
            [_order_and_overlap(occupancy[:, sites], *reference) for sites, *reference in by_sublattice], 1
        )


def _order_and_overlap(
    codes: Int[Array, "chains sites"], reference: Int[Array, " sites"], fractions: Float[Array, " species"]
) -> Float[Array, "chains 2"]:
    num_sites = len(reference)
    overlap = jnp.sum(codes == reference[None, :], axis=1, dtype=jnp.int32).astype(fractions.dtype) / num_sites
    present = code_counts(codes, len(fractions)).astype(fractions.dtype) / num_sites
    by_chance = jnp.sum(present * fractions[None, :], axis=1)
    spread = 1 - jnp.sum(fractions**2)
    # A reference of one species has no order: every arrangement overlaps as much.
    order = jnp.where(spread > 0, (overlap - by_chance) / spread, jnp.nan)
    return jnp.stack([order, overlap], axis=1)


def long_range_order(supercell: Supercell, reference: Any) -> LongRangeOrder:
    """Bragg-Williams order parameter against a reference occupancy, and the overlap, `[chains, sublattices, 2]`.

    With the overlap m (the fraction of a sublattice's sites that hold the reference's species), the present
    composition c and the reference's y, `S = (m - sum_k c_k y_k) / (1 - sum_k y_k^2)`. It is 1 for the reference and 0
    on average for random occupancies of any composition. For two species it is the usual r_alpha + r_beta - 1, with r
    the fractions of each kind of site that are occupied rightly, so less than 1 off stoichiometry (Bragg and Williams
    1934, Proc. R. Soc. A 145, 699; Warren 1969, X-Ray Diffraction). Other variants of the ordered phase have other
    values, antiphase ones negative. NaN on a sublattice where the reference has one species only.

    Args:
        supercell: the supercell.
        reference: `[sites]` species codes.

    Raises:
        ValueError: if the reference is no occupancy of the supercell.
    """
    codes = np.asarray(reference)
    if codes.shape != (supercell.num_sites,) or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"`reference` must be an occupancy of {supercell.num_sites} integer codes, but has shape {codes.shape} and "
            f"dtype {codes.dtype}."
        )
    if np.any((codes < 0) | (codes >= supercell.prim.num_species[supercell.prim_sites])):
        raise ValueError("`reference` has species codes that its sites do not allow.")
    sublattices = active_sublattices(supercell)
    parts = [codes[s.sites] for s in sublattices]
    fractions = [np.bincount(p, minlength=len(s.species)) / len(p) for p, s in zip(parts, sublattices, strict=True)]
    return LongRangeOrder(
        name="long_range_order",
        dims=("sublattice", "quantity"),
        labels=(tuple(s.name for s in sublattices), ("order_parameter", "overlap")),
        sites=tuple(jnp.asarray(s.sites, jnp.int32) for s in sublattices),
        reference=tuple(jnp.asarray(part, jnp.int8) for part in parts),
        fractions=tuple(jnp.asarray(fraction, jnp.result_type(float)) for fraction in fractions),
        num_sites=supercell.num_sites,
    )
