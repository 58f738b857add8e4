"""Pictures of structures: planes of sites and the species on them."""

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon
from scipy.spatial import KDTree

from jaxce.lattice.prim import VACANCY
from jaxce.lattice.structures import checked_occupancy
from jaxce.lattice.supercell import Supercell
from jaxce.plotting.style import PALETTE, one_panel

# Sites that are as near to the plane (angstrom) are on it.
_TOLERANCE = 0.05
# Beside the palette: yellow and black, which complete Okabe and Ito's colours.
_COLOURS = (*PALETTE, "#F0E442", "#000000")


def occupancy_slice_plot(
    supercell: Supercell,
    occupancy: Any,
    axis: int = 2,
    position: float | int = 0.0,
    tolerance: float | int = _TOLERANCE,
    title: str = "",
) -> Figure:
    """The species on one plane of sites of a supercell, spanned by two of its vectors.

    Args:
        supercell: the supercell.
        occupancy: `[sites]` species codes.
        axis: the supercell vector that is not in the plane: 0, 1 or 2.
        position: of the plane along this vector, as a fraction of it, 0 to 1.
        tolerance: distance from the plane, angstrom, up to which sites belong to it.
        title: title of the picture; without one it says which plane it is.

    Raises:
        ValueError: if the occupancy is none of the supercell, there is no such axis, or no site is on the plane.
    """
    codes = checked_occupancy(supercell, occupancy)
    if axis not in (0, 1, 2):
        raise ValueError(f"`axis` must be 0, 1 or 2, the number of a supercell vector, but is {axis}.")
    if not (np.isfinite(position) and tolerance >= 0):
        raise ValueError(f"`position` and `tolerance` must be finite, and not be {position} and {tolerance}.")
    vectors = np.delete(supercell.lattice, axis, axis=0)
    sites = _sites_on_plane(supercell, vectors, axis, position, tolerance)
    first = vectors[0] / np.linalg.norm(vectors[0])
    second = vectors[1] - (vectors[1] @ first) * first
    plane = np.stack([first, second / np.linalg.norm(second)], axis=1)
    fractions = _fractions(supercell)[sites]
    flat = np.delete(fractions, axis, axis=1) @ vectors @ plane
    names = np.array([supercell.species[site][codes[site]] for site in sites])
    diameter = _diameter(flat, vectors @ plane)
    figure, axes = _drawn_cell(vectors @ plane, diameter)
    handles = _draw_species(axes, flat, names, supercell.prim.all_species, diameter)
    others = np.delete(np.arange(1, 4), axis).tolist()
    axes.set(xlabel=f"along supercell vector {others[0]} (Å)", ylabel="at right angles to it (Å)")
    axes.set_title(title or f"plane at {position:g} of supercell vector {axis + 1}")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
    return figure


def _fractions(supercell: Supercell) -> np.ndarray:
    """`[sites, 3]` positions in supercell vectors, 0 to 1; what rounding puts just below 1 is 0."""
    fractions = supercell.cart_coords @ np.linalg.inv(supercell.lattice)
    wrapped = fractions - np.floor(fractions)
    return np.where(wrapped > 1 - 1e-9, 0, wrapped)


def _sites_on_plane(
    supercell: Supercell, vectors: np.ndarray, axis: int, position: float | int, tolerance: float | int
) -> np.ndarray:
    along = _fractions(supercell)[:, axis]
    height = abs(np.linalg.det(supercell.lattice)) / np.linalg.norm(np.cross(*vectors))
    apart = (along - position + 0.5) % 1 - 0.5
    sites = np.flatnonzero(np.abs(apart) * height <= tolerance)
    if len(sites) == 0:
        planes = np.unique(along.round(4))
        nearest = planes[np.argsort(np.abs((planes - position + 0.5) % 1 - 0.5))[:4]]
        raise ValueError(
            f"no site is within {tolerance} angstrom of the plane at {position:g} of supercell vector {axis + 1}; "
            f"the nearest planes with sites are at {sorted(nearest.tolist())}."
        )
    return sites


def _diameter(flat: np.ndarray, vectors: np.ndarray) -> float:
    """A little less than the smallest distance between sites of the plane and their images, 0.6 to 3 angstrom."""
    images = np.array(list(itertools.product((-1, 0, 1), repeat=2))) @ vectors
    # The nearest point of each is itself. Sites at one place of the plane come from different layers.
    distances, _ = KDTree((flat + images[:, None]).reshape(-1, 2)).query(flat, k=2)
    return float(np.clip(0.85 * distances[:, 1].min(), 0.6, 3.0))


def _drawn_cell(vectors: np.ndarray, margin: float) -> tuple[Figure, Axes]:
    """A figure of the shape of the cell, with its outline."""
    first, second = vectors
    corners = np.array([np.zeros(2), first, first + second, second])
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    width, height = 5 * (high - low) / np.max(high - low)
    figure, axes = one_panel(max(2.5, width) + 1.7, max(2, height) + 0.9)
    # Made for axes whose shape is given.
    figure.set_layout_engine("compressed")
    axes.add_patch(Polygon(corners, fill=False, edgecolor="0.5", linestyle="--", linewidth=1))
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return figure, axes


def _draw_species(
    axes: Axes, flat: np.ndarray, names: np.ndarray, all_species: tuple[str, ...], diameter: float
) -> list[Patch]:
    """Circles, and their legend. Colours go by the species of the prim, so that pictures of one crystal agree."""
    atoms = [species for species in all_species if species != VACANCY]
    handles = []
    for name in (species for species in all_species if species in names):
        offsets = flat[names == name]
        sizes = np.full(len(offsets), diameter)
        look: dict[str, Any] = {"edgecolors": "0.25", "linewidths": 0.6} | _look(name, atoms)
        circles = EllipseCollection(
            sizes, sizes, np.zeros_like(sizes), units="xy", offsets=offsets, offset_transform=axes.transData, **look
        )
        circles.set_label(name)
        axes.add_collection(circles)
        label = f"{name} (vacancy)" if name == VACANCY else name
        handles.append(Patch(facecolor=look["facecolors"], edgecolor="0.25", hatch=look.get("hatch"), label=label))
    return handles


def _look(name: str, atoms: list[str]) -> dict[str, Any]:
    if name == VACANCY:
        return {"facecolors": "white", "linestyles": "--", "linewidths": 1.2}
    turn, place = divmod(atoms.index(name), len(_COLOURS))
    return {"facecolors": _COLOURS[place], "hatch": "/" * 3 * turn or None}
