"""Structures and energies for a fit, from the files in which calculations leave them."""

import collections
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxce.io.energy_tables import is_table, read_table
from jaxce.io.frames import Frame, ReadFailure, frame_energy, listed_numbers
from jaxce.io.structure_files import read_frames
from jaxce.io.structure_folders import read_folder

_LONGEST_LIST = 20


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingData:
    """Structures with energies, and what could not be read.

    Attributes:
        structures: `ase.Atoms`; `info["id"]`, or else `info["name"]`, says which is which.
        energies: `[structures]` energies as they were read, float64, all finite.
        names: where each came from, all different.
        failures: files and entries that gave no structure with an energy, with the reason.
    """

    structures: list[Any]
    energies: np.ndarray
    names: tuple[str, ...]
    failures: tuple[ReadFailure, ...]

    def __len__(self) -> int:
        return len(self.structures)

    def summary(self) -> str:
        """What was read and what was not, in a few lines."""
        sizes = [len(atoms) for atoms in self.structures]
        elements = sorted({symbol for atoms in self.structures for symbol in atoms.get_chemical_symbols()})
        lines = [
            f"{len(self)} structures of {min(sizes)} to {max(sizes)} atoms: {', '.join(elements)}",
            f"energies from {self.energies.min():.6g} to {self.energies.max():.6g}, as read",
        ]
        if self.failures:
            lines.append(f"not read: {len(self.failures)}")
        lines += [f"  {failure.name}: {failure.reason}" for failure in self.failures[:_LONGEST_LIST]]
        if len(self.failures) > _LONGEST_LIST:
            lines.append(f"  and {len(self.failures) - _LONGEST_LIST} more in `failures`")
        return "\n".join(lines)


def read_training_data(
    source: Any,
    *,
    energy: str | None = None,
    structures: Any = None,
    index: str | None = None,
    pattern: str | None = None,
) -> TrainingData:
    """Read structures and their energies.

    `source` is one of the following, or a list of the first three; all but folders may be packed (.gz, .bz2, .xz).

    - A database of ASE (.db, .json), or any file that ASE reads. Every frame of extended XYZ, of CIF, and of an ASE
      trajectory that is named here is a structure; of a calculation (vasprun.xml, OUTCAR, ...) the last ionic step is.
    - JSON of pymatgen: a list of `ComputedStructureEntry` or of structures. The energy is "energy" plus "correction".
      Oxidation states give `atoms.arrays["species"]`, such as "Mn3+". Disordered structures fail.
    - A folder, which is searched with all below it. A folder with vasprun.xml, OUTCAR, CONTCAR or POSCAR is one
      calculation and one structure: the first of these that can be read. Of an ASE trajectory that is found here the
      last frame is taken. Files whose name is that of no format are passed over, unless `pattern` asks for them.
    - A table (.csv, .tsv) with a column of energies. Rows name files of structures (or folders of calculations),
      relative to `structures` or to the table; or, if `structures` is a file that holds all structures, places in it,
      counted from zero: a row with `index` i is of row i + 1 of an ASE database whose ids are 1, 2, 3, ...

    The energy of a calculation is ASE's `get_potential_energy()`: extrapolated to zero smearing where the program
    gives it (VASP's "energy(sigma->0)"), not the free energy, which is `energy="free_energy"`. Energies are taken as
    they are: nothing is known of their unit or reference. Pickles are never opened.

    Args:
        source: path, or list of paths.
        energy: name of the energies: a key of `atoms.info`, a key-value pair or data entry of a database, a result of
            the calculator, an entry of pymatgen's "data", or the column of a table. By default the energy of the
            calculation or entry, or the column "energy".
        structures: for a table, the file with all structures or the folder of their files.
        index: for a table, the column that says which structure a row is of; by default the one that holds names
            of files or, if `structures` is a file, the first column if it has no name (such as pandas writes), or else
            the order of the rows.
        pattern: for folders, glob of the files to read, such as "*.cif" or "relaxed/*.vasp".

    Raises:
        ValueError: if a path is missing or given twice, keywords do not go with the source, a column is missing, or no
            structure with an energy is found; then it says which numbers there are.
    """
    paths = _checked_paths(source)
    tables = [path for path in paths if is_table(path)]
    _check_keywords(paths, tables, structures, index, pattern)
    if tables:
        folder_or_file = None if structures is None else _checked_paths(structures)[0]
        return _with_energies(read_table(tables[0], energy, folder_or_file, index), None, paths)
    found = [item for path in paths for item in _read(path, _name(path, len(paths)), pattern)]
    return _with_energies(found, energy, paths)


