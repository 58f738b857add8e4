"""The prim of an ATAT lattice and back: symbols, labels, vacancies."""

import re

import numpy as np

from jaxce.io.atat.files import AtatLattice
from jaxce.io.cluster_limits import check_prim_size
from jaxce.lattice.prim import VACANCY, Prim
from jaxce.lattice.symmetry import space_group

# The symbol that is written; Va, Vac and the other aliases of a prim are read.
_VACANCY = "Vac"
# Tolerances (angstrom) of the symmetry search. Coordinates are often written with four digits.
_EXACT, _ROUNDED = 1e-5, 1e-3


def atat_prim(lattice: AtatLattice) -> Prim:
    """The prim of a lattice; what follows an underscore in a symbol ("Fe_a") becomes the label of the site.

    Raises:
        ValueError: if the cell is no primitive one, or two species of a site differ in their label only.
    """
    check_prim_size(len(lattice.names))
    split = [tuple(split_label(name) for name in names) for names in lattice.names]
    species = [tuple(symbol for symbol, _ in names) for names in split]
    for place, names in enumerate(species):
        if len(set(names)) < len(names):
            raise ValueError(
                f"site {place + 1} lists a species twice: {','.join(lattice.names[place])}. Labels behind an "
                "underscore tell sites apart; write species that differ without one, as Fe+2,Fe+3."
            )
    labels = [_site_label([label for _, label in names]) for names in split]
    prims = [
        Prim(
            lattice.vectors @ lattice.axes,
            lattice.coords @ np.linalg.inv(lattice.vectors),
            species,
            labels=labels,
            symprec=symprec,
        )
        for symprec in (_EXACT, _ROUNDED)
    ]
    is_rounded = len(space_group(prims[1]).rotations) > len(space_group(prims[0]).rotations)
    prim = prims[1] if is_rounded else prims[0]
    check_primitive(prim)
    return prim


def lattice_of_prim(prim: Prim) -> AtatLattice:
    """The lattice of a prim: its vectors are the coordinate system, so that coordinates are fractional.

    Labels that are not made of letters and digits become "1", "2", ...

    Raises:
        ValueError: if a species has a name that ATAT would read otherwise.
    """
    for name in prim.all_species:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+-]*", name):
            raise ValueError(f"the species {name!r} cannot be written: ATAT's symbols are letters, digits, + and -.")
    names = [
        tuple(
            (_VACANCY if name == VACANCY else name) + (f"_{label}" if label else "")
            for name, label in zip(species, labels, strict=True)
        )
        for species, labels in zip(prim.species, _labels_of_species(prim), strict=True)
    ]
    return AtatLattice(prim.lattice, np.eye(3), prim.frac_coords, tuple(names))


def split_label(name: str) -> tuple[str, str]:
    """The species of a symbol and the label of its site: "Fe_a" -> ("Fe", "a")."""
    symbol, _, label = name.partition("_")
    return symbol, label


def check_primitive(prim: Prim) -> None:
    """Raise `ValueError` unless the prim is a primitive cell: ATAT counts clusters per primitive cell."""
    is_translation = np.all(space_group(prim).rotations == np.eye(3, dtype=np.int64), axis=(1, 2))
    if is_translation.sum() > 1:
        raise ValueError(
            f"{prim} is {is_translation.sum()} primitive cells, but ATAT's multiplicities and ECIs are per primitive "
            "cell: use a primitive cell, as jaxce's `reduce_to_primitive` gives, or labels that tell its sites apart."
        )


def _site_label(labels: list[str]) -> str:
    return labels[0] if len(set(labels)) == 1 else ",".join(labels)


def _labels_of_species(prim: Prim) -> list[list[str]]:
    """For each site the label of each of its species."""
    parts = [label.split(",") for label in prim.labels]
    is_simple = all(re.fullmatch(r"[A-Za-z0-9]*", part) for part_of_site in parts for part in part_of_site)
    fits = all(len(part) in (1, len(names)) for part, names in zip(parts, prim.species, strict=True))
    if not (is_simple and fits):
        distinct = list(dict.fromkeys(prim.labels))
        parts = [[str(distinct.index(label) + 1)] for label in prim.labels]
    return [part * len(names) if len(part) == 1 else part for part, names in zip(parts, prim.species, strict=True)]
