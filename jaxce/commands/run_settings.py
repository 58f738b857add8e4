"""The settings of a run: one table, filled from a TOML file and from flags, checked before anything is loaded."""

import dataclasses
import difflib
import json
import math
import os
import pathlib
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxce.limited_files import read_bytes

KINDS = ("monte-carlo", "tempering", "annealing")
ENSEMBLES = ("canonical", "canonical-global", "semi-grand", "vcsgc", "charge-neutral")
_PATHS = ("model", "start", "folder")
# Bytes of a file of settings, and numbers that a range may stand for.
_LARGEST = 2**20
_MOST_NUMBERS = 100_000


def numbers_of(grid: Any) -> list[float]:
    """The numbers that a grid means: one, a list, or "first:last:count", evenly spaced, or ":geometric" behind it.

    "first:last" are these two.

    Raises:
        ValueError: if it is none of these, or a number is not finite.
    """
    if isinstance(grid, str) and ":" in grid:
        first, last, count, *spacing = [*grid.split(":"), "2"] if grid.count(":") == 1 else grid.split(":")
        if spacing not in ([], ["geometric"]) or not 1 <= int(count) <= _MOST_NUMBERS:
            raise ValueError
        space = np.geomspace if spacing else np.linspace
        found = space(float(first), float(last), int(count)).tolist()
    else:
        found = [_number(value) for value in (grid if isinstance(grid, list) else [grid])]
    if not found or not all(math.isfinite(number) for number in found):
        raise ValueError
    return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    return float(value)


def _grid(value: Any) -> Any:
    numbers_of(value)
    return value


def _by_species(check: Callable[[Any], Any]) -> Callable[[Any], dict]:
    """Checks species -> value, or sublattice -> {species -> value}."""

    def checked(value: Any) -> dict:
        if not isinstance(value, Mapping) or not value:
            raise ValueError
        return {name: checked(part) if isinstance(part, Mapping) else check(part) for name, part in value.items()}

    return checked


