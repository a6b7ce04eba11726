"""A band's physics as numbers: the input of every weight that is generated per band."""

import math

import torch
from torch import Tensor, nn

from skyweave.backbone.positions import sinusoidal_encoding
from skyweave.core.errors import DataError
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.sensor import Sensor

POLARISATIONS = ("VV", "VH", "HH", "HV")
KINDS = ("optical", "thermal", "radar", "elevation")
SPECTRAL_FEATURES = 64


class BandEncoder(nn.Module):
    """A learned function of what a band is: wavelength and width, or radar frequency and polarisation, or its kind.

    Optical and thermal wavelengths share one axis (the logarithm of the wavelength, so that the visible is resolved as
    finely as the thermal infrared is coarse). Radar has learned entries for its polarisations and its own frequency
    axis; elevation has an entry of its own. Nothing depends on a sensor's name or on the order of its bands.

    Args:
        outputs: numbers per band.
        hidden: channels of the two hidden layers.
    """

    def __init__(self, outputs: int, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(SPECTRAL_FEATURES + 16 + len(POLARISATIONS) + len(KINDS), hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, outputs),
        )
        self._described: dict[Sensor, Tensor] = {}

    def forward(self, sensor: Sensor) -> Tensor:
        """(bands, outputs)."""
        if sensor not in self._described:
            with torch.inference_mode(False):  # or training could not use what embedding kept
                self._described[sensor] = torch.stack([encode_band(band) for band in sensor.bands])
        device = next(self.parameters()).device
        described: Tensor = self.layers(self._described[sensor].to(device))
        return described


def encode_band(band: Band) -> Tensor:
    """A band's fixed features, float32: wavelength or frequency in sines and cosines, one-hot polarisation and kind."""
    spectral = torch.zeros(SPECTRAL_FEATURES)
    extra = torch.zeros(16)
    polarisation = torch.zeros(len(POLARISATIONS))
    kind = torch.zeros(len(KINDS))
    kind[KINDS.index(band.kind)] = 1.0
    if band.wavelength is not None:
        octaves = torch.tensor(math.log2(band.wavelength / 400.0))
        spectral = sinusoidal_encoding(octaves, SPECTRAL_FEATURES, longest=4.0, shortest=0.03)
        extra = sinusoidal_encoding(
            torch.tensor(math.log2(max(band.width or 50.0, 1.0))), 16, longest=16.0, shortest=1.0
        )
    if band.kind == "radar":
        assert band.frequency is not None and band.polarisation is not None  # checked by Band
        extra = sinusoidal_encoding(torch.tensor(math.log2(band.frequency)), 16, longest=16.0, shortest=0.5)
        if band.polarisation not in POLARISATIONS:
            raise DataError(
                f"band {band.name!r}: polarisation {band.polarisation!r} is not one of {', '.join(POLARISATIONS)}"
            )
        polarisation[POLARISATIONS.index(band.polarisation)] = 1.0
    return torch.cat([spectral, extra, polarisation, kind])
