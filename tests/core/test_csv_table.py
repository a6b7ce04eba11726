"""Tables as other programs save them."""

import codecs
from pathlib import Path

import pytest

from skyweave.core.csv_table import read_csv
from skyweave.core.errors import DataError

ROWS = 'file,label\r\na.tif,wet\r\n"b,1.tif", dry \r\n'
EXPECTED = [{"file": "a.tif", "label": "wet"}, {"file": "b,1.tif", "label": "dry"}]


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        codecs.BOM_UTF8 + ROWS.encode(),
        ROWS.replace("\r\n", "\n").encode(),
        ROWS.replace("\r\n", "\r").encode(),
        b"\r\n" + ROWS.encode() + b",\r\n\r\n",
        ROWS.replace(",", ";").replace("b;1", "b,1").encode(),
        b"sep=;\r\n" + ROWS.replace(",", ";").replace("b;1", "b,1").encode(),
        ROWS.replace(",", "\t").replace("b\t1", "b,1").encode(),
        ROWS.replace("file,label", '  "file",  label ').encode(),
        ROWS.replace("wet\r\n", "wet,\r\n").encode(),
    ],
)
def test_the_same_table_however_it_was_saved(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    table = read_csv(tmp_path / "a.csv")
    assert [row.cells for row in table.rows] == EXPECTED
    assert table.columns == ("file", "label")


def test_rows_know_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('file,note\na.tif,"two\nlines"\n\nb.tif\n')
    assert [(row.line, row.cells["note"]) for row in read_csv(tmp_path / "a.csv").rows] == [(3, "two\nlines"), (5, "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROWS.replace("wet", "n\xe4ss").encode("latin-1"), r"not UTF-8 text \(byte 0xe4 in line 2\).*iconv -f WINDOWS"),
        (ROWS.encode("utf-16"), r"probably UTF-16.*iconv -f UTF-16 -t UTF-8 .*a\.csv > .*a_utf8\.csv"),
        (b"PK\x03\x04 a workbook", "export it as CSV"),
        (b"file,label\0\n", "zero bytes"),
        (b"", "is empty"),
        (b"file,label\na,b.tif,wet\n", r"line 2 has 3 cells, the header 2; put a text that holds ','"),
        (b'file,label\n"a.tif,wet\n', "line 2: no CSV table"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_remedy(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_csv(tmp_path / "a.csv")


def test_columns_are_there_and_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,label,label\na.tif,wet,dry\n")
    table = read_csv(tmp_path / "a.csv")
    table.require(["file"])
    with pytest.raises(DataError, match=r"no column 'files', did you mean 'file'\?; it has file, label, label"):
        table.require(["files"])
    with pytest.raises(DataError, match="2 columns are called 'label'"):
        table.require(["file", "label"])


def test_json_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(DataError, match="is JSON, no CSV table"):
        read_csv(tmp_path / "a.csv")
