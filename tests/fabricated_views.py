"""Images of noise of any sensor, a small backbone, and masked views."""

import torch

from skyweave.backbone import build_backbone
from skyweave.backbone.backbone import Backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors import get_sensor
from skyweave.pretraining import MaskingConfig
from skyweave.pretraining.masking import MaskedView, draw_views

SMALL = {"width": 32, "depth": 2, "heads": 2, "patch_size": 4, "mixes": 4}
ONE_VIEW = MaskingConfig(ratios=(0.75,), band_dropout=0.0)


def backbone() -> Backbone:
    return build_backbone("tiny", seed=1, **SMALL)


def batch(name: str, size: int = 16, images: int = 3) -> SensorBatch:
    sensor = get_sensor(name)
    generator = torch.Generator().manual_seed(len(sensor))
    noise = torch.randn(images, len(sensor), size, size, generator=generator)
    pixels = torch.from_numpy(sensor.means)[:, None, None] + noise * torch.from_numpy(sensor.stds)[:, None, None]
    valid = torch.ones_like(pixels, dtype=torch.bool)
    return SensorBatch(pixels, valid, sensor, torch.full((images,), sensor.ground_sample_distance))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def view_of(images: SensorBatch, masking: MaskingConfig = ONE_VIEW, patch_size: int = 4, seed: int = 0) -> MaskedView:
    return draw_views(backbone(), images, patch_size, masking, seeded(seed))[0]
