"""Tracks as annotations of a recording: the images, cameras and objects in the ordinary nuScenes tables."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_folder_aside
from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.locating.image_sequence import ImageSequence, TimedImage
from skyweave.locating.writers.base import TrackOutput, TrackPlace, places_by_image
from skyweave.recordings import finish_recording, write_scene
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene

SCENE, SPLIT = "flight", "val"
NAMELESS = re.compile(r"[^A-Za-z0-9.+-]+")  # what no file is named with
MIN_HEIGHT_M = 1.0  # above the ground, for the ground sample distance


def write_track_nuscenes(output: TrackOutput, folder: Path) -> list[Path]:
    """Write the folder ``tracks_nuscenes``, a recording whose annotations are the tracks.

    Args:
        output: what to write.
        folder: where.

    Raises:
        DataError: there are no images.
    """
    if any(sequence.size is None for sequence in output.sequences) or not output.sequences:
        raise DataError("nuScenes tables need images; give the video or the folder, not a list of its frames")
    frames = _frames(output)
    categories = sorted({table.category for table in output.tables})
    scene = RecordedScene(SCENE, frames, output.result.crs, "tracks of skyweave locate", ground=output.result.ground)
    path = folder / "tracks_nuscenes"
    with write_folder_aside(path) as aside:
        write_scene(aside, scene, categories, image_format="jpg")
        finish_recording(aside, path.name, {SPLIT: [SCENE]})
    return [path]


def _frames(output: TrackOutput) -> list[Frame]:
    """Return the images that are near in time together, each with its camera, and what is seen in them."""
    step = _interval(output)
    captures: dict[int, dict[str, Capture]] = defaultdict(dict)
    places: dict[int, dict[int, TrackPlace]] = defaultdict(dict)
    for platform in range(len(output.sequences)):
        for capture, seen in _captures(output, platform):
            tick = capture.time // step
            if captures[tick].setdefault(capture.channel, capture) is capture:
                for place in seen:
                    places[tick].setdefault(place.table.number, place)
    return [
        Frame(
            min(one.time for one in captures[tick].values()), captures[tick], _annotations(list(places[tick].values()))
        )
        for tick in sorted(captures)
    ]


def _captures(output: TrackOutput, platform: int) -> Iterator[tuple[Capture, list[TrackPlace]]]:
    """Yield the images of one camera that have a pose, and what is seen in them."""
    stream = output.result.streams[platform]
    name = NAMELESS.sub("_", stream.name).lstrip("_") or f"camera-{platform + 1}"
    reader, seen = _Reader(output.sequences[platform]), places_by_image(output, platform)
    times = np.array([image.time for image in stream.images], np.int64)
    samples = stream.track.samples(times, output.result.calibration.means[platform])
    for image, sample in zip(stream.images, samples, strict=True):
        if sample is not None:
            geometry = sample.state.geometry
            load = partial(_load, reader, image.frame, geometry, output)
            yield Capture(name, name, stream.start + image.time, geometry, load), seen.get(image.frame, [])


def _interval(output: TrackOutput) -> int:
    """Return the time between two images of the first camera in nanoseconds; of one camera alone, all are apart."""
    times = np.array([image.time for image in output.result.streams[0].images], np.int64)
    alone = len(output.sequences) == 1 or len(times) < 2
    return 1 if alone else max(int(np.median(np.diff(times))), 1)


def _annotations(places: list[TrackPlace]) -> Annotations:
    """Return tracks at one time as objects that stand on the ground."""
    columns = [_object_of(place) for place in places]
    centres, sizes, yaws, velocities = map(np.array, zip(*columns, strict=True)) if columns else np.zeros((4, 0))
    return Annotations(
        Boxes(centres.reshape(-1, 3), sizes.reshape(-1, 3), yaws),
        velocities,
        tuple(place.table.category for place in places),
        tuple(str(place.table.number) for place in places),
    )


def _object_of(place: TrackPlace) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Return centre, size, yaw and velocity of one point of a track."""
    table, row = place.table, place.row
    centre = np.array([*table.points[row], table.up[row] + table.size[2] / 2])
    return centre, table.size, float(table.headings[row]), table.velocities[row]


class _Reader:
    """Reads the images of a sequence in order, those that are asked for."""

    def __init__(self, sequence: ImageSequence) -> None:
        self._images: Iterator[TimedImage] = sequence.images(0, True)

    def image(self, frame: int) -> np.ndarray:
        image = next(image for image in self._images if image.frame >= frame)
        assert image.pixels is not None
        return image.pixels


def _load(reader: _Reader, frame: int, geometry: CameraGeometry, output: TrackOutput) -> Observation:
    below = float(np.nan_to_num(output.result.ground.height(geometry.position[None, :2])[0]))
    height = max(float(geometry.position[2]) - below, MIN_HEIGHT_M)
    bands = reader.image(frame).transpose(2, 0, 1).astype(np.float32)
    distance = height / float(geometry.camera.intrinsics[0, 0])
    return Observation.from_pixels(bands, get_sensor("rgb"), distance, geometry=geometry)
