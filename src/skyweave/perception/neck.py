"""The neck between the backbone and the lift: tokens to a feature map of finer stride."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone import Features


class Neck(nn.Module):
    """Join encoder levels, upsampled, with the patch embedding at the finer stride.

    A plain Transformer has one resolution. Its levels are joined by a 1x1 convolution and upsampled by pixel shuffle
    (arXiv 1609.05158); small objects that a patch averages away come in from the backbone's own tokenizer on smaller
    patches, so no part of the neck depends on the sensor.

    Args:
        width: channels of a token.
        levels: number of encoder levels.
        channels: number of channels of the result.
        factor: patch size over stride: 1, 2 or 4.
    """

    def __init__(self, width: int, levels: int, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.deep = nn.Conv2d(levels * width, channels * factor**2, 1)
        self.detail = nn.Conv2d(width, channels, 1)
        self.refine = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, features: Features) -> Tensor:
        """Return (batch, channels, rows, columns), the rows and columns of the detail.

        Args:
            features: of a batch of images, with detail through ``self.detail``.

        Raises:
            ValueError: the features lack such detail.
        """
        if features.detail is None or features.detail.shape[1] != self.detail.out_channels:
            raise ValueError(
                "these features lack detail of the neck's channels; ask the backbone for it: "
                "backbone(batch, patch, detail=stride, detail_head=neck.detail)"
            )
        joined = torch.unflatten(features.concatenated_levels().transpose(1, 2), 2, features.grid)
        deep = functional.pixel_shuffle(self.deep(joined), self.factor)
        rows, columns = features.detail.shape[-2:]  # an image that is no multiple of a patch was padded
        mixed = deep[..., :rows, :columns] + features.detail
        refined: Tensor = self.refine(mixed.contiguous(memory_format=torch.channels_last))
        return refined


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return 3x3 convolution, batch norm and ReLU, which a compiler or an exporter folds into one operation.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        stride: of the convolution.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
