"""What `jaxce convert` does: models and structures from one format to another, without a loss that is not said."""

import pathlib

from ase.calculators.singlepoint import SinglePointCalculator

from jaxce.commands.model_files import model_kind, read_model
from jaxce.commands.screen import screen
from jaxce.commands.structure_inputs import read_structures
from jaxce.commands.structure_outputs import check_place, write_structures
from jaxce.io.atat.model import write_atat
from jaxce.io.frames import Frame, ReadFailure


def convert(source: pathlib.Path, target: pathlib.Path, *, lossy: bool = False) -> None:
    """Write a model as JSON of jaxce or as a folder of ATAT, or structures as extxyz, CIF or POSCAR.

    Args:
        source: a model, or a file or folder of structures.
        target: its ending says the format.
        lossy: leave out what the format of structures cannot hold.

    Raises:
        ValueError: if the source cannot be read, the target is of no format or the source itself, or something would
            be lost.
    """
    if target.exists() and target.resolve() == source.resolve():
        raise ValueError(f"{target} is the source itself: give another name.")
    written = _convert_model if model_kind(source) is not None else _convert_structures
    screen().print(f"wrote {target}: {written(source, target, lossy)}", markup=False)


def _convert_model(source: pathlib.Path, target: pathlib.Path, lossy: bool) -> str:
    del lossy
    expansion = read_model(source)
    if target.suffix == ".json":
        expansion.save(target)
    elif target.suffix == "":
        target.mkdir(exist_ok=True)
        write_atat(target, expansion)
    else:
        raise ValueError(f"a model is written as .json of jaxce, or as a folder of ATAT, but not as {target.name}.")
    return repr(expansion).splitlines()[0]


def _convert_structures(source: pathlib.Path, target: pathlib.Path, lossy: bool) -> str:
    check_place(target)
    found = read_structures([source])
    failures = [item for item in found if isinstance(item, ReadFailure)]
    if failures or not found:
        reason = f"{failures[0].name}: {failures[0].reason}" if failures else "it holds no structures"
        raise ValueError(f"{source} is neither a model nor structures that can all be read: {reason}.")
    frames = [item for item in found if isinstance(item, Frame)]
    write_structures(target, [_with_energy(frame) for frame in frames], lossy=lossy)
    return f"{len(frames)} structures"


def _with_energy(frame: Frame) -> object:
    """The atoms, with the energy that their file gives them; readers of JSON give it apart."""
    if frame.energy is not None and frame.atoms.calc is None:
        frame.atoms.calc = SinglePointCalculator(frame.atoms, energy=float(frame.energy))
    return frame.atoms
