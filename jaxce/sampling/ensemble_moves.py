"""From an ensemble to the moves that sample it, and what users may choose about them."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jaxce.sampling.ensembles import Rules
from jaxce.sampling.flip_vectors import find_flip_vectors, is_connected
from jaxce.sampling.move_classes import Change, MoveKind, build_moves, changes_of_vector, swap
from jaxce.sampling.moves import Proposed, Substitutions
from jaxce.sampling.sublattices import ActiveSublattice, count_species, species_axis
from jaxce.tables import Hamiltonian

# So many compositions are searched for whether moves connect them: about a tenth of a second.
_SEARCHED = 20_000


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A move of one's own.

    Attributes:
        propose: `(key, occupancy [sites]) -> (sites [k], codes [k], log_ratio [])`: different sites, the species codes
            that they get, and log(probability of the reverse proposal / probability of this one). A pure JAX function.
            A site twice or a code that is not allowed is refused; what the ensemble conserves is up to it.
        steps: steps of it per sweep, besides the others.
    """

    propose: Callable[..., Any]
    steps: int


@dataclasses.dataclass(frozen=True)
class Moves:
    """What is to be moved, how often, and how, where the ensemble's own choice is not wanted.

    Attributes:
        sublattice_weights: sublattice -> how often its sites are tried, relative to 1; 0 leaves it out, also of flip
            vectors.
        frozen_sites: sites that never change, such as those of a region.
        flip_vectors: moves of several sites, each a change of counts that keeps what the ensemble conserves: sublattice
            -> {species -> change}; the reverse is added. With `Canonical("global")`, `Constrained` and `ChargeNeutral`
            they take the place of the vectors that would be found, and have to connect all compositions.
        proposals: moves of one's own.
        without_defaults: whether `proposals` are the only moves.
    """

    sublattice_weights: Mapping[str, float | int] = dataclasses.field(default_factory=dict)
    frozen_sites: Sequence[int] = ()
    flip_vectors: Sequence[Mapping[str, Mapping[str, int]]] = ()
    proposals: Sequence[Proposal] = ()
    without_defaults: bool = False


def moves_of_ensemble(
    hamiltonian: Hamiltonian,
    sublattices: tuple[ActiveSublattice, ...],
    rules: Rules,
    choice: Moves,
    occupancy: np.ndarray,
) -> tuple[Substitutions | Proposed, ...]:
    """The moves of a sweep, for chains that start from `occupancy` `[chains, sites]`.

    Raises:
        ValueError: if a chain could not move, or the choice does not fit.
    """
    proposed = tuple(_proposed(hamiltonian, sublattices, proposal) for proposal in choice.proposals)
    if choice.without_defaults:
        if not proposed:
            raise ValueError("`without_defaults` leaves no move: give `proposals`.")
        return proposed
    counts = count_species(sublattices, occupancy, only_movable=True)
    kinds = _kinds(sublattices, rules, choice, counts)
    if not proposed:
        _check_not_frozen(kinds, counts)
    moving = {change.sublattice for kind in kinds for change in kind.changes}
    steps = sum(len(sublattices[row].movable) for row in moving)
    return (*(build_moves(sublattices, kinds, steps) if kinds else ()), *proposed)


def _kinds(
    sublattices: tuple[ActiveSublattice, ...], rules: Rules, choice: Moves, counts: np.ndarray
) -> list[MoveKind]:
    """Kinds of moves with their weights, one for both directions: a sublattice is tried in proportion to its sites.

    All pairs of species that some chain has on a sublattice are swapped equally often, however rare the species:
    weights do not depend on the composition of any chain.
    """
    weights = _sublattice_weights(sublattices, choice)
    kinds = []
    for row, sublattice in enumerate(sublattices):
        weight = weights[row] * len(sublattice.movable)
        if rules.is_swapped[row] and weight > 0:
            # With constraints, species that are not there now may come.
            present = [code for code in _codes(sublattice) if len(rules.conserved) or np.any(counts[:, row, code])]
            pairs = list(itertools.combinations(present, 2))
            kinds += [MoveKind(swap(row, a, b), weight / len(pairs)) for a, b in pairs]
        if rules.is_flipped[row] and weight > 0:
            flips = list(itertools.combinations(_codes(sublattice), 2))
            kinds += [MoveKind((Change(row, a, b),), weight / len(flips)) for a, b in flips]
    is_left_out = np.array(weights) == 0
    vectors = [v for v in _flip_vectors(sublattices, rules, choice, counts) if not np.any(v[is_left_out])]
    total = sum(weight * len(sublattice.movable) for weight, sublattice in zip(weights, sublattices, strict=True))
    return kinds + [MoveKind(changes_of_vector(vector), total / len(vectors)) for vector in vectors]


