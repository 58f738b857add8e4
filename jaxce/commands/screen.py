"""Where commands print."""

from rich.console import Console

# Of tables that go to a file or another program, which have no width of their own.
_WIDTH = 240


def screen() -> Console:
    """Standard output. Lines are never broken, so that paths can be copied; tables are fitted to a terminal only."""
    console = Console(highlight=False, soft_wrap=True)
    return (
        console if console.is_terminal or console.is_jupyter else Console(highlight=False, soft_wrap=True, width=_WIDTH)
    )
