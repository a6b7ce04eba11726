"""How rasters are shown on a map: features by principal components, classes by colours, numbers by a ramp."""

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from skyweave.core.images.principal_components import PrincipalComponents, RunningCovariance

RAMP = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.uint8)
"""Five colours of matplotlib's viridis (CC0), dark for small numbers."""
STRETCH_PERCENTILES = (2, 98)
HUE_STEP = 2 - (1 + math.sqrt(5)) / 2  # the golden angle, by which neighbours in a list of any length differ
MIN_RANGE = 1e-12


@dataclass(frozen=True)
class RasterSample:
    """A coarse copy of a raster, by which its colours are chosen once for all tiles.

    Attributes:
        values: (bands, pixels) float64 of pixels that hold data.
        bands: names.
        classes: names by number.
        is_eight_bit: stored as bytes.
    """

    values: np.ndarray
    bands: tuple[str, ...]
    classes: dict[int, str] = field(default_factory=dict)
    is_eight_bit: bool = False


class MapStyle(Protocol):
    """From the values of a raster to colours."""

    @property
    def indexes(self) -> tuple[int, ...]:
        """Return the bands that are read, from 1."""
        ...

    @property
    def is_smooth(self) -> bool:
        """Return whether values between pixels have a meaning."""
        ...

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Return colours, as ``#rrggbb``, and what they stand for."""
        ...

    def colour(self, values: np.ndarray) -> np.ndarray:
        """Return colours, (pixels, 3) uint8.

        Args:
            values: (bands, pixels) float64 of the bands that are read.
        """
        ...


@dataclass(frozen=True)
class FeatureStyle:
    """Features as the first three principal components of the whole file.

    Attributes:
        components: of the file.
    """

    components: PrincipalComponents
    is_smooth = True

    @property
    def indexes(self) -> tuple[int, ...]:
        """Return the numbers of all bands."""
        return tuple(range(1, len(self.components.mean) + 1))

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Return nothing: colours that are alike stand for ground that is alike, and for no more."""
        return []

    def colour(self, values: np.ndarray) -> np.ndarray:
        """Return colours; see `MapStyle`.

        Args:
            values: (channels, pixels).
        """
        return self.components.colours(values.T)


@dataclass(frozen=True)
class ClassStyle:
    """Numbers of classes, a colour each.

    Attributes:
        names: by number.
    """

    names: dict[int, str]
    indexes = (1,)
    is_smooth = False

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Return the colour and name of each class."""
        return [(_hexadecimal(class_colour(number)), name) for number, name in self.names.items()]

    def colour(self, values: np.ndarray) -> np.ndarray:
        """Return colours; see `MapStyle`.

        Args:
            values: (1, pixels).
        """
        numbers, places = np.unique(values[0], return_inverse=True)
        return np.array([class_colour(int(number)) for number in numbers], np.uint8).reshape(-1, 3)[places]


@dataclass(frozen=True)
class RampStyle:
    """Numbers of one band, from dark to bright.

    Attributes:
        band: that is shown, from 1.
        low: that is darkest.
        high: that is brightest.
    """

    band: int
    low: float
    high: float
    is_smooth = True

    @property
    def indexes(self) -> tuple[int, ...]:
        """Return the number of the band."""
        return (self.band,)

    @property
    def stops(self) -> list[tuple[float, tuple[int, int, int]]]:
        """Return the numbers of the ramp's colours."""
        numbers = np.linspace(self.low, self.high, len(RAMP)).tolist()
        return [
            (number, (int(red), int(green), int(blue)))
            for number, (red, green, blue) in zip(numbers, RAMP, strict=True)
        ]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Return the numbers of the ramp's colours."""
        return [(_hexadecimal(colour), f"{number:.4g}") for number, colour in self.stops]

    def colour(self, values: np.ndarray) -> np.ndarray:
        """Return colours; see `MapStyle`.

        Args:
            values: (1, pixels).
        """
        place = np.clip((values[0] - self.low) / (self.high - self.low), 0, 1) * (len(RAMP) - 1)
        channels = [np.interp(place, np.arange(len(RAMP)), RAMP[:, channel]) for channel in range(3)]
        return np.round(np.stack(channels, 1)).astype(np.uint8)


@dataclass(frozen=True)
class ImageStyle:
    """Three bands as red, green and blue, or one as grey.

    Attributes:
        indexes: of the bands, from 1.
        low: of each band, what is black.
        high: of each band, what is full colour.
    """

    indexes: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    is_smooth = True

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Return nothing: an image speaks for itself."""
        return []

    def colour(self, values: np.ndarray) -> np.ndarray:
        """Return colours; see `MapStyle`.

        Args:
            values: (bands, pixels).
        """
        low, high = np.array(self.low)[:, None], np.array(self.high)[:, None]
        scaled = np.round(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8).T
        return scaled if scaled.shape[1] == 3 else np.repeat(scaled, 3, axis=1)


def style_features(sample: RasterSample) -> dict[str, MapStyle]:
    """Return the style of features.

    Args:
        sample: of the file.
    """
    covariance = RunningCovariance(len(sample.bands))
    covariance.add(sample.values.T)
    return {"": FeatureStyle(covariance.principal_components())}


def style_classes(sample: RasterSample) -> dict[str, MapStyle]:
    """Return the style of classes; one without a name is called by its number.

    Args:
        sample: of the file.
    """
    numbers = sample.classes or {int(number): f"class {int(number)}" for number in np.unique(sample.values[0])}
    return {"": ClassStyle(numbers)}


def style_shares(sample: RasterSample) -> dict[str, MapStyle]:
    """Return a style for each class's probability, 0 to 1.

    Args:
        sample: of the file.
    """
    return {name: RampStyle(number, 0.0, 1.0) for number, name in enumerate(sample.bands, 1)}


def style_values(sample: RasterSample) -> dict[str, MapStyle]:
    """Return a style for each band of numbers, over the range that nearly all of them are in.

    Args:
        sample: of the file.
    """
    low, high = stretch(sample.values)
    return {name: RampStyle(n, low[n - 1], high[n - 1]) for n, name in enumerate(sample.bands, 1)}


STYLES: dict[str, Callable[[RasterSample], dict[str, MapStyle]]] = {
    "features": style_features,
    "classes": style_classes,
    "probabilities": style_shares,
    "labels": style_shares,
    "values": style_values,
}
"""By what a raster holds, see `RasterKind`: from a sample to styles by what each shows: nothing stands for the file."""


def style_image(sample: RasterSample, indexes: Sequence[int]) -> ImageStyle:
    """Return the style of an image; bytes are shown as they are, other numbers over the range of nearly all of them.

    Args:
        sample: of the file.
        indexes: of the bands that are shown, from 1.
    """
    values = sample.values[[index - 1 for index in indexes]]
    low, high = ((0.0,) * len(indexes), (255.0,) * len(indexes)) if sample.is_eight_bit else stretch(values)
    return ImageStyle(tuple(indexes), low, high)


def stretch(values: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the range that nearly all values of each band are in.

    Args:
        values: (bands, pixels).
    """
    if not values.shape[1]:
        return (0.0,) * len(values), (1.0,) * len(values)
    low, high = np.percentile(values, STRETCH_PERCENTILES, axis=1)
    return tuple(low.tolist()), tuple(np.maximum(high, low + MIN_RANGE).tolist())


def class_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a class: far from those of its neighbours in the list.

    Args:
        number: of the class.
    """
    red, green, blue = colorsys.hls_to_rgb(number * HUE_STEP % 1, (0.45, 0.62)[number % 2], 0.65)
    return round(red * 255), round(green * 255), round(blue * 255)


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)
