"""An encoder for one sensor as an ordinary module: what other people's training loops call with a plain tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone import Encoder, Features
from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import ConfigError
from skyweave.core.sensors.sensor import Encoding, Sensor


class SensorModule(nn.Module):
    """Images of one sensor, as files store them, to `Features`.

    Everything that a plain tensor cannot say is declared here, once: which channels these are, how they are stored and
    how much ground a pixel covers. Normalisation stays inside the encoder.

    Args:
        encoder: a backbone, or an encoder of others.
        sensor: its bands are the channels, in order.
        unit: how the values are stored, a word of the sensor's encodings (``dn``); None: in the bands' own units.
        ground_sample_distance: metres per pixel; default: the sensor's.
        patch_size: pixels per patch side; default: the encoder's.
    """

    def __init__(
        self,
        encoder: Encoder,
        sensor: Sensor,
        unit: str | None = None,
        ground_sample_distance: float | None = None,
        patch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.sensor = sensor
        self.encoding = None if unit is None else sensor.encoding(unit)
        self.ground_sample_distance = ground_sample_distance or sensor.ground_sample_distance
        self.patch_size = patch_size or encoder.patch_size
        self.width = encoder.width

    def forward(self, images: Tensor) -> Features:
        """Return the features of images.

        Args:
            images: (batch, bands, rows, columns) of any real dtype; NaN and infinity are nodata, which no patch sees.

        Raises:
            ValueError: another number of channels than the sensor has bands.
        """
        return self.encode(images)

    def encode(self, images: Tensor) -> Features:
        """Return the features of images, under a name that wrappers of modules leave alone.

        Args:
            images: as of `forward`.
        """
        if images.ndim != 4 or images.shape[1] != len(self.sensor):
            raise ConfigError(
                f"images have shape {tuple(images.shape)}, but the model was made for the {len(self.sensor)} bands of "
                f"{self.sensor.name} ({', '.join(band.name for band in self.sensor.bands)}); give (batch, "
                f"{len(self.sensor)}, rows, columns)"
            )
        values = images.float() if self.encoding is None else decode_stored(images, self.encoding)
        valid = values.isfinite()
        metres = values.new_full((len(values),), self.ground_sample_distance)
        features: Features = self.encoder(
            SensorBatch(torch.where(valid, values, 0.0), valid, self.sensor, metres), self.patch_size
        )
        return features


def decode_stored(stored: Tensor, encoding: Encoding) -> Tensor:
    """Decode stored values as `Encoding.decode` does; what has no logarithm becomes NaN.

    Args:
        stored: (batch, bands, rows, columns).
        encoding: how they are stored.
    """
    if not encoding.channels:
        return _decode(stored, encoding)
    decoded = [_decode(band, one) for band, one in zip(stored.unbind(1), encoding.channels, strict=True)]
    return torch.stack(decoded, dim=1)


def _decode(stored: Tensor, encoding: Encoding) -> Tensor:
    values = stored.float() * encoding.scale + encoding.offset
    if encoding.decibel:
        values = torch.where(values > 0, 10 * values.log10(), torch.nan)
    if encoding.planck:
        k1, k2 = encoding.planck
        values = torch.where(values > 0, k2 / (k1 / values + 1).log(), torch.nan)
    return values


def resample_pyramid(maps: Sequence[Tensor], image: tuple[int, int], strides: Sequence[int]) -> list[Tensor]:
    """Resample maps of levels, shallow to deep, to other resolutions, as decoders made for convolutional networks want
    them.

    Args:
        maps: (batch, channels, patch rows, patch columns) each.
        image: rows and columns of the input.
        strides: pixels of the input per cell of each result; as many as maps.

    Returns:
        (batch, channels, rows / stride, columns / stride) each: bilinear, anti-aliased where it shrinks.
    """
    resized = []
    for level, stride in zip(maps, strides, strict=True):
        size = (max(image[0] // stride, 1), max(image[1] // stride, 1))
        same = size == tuple(level.shape[2:])
        shrinks = size[0] < level.shape[2]
        resized.append(level if same else functional.interpolate(level, size, mode="bilinear", antialias=shrinks))
    return resized
