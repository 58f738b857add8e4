"""Where commands print."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Of tables that go to a file or another program, which have no width of their own.
_WIDTH = 240


def screen() -> Console:
    """Standard output. Lines are never broken, so that paths can be copied; tables are fitted to a terminal only."""
    console = Console(highlight=False, soft_wrap=True)
    return (
        console if console.is_terminal or console.is_jupyter else Console(highlight=False, soft_wrap=True, width=_WIDTH)
    )


def plain_table(columns: Mapping[str, Any], rows: Iterable[Sequence[Any]], *, most: int | None = None) -> Table:
    """A table without lines, of text as it is.

    Args:
        columns: heading -> "left" or "right".
        rows: one entry for each column.
        most: rows that are shown; how many more there are is said below.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, side in columns.items():
        table.add_column(heading, justify=side)
    listed = list(rows)
    for row in listed[:most]:
        table.add_row(*(Text(str(entry)) for entry in row))
    if most is not None and len(listed) > most:
        table.add_row(f"and {len(listed) - most} more")
    return table
