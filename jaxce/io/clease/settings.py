"""The settings of a CLEASE model: its lattice, species, cutoffs and site functions."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ase
import ase.build
import numpy as np

from jaxce.io.cluster_limits import check_prim_size
from jaxce.io.json_files import read_json
from jaxce.lattice.prim import Prim
from jaxce.lattice.site_basis import named_site_functions

# No array of a settings file is longer; a prim has some sites and a model some cutoffs.
_LONGEST_ARRAY = 10**5


class CleaseSettings(NamedTuple):
    """What CLEASE's settings say of a model.

    Attributes:
        prim: the prim; species of a site are in alphabetical order, whatever their order in the settings.
        is_included: `[sites]` whether clusters contain the site; background atoms may be left out.
        cutoffs: for orders 2, 3, ...: clusters are smaller than this, angstrom.
        elements: the elements that have site functions, in alphabetical order.
        functions: `[functions, elements]` the site functions, the constant first.
        basis: CLEASE's name of the site basis.
        version: the version of CLEASE; None where it is not written.
    """

    prim: Prim
    is_included: np.ndarray
    cutoffs: tuple[float, ...]
    elements: tuple[str, ...]
    functions: np.ndarray
    basis: str
    version: str | None

    @property
    def site_functions(self) -> tuple[np.ndarray, ...]:
        """For each site `[functions, species]`, in the order of the site's species; the constant alone if left out.

        Every site has the functions of all elements, so on a site with few species they are linearly dependent.
        """
        return tuple(
            self.functions[:, [self.elements.index(name) for name in names]] if included else np.ones((1, len(names)))
            for names, included in zip(self.prim.species, self.is_included, strict=True)
        )


def read_clease_settings(source: str | os.PathLike[str] | Mapping[str, Any]) -> CleaseSettings:
    """The settings in a file that `settings.save` of CLEASE wrote, or in a dict with the same keys.

    Args:
        source: the file, or a dict with "prim_cell" (an `ase.Atoms`, or the JSON form; or in its place
            "crystalstructure", "a", "c", "covera", "u" as for CEBulk), "concentration" (a dict with
            "basis_elements"; or in its place "basis_elements" itself), "max_cluster_dia", and where they are not the
            default "include_background_atoms" (False) and "basis_func_type" ("polynomial").

    Raises:
        ValueError: if something is missing, has another form, or comes from a CLEASE older than 1.0.
    """
    content = source if isinstance(source, Mapping) else read_json(source)
    where = "the settings" if isinstance(source, Mapping) else str(source)
    if not isinstance(content, Mapping):
        raise ValueError(f"{where} must hold one object with the settings, not {type(content).__name__}.")
    try:
        return _settings({key: _plain(value) for key, value in content.items()})
    except ValueError as error:
        raise ValueError(f"{where}, read as settings of CLEASE: {error}") from error


def _settings(content: Mapping[str, Any]) -> CleaseSettings:
    version = _checked_version(content.get("clease_version"))
    basis_elements = _basis_elements(content)
    atoms = _prim_atoms(content, basis_elements)
    check_prim_size(len(atoms))
    allowed = _allowed(atoms, basis_elements)
    includes_background = content.get("include_background_atoms", False)
    if not isinstance(includes_background, bool):
        raise ValueError(f'"include_background_atoms" must be true or false, not {includes_background!r}.')
    elements = _elements(basis_elements, includes_background)
    basis, functions = _site_basis(content.get("basis_func_type", "polynomial"), elements)
    return CleaseSettings(
        Prim(np.array(atoms.cell), atoms.get_scaled_positions(wrap=False), allowed),
        np.array([includes_background or len(names) > 1 for names in allowed]),
        _cutoffs(content),
        elements,
        functions,
        basis,
        version,
    )


def _plain(value: Any) -> Any:
    """JSON of ASE without its wrappers: `__ndarray__` becomes an array."""
    if isinstance(value, Mapping):
        if set(value) == {"__ndarray__"}:
            return _array(value["__ndarray__"])
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _array(content: Any) -> np.ndarray:
    if not (isinstance(content, Sequence) and len(content) == 3 and isinstance(content[2], Sequence)):
        raise ValueError(f"an array must be written as [shape, type, values], not {str(content)[:80]}.")
    shape, _, values = content
    if len(values) > _LONGEST_ARRAY or not all(isinstance(value, bool | int | float) for value in values):
        raise ValueError(f"an array must hold at most {_LONGEST_ARRAY} numbers.")
    if not isinstance(shape, Sequence) or not all(type(n) is int and 0 <= n <= _LONGEST_ARRAY for n in shape):
        raise ValueError(f"the shape of an array must be integers, not {str(shape)[:80]}.")
    return np.array(values).reshape(shape)


def _checked_version(version: Any) -> str | None:
    if version is not None and not str(version).startswith("1."):
        raise ValueError(
            f"they come from version {version}, but names of clusters are known for CLEASE 1.x only: load and save the "
            "settings with CLEASE 1.2."
        )
    return None if version is None else str(version)


def _basis_elements(content: Mapping[str, Any]) -> list[list[str]]:
    """Species of each of CLEASE's bases."""
    concentration = content.get("concentration", content)
    given = concentration.get("basis_elements") if isinstance(concentration, Mapping) else concentration
    is_nested = isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 0
    if not is_nested or not all(_is_species(names) for names in given):
        raise ValueError(f'"basis_elements" must list the symbols of each basis, as [["Au", "Cu"]], not {given!r}.')
    return [list(names) for names in given]