def _checked_paths(source: Any) -> list[pathlib.Path]:
    listed = [source] if isinstance(source, str | os.PathLike) else list(source)
    paths = [pathlib.Path(path) for path in listed]
    missing = [str(path) for path in paths if not path.exists()]
    if missing or not paths:
        raise ValueError(f"no file or folder is called {missing}." if missing else "`source` is an empty list.")
    counts = collections.Counter(path.resolve() for path in paths)
    twice = [str(path) for path, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"`source` names {twice} twice: its structures would count twice in a fit.")
    return paths


def _check_keywords(
    paths: Sequence[pathlib.Path],
    tables: Sequence[pathlib.Path],
    structures: Any,
    index: str | None,
    pattern: str | None,
) -> None:
    if tables and len(paths) > 1:
        raise ValueError(f"a table is read alone, but `source` names {len(paths)} paths: read one after the other.")
    if not tables and (structures is not None or index is not None):
        raise ValueError("`structures` and `index` go with a table of energies (.csv) as `source`.")
    if pattern is not None and not any(path.is_dir() for path in paths):
        raise ValueError("`pattern` goes with a folder as `source`.")


def _name(path: pathlib.Path, num_paths: int) -> str:
    """A file alone is called by its name; in a folder alone, files by their path in it; else the path comes first."""
    if num_paths > 1:
        return path.as_posix()
    return "" if path.is_dir() else path.name


def _read(path: pathlib.Path, name: str, pattern: str | None) -> Iterator[Frame | ReadFailure]:
    if path.is_dir():
        yield from read_folder(path, name, pattern)
    else:
        yield from read_frames(path, name, all_steps=True)


def _with_energies(
    found: Sequence[Frame | ReadFailure], key: str | None, paths: Sequence[pathlib.Path]
) -> TrainingData:
    used, energies, failures = [], [], []
    for item in found:
        try:
            if isinstance(item, Frame):
                energies.append(frame_energy(item, key))
                used.append(item)
            else:
                failures.append(item)
        except ValueError as error:
            failures.append(ReadFailure(item.name, str(error)))
    if not used:
        raise ValueError(_nothing_found(found, failures, key, paths))
    names = tuple(frame.name for frame in used)
    _check_names(names)
    if failures:
        warnings.warn(f"{len(failures)} files or entries could not be used; see `failures`.", stacklevel=3)
    for frame in used:
        if "id" not in frame.atoms.info:
            frame.atoms.info.setdefault("name", frame.name)
    structures = [frame.atoms for frame in used]
    return TrainingData(structures, np.array(energies, dtype=np.float64), names, tuple(failures))


def _check_names(names: Sequence[str]) -> None:
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[:10]} were read twice: does `source` name a folder and a file in it?")


def _nothing_found(
    found: Sequence[Frame | ReadFailure],
    failures: Sequence[ReadFailure],
    key: str | None,
    paths: Sequence[pathlib.Path],
) -> str:
    where = ", ".join(str(path) for path in paths)
    frames = [item for item in found if isinstance(item, Frame)]
    if not failures:
        return (
            f"{where} holds no file to read: without `pattern`, its name must be that of a format of ASE; with it, the "
            "file must match."
        )
    reasons = "\n".join(f"  {failure.name}: {failure.reason}" for failure in failures[:3])
    if not frames:
        return f"no structure could be read from {where}:\n{reasons}"
    what = "an energy" if key is None else f"an energy {key!r}"
    values = {name: value for frame in frames for name, value in frame.values.items()}
    return (
        f"none of the {len(frames)} structures of {where} has {what}; {listed_numbers(values)}: name one of them as "
        "`energy`, or give energies in a CSV table as `source` and these files as `structures`. First reasons:\n"
        f"{reasons}"
    )
