"""Tracks as annotations of a recording: the images, cameras and objects in the ordinary nuScenes tables."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.locating.image_sequence import ImageSequence, TimedImage
from skyweave.locating.writers.base import TrackOutput, TrackPlace, places_by_image
from skyweave.telemetry.importing.annotated_images import AnnotatedImage, KnownObject, write_annotated_images

NAMELESS = re.compile(r"[^A-Za-z0-9.+-]+")  # what no file is named with


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
    path, result = folder / "tracks_nuscenes", output.result
    write_annotated_images(path, _frames(output), result.crs, result.ground, "tracks of skyweave locate")
    return [path]


def _frames(output: TrackOutput) -> list[list[AnnotatedImage]]:
    """Return the images that are near in time together, at most one of each camera."""
    step = _interval(output)
    frames: dict[int, dict[str, AnnotatedImage]] = defaultdict(dict)
    for platform in range(len(output.sequences)):
        for image in _images(output, platform):
            frames[image.time // step].setdefault(image.camera, image)
    return [list(frames[tick].values()) for tick in sorted(frames)]


def _interval(output: TrackOutput) -> int:
    """Return the time between two images of the first camera in nanoseconds; of a single camera, all are apart."""
    times = np.array([image.time for image in output.result.streams[0].images], np.int64)
    single = len(output.sequences) == 1 or len(times) < 2
    return 1 if single else max(int(np.median(np.diff(times))), 1)


def _images(output: TrackOutput, platform: int) -> Iterator[AnnotatedImage]:
    """Yield the images of one camera that have a pose, and what is seen in them."""
    stream = output.result.streams[platform]
    name = NAMELESS.sub("_", stream.name).lstrip("_") or f"camera-{platform + 1}"
    reader, seen = _Reader(output.sequences[platform]), places_by_image(output, platform)
    times = np.array([image.time for image in stream.images], np.int64)
    samples = stream.track.samples(times, output.result.calibration.means[platform])
    for image, sample in zip(stream.images, samples, strict=True):
        if sample is not None:
            objects = [_object_of(place) for place in seen.get(image.frame, [])]
            load = partial(reader.image, image.frame)
            yield AnnotatedImage(name, stream.start + image.time, sample.state.geometry, load, objects)


def _object_of(place: TrackPlace) -> KnownObject:
    """Return one point of a track as an object that stands on the ground."""
    table, row = place.table, place.row
    centre = np.array([*table.points[row], table.up[row] + table.size[2] / 2])
    heading, velocity = float(table.headings[row]), table.velocities[row]
    return KnownObject(str(table.number), table.category, centre, table.size, heading, velocity)


class _Reader:
    """Reads the images of a sequence in order, those that are asked for."""

    def __init__(self, sequence: ImageSequence) -> None:
        self._images: Iterator[TimedImage] = sequence.images(0, True)

    def image(self, frame: int) -> np.ndarray:
        """Return the pixels of an image.

        Args:
            frame: its number, above that of the last one.
        """
        image = next(image for image in self._images if image.frame >= frame)
        assert image.pixels is not None
        return image.pixels
