"""CSV tables as programs and people save them: marks, quotes, semicolons; what is wrong is named by its line."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skyweave.core.errors import DataError, did_you_mean

DELIMITERS = ",;\t|"
ENCODINGS_BY_MARK = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
DECLARED_DELIMITER = re.compile(r"\Asep=([^\r\n])(\r\n|\r|\n)")
"""First line by which spreadsheets say what separates cells."""
ZIP_MARK = b"PK\x03\x04"


@dataclass(frozen=True)
class CsvRow:
    """One row of a table.

    Attributes:
        line: in the file, from 1.
        cells: text by column, without blanks around it.
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class CsvTable:
    """A table with a header.

    Attributes:
        path: of the file.
        columns: in the file's order.
        rows: those that are not blank.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]

    def require(self, columns: Sequence[str]) -> None:
        """Check that columns are there, each once.

        Args:
            columns: that are needed.

        Raises:
            DataError: one is missing or given twice; names it and those that are there.
        """
        for column in columns:
            if column not in self.columns:
                hint = did_you_mean(column, self.columns)
                raise DataError(f"{self.path}: no column {column!r}{hint}; it has {', '.join(self.columns)}")
            if self.columns.count(column) > 1:
                raise DataError(
                    f"{self.path}: {self.columns.count(column)} columns are called {column!r}; rename all but the one "
                    "that counts"
                )


def read_csv(path: Path) -> CsvTable:
    """Read a table: UTF-8 with or without a byte order mark; commas, or what else the header is separated by.

    Args:
        path: of a table whose first row is its header.

    Raises:
        DataError: no text in UTF-8, no header, or a row of more or fewer cells than the header; names the line and the
            remedy.
        OSError: it cannot be opened.
    """
    text = _decode(path.read_bytes(), path)
    if text.lstrip().startswith("{"):
        raise DataError(f"{path} is JSON, no CSV table; give a table whose first row names its columns")
    declared = DECLARED_DELIMITER.match(text)
    delimiter = declared[1] if declared else _delimiter(text)
    text = DECLARED_DELIMITER.sub("\n", text)
    lines = _lines(text, delimiter, path)
    header = next(lines, None)
    if header is None:
        raise DataError(f"{path} is empty; give a CSV table whose first row names its columns")
    columns = tuple(header[1])
    rows = tuple(CsvRow(line, _cells(cells, columns, delimiter, f"{path}, line {line}")) for line, cells in lines)
    return CsvTable(path, columns, rows)


def _decode(content: bytes, path: Path) -> str:
    """Return the text; what is not UTF-8 is named, with the command that makes it so."""
    encoding = _probable_encoding(content)
    _refuse_binary(content, path, encoding)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(_describe_encoding(content, path, encoding, error.start)) from error


def _refuse_binary(content: bytes, path: Path, encoding: str) -> None:
    """Refuse a file that is no text in any encoding."""
    if content.startswith(ZIP_MARK):
        raise DataError(f"{path} is a workbook or another ZIP file, no text; export it as CSV in UTF-8")
    if b"\0" in content and encoding != "UTF-16":
        raise DataError(f"{path} holds zero bytes, so it is no CSV text; export it as CSV in UTF-8")


def _probable_encoding(content: bytes) -> str:
    """Return the encoding of what is not UTF-8, by its first bytes."""
    return next((name for mark, name in ENCODINGS_BY_MARK.items() if content.startswith(mark)), "WINDOWS-1252")


def _describe_encoding(content: bytes, path: Path, encoding: str, start: int) -> str:
    """Return the message on text that is not UTF-8 from byte ``start`` on."""
    line = content.count(b"\n", 0, start) + 1
    where = "" if encoding == "UTF-16" else f" (byte 0x{content[start]:02x} in line {line})"
    copy = path.with_name(f"{path.stem}_utf8{path.suffix}")
    return (
        f"{path} is not UTF-8 text{where}; it is probably {encoding}: save it as UTF-8, such as with "
        f"`iconv -f {encoding} -t UTF-8 {path} > {copy}`"
    )


def _delimiter(text: str) -> str:
    """Return what separates the cells of the header: what it holds most often outside of quotes; or else a comma."""
    header = text.lstrip("\r\n").splitlines()[:1]
    outside = "".join(header).split('"')[::2]
    return max(DELIMITERS, key=lambda delimiter: sum(part.count(delimiter) for part in outside))


def _lines(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: no CSV table ({error}); correct the quotes there") from error


def _cells(cells: list[str], columns: tuple[str, ...], delimiter: str, where: str) -> dict[str, str]:
    """Return the cells by column; empty ones that a spreadsheet adds or leaves off at the end do not matter."""
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    if len(cells) > len(columns):
        raise DataError(
            f"{where} has {len(cells)} cells, the header {len(columns)}; put a text that holds {delimiter!r} in "
            'double quotes ("...")'
        )
    return dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True))
