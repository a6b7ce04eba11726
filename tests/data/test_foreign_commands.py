"""The commands of GDAL and FFmpeg that messages name, run as they are written, where these programs are installed."""

import contextlib
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from fabricated_photo import DOWN, RELATIVE, write_photo, xmp_of
from skyweave.core.errors import DataError
from skyweave.core.images.video import Video
from skyweave.core.sensors import get_sensor
from skyweave.data.raster import read_observation
from skyweave.telemetry.image_metadata import read_metadata

RGB = get_sensor("rgb")
COLOURS = np.random.default_rng(0).integers(20, 230, (3, 64, 80)).astype(np.uint8)
MODEL = RPC(
    height_off=100.0, height_scale=500.0, lat_off=46.5, lat_scale=0.05, long_off=7.5, long_scale=0.05,
    line_off=32, line_scale=32, samp_off=40, samp_scale=40, err_bias=None, err_rand=None,
    line_num_coeff=[0, 0, -1.0] + [0] * 17, line_den_coeff=[1.0] + [0] * 19,
    samp_num_coeff=[0, 1.0] + [0] * 18, samp_den_coeff=[1.0] + [0] * 19,
)  # fmt: skip


def follow(message: str, folder: Path, *changes: tuple[str, str]) -> None:
    """Run the command between backquotes in a message."""
    command = message.split("`")[1]
    for old, new in changes:
        assert old in command, command
        command = command.replace(old, new)
    words = shlex.split(command)
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def raster(path: Path, **profile: Any) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        profile = {"driver": "GTiff", "height": 64, "width": 80, "count": 3, "dtype": "uint8"} | profile
        with rasterio.open(path, "w", **profile) as dataset:
            yield dataset


def refused(path: Path, **declared: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_observation(path, RGB, unit="uint8", **declared)
    return str(caught.value)


def wave(row: int, column: int) -> tuple[float, float]:
    return 4e5 + column / 2 + 3 * np.sin(row * column / 700), 5e6 - row / 2 + 3 * np.cos(row * column / 500)


@pytest.mark.parametrize(
    ("place", "changes", "metres"),
    [
        ("rpcs", (("RPC_DEM=DEM.tif", "RPC_HEIGHT=100"),), 115),
        ("gcps", (), 0.5),
    ],
)
def test_warping(tmp_path: Path, place: str, changes: tuple[tuple[str, str], ...], metres: float) -> None:
    path = tmp_path / "a scene.tif"
    with raster(path) as dataset:
        dataset.write(COLOURS)
        if place == "rpcs":
            dataset.rpcs = MODEL
        else:
            corners = [(row, column) for row in (0, 16, 32, 48, 64) for column in (0, 20, 40, 60, 80)]
            points = [GroundControlPoint(row, column, *wave(row, column)) for row, column in corners]
            dataset.gcps = (points, CRS.from_epsg(32633))
    message = refused(path)
    follow(message, tmp_path, *changes)
    image = read_observation(tmp_path / "warped.tif", RGB, unit="uint8", bands=["red", "green", "blue"])
    assert image.ground_sample_distance == pytest.approx(metres, rel=0.2)
    known = image.pixels[0][image.valid[0]]
    assert 0.3 < image.valid.mean() < 1 and abs(known.mean() - COLOURS[0].mean()) < 10


def test_the_colours_of_a_palette(tmp_path: Path) -> None:
    path = tmp_path / "a scene.tif"
    with raster(path, count=1, photometric="PALETTE") as dataset:
        dataset.write(COLOURS[:1])
        dataset.write_colormap(1, {value: (value, 0, 255 - value, 255) for value in range(256)})
    follow(refused(path, bands=["red"]), tmp_path)
    image = read_observation(tmp_path / "colours.tif", RGB, unit="uint8", ground_sample_distance=0.1)
    np.testing.assert_array_equal(image.pixels, [COLOURS[0], 0 * COLOURS[0], 255 - COLOURS[0]])


def encode(path: Path, form: str, codec: str, frames: int) -> None:
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("codec", "rate"), [("mjpeg", 30), ("mpeg4", 25)])  # the latter states it itself
def test_times_for_a_stream(tmp_path: Path, codec: str, rate: int) -> None:
    path = tmp_path / f"a flight.{codec}"
    encode(path, "mjpeg" if codec == "mjpeg" else "m4v", codec, 6)
    with pytest.raises(DataError, match="have no times") as caught:
        Video(path)
    follow(str(caught.value), tmp_path)
    video = Video(tmp_path / "a flight.mp4")
    assert video.size == (48, 64) and abs(video.image_at(2 / rate)[0].mean() - 40) < 8


def test_copies_of_8_bits_keep_what_photographs_say(tmp_path: Path) -> None:
    write_photo(tmp_path / "eight.jpg", xmp=xmp_of("drone-dji", {**DOWN, **RELATIVE}))
    with Image.open(tmp_path / "eight.jpg") as eight:
        exif, xmp = Image.Exif(), eight.info["xmp"]
        exif.load(eight.info["exif"])
    values = np.linspace(28_000, 32_000, 40 * 60).round().astype(np.uint16).reshape(40, 60)
    exif[700] = xmp
    Image.fromarray(values).save(tmp_path / "deep.tif", exif=exif.tobytes())
    with pytest.raises(DataError) as caught:
        read_metadata(tmp_path / "deep.tif")
    _, _, _, copy, _, tags, _ = str(caught.value).split("`")
    follow(f"`{copy}`", tmp_path, ("LOW HIGH", "28000 32000"))
    follow(f"`{tags}`", tmp_path)
    metadata = read_metadata(tmp_path / "deep_8bit.tif")
    assert metadata.latitude == pytest.approx(46.5) and metadata.relative_altitude == 60 and metadata.attitude
    with Image.open(tmp_path / "deep_8bit.tif") as image:
        np.testing.assert_allclose(np.asarray(image), (values - 28_000.0) / 4000 * 255, atol=0.51)
