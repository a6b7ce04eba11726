"""Whatever the file format, a turn is made once: the pixels and the pose that belong together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fabricated_photo import xmp_of
from skyweave.core.images.decoding import decode_upright, open_image, upright_size
from skyweave.orthomosaic.photo import world_from_camera
from skyweave.telemetry.image_metadata.attitude import Attitude
from skyweave.telemetry.image_metadata.metadata import read_metadata

FORMATS = {"jpg": {"quality": 100, "subsampling": 0}, "png": {}, "tif": {}, "webp": {"lossless": True}}


def write(path: Path, orientation: int) -> np.ndarray:
    """Write an image whose pixels tell where they are; return them as stored."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:8, :8] = 250  # the upper left corner of what is stored
    exif = Image.Exif()
    exif[274] = orientation
    options = {"tiffinfo": {274: orientation}} if path.suffix == ".tif" else {"exif": exif}
    Image.fromarray(pixels).save(path, **options, **FORMATS[path.suffix[1:]])
    return pixels


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", FORMATS)
def test_upright_pixels_and_their_size(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    expected = np.rot90(write(path, orientation), {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    with open_image(path, "a") as opened:
        size = upright_size(opened)
        pixels, _ = decode_upright(opened, "RGB")
    assert size == pixels.shape[:2] == expected.shape[:2]
    assert np.abs(pixels.astype(int) - expected).max() < 20


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", FORMATS)
def test_the_corner_of_a_photograph_looks_to_one_side(tmp_path: Path, suffix: str, orientation: int) -> None:
    """The pose is that of the pixels that are decoded, also where the decoder turns them."""
    path = tmp_path / f"a.{suffix}"
    write(path, orientation)
    metadata = read_metadata(path)
    with open_image(path, "a") as opened:
        grey = np.asarray(opened.convert("L"))
    assert (metadata.rows, metadata.columns) == grey.shape
    row, column = np.argwhere(grey > 200).mean(0)
    pose = world_from_camera(np.zeros(3), Attitude(0.0, -90.0, 0.0, "gimbal"), 0.0, metadata.orientation)
    east, north, _ = pose[:3, :3] @ [column - metadata.columns / 2, row - metadata.rows / 2, 30.0]
    upright = {1: (-1, 1), 3: (1, -1), 6: (1, 1), 8: (-1, -1)}[orientation]  # of the corner, in the image as viewed
    assert (np.sign(east), np.sign(north)) == upright


@pytest.mark.parametrize(("orientation", "roll"), [(6, 90.0), (8, -90.0), (3, 180.0), (6, 0.0)])
def test_a_roll_that_tells_of_the_turn_is_made_once_in_every_format(
    tmp_path: Path, orientation: int, roll: float
) -> None:
    """Pillow turns the pixels of a TIFF; a gimbal's roll may be of the pixels before that."""
    angles = xmp_of("drone-dji", {"GimbalYawDegree": 20.0, "GimbalPitchDegree": -70.0, "GimbalRollDegree": roll})
    directions = []
    for suffix in ("jpg", "tif"):
        path, exif = tmp_path / f"a.{suffix}", Image.Exif()
        write(path, orientation)
        with Image.open(path) as stored:
            pixels = np.rot90(np.asarray(stored), {"jpg": 0, "tif": {3: 2, 6: 1, 8: 3}[orientation]}[suffix])
        exif[274] = orientation
        options = {"tiffinfo": {274: orientation, 700: angles.encode()}}
        if suffix == "jpg":
            options = {"exif": exif, "xmp": angles.encode(), "quality": 100, "subsampling": 0}
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)
        metadata = read_metadata(path)
        assert metadata.attitude is not None
        with open_image(path, "a") as opened:
            row, column = np.argwhere(np.asarray(opened.convert("L")) > 200).mean(0) + 0.5
        pose = world_from_camera(np.zeros(3), metadata.attitude, 0.0, metadata.orientation)
        directions.append(pose[:3, :3] @ [column - metadata.columns / 2, row - metadata.rows / 2, 30.0])
    assert directions[0] == pytest.approx(directions[1], abs=0.2)
