"""Which images are read at all: only the documented formats, within bounds on pixels and time."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skyweave
from skyweave.core.errors import DataError
from skyweave.core.images.decoding import MESSAGE_FORMATS, decode_upright, open_image

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 64\n%%EndComments\n{1 1 add pop} loop\nshowpage\n"


def encoded(kind: str, rows: int = 8, columns: int = 8, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(rows * columns * 3, dtype=np.uint8).reshape(rows, columns, 3)).save(
        stream, kind, **options
    )
    return stream.getvalue()


@pytest.mark.parametrize("content", [POSTSCRIPT, *(encoded(kind) for kind in ("GIF", "BMP", "PPM", "TGA", "ICO"))])
def test_what_is_no_documented_format_is_not_opened(content: bytes, tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript, a program, whatever the file is called."""
    file = tmp_path / "image.png"
    file.write_bytes(content)
    for source in (file, io.BytesIO(content)):
        with pytest.raises(DataError, match="cannot be read as a picture"), open_image(source, "image.png"):
            pass


def test_messages_hold_fewer_formats_than_files() -> None:
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        with open_image(io.BytesIO(encoded(kind)), "a file") as image:
            assert decode_upright(image, "RGB")[0].shape == (8, 8, 3)
    for kind in ("TIFF", "WEBP"):
        with (
            pytest.raises(DataError, match="use JPEG or PNG"),
            open_image(io.BytesIO(encoded(kind)), "a message", MESSAGE_FORMATS),
        ):
            pass


def test_pixels_are_bounded_before_they_are_decoded() -> None:
    with (
        pytest.raises(DataError, match=r"64 x 48 pixels, more than .* 3000"),
        open_image(io.BytesIO(encoded("PNG", 48, 64)), "it", max_pixels=3000),
    ):
        pass


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Every scan of a progressive JPEG goes over all pixels, and takes ten bytes."""
    content = encoded("JPEG", progressive=True)
    scan = content.index(b"\xff\xda")
    with open_image(io.BytesIO(content), "it"):
        pass
    with (
        pytest.raises(DataError, match="scans"),
        open_image(io.BytesIO(content[:scan] + content[scan : scan + 10] * 5000 + content[scan:]), "it"),
    ):
        pass


def test_images_are_opened_in_one_place() -> None:
    root = Path(skyweave.__file__).parent
    places = [str(file.relative_to(root)) for file in root.rglob("*.py") if "Image.open(" in file.read_text()]
    assert places == ["core/images/decoding.py"]
