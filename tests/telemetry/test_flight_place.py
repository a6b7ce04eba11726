"""Latitudes for longitudes are seen where anything else says where a flight was."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fabricated_photo import write_photo
from skyweave.core.errors import DataError
from skyweave.telemetry import PosesOverTime, read_telemetry
from skyweave.telemetry.flight_place import check_one_place, check_place_of_images, recorded_place

RIGHT, EXCHANGED = (48.0, 11.0), (11.0, 48.0)


def log(folder: Path, latitude: float, longitude: float, name: str = "log") -> PosesOverTime:
    path = folder / f"{name}.csv"
    path.write_text(f"time,lat,lon\n0,{latitude},{longitude}\n1,{latitude},{longitude}\n")
    return read_telemetry(path)


def video(path: Path, place: str) -> Path:
    with av.open(str(path), "w") as container:
        container.metadata["location"] = place
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize("kind", ["video", "photographs"])
def test_a_log_lies_where_its_images_say(tmp_path: Path, kind: str) -> None:
    images = tmp_path / "images"
    if kind == "video":
        images = video(tmp_path / "a.mp4", "+48.0100+011.0100+500.0/")
    else:
        write_photo(images / "1.jpg", latitude=48.01, longitude=11.01)
    assert recorded_place(images) == pytest.approx((11.01, 48.01), abs=1e-4)
    check_place_of_images(log(tmp_path, *RIGHT), images)
    with pytest.raises(DataError, match=r"log.csv lies at latitude 11.*km from .* exchanged .* each other's names"):
        check_place_of_images(log(tmp_path, *EXCHANGED), images)
    with pytest.raises(DataError, match="take the logs and images of one flight"):
        check_place_of_images(log(tmp_path, 40.0, 11.0), images)


def test_images_that_state_no_place_contradict_none(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images/1.png")
    for images in (tmp_path / "images", tmp_path / "frames.csv", video(tmp_path / "b.mp4", "Munich")):
        check_place_of_images(log(tmp_path, *EXCHANGED), images)


def test_logs_of_one_import_lie_together(tmp_path: Path) -> None:
    first = log(tmp_path, *RIGHT)
    check_one_place([first, log(tmp_path, 48.1, 11.1, "near")])
    with pytest.raises(DataError, match=r"far.csv lies at .* log.csv says .* exchanged"):
        check_one_place([first, log(tmp_path, *EXCHANGED, "far")])


def test_latitudes_beyond_the_pole_are_called_exchanged(tmp_path: Path) -> None:
    poses = log(tmp_path, -118.0, 34.0)
    with pytest.raises(DataError, match="such as -118, 34: latitude and longitude look exchanged"):
        poses.require("position")
