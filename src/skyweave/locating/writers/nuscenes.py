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
    for platform, stream in enumerate(output.result.streams):
        name = NAMELESS.sub("_", stream.name).lstrip("_") or f"camera-{platform + 1}"
        reader, seen = _Reader(output.sequences[platform]), places_by_image(output, platform)
        times = np.array([image.time for image in stream.images], np.int64)
        samples = stream.track.samples(times, output.result.calibration.means[platform]) if len(times) else []
        for image, sample in zip(stream.images, samples, strict=True):
            time = stream.start + image.time
            tick = time // step if len(output.sequences) > 1 else time
            if sample is None or name in captures[tick]:
                continue
            load = partial(_load, reader, image.frame, sample.state.geometry, output)
            captures[tick][name] = Capture(name, name, time, sample.state.geometry, load)
            for place in seen.get(image.frame, []):
                places[tick].setdefault(place.table.number, place)
    return [
        Frame(min(one.time for one in captures[tick].values()), captures[tick], _annotations(places[tick]))
        for tick in sorted(captures)
        if captures[tick]
    ]


def _interval(output: TrackOutput) -> int:
    """Return the time between two images of the first camera in nanoseconds."""
    times = np.array([image.time for image in output.result.streams[0].images], np.int64)
    return max(int(np.median(np.diff(times))), 1) if len(times) > 1 else 1


def _annotations(places: dict[int, TrackPlace]) -> Annotations:
    tables = [(place.table, place.row) for place in places.values()]
    sizes = np.array([table.size for table, _ in tables]).reshape(-1, 3)
    ground = np.array([[*table.points[row], table.up[row]] for table, row in tables]).reshape(-1, 3)
    centres = ground + np.array([0.0, 0.0, 0.5]) * sizes[:, 2:]
    return Annotations(
        Boxes(centres, sizes, np.array([table.headings[row] for table, row in tables]).reshape(-1)),
        np.array([table.velocities[row] for table, row in tables]).reshape(-1, 2),
        tuple(table.category for table, _ in tables),
        tuple(str(table.number) for table, _ in tables),
    )


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
