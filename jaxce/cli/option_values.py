"""Values of flags that are more than a word."""

from collections.abc import Sequence
from typing import Any


def grid(option: str | None) -> Any:
    """A grid as in TOML: a list, a number or a range in words."""
    return option.split(",") if option and "," in option else option


def by_species(name: str, option: str | None) -> dict[str, Any] | None:
    """`Cu=0.5,Au=0.5` as a mapping; `A:Sr=0.9` as one within another. Commas without a name continue a list."""
    if option is None:
        return None
    found: dict[str, Any] = {}
    for key, value in _pairs(name, option):
        sublattice, _, species = key.rpartition(":")
        found.setdefault(sublattice, {})[species] = grid(value) if name in ("mu", "phi") else value
    return {**found.pop("", {}), **found}


def _pairs(name: str, option: str) -> Sequence[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for part in option.split(","):
        key, sign, value = part.partition("=")
        if sign and key:
            pairs.append((key.strip(), value.strip()))
        elif pairs and part:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{part.strip()}")
        else:
            raise ValueError(f"--{name} needs names with values, such as Cu=0.5,Au=0.5, but is {option!r}.")
    return pairs


def allowed_species(options: Sequence[str] | None) -> dict[str, list[str]]:
    """`Ti:Ti,Fe` as symbol -> species."""
    found = {}
    for option in options or ():
        symbol, _, names = option.partition(":")
        if not names:
            raise ValueError(f"--species needs a symbol and a list, such as Ti:Ti,Fe, but is {option!r}.")
        found[symbol] = names.split(",")
    return found
