"""JSON files of other programs, read with limits."""

import os
from typing import Any

from jaxce.limited_files import parse_json, read_bytes

# Bytes of JSON after unpacking. smol's largest files (caches of a big supercell) have some hundred megabytes.
_LARGEST = 2**30


def read_json(path: str | os.PathLike[str]) -> Any:
    """What a JSON file holds; one that ends in .gz, .bz2 or .xz is unpacked.

    Not larger than 1 GiB, and with the limits of `parse_json`.

    Raises:
        ValueError: if it is no such JSON, or was cut off.
    """
    content = read_bytes(path, _LARGEST)
    try:
        return parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON that can be read, or was cut off: {error}") from error
