"""Images of a video file by time: upright, each with the time at which it was shown."""

import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError

MAX_DECODE_AHEAD_S = 2.0  # that are decoded through rather than sought
TIME_TOLERANCE_S = 1e-6
NO_TIMES_FLAG = 0x0080  # AVFMT_NOTIMESTAMPS of FFmpeg: a stream without times, for which it makes some up
STILL_IMAGES = "_pipe"  # ending of the names of formats of images one after the other
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273
log = logging.getLogger("skyweave")


class Video:
    """Images of a video file by time; cheap in order.

    The turn that the container asks players to make is made. Frames need not be evenly spaced: their times count.

    Args:
        path: of the file.

    Attributes:
        size: (rows, columns) of the upright image, pixels.
        square_pixels: whether pixels are as wide as high.
        duration: seconds from the first image to the end of the last; None where the file does not say.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is no video, its images have no times, or are turned by less than a quarter.
    """

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no video {path}") from None
        except (av.FFmpegError, IndexError) as error:
            raise DataError(f"{path} is no video: {error}; give an MP4 or another video that FFmpeg reads") from None
        if _has_no_times(self._container.format):
            raise DataError(self._no_times())
        self._time_base = float(self._stream.time_base or 1)
        self._start = (self._stream.start_time or 0) * self._time_base
        self._frames: Iterator[Any] = iter(())
        self._current: Any = None
        self._next: Any = None
        first = self._decode_first(path)
        self._quarter_turns = _quarter_turns(path, first.rotation)
        rows, columns = first.height, first.width
        self.size = (columns, rows) if self._quarter_turns % 2 else (rows, columns)
        self.square_pixels = (self._stream.sample_aspect_ratio or 1) == 1
        self._time_of(first)  # raises where there are none
        self.duration = self._read_duration()
        self._report_looks(first)

    def _decode_first(self, path: Path) -> Any:
        """Decode the first image."""
        import av

        try:
            return self._seek(0.0)
        except av.FFmpegError as error:
            raise DataError(f"{path} cannot be decoded: {error}") from None

    def image_at(self, seconds: float) -> tuple[np.ndarray, float]:
        """Return the image shown at a time; after the end the last one.

        Args:
            seconds: from the beginning.

        Returns:
            (rows, columns, 3) uint8, RGB; and the seconds at which it was taken, at most those asked for.

        Raises:
            DataError: it cannot be decoded.
        """
        import av

        try:
            if not self._is_near(seconds):
                self._seek(seconds)
            while self._next is not None and self._time_of(self._next) <= seconds + TIME_TOLERANCE_S:
                self._current, self._next = self._next, next(self._frames, None)
            pixels: np.ndarray = self._current.to_ndarray(format="rgb24")
        except av.FFmpegError as error:
            raise DataError(f"{self.path} cannot be decoded at {seconds:.2f} s: {error}") from None
        return np.ascontiguousarray(np.rot90(pixels, self._quarter_turns)), self._time_of(self._current)

    def _is_near(self, seconds: float) -> bool:
        """Return whether a time is reached by decoding on from the current image."""
        if self._current is None:
            return False
        return 0 <= seconds - self._time_of(self._current) <= MAX_DECODE_AHEAD_S

    def _seek(self, seconds: float) -> Any:
        """Go to the last key frame before a time and return it."""
        timestamp = round((seconds + self._start) / self._time_base)
        self._container.seek(timestamp, stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._current = next(self._frames, None)
        if self._current is None:  # beyond the last key frame of some containers
            self._container.seek(0)
            self._frames = self._container.decode(self._stream)
            self._current = next(self._frames, None)
        if self._current is None:
            raise DataError(f"{self.path} holds no images")
        self._next = next(self._frames, None)
        return self._current

    def _time_of(self, frame: Any) -> float:
        if frame.pts is None:
            raise DataError(self._no_times())
        return float(frame.pts * self._time_base - self._start)

    def _no_times(self) -> str:
        return (
            f"the images of {self.path} have no times; put them into a container at their rate, such as with "
            f"`ffmpeg -framerate 30 -i {shlex.quote(str(self.path))} -c copy {shlex.quote(self.path.stem)}.mp4`"
        )

    def _read_duration(self) -> float | None:
        if self._stream.duration is not None:
            return float(self._stream.duration * self._time_base)
        return None if self._container.duration is None else self._container.duration / 1e6

    def _report_looks(self, frame: Any) -> None:
        """Log what the images of this file look like and a camera's do not."""
        if frame.interlaced_frame:
            command = f"ffmpeg -i {shlex.quote(str(self.path))} -vf bwdif {shlex.quote(self.path.stem)}_progressive.mp4"
            log.warning(f"{self.path} is interlaced: what moves has combs; deinterlace it with `{command}`")
        transfer = HIGH_DYNAMIC_RANGE.get(int(frame.color_trc or 0))
        if transfer is not None:
            log.warning(f"{self.path} has a high dynamic range ({transfer}), and looks grey as it is read")


def read_times(path: Path) -> np.ndarray:
    """Return the seconds at which the images of a video are shown: (n,), growing from 0; nothing is decoded.

    Args:
        path: of the file.

    Raises:
        DataError: it holds no images with times.
    """
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        ticks = sorted({packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size})
        base = float(stream.time_base or 1)
    if not ticks:
        raise DataError(f"{path} holds no images with times; give a whole copy of it")
    return (np.array(ticks) - ticks[0]) * base


def _has_no_times(form: Any) -> bool:
    """Return whether a format of FFmpeg says nothing of when its images are shown."""
    return bool(int(form.flags) & NO_TIMES_FLAG) or form.name.endswith(STILL_IMAGES)


def _quarter_turns(path: Path, rotation: int) -> int:
    """Quarters of a turn, counter-clockwise, that make the image upright."""
    if rotation % 90:
        raise DataError(f"{path} asks for a turn of {rotation} degrees; only quarters of a turn are made")
    return rotation // 90 % 4
