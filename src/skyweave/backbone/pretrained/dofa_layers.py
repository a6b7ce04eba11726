"""DOFA's layers: kernels generated from wavelengths (arXiv 2403.15356, section 3.3), and blocks with LayerScale."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.transformer import Block, RotaryFactors


class WavelengthPatchEmbedding(nn.Module):
    """Embed patches by a convolution whose kernels are generated from wavelengths (arXiv 2403.15356, section 3.3).

    Args:
        patch_size: pixels per patch side.
        width: channels of a token.
        channels: of the code of a wavelength.
    """

    def __init__(self, patch_size: int, width: int, channels: int = 128) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.channels = channels
        self.fclayer = ResidualMlp(channels)
        self.weight_generator = KernelGenerator(patch_size, width, channels)

    def forward(self, images: Tensor, wavelengths: Sequence[float]) -> Tensor:
        """Return patch embeddings, (batch, width, patch rows, patch columns).

        Args:
            images: (batch, channels, rows, columns), normalised.
            wavelengths: of each channel in micrometres.
        """
        with torch.autocast(images.device.type, enabled=False):  # kernels are small numbers: keep them exact
            nanometres = torch.tensor(wavelengths, dtype=torch.float32, device=images.device) * 1000
            weight, bias = self.weight_generator(self.fclayer(encode_wavelengths(nanometres, self.channels)))
        # the padding of one pixel, with which published weights were trained, shifts every patch up and left by one
        return functional.conv2d(images, weight, bias, stride=self.patch_size, padding=1)


class ResidualMlp(nn.Module):
    """Apply two layers with a ReLU each, around a residual.

    Args:
        channels: of a code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(channels, channels)
        self.w2 = nn.Linear(channels, channels)

    def forward(self, codes: Tensor) -> Tensor:
        """Return codes of the same shape.

        Args:
            codes: (bands, channels).
        """
        return codes + functional.relu(self.w2(functional.relu(self.w1(codes))))


class KernelGenerator(nn.Module):
    """Apply a Transformer layer over learned queries, one token a channel, and a bias token; tokens become kernels.

    Args:
        patch_size: pixels per patch side.
        width: channels of a token.
        channels: of the code of a wavelength.
        queries: learned tokens.
        scale: factor on kernels and bias.
    """

    def __init__(self, patch_size: int, width: int, channels: int, queries: int = 128, scale: float = 0.01) -> None:
        super().__init__()
        self.shape = (patch_size, patch_size, width)
        self.scale = scale
        layer = nn.TransformerEncoderLayer(channels, nhead=4, dropout=0.0, activation="gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.weight_tokens = nn.Parameter(torch.randn(queries, channels) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, channels) * 0.02)
        self.fc_weight = nn.Linear(channels, patch_size * patch_size * width)
        self.fc_bias = nn.Linear(channels, width)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return kernels (width, channels, patch, patch) and bias (width,).

        Args:
            codes: (channels, 128) of wavelengths.
        """
        queries = len(self.weight_tokens)
        tokens = self.transformer_encoder(torch.cat([self.weight_tokens, codes, self.bias_token]))
        # Each channel's numbers are (patch, patch, width). Reading them as (width, channels, patch, patch), as the
        # first released code did, would mix channels and make the output depend on their order.
        kernels = self.fc_weight(tokens[queries:-1] + codes).unflatten(-1, self.shape).permute(3, 0, 1, 2)
        return kernels * self.scale, self.fc_bias(tokens[-1]) * self.scale


class LayerScaleBlock(Block):
    """Transform tokens by a block whose two branches are scaled per channel (LayerScale, arXiv 2103.17239).

    Args:
        width: channels of a token.
        heads: attention heads.
        mlp_ratio: hidden channels of the feed-forward part over ``width``.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__(width, heads, mlp_ratio)
        self.ls1 = LayerScale(width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, rotary: RotaryFactors | None = None) -> Tensor:
        """Return tokens of the same shape.

        Args:
            tokens: (batch, length, width).
            mask: of `attention_mask`.
            rotary: of `rotary_factors`.
        """
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), mask, rotary))
        result: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return result


class LayerScale(nn.Module):
    """Multiply each channel with a learned factor.

    Args:
        width: channels.
        initial: value of the factors.
    """

    def __init__(self, width: int, initial: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape.

        Args:
            tokens: (..., width).
        """
        return tokens * self.gamma


def encode_wavelengths(nanometres: Tensor, channels: int) -> Tensor:
    """Return sines and cosines of wavelengths, (bands, channels), with frequencies from 1 to 1/10000.

    Angles reach thousands of radians in float32, where the order of operations shows: this is the published order.

    Args:
        nanometres: (bands,) wavelengths.
        channels: sines and cosines together.
    """
    steps = torch.arange(channels // 2, dtype=torch.float32, device=nanometres.device) / (channels / 2)
    angles = torch.outer(nanometres, 1.0 / 10000**steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
