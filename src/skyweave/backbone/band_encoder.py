"""A band's physics as numbers: the input of every weight that is generated per band."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from skyweave.backbone.positions import sinusoidal_encoding
from skyweave.core.errors import WeightsError
from skyweave.core.sensors.band import Band, get_band_kind
from skyweave.core.sensors.band_kind import BUILT_IN_KINDS, FLAGS, Sinusoid
from skyweave.core.sensors.sensor import Sensor

WAVELENGTH_COLUMNS = 64
EXTENT_COLUMNS = 16
SHARED_COLUMNS = WAVELENGTH_COLUMNS + EXTENT_COLUMNS + len(FLAGS)

KindColumns = tuple[tuple[str, int], ...]
"""Kinds of bands for which weights have columns, besides the built-in ones, each with the number of its columns."""


class BandEncoder(nn.Module):
    """Compute a learned function of what a band is: wavelength and width, radar frequency and polarisation, its kind.

    Optical and thermal wavelengths share one axis (the logarithm of the wavelength, so that the visible is resolved as
    finely as the thermal infrared is coarse). Radar has learned entries for its polarisations and a frequency axis;
    elevation has an entry. Nothing depends on a sensor's name or on the order of its bands.

    Args:
        outputs: numbers per band.
        hidden: channels of the two hidden layers.
        kinds: further kinds of bands, whose columns stand behind the shared ones. A band of a kind that is not among
            them is described by the shared columns alone.
    """

    def __init__(self, outputs: int, hidden: int = 128, kinds: KindColumns = ()) -> None:
        super().__init__()
        self.kinds = kinds
        self.layers = nn.Sequential(
            nn.Linear(SHARED_COLUMNS + sum(columns for _, columns in kinds), hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, outputs),
        )
        self._encoded: dict[Sensor, Tensor] = {}

    def forward(self, sensor: Sensor) -> Tensor:
        """Return the numbers of every band, (bands, outputs).

        Args:
            sensor: whose bands are encoded.
        """
        if sensor not in self._encoded:
            with torch.inference_mode(False):  # or training could not use what embedding kept
                self._encoded[sensor] = torch.stack([encode_band(band, self.kinds) for band in sensor.bands])
        device = next(self.parameters()).device
        outputs: Tensor = self.layers(self._encoded[sensor].to(device))
        return outputs

    @torch.no_grad()
    def add_kinds(self, kinds: KindColumns) -> None:
        """Add columns for further kinds of bands; their weights are zero, so that no output changes.

        Args:
            kinds: as of the constructor; those that there are columns for must not be among them.
        """
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        added = first.weight.new_zeros(len(first.weight), sum(columns for _, columns in kinds))
        first.weight = nn.Parameter(torch.cat([first.weight, added], dim=1), first.weight.requires_grad)
        first.in_features = first.weight.shape[1]
        self.kinds = (*self.kinds, *kinds)
        self._encoded.clear()


def encode_band(band: Band, kinds: KindColumns = ()) -> Tensor:
    """Return a band's fixed numbers, (columns,) float32: sines and cosines, flags, then the columns of further kinds.

    Args:
        band: what is described.
        kinds: further kinds of bands that have columns.

    Raises:
        WeightsError: a kind gives another number of columns than the weights have for it.
    """
    encoding = get_band_kind(band.kind).encode(band)
    flags = torch.zeros(len(FLAGS))
    for flag in encoding.flags:
        flags[FLAGS.index(flag)] = 1.0
    parts = [_columns(encoding.wavelength, WAVELENGTH_COLUMNS), _columns(encoding.extent, EXTENT_COLUMNS), flags]
    for name, columns in kinds:
        values = encoding.columns if name == band.kind else (0.0,) * columns
        if len(values) != columns:
            raise WeightsError(
                f"the kind of band {name!r} gives {len(values)} numbers, these weights have {columns} columns for it: "
                "they were made with another version of the package that adds the kind"
            )
        parts.append(torch.tensor(values, dtype=torch.float32))
    return torch.cat(parts)


def added_kinds(sensors: Iterable[Sensor], present: KindColumns = ()) -> KindColumns:
    """Return the kinds of the sensors' bands for which columns are to be added, by name.

    Args:
        sensors: whose bands shall be told apart.
        present: kinds that have columns.
    """
    used = {band.kind for sensor in sensors for band in sensor.bands}
    names = sorted(used - {*BUILT_IN_KINDS} - dict(present).keys())
    columns = {name: get_band_kind(name).columns for name in names}
    return tuple((name, count) for name, count in columns.items() if count)


def _columns(sinusoid: Sinusoid | None, width: int) -> Tensor:
    if sinusoid is None:
        return torch.zeros(width)
    return sinusoidal_encoding(torch.tensor(sinusoid.value), width, sinusoid.longest, sinusoid.shortest)