def _amount(value: Any) -> int | float:
    """Whole numbers count sites; others are fractions."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() else float(value)
    _number(value)
    return value


def _positive(value: Any) -> float:
    if not 0 < _number(value) < math.inf:
        raise ValueError
    return _number(value)


def _whole(lowest: int) -> Callable[[Any], int]:
    def checked(value: Any) -> int:
        if isinstance(value, bool) or int(value) != _number(value) or int(value) < lowest:
            raise ValueError
        return int(value)

    return checked


def _one_of(*names: str) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        if value not in names:
            raise ValueError
        return value

    return checked


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _cell(value: Any) -> Any:
    """An integer, three, or a 3x3 matrix, also as nine in a row."""
    array = np.array(value.split(",") if isinstance(value, str) else value, dtype=float)
    array = array.reshape(3, 3) if array.shape == (9,) else array.ravel() if array.shape == (1,) else array
    if array.shape not in ((), (1,), (3,), (3, 3)) or np.any(array != np.round(array)):
        raise ValueError
    return int(array.ravel()[0]) if array.size == 1 else array.astype(int).tolist()


# What makes of a value that of the setting, or fails; and what is wanted, in words.
_CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "model": (_text, "the path of a model"),
    "supercell": (_cell, "an integer, three integers, or 3x3 integers"),
    "start": (_text, "the path of a structure"),
    "composition": (_by_species(_amount), "numbers or fractions by species, such as {Cu = 0.5, Au = 0.5}"),
    "kind": (_one_of(*KINDS), f"one of {', '.join(KINDS)}"),
    "ensemble": (_one_of(*ENSEMBLES), f"one of {', '.join(ENSEMBLES)}"),
    "temperature": (_grid, 'kelvin: a number, a list, or "first:last:count"'),
    "mu": (_by_species(_grid), 'eV by species: numbers, lists, or "first:last:count"'),
    "phi": (_by_species(_grid), 'numbers by species, lists, or "first:last:count"'),
    "kappa": (_positive, "a positive number"),
    "charges": (_by_species(_number), "charges by species, such as {Sr = 2, O = -2}"),
    "chains": (_whole(1), "a whole number from 1 on"),
    "sweeps": (_whole(1), "a whole number from 1 on"),
    "sample_every": (_whole(1), "a whole number from 1 on"),
    "exchange_every": (_whole(1), "a whole number from 1 on"),
    "short_range_order": (_whole(0), "a number of shells"),
    "until": (_by_species(_positive), "positive standard errors by name, such as {energy = 0.01}"),
    "seed": (_whole(0), "a whole number from 0 on"),
    "x64": (_switch, "true or false"),
    "folder": (_text, "the path of a folder"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that a run needs to be told. docs/command_line.md says what each setting means.

    Raises:
        ValueError: if two settings do not go together.
    """

    model: str
    temperature: Any
    supercell: Any = None
    start: str | None = None
    composition: dict = dataclasses.field(default_factory=dict)
    kind: str = "monte-carlo"
    ensemble: str = "canonical"
    mu: dict = dataclasses.field(default_factory=dict)
    phi: dict = dataclasses.field(default_factory=dict)
    kappa: float = 200.0
    charges: dict = dataclasses.field(default_factory=dict)
    chains: int = 4
    sweeps: int = 1000
    sample_every: int = 1
    exchange_every: int = 1
    short_range_order: int = 0
    until: dict = dataclasses.field(default_factory=dict)
    seed: int = 0
    x64: bool = False
    folder: str = "jaxce-run"

    def __post_init__(self) -> None:
        _check_place(self)
        _check_temperature(self)
        _check_ensemble(self)
        _check_kind(self)

    def text(self) -> str:
        """All settings as TOML."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items() if value not in (None, {}))


def read_settings(path: str | os.PathLike | None, flags: Mapping[str, Any]) -> RunSettings:
    """The settings of a TOML file, whose paths count from its folder, with those of flags in place of its own.

    Raises:
        ValueError: if the file is no TOML, a setting is unknown, missing or not as wanted, or as `RunSettings`.
    """
    given = {} if path is None else _read_toml(pathlib.Path(path))
    for name in given:
        if name not in _CHECKS:
            near = difflib.get_close_matches(name, _CHECKS, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"the settings are {', '.join(_CHECKS)}."
            raise ValueError(f"{path} has an unknown setting, `{name}`: {hint}")
    values = {**given, **flags}
    missing = [name for name in ("model", "temperature") if name not in values]
    if missing:
        raise ValueError(f"a run needs `{missing[0]}`: give --{missing[0]}, or a TOML file with it.")
    return RunSettings(**{name: checked_setting(name, value) for name, value in values.items()})


def checked_setting(name: str, value: Any) -> Any:
    """The value of a setting as it is used, from that of a flag or of TOML.

    Raises:
        ValueError: if it is not as wanted.
    """
    check, wanted = _CHECKS[name]
    try:
        return check(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"`{name}` must be {wanted}, but is {value!r}.") from error


def _read_toml(path: pathlib.Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(read_bytes(path, _LARGEST).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}.") from error
    for name in _PATHS:
        if isinstance(given.get(name), str):
            given[name] = str(path.parent / given[name])
    return given


def _check_place(settings: RunSettings) -> None:
    if bool(settings.start) == bool(settings.composition):
        raise ValueError("give either `composition` or `start`, the file of a structure, to say where chains begin.")
    if settings.supercell is None and not settings.start:
        raise ValueError("a run from a composition needs `supercell`, such as 4,4,4.")


def _check_temperature(settings: RunSettings) -> None:
    kelvin = numbers_of(settings.temperature)
    if min(kelvin) <= 0:
        raise ValueError(f"`temperature` must be positive, in kelvin, but is {settings.temperature!r}.")
    if settings.kind == "annealing" and (len(kelvin) != 2 or kelvin[0] <= kelvin[1]):
        raise ValueError(
            f"`temperature` of annealing must be the first and the last, the first one higher, such as 3000:300 or "
            f"[3000, 300], but is {settings.temperature!r}."
        )
    if settings.kind == "tempering" and len(kelvin) < 2:
        raise ValueError(f"tempering needs two or more temperatures, but `temperature` is {settings.temperature!r}.")


# Settings that are for some ensembles only.
_OF_ENSEMBLES = {
    "mu": ("semi-grand", "charge-neutral"),
    "phi": ("vcsgc",),
    "kappa": ("vcsgc",),
    "charges": ("charge-neutral",),
}


def _check_ensemble(settings: RunSettings) -> None:
    for name, ensembles in _OF_ENSEMBLES.items():
        if settings.ensemble not in ensembles and _is_given(settings, name):
            raise ValueError(
                f"`{name}` is for the ensemble {' or '.join(ensembles)}, but `ensemble` is {settings.ensemble!r}."
            )
    if settings.ensemble == "vcsgc" and not settings.phi:
        raise ValueError('the ensemble vcsgc needs `phi`, such as {Au = "-1.8:-0.2:9"}.')


def _check_kind(settings: RunSettings) -> None:
    useless = {
        "monte-carlo": ("exchange_every",),
        "tempering": (),
        "annealing": ("exchange_every", "sample_every", "short_range_order", "until"),
    }[settings.kind]
    for name in useless:
        if _is_given(settings, name):
            raise ValueError(f"`{name}` has no meaning in a run of kind {settings.kind}: leave it out.")
    grids = [grid for name in ("mu", "phi") for grid in flat(getattr(settings, name)).values()]
    if settings.kind != "monte-carlo" and any(len(numbers_of(grid)) > 1 for grid in grids):
        raise ValueError(f"grids of `mu` or `phi` are for the kind monte-carlo, not for {settings.kind}.")
    if settings.sweeps % settings.sample_every:
        raise ValueError(
            f"`sweeps` ({settings.sweeps}) must be a multiple of `sample_every` ({settings.sample_every})."
        )


def flat(by_species: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """(species,) or (sublattice, species) -> value."""
    found: dict[tuple[str, ...], Any] = {}
    for name, value in by_species.items():
        parts = flat(value) if isinstance(value, Mapping) else {(): value}
        found |= {(name, *rest): part for rest, part in parts.items()}
    return found


def _is_given(settings: RunSettings, name: str) -> bool:
    field = next(field for field in dataclasses.fields(settings) if field.name == name)
    return getattr(settings, name) not in ({}, field.default)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(name)} = {_toml(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # Of all that JSON leaves as it is, TOML takes everything but this.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
