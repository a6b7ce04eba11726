"""The console that tables are printed on."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160
"""Characters of a line where nobody says how wide it may be: in a pipe or a log, columns must not be cut to nothing."""


def table_console() -> "Console":
    """Return a console as wide as the terminal, as ``COLUMNS`` says, or wide enough for tables in a log."""
    from rich.console import Console

    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return Console(width=None if known else WIDTH_WITHOUT_TERMINAL)
