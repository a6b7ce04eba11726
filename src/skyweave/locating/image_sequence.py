"""Images in order of time: a video, a folder of images, or a list of frames whose images are elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from skyweave.core.csv_table import read_csv
from skyweave.core.errors import DataError
from skyweave.core.images.decoding import decode_upright, open_image
from skyweave.core.images.image_names import natural_order
from skyweave.core.images.video import Video, read_times
from skyweave.telemetry.poses_over_time import NS_PER_S

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
DEFAULT_RATE = 10.0  # images a second, of a folder whose names say no times


@dataclass(frozen=True)
class TimedImage:
    """One image of a sequence.

    Attributes:
        frame: number in the sequence as it was recorded, from 0.
        seconds: from the first image.
        name: of its file; empty in a video.
        pixels: (rows, columns, 3) uint8, RGB; None where nobody asked for it.
    """

    frame: int
    seconds: float
    name: str
    pixels: np.ndarray | None


class ImageSequence(Protocol):
    """Images in order of time."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns in pixels, if known."""
        ...

    def schedule(self) -> list[tuple[int, float, str]]:
        """Return number, seconds and name of each image."""
        ...

    def images(self, start: int, with_pixels: bool) -> Iterator[TimedImage]:
        """Yield the images from a place in the schedule on.

        Args:
            start: place in the schedule, from 0.
            with_pixels: decode them.
        """
        ...


class VideoSequence:
    """A video, so many images a second of it; their own times count, however uneven they are.

    Args:
        path: of the file.
        rate: images a second; None: all.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is no video, or its images have no times.
    """

    def __init__(self, path: Path, rate: float | None) -> None:
        self.path, self._video = path, Video(path)
        self._seconds = read_times(path).tolist()
        recorded = max(len(self._seconds) - 1, 1) / (self._seconds[-1] or 1.0)
        self._step = 1 if rate is None else max(round(recorded / rate), 1)

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns in pixels."""
        return self._video.size

    def schedule(self) -> list[tuple[int, float, str]]:
        """Return number, seconds and name of each image."""
        return [(frame, self._seconds[frame], "") for frame in range(0, len(self._seconds), self._step)]

    def images(self, start: int, with_pixels: bool) -> Iterator[TimedImage]:
        """Yield the images from a place in the schedule on.

        Args:
            start: place in the schedule, from 0.
            with_pixels: decode them.
        """
        for frame, seconds, name in self.schedule()[start:]:
            pixels = self._video.image_at(seconds)[0] if with_pixels else None
            yield TimedImage(frame, seconds, name, pixels)


class FolderSequence:
    """A folder of images in the order of their names, or at times of their own.

    Args:
        path: of the folder.
        rate: images a second; None: ten.
        times: nanoseconds by file, of photographs that state them.

    Raises:
        DataError: it holds no images.
    """

    def __init__(self, path: Path, rate: float | None, times: Mapping[Path, int] | None = None) -> None:
        files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]
        self.files = sorted(files, key=lambda file: natural_order(file.name))
        if times:
            self.files = sorted(times, key=times.__getitem__)
        if not self.files:
            raise DataError(f"{path} holds no images; give a folder with {', '.join(IMAGE_SUFFIXES)}")
        stamps = [times[file] for file in self.files] if times else []
        self._seconds = [(stamp - stamps[0]) / NS_PER_S for stamp in stamps]
        self._seconds = self._seconds or [number / (rate or DEFAULT_RATE) for number in range(len(self.files))]

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns in pixels."""
        return _read_image(self.files[0]).shape[:2]

    def schedule(self) -> list[tuple[int, float, str]]:
        """Return number, seconds and name of each image."""
        named = zip(self._seconds, self.files, strict=True)
        return [(frame, seconds, file.name) for frame, (seconds, file) in enumerate(named)]

    def images(self, start: int, with_pixels: bool) -> Iterator[TimedImage]:
        """Yield the images from a place in the schedule on.

        Args:
            start: place in the schedule, from 0.
            with_pixels: decode them.
        """
        for (frame, seconds, name), file in zip(self.schedule()[start:], self.files[start:], strict=True):
            yield TimedImage(frame, seconds, name, _read_image(file) if with_pixels else None)


class ListedSequence:
    """A table ``frame,seconds`` or ``frame,seconds,file`` of images that are not here: their boxes are in a file.

    Args:
        path: of the table.

    Raises:
        DataError: columns that are not there, or no numbers.
    """

    size = None

    def __init__(self, path: Path) -> None:
        table = read_csv(path)
        table.require(["frame", "seconds"])
        rows = [row.cells for row in table.rows]
        try:
            self._schedule = [(int(row["frame"]), float(row["seconds"]), row.get("file") or "") for row in rows]
        except ValueError as error:
            raise DataError(f"{path} needs columns frame and seconds, numbers in each row: {error}") from None
        seconds = [time for _, time, _ in self._schedule]
        if not seconds or not (np.isfinite(seconds).all() and (np.diff(seconds) > 0).all()):
            raise DataError(f"{path}: seconds must grow from row to row, and there must be one row at the least")

    def schedule(self) -> list[tuple[int, float, str]]:
        """Return number, seconds and name of each image."""
        return self._schedule

    def images(self, start: int, with_pixels: bool) -> Iterator[TimedImage]:
        """Yield the images from a place in the schedule on; they have no pixels.

        Args:
            start: place in the schedule, from 0.
            with_pixels: refused.

        Raises:
            DataError: pixels are asked for.
        """
        if with_pixels:
            raise DataError("a list of frames has no images; give the video or the folder, or boxes as a file")
        for frame, seconds, name in self._schedule[start:]:
            yield TimedImage(frame, seconds, name, None)


def open_sequence(path: Path, rate: float | None = None, times: Mapping[Path, int] | None = None) -> ImageSequence:
    """Open a video, a folder of images, or a list of frames.

    Args:
        path: of it.
        rate: images a second; None: all of a video.
        times: nanoseconds by file, of a folder of photographs that state them.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is none of these.
    """
    if path.is_dir():
        return FolderSequence(path, rate, times)
    if path.suffix.lower() == ".csv":
        return ListedSequence(path)
    return VideoSequence(path, rate)


def _read_image(path: Path) -> np.ndarray:
    try:
        with open_image(path, path.name) as image:
            return decode_upright(image, "RGB")[0]
    except (OSError, SyntaxError) as error:  # of files that are cut off or damaged
        raise DataError(f"{path} cannot be read as an image: {error}; copy it once more from where it came") from None
