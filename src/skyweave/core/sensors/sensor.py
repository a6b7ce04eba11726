"""A sensor: an ordered set of bands, their nominal resolution and the ways files store them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.names import find_band


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file stores a sensor's values: ``value_in_unit = scale * stored + offset``, its decibels or its Planck.

    Attributes:
        name: the word a user declares as ``unit`` (``dn``, ``reflectance``, ``db``, ``power``).
        scale: factor on the stored value.
        offset: added after scaling, in the band's unit.
        decibel: take ``10 log10`` of the scaled value (linear radar power to dB).
        planck: constants (K1, K2) that turn the scaled value, a thermal radiance, into ``K2 / ln(K1 / radiance + 1)``
            kelvin, as the Landsat handbooks define it.
        exceptions: (canonical band name, its own encoding) of the bands that are stored otherwise.
        channels: one encoding per channel, filled by ``Sensor.encoding`` where the bands differ; else empty.
    """

    name: str
    scale: float = 1.0
    offset: float = 0.0
    decibel: bool = False
    planck: tuple[float, float] | None = None
    exceptions: tuple[tuple[str, "Encoding"], ...] = ()
    channels: tuple["Encoding", ...] = ()

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Convert stored values to the band's unit, float32; what has no logarithm becomes NaN, that is, invalid.

        Args:
            stored: any shape; (bands, rows, columns) in the sensor's order where the bands are stored differently.

        Raises:
            DataError: the bands are stored differently, and ``stored`` has another shape or number of bands.
        """
        if self.channels:
            return self._decode_channels(stored)
        return self._decode_curve(stored.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset))

    def _decode_curve(self, values: np.ndarray) -> np.ndarray:
        """Take the logarithm or Planck's law of scaled values, where the encoding says so."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.decibel:
                values = np.where(values > 0, 10 * np.log10(values), np.nan).astype(np.float32)
            if self.planck:
                k1, k2 = self.planck
                values = np.where(values > 0, k2 / np.log(k1 / values + 1), np.nan).astype(np.float32)
        return values

    def _decode_channels(self, stored: np.ndarray) -> np.ndarray:
        """Convert (bands, rows, columns) by the storage form of each band."""
        if stored.ndim != 3 or len(stored) != len(self.channels):
            raise DataError(
                f"encoding {self.name!r} differs between bands: decode all {len(self.channels)} of them together "
                f"as (bands, rows, columns), not {stored.shape}; for one band use sensor.select([name])"
            )
        return np.stack([encoding.decode(band) for encoding, band in zip(self.channels, stored, strict=True)])

    def formula(self) -> str:
        """Return the conversion as text, such as ``0.0001 * stored - 0.1``."""
        if self.channels:
            return "; ".join(dict.fromkeys(encoding.formula() for encoding in self.channels))
        text = self._linear_formula()
        if self.decibel:
            text = f"10 log10({text})"
        if self.planck:
            text = f"{self.planck[1]:g} / ln({self.planck[0]:g} / ({text}) + 1)"
        return "".join([text, *(f"; {name}: {encoding.formula()}" for name, encoding in self.exceptions)])

    def _linear_formula(self) -> str:
        """Return scale and offset as text."""
        text = "stored" if self.scale == 1 else f"{self.scale:g} * stored"
        return f"{text} {'+' if self.offset > 0 else '-'} {abs(self.offset):g}" if self.offset else text


@dataclass(frozen=True)
class Sensor:
    """An imaging sensor as a model sees it.

    Attributes:
        name: catalogue name, ``sentinel2-l2a``.
        title: one line for people.
        bands: in canonical order; pixels of this sensor have one channel per band, in this order.
        ground_sample_distance: nominal pixel size in metres.
        encodings: declared storage forms, first is the usual one.
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    ground_sample_distance: float
    encodings: tuple[Encoding, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [band.name for band in self.bands]
        if not names:
            raise DataError(f"sensor {self.name!r} has no bands; name one at least")
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"sensor {self.name!r} names bands twice: {', '.join(duplicates)}")
        if self.ground_sample_distance <= 0:
            raise DataError(
                f"sensor {self.name!r}: ground sample distance {self.ground_sample_distance} must be positive metres"
            )

    def __len__(self) -> int:
        return len(self.bands)

    @cached_property
    def means(self) -> np.ndarray:
        """Return the bands' typical means: (bands,) float32, in each band's unit."""
        return np.array([band.mean for band in self.bands], np.float32)

    @cached_property
    def stds(self) -> np.ndarray:
        """Return the bands' typical standard deviations: (bands,) float32, in each band's unit."""
        return np.array([band.std for band in self.bands], np.float32)

    def index(self, name: str) -> int:
        """Return the channel of a band.

        Args:
            name: canonical name or alias, in any case and punctuation.

        Raises:
            UnknownNameError: the sensor has no such band; lists the valid names.
        """
        return find_band(self.bands, name, owner=f"sensor {self.name!r}")

    def select(self, names: Sequence[str]) -> "Sensor":
        """Return the sensor with only some of its bands.

        Args:
            names: of the bands, in the channel order of the pixels that go with the result.

        Raises:
            UnknownNameError: the sensor has no such band.
        """
        bands = tuple(self.bands[self.index(name)] for name in names)
        kept = {band.name for band in bands}
        encodings = tuple(
            replace(encoding, exceptions=tuple((band, e) for band, e in encoding.exceptions if band in kept))
            for encoding in self.encodings
        )
        return replace(self, bands=bands, encodings=encodings)

    def encoding(self, name: str) -> Encoding:
        """Return the storage form that a user declares as ``unit``.

        Args:
            name: of the encoding (``dn``, ``reflectance``, ``db``).

        Raises:
            DataError: the sensor has no such encoding; lists the valid ones.
        """
        for encoding in self.encodings:
            if encoding.name == name:
                by_band, usual = dict(encoding.exceptions), replace(encoding, exceptions=())
                channels = tuple(by_band.get(band.name, usual) for band in self.bands)
                return channels[0] if len(set(channels)) == 1 else Encoding(name, channels=channels)
        valid = ", ".join(encoding.name for encoding in self.encodings) or "none declared"
        raise DataError(f"sensor {self.name!r} has no unit {name!r}; declare one of: {valid}")

    def with_statistics(self, means: Sequence[float], stds: Sequence[float]) -> "Sensor":
        """Return the sensor with other normalisation statistics.

        Args:
            means: one per band, in its unit.
            stds: one per band, in its unit, positive.
        """
        pairs = zip(self.bands, means, stds, strict=True)
        return replace(self, bands=tuple(replace(b, mean=float(m), std=float(s)) for b, m, s in pairs))
