"""Tables of labels: CSV files whose rows name an image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from skyweave.core.csv_table import CsvRow, read_csv
from skyweave.core.errors import DataError
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.matching import Matching, match_names


class LabelTable:
    """A table whose rows name images.

    Args:
        path: CSV file with a header.
        file_column: names the file.
        columns: others that must be there.
        images: of the data.

    Attributes:
        rows: of each image that is named.
        matching: of the names and the images.
        unnamed: lines whose cell of ``file_column`` is empty.

    Raises:
        FileNotFoundError: no such table.
        DataError: no CSV table, a column that is missing, no row, or names that may mean several images.
    """

    def __init__(self, path: Path, file_column: str, columns: Iterable[str], images: ImageFiles) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no table of labels {path}; check labels.files")
        table = read_csv(path)
        table.require([file_column, *columns])
        if not table.rows:
            raise DataError(f"{path} has a header and no row; give one row for each label")
        self.file_column = file_column
        self.path, self.images, self.columns = path, images, table.columns
        named = [row for row in table.rows if row.cells[file_column]]
        self.unnamed = [row.line for row in table.rows if not row.cells[file_column]]
        self.matching: Matching = match_names((row.cells[file_column] for row in named), images, path)
        self.rows: dict[Path, list[CsvRow]] = {}
        for row in named:
            image = self.matching.image_of.get(row.cells[file_column])
            if image is not None:
                self.rows.setdefault(image, []).append(row)
        if not self.rows:
            raise DataError(self._describe_mismatch(named))

    def _describe_mismatch(self, named: Sequence[CsvRow]) -> str:
        """Return the message of a table none of whose rows names an image."""
        example = named[0].cells[self.file_column] if named else ""
        return (
            f"{self.path}: no row names an image; it names {example!r}, and an image is "
            f"{self.images.relative(self.images.paths[0])!r}; correct {self.file_column!r} or the files of the source"
        )

    def column_value(self, image: Path, column: str) -> str | None:
        """Return what a column says of an image; None where there is none.

        Args:
            image: path of the image.
            column: of the table.

        Raises:
            DataError: rows of the image that contradict each other.
        """
        rows = self.rows.get(image, [])
        values = sorted({row.cells[column] for row in rows if column in row.cells})
        if len(values) > 1:
            raise DataError(
                f"{self.path}: {column!r} of {self.images.relative(image)} is {' and '.join(map(repr, values))} in "
                f"lines {', '.join(str(row.line) for row in rows[:4])}; give one of them"
            )
        return values[0] if values else None

    def left_out(self) -> dict[str, list[str]]:
        """Return what of the table is not used or was guessed, by the reason."""
        guessed = self.matching.by_file_name.items()
        return {
            f"names in {self.path.name} without an image": self.matching.unmatched,
            f"rows of {self.path.name} without a file name": [f"line {line}" for line in self.unnamed],
            "matched by the file name alone, as their folders differ": [
                f"{name} with {self.images.relative(path)}" for name, path in guessed
            ],
        }


def row_filter(
    path: Path, file_column: str, where: Mapping[str, list[str]], images: ImageFiles
) -> Callable[[Path], bool]:
    """Return a test of images: whether a row of the table that names the image has the values asked for.

    Args:
        path: CSV file with a header.
        file_column: names the file.
        where: values that are allowed, by column.
        images: of the data.

    Raises:
        FileNotFoundError: no such table.
        DataError: a column is missing, or names may mean several images.
    """
    table = LabelTable(path, file_column, where, images)
    kept = {
        image
        for image, rows in table.rows.items()
        if any(all(row.cells[column] in values for column, values in where.items()) for row in rows)
    }
    return kept.__contains__
