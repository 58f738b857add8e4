"""Site functions as tables: one row per function, one column per species code; row 0 is the constant 1.

The conventions are those of smol (its `sinusoid` is our `trigonometric`, which is also icet's and ATAT's set).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxce.lattice.prim import Prim


def _trigonometric(num_species: int) -> np.ndarray:
    """-cos and -sin in turn (van de Walle, Calphad 33, 266, 2009); orthogonal, not normalised."""
    codes = np.arange(num_species)
    rows = [np.ones(num_species)]
    for function in range(1, num_species):
        angle = 2 * np.pi * ((function + 1) // 2) * codes / num_species
        rows.append(-np.cos(angle) if function % 2 else -np.sin(angle))
    return np.array(rows)


def _indicator(num_species: int) -> np.ndarray:
    """1 for one species and 0 for the others; the last species is the reference."""
    return np.vstack([np.ones(num_species), np.eye(num_species)[:-1]])


def _chebyshev(num_species: int) -> np.ndarray:
    return np.polynomial.chebyshev.chebvander(_grid(num_species), num_species - 1).T


def _legendre(num_species: int) -> np.ndarray:
    return np.polynomial.legendre.legvander(_grid(num_species), num_species - 1).T


def _polynomial(num_species: int) -> np.ndarray:
    return np.vander(_grid(num_species), increasing=True).T


def _grid(num_species: int) -> np.ndarray:
    return np.linspace(-1, 1, num_species)


_NAMED = {
    "trigonometric": _trigonometric,
    "indicator": _indicator,
    "chebyshev": _chebyshev,
    "legendre": _legendre,
    "polynomial": _polynomial,
}


def named_site_functions(name: str, num_species: int) -> np.ndarray:
    """`[species, species]` table of a named site basis; a site with one species has the constant alone.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in _NAMED:
        raise ValueError(f"`site_basis` must be one of {sorted(_NAMED)} or arrays per site, but came as {name!r}.")
    return _NAMED[name](num_species)


def orthonormalised(functions: np.ndarray, measure: np.ndarray) -> np.ndarray:
    """The functions made orthonormal under `measure`, the constant kept as the first.

    Householder QR of the weighted table, each new function divided by the first (constant) one, so that
    `sum_s measure_s f_s g_s = delta_fg`; the signs are those of LAPACK, as in smol.

    Args:
        functions: `[functions, species]`, row 0 the constant.
        measure: `[species]` positive weights that add up to 1.
    """
    orthogonal = np.linalg.qr((np.sqrt(measure) * functions).T)[0].T
    return orthogonal / orthogonal[0]


def prim_site_functions(
    prim: Prim,
    site_basis: str | Sequence[Any],
    orthonormal: bool = False,
    measure: Sequence[Any] | None = None,
) -> tuple[np.ndarray, ...]:
    """The table of site functions of every prim site, constant included.

    Args:
        prim: the prim.
        site_basis: a name, or one array `[functions without the constant, species]` per site (None where inactive).
        orthonormal: whether to orthonormalise them.
        measure: for each site the weights of its species, as an array in code order or a dict by species (None where
            inactive or uniform); without it the measure is uniform. Only used with `orthonormal`.

    Raises:
        ValueError: if shapes do not fit the prim, values are not finite, functions are linearly dependent, or
            symmetry-equivalent sites differ.
    """
    if measure is not None and not orthonormal:
        raise ValueError("`measure` weights the orthonormalisation: pass `orthonormal=True` with it.")
    if isinstance(site_basis, str):
        tables = [named_site_functions(site_basis, int(count)) for count in prim.num_species]
    else:
        tables = _user_tables(prim, site_basis)
    if orthonormal:
        weights = [None] * prim.num_sites if measure is None else list(measure)
        if len(weights) != prim.num_sites:
            raise ValueError(f"`measure` needs one entry per site ({prim.num_sites}), but has {len(weights)}.")
        tables = [
            orthonormalised(table, _checked_measure(prim, site, weight))
            for site, (table, weight) in enumerate(zip(tables, weights, strict=True))
        ]
    for table in tables:
        table.setflags(write=False)
    return tuple(tables)


def check_equal_on_equivalent_sites(tables: Sequence[np.ndarray], site_orbits: np.ndarray) -> None:
    """Raise `ValueError` unless symmetry-equivalent sites have the same functions."""
    for site, image in enumerate(site_orbits):
        if not np.array_equal(tables[site], tables[image]):
            raise ValueError(
                f"sites {image} and {site} are symmetry-equivalent but have different site functions; "
                "give them the same, or different `labels` in the prim."
            )


def _user_tables(prim: Prim, arrays: Sequence[Any]) -> list[np.ndarray]:
    if len(arrays) != prim.num_sites:
        raise ValueError(f"`site_basis` needs one array per site ({prim.num_sites}), but has {len(arrays)}.")
    return [_user_table(site, len(prim.species[site]), array) for site, array in enumerate(arrays)]


def _user_table(site: int, num_species: int, array: Any) -> np.ndarray:
    if array is None and num_species == 1:
        return np.ones((1, 1))
    functions = np.asarray(array if array is not None else [], dtype=float)
    if functions.size == 0 and num_species == 1:
        return np.ones((1, 1))
    if functions.ndim != 2 or functions.shape[1] != num_species or not np.all(np.isfinite(functions)):
        raise ValueError(
            f"the site functions of site {site} must be finite numbers of shape [functions, {num_species}] "
            f"(the constant left out), but came with shape {functions.shape}."
        )
    table = np.vstack([np.ones(num_species), functions])
    if np.linalg.matrix_rank(table) < len(table):
        raise ValueError(
            f"the site functions of site {site} and the constant are linearly dependent: "
            f"at most {num_species - 1} independent functions exist for {num_species} species."
        )
    return table


def _checked_measure(prim: Prim, site: int, weight: Any) -> np.ndarray:
    species = prim.species[site]
    if weight is None:
        return np.full(len(species), 1 / len(species))
    if isinstance(weight, Mapping):
        named = {prim.canonical_species(name): value for name, value in weight.items()}
        unknown = sorted(set(named) - set(species))
        if unknown:
            raise ValueError(f"the measure of site {site} names {unknown}, but the site holds {list(species)}.")
        weight = [named.get(name, 0.0) for name in species]
    values = np.asarray(weight, dtype=float)
    if values.shape != (len(species),) or not np.all(values > 0) or abs(values.sum() - 1) > 1e-6:
        raise ValueError(
            f"the measure of site {site} must be {len(species)} positive numbers that add up to 1 "
            f"(for {list(species)}), but came as {weight}."
        )
    return values / values.sum()
