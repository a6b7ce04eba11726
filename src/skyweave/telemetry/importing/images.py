"""The images of one camera by time: a video, photographs with times of their own, or a folder at a rate."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.decoding import decode_upright, open_image
from skyweave.core.images.video import Video, read_times
from skyweave.telemetry.image_metadata.image_files import find_images
from skyweave.telemetry.poses_over_time import NS_PER_S

TIME_TOLERANCE_S = 1e-6
EARLIEST_YEAR = 2000  # of a camera; containers write 1904 and 1970 for a clock that was not set


class TimedImages(Protocol):
    """Images by seconds since the first one.

    Attributes:
        size: (rows, columns) in pixels.
        start: UTC nanoseconds of the first image, as far as the files say; None where they do not.
        seconds: (n,) times of all images, growing.
        dense: whether they are those of a video, of which keyframes are taken.
    """

    size: tuple[int, int]
    start: int | None
    seconds: np.ndarray
    dense: bool

    def image_at(self, seconds: float) -> tuple[np.ndarray, float]:
        """Return (rows, columns, 3) uint8 of the last image up to a time, and its own time in seconds.

        Args:
            seconds: since the first image.
        """
        ...

    def name_of(self, number: int) -> str:
        """Return the name of an image's file; empty in a video.

        Args:
            number: of the image, from 0.
        """
        ...


def frame_number(images: TimedImages, seconds: float) -> int:
    """Return the number of the last image up to a time, from 0.

    Args:
        images: by time.
        seconds: since the first image.
    """
    return max(int(np.searchsorted(images.seconds, seconds + TIME_TOLERANCE_S, side="right")) - 1, 0)


class VideoImages:
    """A video.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is no video.
    """

    def __init__(self, path: Path) -> None:
        self.video = Video(path)
        self.size = self.video.size
        self.seconds, self.start = read_times(path), _read_start(path)
        self.dense = True

    def image_at(self, seconds: float) -> tuple[np.ndarray, float]:
        """Return the last image up to a time, and its time.

        Args:
            seconds: since the first image.
        """
        return self.video.image_at(seconds)

    def name_of(self, number: int) -> str:
        """Return no name: images of a video have none.

        Args:
            number: of the image, from 0.
        """
        return ""


class FolderImages:
    """Images of a folder, in the order of their names, or at times of their own.

    Args:
        folder: that is searched to any depth.
        rate: images a second, where they have no times.
        times: nanoseconds by file, of photographs that state them.

    Raises:
        DataError: it holds no images.
    """

    def __init__(self, folder: Path, rate: float, times: dict[Path, int] | None = None) -> None:
        self.folder = folder
        files = list(find_images([folder]).values())
        self.files = (
            files if times is None else sorted((file for file in files if file in times), key=times.__getitem__)
        )
        if not self.files:
            raise DataError(f"{folder} holds no images that can be used")
        stamps = None if times is None else np.array([times[file] for file in self.files], np.int64)
        self.start: int | None = None
        self.first = 0 if stamps is None else int(stamps[0])
        self.seconds: np.ndarray = (
            np.arange(len(self.files)) / rate if stamps is None else (stamps - stamps[0]) / NS_PER_S
        )
        self.dense = False
        rows, columns, _ = self._read(0).shape
        self.size: tuple[int, int] = (rows, columns)

    def image_at(self, seconds: float) -> tuple[np.ndarray, float]:
        """Return the last image up to a time, and its time.

        Args:
            seconds: since the first image.
        """
        number = frame_number(self, seconds)
        return self._read(number), float(self.seconds[number])

    def name_of(self, number: int) -> str:
        """Return the name of an image's file, with the folders below the one that was given.

        Args:
            number: of the image, from 0.
        """
        file = self.files[number]
        return file.relative_to(self.folder).as_posix() if file.is_relative_to(self.folder) else file.name

    def _read(self, number: int) -> np.ndarray:
        path = self.files[number]
        try:
            with open_image(path, path.name) as image:
                pixels, _ = decode_upright(image, "RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read as an image: {error}; copy it once more from where it came"
            ) from None
        return np.asarray(pixels, np.uint8)


def _read_start(path: Path) -> int | None:
    """UTC nanoseconds at which a video's container says that it was begun."""
    import av

    with av.open(str(path)) as container:
        return _parse_stamp(container.metadata.get("creation_time", ""))


def _parse_stamp(stamp: str) -> int | None:
    try:
        date = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return None if date.tzinfo is None or date.year < EARLIEST_YEAR else round(date.timestamp() * NS_PER_S)
