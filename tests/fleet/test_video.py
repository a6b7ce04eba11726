"""A video with poses as a node's source: the right picture at every time, with the pose of that time."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from skyweave.core.errors import DataError, FleetError
from skyweave.core.images.video import Video
from skyweave.fleet.sources.base import SourceContext
from skyweave.fleet.sources.folder import FolderSourceConfig
from skyweave.fleet.sources.video import VideoSource

ROWS, COLUMNS, RATE, COUNT = 48, 64, 10, 60
POSES = "time,x,y,z,yaw,pitch,roll\n0,10,20,50,170,45,0\n2,14,20,50,-170,45,0\n4,14,20,60,-170,90,0\n"


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds, each picture with its number in black and white, a key frame now and then."""
    folder = tmp_path_factory.mktemp("flight")
    with av.open(str(folder / "flight.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE, options={"g": "12", "qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv420p"
        for number in range(COUNT):
            bits = np.array([number >> bit & 1 for bit in range(8)], np.uint8)
            picture = np.broadcast_to(255 * bits.repeat(COLUMNS // 8)[None, :, None], (ROWS, COLUMNS, 3)).copy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    (folder / "camera.yaml").write_text("rows: 48\ncolumns: 64\nfield_of_view: 60\nvideo: flight.mp4\n")
    (folder / "poses.csv").write_text(POSES)
    return folder


def number_of(picture: np.ndarray) -> int:
    bits = picture[4:-4].mean((0, 2)).reshape(8, -1)[:, 2:-2].mean(1) > 127
    return int((bits << np.arange(8)).sum())


def source(folder: Path) -> VideoSource:
    found = FolderSourceConfig(str(folder), interval=0.5, crs="EPSG:32632").build(SourceContext("UAV_1"))
    assert isinstance(found, VideoSource)
    return found


@pytest.mark.parametrize("times", [(0.0, 0.5, 1.0, 1.5), (5.9, 0.0, 3.25, 3.3, 0.1), (99.0, 2.0)])
def test_every_time_has_its_picture(flight: Path, times: tuple[float, ...]) -> None:
    video = Video(flight / "flight.mp4")
    assert video.size == (ROWS, COLUMNS)
    for seconds in times:
        number = min(int(seconds * RATE + 1e-6), COUNT - 1)
        image, taken = video.image_at(seconds)
        assert number_of(image) == number and taken == pytest.approx(number / RATE), seconds


def test_poses_are_interpolated_the_short_way_round(flight: Path) -> None:
    capture = source(flight).capture(1.0)
    assert capture.geometry.position == pytest.approx([12, 20, 50])
    assert capture.geometry.world_from_camera[:3, 2] == pytest.approx([-np.sqrt(0.5), 0, -np.sqrt(0.5)], abs=1e-9)
    pixels = capture.load().pixels
    assert pixels.shape == (3, ROWS, COLUMNS) and number_of(pixels.transpose(1, 2, 0)) == 10
    assert source(flight).capture(3.0).geometry.position[2] == pytest.approx(55)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("poses.csv", "time,x,y,z,yaw,pitch,roll\n0,1,1,1,0,0,0\n", "two poses or more"),
        ("poses.csv", POSES.replace("2,14", "0,14"), "growing times"),
        ("poses.csv", POSES.replace("2,14", "2,nan"), "line 3"),
        ("poses.csv", POSES.replace("time", "when"), "no column 'time'"),
        ("camera.yaml", "rows: 40\ncolumns: 64\nfield_of_view: 60\nvideo: flight.mp4\n", r"\(48, 64\) pixels"),
        ("camera.yaml", "rows: 48\ncolumns: 64\nfield_of_view: 60\nvideo: poses.csv\n", "is no video"),
        ("camera.yaml", "rows: 48\ncolumns: 64\nfield_of_view: 60\nvideo: none.mp4\n", "there is no video"),
    ],
)
def test_what_is_wrong_is_said(flight: Path, tmp_path: Path, file: str, content: str, said: str) -> None:
    for name in ("camera.yaml", "poses.csv", "flight.mp4"):
        (tmp_path / name).write_bytes((flight / name).read_bytes())
    (tmp_path / file).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        source(tmp_path)


def written(path: Path, times: tuple[int, ...], rotation: int = 0, shape: tuple[int, int] = (ROWS, COLUMNS)) -> Path:
    """A video with images at some hundredths of a second, each with its number, the left upper corner white."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=100, options={"g": "12", "qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for time in times:
            picture = np.zeros((*shape, 3), np.uint8)
            picture[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("rotation", "corner"), [(0, (4, 4)), (90, (-4, 4)), (180, (-4, -4)), (-90, (4, -4))])
def test_the_turn_of_the_container_is_made(tmp_path: Path, rotation: int, corner: tuple[int, int]) -> None:
    video = Video(written(tmp_path / "a.mp4", (0, 10, 20), rotation))
    assert video.size == ((COLUMNS, ROWS) if rotation % 180 else (ROWS, COLUMNS))
    image, _ = video.image_at(0.0)
    assert image.shape[:2] == video.size and image[corner].min() > 200


def test_images_at_uneven_times_have_their_own_poses(tmp_path: Path) -> None:
    written(tmp_path / "flight.mp4", (0, 10, 20, 150, 200))
    (tmp_path / "camera.yaml").write_text("rows: 48\ncolumns: 64\nfield_of_view: 60\nvideo: flight.mp4\n")
    (tmp_path / "poses.csv").write_text("time,x,y,z,yaw,pitch,roll\n0,0,0,50,0,90,0\n2,20,0,50,0,90,0\n")
    positions = [source(tmp_path).capture(seconds).geometry.position[0] for seconds in (0.15, 1.4, 1.5)]
    assert positions == pytest.approx([1, 2, 15])  # between 0.2 and 1.5 s the image of 0.2 s is shown


def test_poses_beyond_the_video_are_refused(flight: Path, tmp_path: Path) -> None:
    for name in ("camera.yaml", "flight.mp4"):
        (tmp_path / name).write_bytes((flight / name).read_bytes())
    for poses in (POSES.replace("4,14", "4000,14"), POSES.replace("0,10", "-1,10", 1)):
        (tmp_path / "poses.csv").write_text(poses)
        with pytest.raises(FleetError, match=r"poses from .* images from 0 to 6\.00 s"):
            source(tmp_path)


@pytest.mark.parametrize("form", ["mjpeg", "mpeg1video"])
def test_a_stream_without_times_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.stream"
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(form, rate=RATE if form == "mjpeg" else 25)
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuvj420p" if form == "mjpeg" else "yuv420p"
        container.mux([*stream.encode(av.VideoFrame(COLUMNS, ROWS, stream.pix_fmt)), *stream.encode(None)])
    with pytest.raises(DataError, match=r"have no times.*ffmpeg"):
        Video(path)


def test_pixels_that_are_not_square_need_intrinsics(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "flight.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame(COLUMNS, ROWS, "yuv420p")))
        container.mux(stream.encode(None))
    (tmp_path / "poses.csv").write_text("time,x,y,z,yaw,pitch,roll\n0,0,0,50,0,90,0\n2,20,0,50,0,90,0\n")
    camera = "rows: 48\ncolumns: 64\nvideo: flight.mp4\n"
    (tmp_path / "camera.yaml").write_text(camera + "field_of_view: 60\n")
    with pytest.raises(FleetError, match="not square"):
        source(tmp_path)
    (tmp_path / "camera.yaml").write_text(camera + "intrinsics: [50, 0, 32, 0, 66, 24, 0, 0, 1]\n")
    assert source(tmp_path).capture(1.0).load().pixels.shape == (3, ROWS, COLUMNS)


def test_interlaced_and_deep_images_are_read_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct"})
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv420p"
        container.mux([*stream.encode(av.VideoFrame(COLUMNS, ROWS, "yuv420p")), *stream.encode(None)])
    with av.open(str(tmp_path / "b.mkv"), "w") as container:
        deep = container.add_stream("ffv1", rate=25)
        deep.width, deep.height, deep.pix_fmt = COLUMNS, ROWS, "yuv420p10le"
        deep.codec_context.color_trc = 16
        white = av.VideoFrame.from_ndarray(np.full((ROWS, COLUMNS, 3), 255, np.uint8), format="rgb24")
        container.mux([*deep.encode(white.reformat(format="yuv420p10le")), *deep.encode(None)])
    with caplog.at_level("WARNING", "skyweave"):
        Video(tmp_path / "a.mp4")
        image, _ = Video(tmp_path / "b.mkv").image_at(0.0)
    assert "is interlaced" in caplog.text and "high dynamic range (PQ)" in caplog.text and image.min() > 250
