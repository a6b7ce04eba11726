"""What a sensor sees of the ground from straight above, in ever coarser copies, and reading it anywhere.

A pixel reads the copy whose cells are about as large as its own footprint (Williams 1983, "Pyramidal parametrics"), so
that a line far away is grey and does not flicker.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.sensors import Sensor
from skyweave.simulator.ground import GroundMap
from skyweave.simulator.materials import reflectances, temperatures

MIN_PYRAMID_CELLS = 8  # cells along a side of the coarsest copy
HEAT_PER_BRIGHTNESS_K = 4.0  # kelvin by which ground that is twice as bright is warmer


@dataclass(frozen=True)
class SensorResponse:
    """How a sensor answers to materials: one channel for each optical band, then two if it has thermal bands.

    Attributes:
        sensor: whose.
        table: (materials, channels): reflectance; brightness temperature in the shade and what sun adds, in kelvin.
        optical: channels of the sensor that are reflectance; thermal: that are temperature.
    """

    sensor: Sensor
    table: np.ndarray
    optical: tuple[int, ...]
    thermal: tuple[int, ...]

    @classmethod
    def of(cls, sensor: Sensor, air: float, reflectance: np.ndarray | None = None) -> "SensorResponse":
        """Return the response of a sensor.

        Args:
            sensor: with optical or thermal bands.
            air: temperature in kelvin.
            reflectance: (materials, wavelengths) of the scene's materials; None for the usual one.
        """
        optical, thermal = _channels_of_kind(sensor, "optical"), _channels_of_kind(sensor, "thermal")
        table = reflectances(tuple(sensor.bands[i] for i in optical), reflectance)
        if thermal:
            table = np.concatenate([table, temperatures(air)], 1)
        return cls(sensor, np.ascontiguousarray(table, np.float32), optical, thermal)

    @property
    def wavelengths(self) -> np.ndarray:
        """Return (optical,) centre wavelengths in nanometres."""
        return np.array([self.sensor.bands[i].wavelength for i in self.optical], float)


def _channels_of_kind(sensor: Sensor, kind: str) -> tuple[int, ...]:
    """Return the channels of a sensor whose bands are of a kind."""
    return tuple(i for i, band in enumerate(sensor.bands) if band.kind == kind)


class TexturePyramid:
    """The ground as channels of a response.

    Args:
        response: of the sensor.
        fine: raster of the built-up area; coarse: of the country around.
        finest: footprint in metres of the sharpest pixel; finer copies are left out.
    """

    def __init__(self, response: SensorResponse, fine: GroundMap, coarse: GroundMap, finest: float = 0.0) -> None:
        self.half = np.float32(fine.extent / 2)
        sizes: list[tuple[int, float]] = []
        for ground in (fine, coarse):
            self.first_coarse = len(sizes)
            sizes += [(cells, ground.extent / cells) for cells in _halves(_largest_size(ground, finest))]
        self.cells = np.array([cells for cells, _ in sizes], np.int32)
        self.texels = np.array([texel for _, texel in sizes], np.float32)
        areas = self.cells.astype(np.int64) ** 2
        self.offsets = (np.cumsum(areas) - areas).astype(np.int32)
        self.flat = np.empty((int(areas.sum()), response.table.shape[1]), np.float32)
        self._fill_levels(fine, coarse, sizes, response)

    def _fill_levels(
        self, fine: GroundMap, coarse: GroundMap, sizes: list[tuple[int, float]], response: SensorResponse
    ) -> None:
        """Fill the levels of both maps, channel by channel."""
        for ground, levels in ((fine, range(self.first_coarse)), (coarse, range(self.first_coarse, len(sizes)))):
            for channel in range(self.flat.shape[1]):
                self._fill(levels, channel, _channel(response, ground, channel))

    def _fill(self, levels: range, channel: int, plane: np.ndarray) -> None:
        """Store a channel of a ground raster at several levels, halved as often as each needs."""
        for level in levels:
            while len(plane) > self.cells[level]:
                plane = _halved(plane)
            start = self.offsets[level]
            self.flat[start : start + plane.size, channel] = plane.ravel()

    def read(self, x: np.ndarray, y: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Read the ground, averaged over about a footprint.

        Args:
            x: (p,) float32 local metres east.
            y: (p,) float32 local metres north.
            footprint: (p,) float32 metres.

        Returns:
            (p, channels) float32.
        """
        inside = np.maximum(np.abs(x), np.abs(y)) < self.half
        first = np.where(inside, self.texels[0], self.texels[self.first_coarse])
        steps = np.log2(np.maximum(footprint, np.float32(1e-6)) / first)
        last = np.where(inside, np.float32(self.first_coarse - 1), np.float32(len(self.texels) - 1 - self.first_coarse))
        level = np.clip(np.rint(steps), 0, last).astype(np.int32)
        level[~inside] += self.first_coarse
        cells, per_metre = self.cells.take(level), (1 / self.texels).take(level)
        middle = cells * np.float32(0.5) - np.float32(0.5)
        u, v = x * per_metre + middle, middle - y * per_metre
        column, row = np.floor(u), np.floor(v)
        u, v = (u - column)[:, None], (v - row)[:, None]
        wrap = cells - 1  # cells are a power of two: the raster repeats at its edges
        column, row = column.astype(np.int32), row.astype(np.int32)
        left, right = column & wrap, (column + 1) & wrap
        offset = self.offsets.take(level)
        upper, lower = offset + (row & wrap) * cells, offset + ((row + 1) & wrap) * cells
        top = self.flat.take(upper + left, axis=0)  # several times as fast as an index in brackets
        right_of = self.flat.take(upper + right, axis=0)
        right_of -= top
        right_of *= u
        top += right_of
        bottom = self.flat.take(lower + left, axis=0)
        right_of = self.flat.take(lower + right, axis=0)
        right_of -= bottom
        right_of *= u
        bottom += right_of
        bottom -= top
        bottom *= v
        top += bottom
        return np.asarray(top)


