"""Columns of a table by what they mean: names without case, punctuation and unit, decimal commas."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.csv_table import CsvTable
from skyweave.core.errors import DataError

WORDS = (
    "feet|ft|met(?:er|re)s?|m|cm|mm|km|deg|degrees?|rad|radians?|mrad|gon|grad|"
    "s|sec|seconds?|milliseconds?|ms|us|ns|min"
)
UNIT = re.compile(rf"\(([^)]*)\)|\[([^\]]*)\]|(?<=[a-z])[ _]({WORDS})$", re.I)
"""In brackets, or as the last word of a name."""
ZONES = ("utc", "local")  # in the place of a unit they tell times apart, and stay in the name
EMPTY = ("", "nan", "null", "none", "n/a", "na", "-", "inf", "-inf", "infinity")  # cells without a number


class NamedColumns:
    """The columns of a table by their plain names.

    Args:
        table: as read.
    """

    def __init__(self, table: CsvTable) -> None:
        self.table = table
        self._columns: dict[str, list[str]] = {}
        for column in dict.fromkeys(table.columns):
            self._columns.setdefault(plain_name(column), []).append(column)

    @property
    def path(self) -> Path:
        """Return the file, for messages."""
        return self.table.path

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def texts(self, column: str) -> list[str]:
        """Return the cells of a column.

        Args:
            column: as the table calls it.
        """
        return [row.cells[column] for row in self.table.rows]

    def find(self, names: Sequence[str]) -> str | None:
        """Return the first column of one of the names, before others one that holds a number; None if there is none.

        Args:
            names: plain ones, the best first.
        """
        columns = [column for name in names for column in self._columns.get(name, [])]
        return next((column for column in columns if np.isfinite(self._parse(column)).any()), next(iter(columns), None))

    def numbers(self, column: str) -> np.ndarray:
        """Return the numbers of a column: (n,), NaN for cells that hold none.

        Args:
            column: as the table calls it.

        Raises:
            DataError: it has text, and no number in any cell; shows a cell.
        """
        values = self._parse(column)
        text = next((cell for cell in self.texts(column) if cell.casefold() not in EMPTY), None)
        if text is not None and not np.isfinite(values).any():
            raise DataError(
                f"{self.path}: no cell of column {column!r} is a number, such as {text!r}; write decimal numbers with "
                "a point (degrees as -17.25), or rename the column if it is none of a pose"
            )
        return values

    def _parse(self, column: str) -> np.ndarray:
        return np.array([parse_number(cell) for cell in self.texts(column)], np.float64)


def plain_name(column: str) -> str:
    """Return a name without its unit, case and punctuation; ``datetime(utc)`` keeps its zone.

    Args:
        column: as the table calls it.
    """
    name = UNIT.sub(lambda match: next((zone for zone in ZONES if zone in match[0].lower()), ""), column)
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def unit_of(column: str) -> str:
    """Return the unit in a column's name, in lower case; empty if it has none.

    Args:
        column: as the table calls it.
    """
    match = UNIT.search(column)
    return "" if match is None else next(filter(None, match.groups()), "").strip().casefold()


def parse_number(text: str) -> float:
    """Return the number in a cell, with a decimal point or comma; NaN if it is none.

    Args:
        text: of the cell.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(text.replace(",", ".")) if text.count(",") == 1 else np.nan
    except ValueError:
        return np.nan