def _is_species(names: Any) -> bool:
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    return is_list and len(names) > 0 and all(isinstance(n, str) for n in names) and len(set(names)) == len(names)


def _prim_atoms(content: Mapping[str, Any], basis_elements: list[list[str]]) -> ase.Atoms:
    """The prim; the symbol of each atom names its basis."""
    cell = content.get("prim_cell")
    if isinstance(cell, ase.Atoms):
        return cell
    if isinstance(cell, Mapping):
        try:
            vectors = cell["cell"]["array"] if isinstance(cell["cell"], Mapping) else cell["cell"]
            return ase.Atoms(cell["numbers"], positions=cell["positions"], cell=vectors, pbc=True)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f'"prim_cell" is no structure as ASE writes it in JSON: {error!r}.') from error
    if cell is not None or "crystalstructure" not in content:
        raise ValueError('they need "prim_cell" (an ase.Atoms), or "crystalstructure" and "a" as for CEBulk.')
    name = "".join(names[0] for names in basis_elements)
    keywords: dict[str, Any] = {key: content.get(key) for key in ("a", "c", "covera", "u")}
    try:
        atoms = ase.build.bulk(name, content["crystalstructure"], **keywords)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"ase.build.bulk makes no {content['crystalstructure']!r} of {name!r}: {error!r}.") from error
    atoms.wrap()
    return atoms


def _allowed(atoms: ase.Atoms, basis_elements: list[list[str]]) -> list[list[str]]:
    """Species of each site, sorted: sites may be equivalent though CLEASE's bases list them in another order."""
    by_first = {names[0]: sorted(names) for names in basis_elements}
    if any(by_first[names[0]] != sorted(names) for names in basis_elements):
        raise ValueError(f"two bases begin with the same element but hold others: {basis_elements}.")
    symbols = atoms.get_chemical_symbols()
    unknown = sorted(set(symbols) - set(by_first))
    if unknown or set(by_first) - set(symbols):
        raise ValueError(
            f"the atoms of the prim must be the first elements of the bases, {sorted(by_first)}, which tell the basis "
            f"of each site, but are {sorted(set(symbols))}."
        )
    return [by_first[symbol] for symbol in symbols]


def _elements(basis_elements: list[list[str]], includes_background: bool) -> tuple[str, ...]:
    """The elements that have site functions."""
    chosen = [names for names in basis_elements if includes_background or len(names) > 1]
    elements = sorted({name for names in chosen for name in names})
    if len(elements) < 2:
        raise ValueError(f"a basis needs at least two elements, but the bases are {basis_elements}.")
    return tuple(elements)


def _site_basis(given: Any, elements: tuple[str, ...]) -> tuple[str, np.ndarray]:
    """Name and table of the site functions."""
    described = {"name": given} if isinstance(given, str) else given
    if not isinstance(described, Mapping) or described.get("name") not in _SITE_BASES:
        raise ValueError(f'"basis_func_type" must be one of {sorted(_SITE_BASES)}, not {given!r}.')
    listed = described.get("unique_elements", elements)
    if sorted(listed) != list(elements):
        raise ValueError(f"the site functions are those of {sorted(listed)}, but the bases hold {list(elements)}.")
    redundant = described.get("redundant_element", "auto")
    if redundant not in ("auto", *elements):
        raise ValueError(f"the redundant element {redundant!r} is none of {list(elements)}.")
    return described["name"], _SITE_BASES[described["name"]](elements, redundant)


def _polynomial(elements: tuple[str, ...], redundant: str) -> np.ndarray:
    """Powers of h, -h, h-1, -(h-1), ... made orthonormal (Sanchez, Ducastelle, Gratias, Physica A 128, 334, 1984)."""
    del redundant
    count = len(elements)
    spins = [sign * size for size in range(count // 2, 0, -1) for sign in (1, -1)] + [0] * (count % 2)
    orthogonal, triangle = np.linalg.qr(np.vander(spins, increasing=True).astype(np.float64))
    return np.sqrt(count) * (orthogonal * np.sign(np.diag(triangle))).T


def _trigonometric(elements: tuple[str, ...], redundant: str) -> np.ndarray:
    """-cos and -sin in turn, normalised (van de Walle, Calphad 33, 266, 2009)."""
    del redundant
    functions = named_site_functions("trigonometric", len(elements))
    return functions / np.sqrt(np.mean(functions**2, axis=1, keepdims=True))


def _binary_linear(elements: tuple[str, ...], redundant: str) -> np.ndarray:
    """1 for one element and 0 for the others, the redundant one left out (Zhang, Sluiter, JPED 37, 44, 2016)."""
    reference = 0 if redundant == "auto" else elements.index(redundant)
    return np.vstack([np.ones(len(elements)), np.delete(np.eye(len(elements)), reference, axis=0)])


_SITE_BASES = {"polynomial": _polynomial, "trigonometric": _trigonometric, "binary_linear": _binary_linear}


def _cutoffs(content: Mapping[str, Any]) -> tuple[float, ...]:
    given = np.asarray(content.get("max_cluster_dia"))
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.number) or not np.all(np.isfinite(given)):
        raise ValueError(
            '"max_cluster_dia" must list the largest diameters of pairs, triplets, ... in angstrom, not '
            f"{content.get('max_cluster_dia')!r}."
        )
    return tuple(float(value) for value in given)
