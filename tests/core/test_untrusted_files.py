"""What files of others may hold: nested data, and names of other files."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from skyweave.core.errors import DataError
from skyweave.core.inner_path import path_below
from skyweave.core.json_text import MAX_DEPTH, check_nesting, parse_json
from skyweave.telemetry.image_metadata.metadata import read_metadata


@pytest.mark.parametrize("text", ["[" * 200_000, "[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100])
def test_deep_json_is_an_error_of_data(text: str) -> None:
    with pytest.raises(DataError, match=f"more than {MAX_DEPTH} deep"):
        parse_json(text)


def test_plain_json_is_read() -> None:
    content = {"a": [1, {"b": [[]]}], "c": "x"}
    assert parse_json(json.dumps(content)) == content
    check_nesting(content, 4, 9)
    with pytest.raises(DataError, match="more than 3 deep"):
        check_nesting(content, 3)
    with pytest.raises(DataError, match="more than 5 values"):
        check_nesting(content, 10, 5)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "..", "C:\\x", "\\\\host\\x", "a\\..\\..\\x", "a\0b"]
)
def test_names_in_tables_stay_below_their_folder(name: str) -> None:
    with pytest.raises(DataError, match="leads out of"):
        path_below(Path("data"), name)
    assert path_below(Path("data"), "samples/a b/..x.jpg") == Path("data/samples/a b/..x.jpg")


def test_a_photo_with_nested_xmp_is_read(tmp_path: Path) -> None:
    file = tmp_path / "A.JPG"
    stream = io.BytesIO()
    deep = "<x:a>" * 5000 + "</x:a>" * 5000
    Image.new("RGB", (64, 48)).save(stream, "JPEG", xmp=f'<x:m xmlns:x="adobe:ns:meta/">{deep}</x:m>'.encode())
    file.write_bytes(stream.getvalue())
    assert any("deep" in note for note in read_metadata(file).notes)
