"""Bird's-eye-view encoding: past frames joined, then a small encoder and decoder over the map."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.perception.neck import convolution


class TemporalFusion(nn.Module):
    """Join fused maps of past frames with the present one by a convolution.

    The map is fixed to the Earth, so the past is aligned as it is: no warping, no pose of the platform. A frame that is
    missing holds zeros and is marked in a channel of its own.

    Args:
        inputs: channels of a fused map.
        frames: number of frames, the present one included.
        outputs: channels of the result.
    """

    def __init__(self, inputs: int, frames: int, outputs: int) -> None:
        super().__init__()
        self.frames = frames
        self.join = convolution(frames * (inputs + 1), outputs)

    def forward(self, maps: list[Tensor], present: Tensor) -> Tensor:
        """Return (batch, outputs, rows, columns).

        Args:
            maps: ``frames`` fused maps (batch, channels, rows, columns), the oldest first.
            present: (batch, frames) bool: which of them there are.
        """
        parts = []
        for number, fused in enumerate(maps):
            mask = present[:, number, None, None, None].to(fused.dtype)
            parts += [fused * mask, mask.expand(-1, 1, *fused.shape[-2:])]
        # each by itself: reordering the whole afterwards takes longer than the convolution
        parts = [part.contiguous(memory_format=torch.channels_last) for part in parts]
        joined: Tensor = self.join(torch.cat(parts, 1))
        return joined


class BEVEncoder(nn.Module):
    """Encode the map by residual blocks at full, half and quarter resolution (a U-Net, arXiv 1505.04597).

    Args:
        channels: numbers at full, half and quarter resolution.
    """

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        full, half, quarter = channels
        self.down1 = nn.Sequential(convolution(full, half, 2), ResidualBlock(half), ResidualBlock(half))
        self.down2 = nn.Sequential(
            convolution(half, quarter, 2), ResidualBlock(quarter), ResidualBlock(quarter), ResidualBlock(quarter)
        )
        self.up1 = nn.Conv2d(quarter, half, 1)
        self.mix1 = ResidualBlock(half)
        self.up0 = nn.Conv2d(half, full, 1)
        self.mix0 = ResidualBlock(full)

    def forward(self, maps: Tensor) -> Tensor:
        """Return features of the same shape.

        Args:
            maps: (batch, channels, rows, columns); rows and columns are multiples of 4.
        """
        half = self.down1(maps)
        quarter = self.down2(half)
        half = self.mix1(half + _upsample(self.up1(quarter)))
        full: Tensor = self.mix0(maps + _upsample(self.up0(half)))
        return full


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a residual (arXiv 1512.03385).

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Return features of the same shape.

        Args:
            maps: (batch, channels, rows, columns).
        """
        return functional.relu(maps + self.second(self.first(maps)))


def _upsample(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")
