"""What a model does to an image before it looks at it: bring exposure and colour to what they usually are.

A camera of 8-bit steps has a white balance and an exposure of its own, which say nothing about the place. Scaling each
image takes both away: by one factor for all bands (exposure), or by one for each (the grey world of Buchsbaum 1980,
doi:10.1016/0016-0032(80)90058-7). Calibrated bands, in reflectance or kelvin, stay as they are. Other packages add
balances through the entry points ``skyweave.balances``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.core.sensors.band import Band

Balance = Callable[[SensorBatch, Tensor], Tensor]
"""From images and (encoded bands,) usual means to the factors (images, encoded bands or 1)."""
MAX_FACTOR = 12.0  # of an image, either way: what is darker still is noise
BLACK = 1.0  # 8-bit steps: no mean is taken as less


@dataclass(frozen=True)
class BalanceConfig:
    """How exposure and colour of images are evened out.

    Attributes:
        name: in `BALANCES`.
        usual: by sensor, the means that its bands in 8-bit steps are brought to; default: those of its description.
    """

    name: str = "none"
    usual: dict[str, list[float]] = field(default_factory=dict)


def balance_images(batch: SensorBatch, config: BalanceConfig) -> SensorBatch:
    """Return images with their exposure and colour evened out.

    Args:
        batch: of one sensor.
        config: how.
    """
    encoded = [number for number, band in enumerate(batch.sensor.bands) if band.unit == "uint8"]
    if not encoded:
        return batch
    bands = [batch.sensor.bands[number] for number in encoded]
    means = config.usual.get(batch.sensor.name, [band.mean for band in bands])
    usual = torch.tensor(means, dtype=torch.float32, device=batch.pixels.device)
    _check_usual(usual, bands, batch)
    factors = BALANCES[config.name](batch, usual).clamp(1 / MAX_FACTOR, MAX_FACTOR)
    pixels = batch.pixels.clone()
    pixels[:, encoded] *= factors[..., None, None]
    return replace(batch, pixels=pixels)


def _check_usual(usual: Tensor, bands: list[Band], batch: SensorBatch) -> None:
    """Check that each band has its usual value."""
    if len(usual) != len(bands):
        raise DataError(f"balance.usual of {batch.sensor.name} has {len(usual)} numbers, its images {len(bands)} bands")


def keep(batch: SensorBatch, usual: Tensor) -> Tensor:
    """Return 1: the images stay as they are.

    Args:
        batch: of one sensor.
        usual: not used.
    """
    return usual.new_ones(len(batch), 1)


def balance_exposure(batch: SensorBatch, usual: Tensor) -> Tensor:
    """Return one factor an image, which makes its mean the usual one.

    Args:
        batch: of one sensor.
        usual: (bands,) means.
    """
    return usual.mean() / _means(batch).mean(1, keepdim=True)


def grey_world(batch: SensorBatch, usual: Tensor) -> Tensor:
    """Return a factor for each band of each image, which makes its mean the usual one.

    Args:
        batch: of one sensor.
        usual: (bands,) means.
    """
    return usual / _means(batch)


def _means(batch: SensorBatch) -> Tensor:
    """(images, bands) means over valid pixels of the bands in 8-bit steps."""
    encoded = [number for number, band in enumerate(batch.sensor.bands) if band.unit == "uint8"]
    pixels, valid = batch.pixels[:, encoded].float(), batch.valid[:, encoded]
    return ((pixels * valid).sum((2, 3)) / valid.sum((2, 3)).clamp(min=1)).clamp(min=BLACK)


BALANCES: Registry[Balance] = Registry(
    "balances",
    "balance of exposure and colour",
    {
        "none": "skyweave.perception.balance:keep",
        "exposure": "skyweave.perception.balance:balance_exposure",
        "grey_world": "skyweave.perception.balance:grey_world",
    },
)
