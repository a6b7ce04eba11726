"""A small U-Net from scratch: a baseline of fine-tuning (Ronneberger et al., arXiv 1505.04597)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.backbone import MAX_DEVIATIONS
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors.sensor import Sensor

DEPTH = 3
"""Times that the resolution is halved."""


class UNet(nn.Module):
    """Bands to logits of every pixel, or of the image (the contracting half and a mean).

    Args:
        sensors: of the observations of a sample; their bands are stacked, normalised by the sensors' statistics.
        outputs: numbers a pixel or an image.
        dense: outputs at every pixel.
        channels: of the first level; doubled at each next.
    """

    def __init__(self, sensors: Sequence[Sensor], outputs: int, dense: bool, channels: int = 24) -> None:
        super().__init__()
        self.sensors = tuple(sensors)
        self.dense, self.channels = dense, channels
        bands = sum(len(sensor) for sensor in sensors)
        widths = [channels * 2**level for level in range(DEPTH + 1)]
        self.first = _double(bands, widths[0])
        self.down = nn.ModuleList(_double(widths[i], widths[i + 1]) for i in range(DEPTH))
        self.up = nn.ModuleList(_double(widths[i] + widths[i + 1], widths[i]) for i in range(DEPTH) if dense)
        self.output = nn.Conv2d(widths[0] if dense else widths[-1], outputs, 1)
        nn.init.normal_(self.output.weight, std=0.01)

    def forward(self, batches: Sequence[SensorBatch]) -> Tensor:
        """Return (batch, outputs, rows, columns) or (batch, outputs) logits.

        Args:
            batches: one an observation.
        """
        pixels = torch.cat([_normalised(batch) for batch in batches], dim=1)
        shape = pixels.shape[-2:]
        pixels = functional.pad(pixels, (0, -shape[1] % 2**DEPTH, 0, -shape[0] % 2**DEPTH))
        levels = [self.first(pixels)]
        for layer in self.down:
            levels.append(layer(functional.max_pool2d(levels[-1], 2)))
        if not self.dense:
            pooled: Tensor = self.output(levels[-1].mean((2, 3), keepdim=True))
            return pooled.flatten(1)
        values = levels[-1]
        for number in range(DEPTH - 1, -1, -1):
            finer = functional.interpolate(values, scale_factor=2, mode="nearest")
            values = self.up[number](torch.cat([levels[number], finer], dim=1))
        logits: Tensor = self.output(values)
        return logits[..., : shape[0], : shape[1]]


def _normalised(batch: SensorBatch) -> Tensor:
    means = torch.from_numpy(batch.sensor.means).view(-1, 1, 1).to(batch.pixels)
    stds = torch.from_numpy(batch.sensor.stds).view(-1, 1, 1).to(batch.pixels)
    return ((batch.pixels - means) / stds).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS) * batch.valid


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        groups = next(groups for groups in (8, 4, 2, 1) if outputs % groups == 0)
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.GroupNorm(groups, outputs), nn.GELU()]
    return nn.Sequential(*layers)
