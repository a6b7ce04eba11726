"""torchgeo-bench: our encoders as its `BenchModel`, which it builds once a dataset with that dataset's bands.

# a model configuration of torchgeo-bench
_target_: skyweave.interop.torchgeo_bench.SkyweaveBench
weights: tiny
name: skyweave_tiny
eval:
  segmentation:
    layers: [level_4, level_3, level_2, level_1]
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchgeo_bench.datasets.base import BandSpec
from torchgeo_bench.models.interface import BenchModel

from skyweave.backbone import Encoder, load_encoder
from skyweave.core.errors import ConfigError, UnknownNameError
from skyweave.core.sensors import Band, get_sensor
from skyweave.core.sensors.sensor import Sensor
from skyweave.interop.sensor_module import SensorModule

SENSORS = {
    "s2": ("sentinel2-l2a", "sentinel2-l1c"),
    "s1": ("sentinel1-grd",),
    "sar": ("sentinel1-grd",),
    "landsat": ("landsat8-l2", "landsat8-l1"),
    "aerial": ("naip", "rgb"),
}
"""Catalogue entries by the families of torchgeo-bench; the first that knows all of the bands is taken."""


class SkyweaveBench(BenchModel):
    """Embedding of images of one sensor or several; of several, the mean of their embeddings.

    ``level_1`` to ``level_4`` are modules through which the four levels pass as maps (batch, channels, rows, columns),
    for the segmentation probe, which taps modules by name.

    Args:
        bands: of the dataset, in the order of its channels; given by torchgeo-bench.
        weights: a shipped name, a ``.safetensors`` file, or an encoder.
        unit: how the dataset stores its values (``dn``), where that is known: the model then normalises with its own
            statistics. None, torchgeo-bench's protocol: channels are standardised with the dataset's statistics.
        ground_sample_distance: metres per pixel; default: the sensor's.
        patch_size: pixels per patch side; default: the model's.
    """

    def __init__(
        self,
        bands: list[BandSpec],
        weights: str | Path | Encoder = "tiny",
        unit: str | None = None,
        ground_sample_distance: float | None = None,
        patch_size: int | None = None,
        normalization: str | None = None,
        **_: Any,
    ) -> None:
        super().__init__(bands=bands, normalization=_choose_normalization(normalization, unit))
        encoder = load_encoder(weights) if isinstance(weights, str | Path) else weights
        families = _channels_by_family(bands)
        self.channels = list(families.values())
        self.parts = nn.ModuleList(
            SensorModule(
                encoder,
                _sensor(family, [bands[channel] for channel in channels], standardised=unit is None),
                unit,
                ground_sample_distance,
                patch_size,
            )
            for family, channels in families.items()
        )
        for level in range(1, 5):
            self.add_module(f"level_{level}", nn.Identity())

    def _forward_patch_features(self, images: Tensor, *_: Any) -> Tensor:
        """(batch, channels): the embedding."""
        features = [part(images[:, channels]) for part, channels in zip(self.parts, self.channels, strict=True)]
        for number, maps in enumerate(zip(*(one.level_maps() for one in features), strict=True), start=1):
            getattr(self, f"level_{number}")(torch.stack(maps).mean(0))
        return torch.stack([one.pooled for one in features]).mean(0)


def _choose_normalization(declared: str | None, unit: str | None) -> str:
    """Return who normalises; refuse what does not go with the unit."""
    chosen = declared or ("bandspec_zscore" if unit is None else "identity")
    if (unit is None) == (str(chosen) == "identity"):
        raise ConfigError(
            f"normalization {chosen!s} does not go with unit {unit!r}: the model normalises stored values itself "
            "(identity, with a unit), or torchgeo-bench does (any other, without a unit)"
        )
    return chosen


def _channels_by_family(bands: Sequence[BandSpec]) -> dict[str, list[int]]:
    """Return the channels of each family of sensors, in the order of their first bands."""
    families: dict[str, list[int]] = defaultdict(list)
    for channel, band in enumerate(bands):
        families[band.sensor].append(channel)
    return families


def _match_catalogue(family: str, specs: Sequence[BandSpec]) -> tuple[Sensor | None, list[Band | None]]:
    """Return the catalogue's sensor that knows the most of the bands, and these; None where there is none."""
    best: list[Band | None] = [None] * len(specs)
    base = None
    for name in SENSORS.get(family, ()):
        candidate = get_sensor(name)
        matches = [_find(candidate, spec) for spec in specs]
        if base is None or matches.count(None) < best.count(None):
            base, best = candidate, matches
    return base, best


def _sensor(family: str, specs: Sequence[BandSpec], standardised: bool) -> Sensor:
    """The dataset's bands as a sensor; a band unknown to the catalogue is described by its wavelength."""
    base, best = _match_catalogue(family, specs)
    bands = tuple(band or _described(spec) for band, spec in zip(best, specs, strict=True))
    if base is None:
        base = Sensor(family, family, bands, 10.0)
    if not standardised:
        return replace(base, bands=bands)
    described = tuple(
        replace(band, mean=0.0, std=1.0) for band in bands
    )  # and a name that the model has no statistics for
    return replace(base, name=f"{base.name}-standardised", bands=described, encodings=())


def _find(sensor: Sensor, spec: BandSpec) -> Band | None:
    for name in (spec.source_name, spec.name):
        try:
            return sensor.bands[sensor.index(name)]
        except UnknownNameError:
            continue
    return None


def _described(spec: BandSpec) -> Band:
    if spec.wavelength_um is None:
        raise ConfigError(
            f"band {spec.name!r} of {spec.sensor} is in no sensor of the catalogue and has no wavelength; leave it out"
        )
    return Band(spec.name, wavelength=spec.wavelength_um * 1000)
