"""Bands of any sensor as the groups of Sentinel-1 and -2 bands that Galileo and Presto read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import WeightsError
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.sensor import Sensor

GROUPS: dict[str, tuple[str, ...]] = {
    "S1": ("vv", "vh"),
    "S2_RGB": ("blue", "green", "red"),
    "S2_Red_Edge": ("rededge071", "rededge075", "rededge078"),
    "S2_NIR_10m": ("nir",),
    "S2_NIR_20m": ("nir08",),
    "S2_SWIR": ("swir16", "swir22"),
    "NDVI": ("nir", "red"),
}
"""Published names of the groups, to our names of the bands in their order."""
CENTRES_NM = {
    "blue": 492.0,
    "green": 560.0,
    "red": 665.0,
    "rededge071": 704.0,
    "rededge075": 740.0,
    "rededge078": 783.0,
    "nir": 833.0,
    "nir08": 865.0,
    "swir16": 1610.0,
    "swir22": 2190.0,
}
MAX_DISTANCE_NM = 15.0
"""A band of another sensor stands for one of Sentinel-2 if its centre is no farther from it."""
REFLECTANCE_SCALE = 10_000.0
"""Both were trained on reflectance times this."""


@dataclass(frozen=True)
class TrainingStatistics:
    """Mean and standard deviation of a band in the numbers that a model was trained on."""

    mean: float
    std: float


@lru_cache(maxsize=256)
def matching_channels(sensor: Sensor) -> Mapping[str, int]:
    """Return the channels that stand for bands of Sentinel-1 and -2, by our names of those.

    Args:
        sensor: any.
    """
    channels: dict[str, int] = {}
    for name in _band_names():
        _match_band(sensor, name, channels)
    return channels


def _band_names() -> list[str]:
    """Return the names of the bands of all groups, once each."""
    return list(dict.fromkeys(name for group in GROUPS.values() for name in group))


def _match_band(sensor: Sensor, name: str, channels: dict[str, int]) -> None:
    """Note the channel of a band, by name or else by wavelength."""
    named = [i for i, band in enumerate(sensor.bands) if band.name == name]
    distances = {i: _distance(band, name) for i, band in enumerate(sensor.bands)}
    near = _near_channels(distances)
    if named or near:
        channels[name] = named[0] if named else near[0][1]


def _near_channels(distances: dict[int, float | None]) -> list[tuple[float, int]]:
    """Return the channels of near wavelengths, with their distances."""
    return sorted((distance, i) for i, distance in distances.items() if distance is not None)


def _distance(band: Band, name: str) -> float | None:
    """Return the nanometres between a band and one of Sentinel-2; None where that is too far."""
    if band.kind != "optical" or band.wavelength is None or name not in CENTRES_NM:
        return None
    distance = abs(band.wavelength - CENTRES_NM[name])
    return distance if distance <= MAX_DISTANCE_NM else None


def read_groups(
    batch: SensorBatch, statistics: Mapping[str, TrainingStatistics], model: str
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the groups that a batch has, in the numbers that the models were trained on.

    Reflectance is scaled and decibels stay. Bands in other units (8-bit colour) are moved from the mean and spread of
    their sensor to those of the training data. NDVI is computed.

    Args:
        batch: images of one sensor and size.
        statistics: of the training data, by our names of the bands.
        model: for messages.

    Returns:
        (batch, bands, rows, columns) of each group, and (batch, rows, columns) bool, pixels whose bands are all valid.

    Raises:
        WeightsError: no group is complete; names what is needed.
    """
    channels = matching_channels(batch.sensor)
    names = _known_groups(channels)
    _check_groups(names, batch, model)
    used = _used_channels(names, channels)
    valid = batch.valid[:, used].all(dim=1)
    bands_used = _used_bands(names)
    values = {band: _published_values(batch, channels[band], statistics[band]) for band in bands_used}
    groups = {name: torch.stack([values[band] for band in bands], dim=1) for name, bands in names.items()}
    if "NDVI" in groups:
        _normalise_difference(groups)
    return groups, valid


def _used_bands(names: dict[str, tuple[str, ...]]) -> dict[str, None]:
    """Return the bands of all groups, once each."""
    return dict.fromkeys(band for bands in names.values() for band in bands)


def _check_groups(names: dict[str, tuple[str, ...]], batch: SensorBatch, model: str) -> None:
    """Check that the sensor has some group of bands."""
    if not names:
        needs = "; ".join(", ".join(bands) for bands in GROUPS.values())
        has = ", ".join(band.name for band in batch.sensor.bands[:8])
        raise WeightsError(f"{model} reads these groups of bands: {needs}; {batch.sensor.name} has {has}")


def _known_groups(channels: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Return the groups whose bands the sensor has."""
    return {name: bands for name, bands in GROUPS.items() if all(band in channels for band in bands)}


def _used_channels(names: dict[str, tuple[str, ...]], channels: Mapping[str, int]) -> list[int]:
    """Return the channels of the bands of all groups."""
    return sorted({channels[band] for bands in names.values() for band in bands})


def _normalise_difference(groups: dict[str, Tensor]) -> None:
    """Replace near infrared and red by their normalised difference."""
    near_infrared, red = groups["NDVI"].unbind(1)
    total = near_infrared + red
    groups["NDVI"] = torch.where(total > 0, (near_infrared - red) / total.clamp(min=1e-9), 0.0).unsqueeze(1)


def _published_values(batch: SensorBatch, channel: int, statistics: TrainingStatistics) -> Tensor:
    band = batch.sensor.bands[channel]
    values = batch.pixels[:, channel]
    if band.unit == "reflectance":
        values = values * REFLECTANCE_SCALE
    elif band.unit != "db":
        values = (values - band.mean) / band.std * statistics.std + statistics.mean
    return torch.where(batch.valid[:, channel], values, statistics.mean)


def mean_of_groups(tokens: Tensor, groups: int) -> Tensor:
    """Return (batch, places, width), the mean of the tokens of each place.

    Args:
        tokens: (batch, groups * places, width), one group after the other.
        groups: how many.
    """
    mean: Tensor = tokens.unflatten(1, (groups, -1)).mean(1)
    return mean


def statistics_by_band(
    names: Sequence[str], means: Sequence[float], stds: Sequence[float]
) -> dict[str, TrainingStatistics]:
    """Return statistics by band.

    Args:
        names: of the bands.
        means: of each.
        stds: of each.
    """
    return {name: TrainingStatistics(mean, std) for name, mean, std in zip(names, means, stds, strict=True)}
