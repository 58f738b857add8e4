"""What structures can and cannot tell about the coefficients of a cluster space."""

import dataclasses
from typing import Any

import numpy as np

from jaxce.cluster_space import ClusterSpace

# Singular values below this part of the largest count as 0.
_RANK_TOLERANCE = 1e-9
# Correlation coefficients above this make two functions hard to tell apart.
_NEARLY_EQUAL = 0.99
_MOST_LISTED = 5


@dataclasses.dataclass(frozen=True, eq=False)
class DesignDiagnostics:
    """Rank, aliasing and leverage of a matrix of correlation vectors.

    Attributes:
        num_structures: rows of the matrix.
        num_correlations: columns.
        rank: independent combinations of coefficients that the structures determine.
        condition_number: largest over smallest singular value of the columns, each scaled to length 1; infinite
            without full rank.
        aliased: groups of correlations that are equal in all structures but for a factor, so that only one
            combination of their coefficients is determined; entry 0 is the constant.
        undetermined: correlations whose coefficient no combination of structures determines by itself.
        nearly_aliased: pairs whose correlation coefficient over the structures is above 0.99 in size, with it.
        leverage: `[structures]` part of its own prediction by least squares that a structure decides: near 1, nothing
            else tells about it.
    """

    num_structures: int
    num_correlations: int
    rank: int
    condition_number: float
    aliased: tuple[np.ndarray, ...]
    undetermined: np.ndarray
    nearly_aliased: tuple[tuple[int, int, float], ...]
    leverage: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists of Python, for JSON."""
        return {
            "rank": self.rank,
            "num_correlations": self.num_correlations,
            "condition_number": self.condition_number if np.isfinite(self.condition_number) else None,
            "aliased": [group.tolist() for group in self.aliased],
            "undetermined": self.undetermined.tolist(),
            "nearly_aliased": [list(pair) for pair in self.nearly_aliased],
            "leverage": self.leverage.tolist(),
        }

    def summary(self) -> str:
        """Rank, condition and what is aliased, in a few lines."""
        lines = [
            f"rank {self.rank} of {self.num_correlations} functions, condition number {self.condition_number:.3g}, "
            f"largest leverage {self.leverage.max(initial=0.0):.3f}"
        ]
        if len(self.undetermined):
            lines.append(f"not determined by these structures alone: {_shown(self.undetermined.tolist())}")
        if self.aliased:
            groups = [group.tolist() for group in self.aliased]
            lines.append(f"correlations equal in all structures but for a factor: {_shown(groups)}")
        if self.nearly_aliased:
            pairs = [f"{i} and {j} ({value:+.4f})" for i, j, value in self.nearly_aliased]
            lines.append(f"hard to tell apart: {_shown(pairs)}")
        return "\n".join(lines)


def design_diagnostics(space: ClusterSpace, matrix: np.ndarray) -> DesignDiagnostics:
    """Say which coefficients structures determine.

    Args:
        space: the cluster space.
        matrix: `[structures, correlations]`.

    Raises:
        ValueError: if the matrix has another number of columns.
    """
    if matrix.ndim != 2 or matrix.shape[1] != space.num_correlations:
        raise ValueError(
            f"the matrix needs {space.num_correlations} columns, one per correlation, but has shape {matrix.shape}."
        )
    lengths = np.linalg.norm(matrix, axis=0)
    scaled = matrix / np.where(lengths > 0, lengths, 1)
    # All directions of the coefficients are wanted, but not all those of the structures, which may be many.
    left, values, right = np.linalg.svd(scaled, full_matrices=len(matrix) < matrix.shape[1])
    rank = int(np.sum(values > _RANK_TOLERANCE * values.max(initial=0.0)))
    full = rank == matrix.shape[1]
    # A coefficient is determined if no vector that the structures do not see touches it.
    unseen = np.linalg.norm(right[rank:], axis=0)
    return DesignDiagnostics(
        num_structures=len(matrix),
        num_correlations=matrix.shape[1],
        rank=rank,
        condition_number=float(values[0] / values[rank - 1]) if full else np.inf,
        aliased=_aliased(scaled, lengths),
        undetermined=np.flatnonzero(unseen > 1e-6),
        nearly_aliased=_nearly_aliased(matrix),
        leverage=np.sum(left[:, :rank] ** 2, axis=1),
    )


def _aliased(scaled: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
    """Groups of columns that are multiples of each other; columns of zeros are one group."""
    cosines = np.abs(scaled.T @ scaled)
    is_zero = lengths == 0
    same = (cosines > 1 - 1e-12) | (is_zero[:, None] & is_zero)
    groups, seen = [], set()
    for column in range(len(same)):
        members = np.flatnonzero(same[column])
        if column not in seen and len(members) > 1:
            groups.append(members)
        seen.update(members.tolist())
    return tuple(groups)


def _nearly_aliased(matrix: np.ndarray) -> tuple[tuple[int, int, float], ...]:
    centred = matrix - matrix.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    varies = np.flatnonzero(lengths > 1e-9 * np.sqrt(len(matrix)))
    unit = centred[:, varies] / lengths[varies]
    coefficients = unit.T @ unit
    first, second = np.nonzero(np.triu(np.abs(coefficients) > _NEARLY_EQUAL, k=1))
    order = np.argsort(-np.abs(coefficients[first, second]), kind="stable")
    return tuple(
        (int(varies[i]), int(varies[j]), float(coefficients[i, j]))
        for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True)
    )


def _shown(items: list[Any]) -> str:
    more = f" and {len(items) - _MOST_LISTED} more" if len(items) > _MOST_LISTED else ""
    return ", ".join(str(item) for item in items[:_MOST_LISTED]) + more
