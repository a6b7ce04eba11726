"""Tables of labels: CSV files whose rows name an image."""

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from skyweave.core.errors import DataError

Rows = dict[str, list[dict[str, str]]]
"""Rows of a table by the name of their file, without suffix."""


def read_table(path: Path, file_column: str, columns: Iterable[str]) -> Rows:
    """Read a table's rows by the file that each names.

    Args:
        path: CSV file with a header.
        file_column: names the file.
        columns: others that must be there.

    Raises:
        FileNotFoundError: no such table.
        DataError: a column is missing; names it and those that are there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no table of labels {path}; check labels.files")
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        names = reader.fieldnames or []
        missing = [column for column in (file_column, *columns) if column not in names]
        if missing:
            raise DataError(f"{path}: no column {missing[0]!r}; it has {', '.join(names)}")
        rows: Rows = {}
        try:
            for row in reader:
                rows.setdefault(Path(row[file_column]).stem, []).append(row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}: no CSV table ({error}); save it as comma-separated UTF-8 text") from error
    return rows


def row_filter(path: Path, file_column: str, where: Mapping[str, list[str]]) -> Callable[[Path], bool]:
    """Return a test of images: whether a row of the table that names the image has the values asked for.

    Args:
        path: CSV file with a header.
        file_column: names the file.
        where: values that are allowed, by column.

    Raises:
        FileNotFoundError: no such table.
        DataError: a column is missing.
    """
    rows = read_table(path, file_column, where)
    kept = {
        name
        for name, members in rows.items()
        if any(all(row[column] in values for column, values in where.items()) for row in members)
    }
    return lambda image: image.stem in kept
