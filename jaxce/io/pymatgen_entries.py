"""Structures with energies in JSON of pymatgen: `ComputedStructureEntry` and bare structures."""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxce.io.frames import Frame, ReadFailure, is_number
from jaxce.io.pymatgen_json import atoms_from_pymatgen


def pymatgen_frames(content: Any, name: str) -> Iterator[Frame | ReadFailure]:
    """The entries of a file: a list of them, {"entries": [...]}, or a single one.

    An entry has a "structure", or is one itself. Its energy is "energy" plus "correction", the sum that pymatgen calls
    the energy of the entry; "uncorrected_energy" among the values is "energy" alone. Without "energy", that in "data",
    "parameters" or "properties" counts; these and the "properties" of the structure are values too. Its "entry_id"
    becomes `atoms.info["id"]`.

    Args:
        content: what the JSON file holds.
        name: of the file; entries are called `name#0`, `name#1`, ...

    Raises:
        ValueError: if it holds no entries.
    """
    entries = _entries(content)
    for place, entry in enumerate(entries):
        entry_name = f"{name}#{place}"
        try:
            yield _frame(entry_name, entry)
        # Anything may be missing or of another type in the JSON of others.
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            missing = "it lacks " if isinstance(error, KeyError) else ""
            yield ReadFailure(entry_name, f"{missing}{error}")


def _entries(content: Any) -> list[Any]:
    if isinstance(content, Mapping) and isinstance(content.get("entries"), list):
        content = content["entries"]
    elif _is_entry(content):
        content = [content]
    if not isinstance(content, list) or not any(_is_entry(entry) for entry in content):
        raise ValueError(
            "this JSON is neither an ASE database nor a list of pymatgen's entries or structures "
            '("structure" and "energy", or "lattice" and "sites").'
        )
    return content


def _is_entry(content: Any) -> bool:
    return isinstance(content, Mapping) and ("structure" in content or {"lattice", "sites"} <= set(content))


def _frame(name: str, entry: Any) -> Frame:
    if not _is_entry(entry):
        raise ValueError('it is no entry: "structure" is missing.')
    structure = entry.get("structure", entry)
    atoms = atoms_from_pymatgen(structure)
    if entry.get("entry_id") is not None:
        atoms.info["id"] = str(entry["entry_id"])
    values: dict[str, Any] = {}
    for source in (structure, entry):
        for part in ("properties", "parameters", "data"):
            values.update(source.get(part) or {})
    values.update({key: value for key, value in entry.items() if is_number(value)})
    energy = _total_energy(entry, values)
    if "energy" in entry:
        values = {**values, "uncorrected_energy": entry["energy"], "energy": energy}
    return Frame(name, atoms, energy, values)


def _total_energy(entry: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if "energy" not in entry:
        return values.get("energy")
    correction = entry.get("correction")
    if correction is None and entry.get("energy_adjustments"):
        raise ValueError('it has "energy_adjustments" but no "correction", so its energy is not known.')
    return entry["energy"] if not correction else entry["energy"] + correction
