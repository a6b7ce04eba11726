"""Images of sources: eight bits, upright, with transparent pixels left out."""

import io
import zlib
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skyweave.core.errors import DataError, FleetError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.images.decoding import open_image
from skyweave.fleet.sources.base import SourceContext
from skyweave.fleet.sources.folder import FolderSourceConfig
from skyweave.fleet.sources.image_decoding import decode_image, image_size, observation_from_image
from skyweave.recordings.nuscenes import rasters

ROWS, COLUMNS = 48, 64


def geometry(rows: int = ROWS, columns: int = COLUMNS) -> CameraGeometry:
    return CameraGeometry(PinholeCamera.from_field_of_view(1.0, rows, columns), np.eye(4))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def sixteen_bits() -> dict[str, bytes]:
    grey = Image.fromarray(np.full((ROWS, COLUMNS), 30000, np.uint16))
    colour = np.full((ROWS, COLUMNS, 3), 30000, np.uint16)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colour)
    header = chunk(b"IHDR", pack(">IIBBBBB", COLUMNS, ROWS, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return {
        "grey": encoded(grey),
        "tiff": encoded(grey, "TIFF"),
        "float": encoded(grey.convert("F"), "TIFF"),
        "colour": png,
    }


@pytest.mark.parametrize("which", ["grey", "tiff", "float", "colour"])
def test_more_than_eight_bits_are_refused_everywhere(tmp_path: Path, which: str) -> None:
    content = sixteen_bits()[which]
    with pytest.raises(FleetError, match="8-bit grey or colour is needed"):
        observation_from_image(content, geometry(), "rgb", "x", from_file=True)
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match="8-bit grey or colour is needed"):
        rasters.read_image(path)


def test_a_sensor_that_measures_no_grey_values_is_refused(tmp_path: Path) -> None:
    grey = encoded(Image.fromarray(np.full((ROWS, COLUMNS), 90, np.uint8)))
    with pytest.raises(FleetError, match=r"'thermal' measures kelvin.*rgb"):
        observation_from_image(grey, geometry(), "thermal", "x")
    (tmp_path / "camera.yaml").write_text("rows: 48\ncolumns: 64\nfield_of_view: 60\nsensor: thermal\n")
    (tmp_path / "poses.csv").write_text("file,x,y,z,yaw,pitch,roll\nthermal.png,0,0,50,0,90,0\n")
    (tmp_path / "thermal.png").write_bytes(sixteen_bits()["grey"])
    with pytest.raises(FleetError, match="kelvin"):
        FolderSourceConfig(str(tmp_path)).build(SourceContext("UAV_1"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_kind_of_eight_bits_is_read(mode: str) -> None:
    grey = Image.fromarray(np.full((ROWS, COLUMNS), 255, np.uint8)).convert(mode)
    content = encoded(grey, "TIFF" if mode == "CMYK" else "PNG")
    pixels, valid = decode_image(content, geometry(), "rgb", "x", from_file=True)
    assert pixels.shape == (3, ROWS, COLUMNS) and (pixels == 255).all() and valid is None


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparent_pixels_have_no_value(mode: str) -> None:
    rgba = np.full((ROWS, COLUMNS, 4), 200, np.uint8)
    rgba[:, :10, 3] = 0
    image = Image.fromarray(rgba)
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    observation = observation_from_image(encoded(image), geometry(), "rgb", "x")
    assert not observation.valid[:, :, :10].any() and observation.valid[:, :, 10:].all()


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_images_are_upright(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    stored = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[274] = orientation
    content = encoded(Image.fromarray(stored), "JPEG", exif=exif)
    size = (COLUMNS, ROWS) if orientation in (6, 8) else (ROWS, COLUMNS)
    assert image_size(content) == size
    pixels, _ = decode_image(content, geometry(*size), "rgb", "x")
    assert pixels[0][corner] > 200 and sum(pixels[0][r, c] > 200 for r in (0, -1) for c in (0, -1)) == 1
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    assert rasters.image_size(path) == size and rasters.read_image(path)[0].shape[:2] == size


def test_what_is_no_image_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = encoded(Image.new("RGB", (COLUMNS, ROWS)), "JPEG")
    for content, said in ((b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"), (b"", "it is none"), (whole[:-200], "no image")):
        with pytest.raises(FleetError, match=said):
            observation_from_image(content, geometry(), "rgb", "x")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="million pixels; use a reduced copy"), open_image(io.BytesIO(whole), "x"):
        pass
