"""What inference makes: a raster that is finished, and lies on disk until a format has written it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

import skyweave

RasterKind = Literal["features", "classes", "probabilities", "labels", "values"]
"""What a raster holds: features; the number of each pixel's class; a probability for each class; 1 for each class that
is there, else 0; numbers in the unit of what the model was trained on."""
STATISTICS_ROWS = 64  # that are read at a time


@dataclass(frozen=True)
class Provenance:
    """What made a raster, from what.

    Attributes:
        model: name of the weights, or their path.
        fingerprint: hash of the model's architecture, normalisation and weights.
        readout: what of the model's outputs the values are.
        sensor: name.
        sensor_bands: that the model saw.
        unit: how the source stores values.
        ground_sample_distance: metres per pixel of the source.
        patch_size: pixels of the source per pixel side of the raster.
        tile: pixels of the source per window side.
        overlap: pixels that neighbouring windows share.
        precision: of the model's arithmetic, such as ``float32`` or ``bfloat16``.
        sources: files, names or addresses that were read.
        time: UTC nanoseconds since 1970 when the source was taken, if known.
        failures: parts of the source that could not be read, where the raster holds no data; one line each.
    """

    model: str
    fingerprint: str
    readout: str
    sensor: str
    sensor_bands: tuple[str, ...]
    unit: str
    ground_sample_distance: float
    patch_size: int
    tile: int
    overlap: int
    precision: str
    sources: tuple[str, ...]
    time: int | None = None
    failures: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """Return it as text by name, for formats that hold no more: the same for every run of the same work."""
        tags = {
            "SOFTWARE": f"skyweave {skyweave.__version__}",
            "MODEL": self.model,
            "FINGERPRINT": self.fingerprint,
            "READOUT": self.readout,
            "SENSOR": self.sensor,
            "BANDS": ",".join(self.sensor_bands),
            "UNIT": self.unit,
            "GSD": f"{self.ground_sample_distance:g}",
            "PATCH_SIZE": str(self.patch_size),
            "TILE": str(self.tile),
            "OVERLAP": str(self.overlap),
            "PRECISION": self.precision,
            "SOURCE": ",".join(source.rstrip("/").rsplit("/", 1)[-1] for source in self.sources),
        }
        return tags | ({"FAILURES": "; ".join(self.failures)} if self.failures else {})


@dataclass(frozen=True)
class RasterDescription:
    """A raster: its grid, its place, what its values are, and what made them.

    Attributes:
        rows: of pixels, from north to south where the source is so.
        columns: of pixels.
        bands: name of each channel.
        dtype: of the values, a NumPy name: ``float32`` for features, probabilities and values; ``uint8`` or ``uint16``
            for classes.
        nodata: value of pixels without data, in every channel; NaN for float.
        crs: coordinate reference system as WKT; None: unknown.
        transform: (a, b, c, d, e, f) with x = a * column + b * row + c and y = d * column + e * row + f of a pixel's
            upper left corner.
        ground_sample_distance: metres per pixel.
        kind: what the values are.
        provenance: what made them.
        classes: names by the number of a class, of a raster of classes.
    """

    rows: int
    columns: int
    bands: tuple[str, ...]
    dtype: str
    nodata: float
    crs: str | None
    transform: tuple[float, float, float, float, float, float]
    ground_sample_distance: float
    kind: RasterKind
    provenance: Provenance
    classes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the size as (channels, rows, columns)."""
        return len(self.bands), self.rows, self.columns

    def find_valid(self, values: np.ndarray) -> np.ndarray:
        """Return which pixels hold data, (rows, columns) bool.

        Args:
            values: (channels, rows, columns) of the raster.
        """
        valid: np.ndarray = ~np.isnan(values[0]) if math.isnan(self.nodata) else values[0] != self.nodata
        return valid


@dataclass(frozen=True)
class Runtime:
    """What the work took.

    Attributes:
        start: UTC nanoseconds since 1970.
        seconds: until the last value was computed, of this run alone where it went on with another's work.
        device: where the model ran: ``cpu``, ``cuda``.
    """

    start: int
    seconds: float
    device: str


@dataclass(frozen=True)
class RasterStatistics:
    """Number and range of all pixels that hold data.

    Attributes:
        count: of the pixels.
        smallest: (channels,) float64; zero where no pixel holds data.
        largest: (channels,) float64.
    """

    count: int
    smallest: np.ndarray
    largest: np.ndarray


@dataclass(frozen=True)
class FinishedRaster:
    """A raster whose every pixel is computed and blended; any part of it can be read, any number of times.

    It lies on disk: a format reads it in the order that suits the format, in memory for one block. An array in memory
    is one, too: ``FinishedRaster(description, lambda row, column, rows, columns: values[:, row : row + rows, ...])``.

    Attributes:
        description: of the raster.
        read: from (row, column, rows, columns) inside the raster to (channels, rows, columns) of the description's
            dtype, which the caller may change.
        runtime: what it took; None: not measured.
    """

    description: RasterDescription
    read: Callable[[int, int, int, int], np.ndarray] = field(repr=False)
    runtime: Runtime | None = None

    def blocks(self, rows: int, columns: int | None = None) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield blocks from left to right, then from top to bottom: first row, first column, and the values.

        Args:
            rows: of a block; the last ones may have fewer.
            columns: of a block; None: the whole width.
        """
        width = columns or self.description.columns
        for row in range(0, self.description.rows, rows):
            height = min(rows, self.description.rows - row)
            for column in range(0, self.description.columns, width):
                yield row, column, self.read(row, column, height, min(width, self.description.columns - column))

    @cached_property
    def statistics(self) -> RasterStatistics:
        """Return number and range of the valid pixels; the first time, everything is read."""
        channels = len(self.description.bands)
        count, smallest, largest = 0, np.full(channels, np.inf), np.full(channels, -np.inf)
        for _, _, values in self.blocks(STATISTICS_ROWS, STATISTICS_ROWS * STATISTICS_ROWS):
            valid = values[:, self.description.find_valid(values)]
            if valid.size:
                count += valid.shape[1]
                smallest, largest = np.minimum(smallest, valid.min(1)), np.maximum(largest, valid.max(1))
        if not count:
            return RasterStatistics(0, np.zeros(channels), np.zeros(channels))
        return RasterStatistics(count, smallest, largest)
