"""An image on disk whose bands and storage are known: windows of it on the grid of its finest file."""

import math
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.resampling import resample
from skyweave.core.observation import GeoTransform, Observation, check_window
from skyweave.core.sensors import Sensor
from skyweave.data.decoding import Extent, decode_stored, read_decoded
from skyweave.data.fill_values import find_doubtful_note
from skyweave.data.header import RasterHeader
from skyweave.data.storage import Storage
from skyweave.data.stored_values import read_stored
from skyweave.data.units import check_unit, find_offset_note

Window = tuple[int, int, int, int]
"""Row, column, rows, columns."""

MAX_VALUES = 4 * 10**9  # of a window that is read at once: 16 GB, and 4 GB of masks
SAMPLE_SIDE = 512  # pixels a side of the look at a whole scene


@dataclass(frozen=True)
class FilePart:
    """What is read from one file.

    Attributes:
        storage: of its bands.
        indices: channels of the image that they are.
    """

    storage: Storage
    indices: list[int]


@dataclass(frozen=True)
class RasterImage:
    """An image on disk whose bands are known.

    Attributes:
        parts: what is read from which file.
        sensor: its bands are the channels.
        unit: how values are stored.
        finest: header of the file with the smallest pixels, whose grid is the image's.
        shape: (rows, columns) of the image, which differ from the file's where a resolution is asked for.
        file_distance: metres per pixel of that file.
        time: UTC nanoseconds since 1970.
        notes: what a reader should know.
    """

    parts: tuple[FilePart, ...]
    sensor: Sensor
    unit: str
    finest: RasterHeader
    shape: tuple[int, int]
    file_distance: float
    time: int | None
    notes: tuple[str, ...]

    @property
    def ground_sample_distance(self) -> float:
        """Return metres per pixel of the image."""
        zoom = self.finest.shape[0] * self.finest.shape[1] / (self.shape[0] * self.shape[1])
        return self.file_distance * math.sqrt(zoom)

    @property
    def geotransform(self) -> GeoTransform | None:
        """Return where the image lies: the finest file's place, stretched to the shape."""
        if self.finest.crs is None:
            return None
        a, b, c, d, e, f = self.finest.affine
        x, y = self.finest.shape[1] / self.shape[1], self.finest.shape[0] / self.shape[0]
        return GeoTransform(self.finest.crs, (a * x, b * y, c, d * x, e * y, f))

    def read(self, window: Window | None = None) -> Observation:
        """Read a window.

        Args:
            window: (row, column, rows, columns) on the image's grid; default: everything.

        Raises:
            DataError: the window leaves the image, a file cannot be read, or its values contradict what is declared.
        """
        row, column, rows, columns = window = window or (0, 0, *self.shape)
        check_window(str(self.finest.path), window, self.shape)
        self._check_size(rows, columns)
        pixels = np.zeros((len(self.sensor), rows, columns), np.float32)
        valid = np.zeros(pixels.shape, bool)
        for part in self.parts:
            pixels[part.indices], valid[part.indices] = self._read_part(part.storage, window)
        check_unit(pixels, valid, self.sensor, self.sensor.encoding(self.unit), self.finest.path)
        place = self.geotransform
        return Observation(
            pixels=pixels,
            sensor=self.sensor,
            valid=valid,
            ground_sample_distance=self.ground_sample_distance,
            geometry=place.window(row, column) if place else None,
            time=self.time,
            source=str(self.finest.path),
            notes=self.notes,
        )

    def _check_size(self, rows: int, columns: int) -> None:
        """Refuse a window that is too large to read at once."""
        if len(self.sensor) * rows * columns > MAX_VALUES:
            raise DataError(
                f"{self.finest.path}: {len(self.sensor)} bands of {columns} x {rows} pixels (width x height) are too "
                "many to read at once; read windows, as `skyweave embed` does, or cut it"
            )

    def check_sample(self) -> tuple[str, ...]:
        """Look at some pixels of the whole image before the work begins; return what a user should know.

        Raises:
            DataError: a file cannot be read, or its values contradict what is declared.
        """
        return tuple(note for part in self.parts for note in _check_sample_of(part.storage))

    def _read_part(self, storage: Storage, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return values and mask of a window, resampled where the file's pixels are others than the image's."""
        extent = _extent(storage.header, self.finest, self.shape, window)
        same = _is_same_grid(extent, window, storage.header.shape)
        margin = 0 if same else math.ceil(max(1.0, extent[2] / window[2], extent[3] / window[3])) + 1
        values, mask, inner = read_decoded(storage, extent, margin)
        return (values, mask) if same else resample(values, mask, (window[2], window[3]), inner)


def _check_sample_of(storage: Storage) -> list[str]:
    """Look at some pixels of one file; return what a user should know of it."""
    shape = (min(storage.header.shape[0], SAMPLE_SIDE), min(storage.header.shape[1], SAMPLE_SIDE))
    stored, mask = read_stored(storage.header, storage.bands, storage.nodata, shape=shape)
    doubt = find_doubtful_note(stored, mask, storage)
    counted = mask & np.isfinite(storage.decode(stored))
    values = decode_stored(storage, stored, mask)
    masked = _masked_note(storage, float((counted & ~mask).mean()))
    check_unit(values, mask, storage.sensor, storage.encoding, storage.header.path)
    offset = find_offset_note(values, mask, storage.sensor, storage.encoding, storage.header.path)
    return list(filter(None, (masked, doubt, offset)))


def _masked_note(storage: Storage, share: float) -> str | None:
    """Return the note on a share of the values that decoding masks."""
    if not share:
        return None
    return (
        f"{storage.header.path}: {share:.2%} of the values can be no measurements "
        f"(unit {storage.encoding.name!r}), and are masked"
    )


def _extent(header: RasterHeader, finest: RasterHeader, shape: tuple[int, int], window: Window) -> Extent:
    """Return where a window of the image lies in the pixels of a file."""
    y, x = finest.shape[0] / shape[0], finest.shape[1] / shape[1]
    top, left, rows, columns = window[0] * y, window[1] * x, window[2] * y, window[3] * x
    if header is finest:
        return top, left, rows, columns
    if header.crs is None:
        down, across = header.shape[0] / finest.shape[0], header.shape[1] / finest.shape[1]
        return top * down, left * across, rows * down, columns * across
    first = _pixel(header, finest, top, left)
    last = _pixel(header, finest, top + rows, left + columns)
    return first[0], first[1], last[0] - first[0], last[1] - first[1]


def _pixel(header: RasterHeader, finest: RasterHeader, row: float, column: float) -> tuple[float, float]:
    """Return the (row, column) in a file of a pixel corner of the finest one, to a millionth."""
    a, b, c, d, e, f = finest.affine
    p, q, r, s, t, u = header.affine
    x, y = a * column + b * row + c - r, d * column + e * row + f - u
    area = p * t - q * s
    return round((p * y - s * x) / area, 6), round((t * x - q * y) / area, 6)


def _is_same_grid(extent: Extent, window: Window, shape: tuple[int, int]) -> bool:
    """Return whether an extent is whole pixels of a file of ``shape``, of the window's size."""
    same_size = _is_inside(extent, shape) and extent[2:] == window[2:]
    return same_size and all(edge == int(edge) for edge in extent[:2])


def _is_inside(extent: Extent, shape: tuple[int, int]) -> bool:
    """Return whether an extent leaves a file of ``shape`` on no side."""
    row, column, rows, columns = extent
    return min(row, column) >= 0 and row + rows <= shape[0] and column + columns <= shape[1]