def _codes(sublattice: ActiveSublattice) -> range:
    return range(len(sublattice.species))


def _sublattice_weights(sublattices: tuple[ActiveSublattice, ...], choice: Moves) -> list[float]:
    names = [sublattice.name for sublattice in sublattices]
    for name, weight in choice.sublattice_weights.items():
        if name not in names or not 0 <= weight < np.inf:
            raise ValueError(
                f"`sublattice_weights` maps sublattices {names} to numbers from 0 on, but has {name!r}: {weight!r}."
            )
    return [float(choice.sublattice_weights.get(name, 1.0)) for name in names]


def _flip_vectors(
    sublattices: tuple[ActiveSublattice, ...], rules: Rules, choice: Moves, counts: np.ndarray
) -> np.ndarray:
    num_species, starts = [len(sublattice.species) for sublattice in sublattices], np.unique(counts, axis=0)
    if choice.flip_vectors:
        vectors = np.stack([_vector(sublattices, given) for given in choice.flip_vectors])
        _check_vectors(vectors, sublattices, rules, choice)
    elif len(rules.conserved):
        vectors = find_flip_vectors(num_species, starts, rules.conserved)
    else:
        vectors = np.zeros((0, *counts.shape[1:]), dtype=np.int64)
    # Where there are too many compositions to search, it has to be trusted.
    if len(rules.conserved) and is_connected(vectors, num_species, starts, rules.conserved, limit=_SEARCHED) is False:
        raise ValueError(
            f"the flip vectors {list(choice.flip_vectors)} do not connect all compositions that the constraints allow: "
            "give more of them, or none, so that they are found."
        )
    return vectors


def _vector(sublattices: tuple[ActiveSublattice, ...], given: Mapping[str, Mapping[str, int]]) -> np.ndarray:
    names = [sublattice.name for sublattice in sublattices]
    vector = np.zeros((len(sublattices), species_axis(sublattices)), dtype=np.int64)
    for name, changes in given.items():
        for species, change in changes.items():
            if name not in names or species not in sublattices[names.index(name)].species:
                raise ValueError(f"a flip vector names {species!r} on {name!r}, which is no species of a sublattice.")
            vector[names.index(name), sublattices[names.index(name)].species.index(species)] = change
    if np.any(vector.sum(axis=1)) or not np.any(vector):
        raise ValueError(f"a flip vector must add up to 0 on every sublattice and change something, but is {given}.")
    return vector


def _check_vectors(vectors: np.ndarray, sublattices: tuple[ActiveSublattice, ...], rules: Rules, choice: Moves) -> None:
    """A vector keeps the constraints, and on a sublattice that is only swapped, the counts; and its sites can move."""
    is_frozen = np.array([len(sublattice.movable) == 0 for sublattice in sublattices])
    is_fixed = ~rules.is_flipped if len(rules.conserved) == 0 else np.zeros_like(rules.is_flipped)
    for vector, given in zip(vectors, choice.flip_vectors, strict=True):
        if np.any(vector[is_fixed]) or np.any(np.einsum("crs,rs->c", rules.conserved, vector)):
            raise ValueError(f"the flip vector {given} changes what the ensemble conserves.")
        if np.any(vector[is_frozen]):
            raise ValueError(f"the flip vector {given} changes a sublattice whose sites are all frozen.")


def _check_not_frozen(kinds: list[MoveKind], counts: np.ndarray) -> None:
    needs = np.zeros((2 * len(kinds), *counts.shape[1:]), dtype=np.int64)
    for index, kind in enumerate(kinds):
        for change in kind.changes:
            needs[2 * index, change.sublattice, change.old] += 1
            needs[2 * index + 1, change.sublattice, change.new] += 1
    for chain, of_chain in enumerate(counts):
        if not np.any(np.all(of_chain >= needs, axis=(1, 2))):
            raise ValueError(
                f"chain {chain} is frozen: no sublattice that may move holds what a move needs (for swaps, two "
                "species). Start from another composition, or choose another ensemble or other `moves`."
            )


def _proposed(hamiltonian: Hamiltonian, sublattices: tuple[ActiveSublattice, ...], proposal: Proposal) -> Proposed:
    if not callable(proposal.propose) or proposal.steps < 1:
        raise ValueError(f"a proposal needs a function and at least one step per sweep, but is {proposal}.")
    sublattice = np.full(len(hamiltonian.species.kind), -1)
    for row, members in enumerate(sublattices):
        sublattice[members.movable] = row
    num_species = [len(members.species) for members in sublattices]
    return Proposed(
        function=Partial(proposal.propose),
        sublattice=jnp.asarray(sublattice, jnp.int32),
        num_species=jnp.asarray(num_species, jnp.int32),
        steps=int(proposal.steps),
    )