def _largest_size(ground: GroundMap, finest: float) -> int:
    """Return the cells along a side of the sharpest copy that pixels of a footprint of ``finest`` metres need."""
    largest = ground.cells
    while ground.extent / largest * 2 <= finest and largest > 2 * MIN_PYRAMID_CELLS:
        largest //= 2
    return largest


def _halves(cells: int) -> list[int]:
    sizes = [cells]
    while sizes[-1] > MIN_PYRAMID_CELLS:
        sizes.append(sizes[-1] // 2)
    return sizes


def _channel(response: SensorResponse, ground: GroundMap, channel: int) -> np.ndarray:
    """(n, n) float32: one channel of a ground raster."""
    optical = len(response.optical)
    plane = response.table[:, channel][ground.material]
    if channel < optical:
        plane *= ground.brightness
        if ground.photographed is not None and ground.photographed.any():
            orthophoto = _photographed(ground, float(response.wavelengths[channel]))
            plane = np.where(ground.photographed, orthophoto, plane)
    elif channel == optical:
        plane += np.float32(HEAT_PER_BRIGHTNESS_K) * (ground.brightness - 1)
    return np.asarray(plane)


def _photographed(ground: GroundMap, wavelength: float) -> np.ndarray:
    """The photograph at a wavelength, between its bands in proportion, beyond them as in the last; it repeats."""
    photograph = ground.photograph
    assert photograph is not None
    bands, rows, columns = photograph.reflectance.shape
    at = float(np.interp(wavelength, photograph.wavelengths, np.arange(bands)))
    low = min(int(at), bands - 1)
    high = min(low + 1, bands - 1)
    orthophoto = photograph.reflectance[low] * (1 - (at - low)) + photograph.reflectance[high] * (at - low)
    metres = (np.arange(ground.cells) + 0.5) * ground.texel - ground.extent / 2
    column = np.floor(metres / photograph.pixel + columns / 2).astype(np.int64) % columns
    row = np.floor(metres / photograph.pixel + rows / 2).astype(np.int64) % rows
    return np.asarray(orthophoto[row[:, None], column], np.float32)


def _halved(plane: np.ndarray) -> np.ndarray:
    """(n/2, n/2): the mean of each 2 x 2 cells."""
    pairs = plane[0::2] + plane[1::2]
    half = pairs[:, 0::2] + pairs[:, 1::2]
    half *= np.float32(0.25)
    return np.asarray(half)
