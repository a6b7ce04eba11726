"""Heads for one output an image, and what all heads have in common."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.models.encoder_features import EncodedMaps

HeadInputs = tuple[Tensor, ...]
"""What a head reads of images, before any trained weight; of frozen encoders it is computed once and kept."""

MIN_STD, MIN_RELATIVE_STD = 1e-6, 0.05
"""Of a channel's standard deviation: in itself, and of the median channel's."""
MAX_STANDARDISED = 10.0


class Head(nn.Module, ABC):
    """Features to logits, in two steps: what needs no weights, and what does.

    Attributes:
        scale: of the first of the inputs.
        takes_any_sources: it answers whichever of its observations there are.
    """

    scale: "Standardise"
    takes_any_sources: ClassVar[bool] = False

    @abstractmethod
    def inputs(self, encoded: EncodedMaps) -> HeadInputs:
        """Return the tensors (batch, ...) that `forward` reads.

        Args:
            encoded: maps of a batch.
        """

    @abstractmethod
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        """Return (batch, outputs) logits of images, or (batch, outputs, rows, columns) of pixels.

        Args:
            inputs: of `inputs`.
            shape: (rows, columns) of the images.
        """

    def leave_out(self, inputs: HeadInputs, kept: Tensor) -> HeadInputs:
        """Return what it reads where some observations are not there.

        Args:
            inputs: of `inputs`.
            kept: (batch, observations) bool.

        Raises:
            ConfigError: the head needs all of them.
        """
        raise ConfigError(f"a {type(self).__name__} needs every observation; use head.kind map, which takes any")

    def fit_scale(self, samples: list[HeadInputs]) -> None:
        """Take means and standard deviations of the features from training samples.

        Args:
            samples: each with a batch of one or more.
        """
        self.scale.fit([inputs[0] for inputs in samples])


class Standardise(nn.Module):
    """Zero mean and unit standard deviation by channel (dimension 1), as measured once on training features.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, samples: list[Tensor]) -> None:
        """Measure mean and standard deviation.

        Args:
            samples: (batch, channels, ...) each.
        """
        rows = torch.cat([values.detach().float().transpose(0, 1).flatten(1) for values in samples], dim=1)
        self.mean.copy_(rows.mean(1))
        std = rows.std(1, correction=0)
        # a channel that hardly varies would be blown up to noise
        self.std.copy_(std.clamp(min=max(MIN_STD, MIN_RELATIVE_STD * float(std.median()))))

    def forward(self, values: Tensor) -> Tensor:
        """Return standardised features, clipped.

        Args:
            values: (batch, channels, ...).
        """
        shape = (1, -1, *[1] * (values.ndim - 2))
        return ((values.float() - self.mean.view(shape)) / self.std.view(shape)).clamp(
            -MAX_STANDARDISED, MAX_STANDARDISED
        )


class LinearPooled(Head):
    """One matrix on mean and standard deviation of the patches' features.

    Args:
        channels: of the maps side by side.
        outputs: numbers an image.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.scale = Standardise(2 * channels)
        self.linear = nn.Linear(2 * channels, outputs)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    @override
    def inputs(self, encoded: EncodedMaps) -> HeadInputs:
        # (batch, 2 * channels) mean and standard deviation over valid patches
        values = encoded.side_by_side().flatten(2)
        weight = encoded.valid.flatten(1).unsqueeze(1).to(values.dtype)
        count = weight.sum(-1).clamp(min=1)
        mean = (values * weight).sum(-1) / count
        variance = ((values - mean.unsqueeze(-1)) * weight).square().sum(-1) / count
        return (torch.cat([mean, (variance + 1e-8).sqrt()], dim=1),)  # a root of zero has no gradient

    @override
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        # (batch, outputs) logits
        logits: Tensor = self.linear(self.scale(inputs[0]))
        return logits


class AttentivePooled(Head):
    """Learned queries attend to the patches (attentive probing, as in CoCa, arXiv 2205.01917).

    Args:
        channels: of the maps side by side.
        outputs: numbers an image.
        width: channels inside.
        queries: how many ways to pool.
        heads: of the attention.
    """

    def __init__(self, channels: int, outputs: int, width: int = 64, queries: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.scale = Standardise(channels)
        self.narrow = nn.Linear(channels, width)
        self.queries = nn.Parameter(torch.randn(1, queries, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(queries * width)
        self.linear = nn.Linear(queries * width, outputs)

    @override
    def inputs(self, encoded: EncodedMaps) -> HeadInputs:
        # the patches (batch, channels, number) and which are valid (batch, number)
        valid = encoded.valid.flatten(1)
        return encoded.side_by_side().flatten(2), valid | ~valid.any(1, keepdim=True)

    @override
    def forward(self, inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        # (batch, outputs) logits
        logits: Tensor = self.linear(self.norm(self._attend(inputs, False)[0].flatten(1)))
        return logits

    def attention_weights(self, inputs: HeadInputs) -> Tensor:
        """Return (batch, queries, patches) weights of the attention.

        Args:
            inputs: of `inputs`.
        """
        return self._attend(inputs, True)[1]

    def _attend(self, inputs: HeadInputs, weights: bool) -> tuple[Tensor, Tensor]:
        tokens = self.narrow(self.scale(inputs[0]).transpose(1, 2))
        queries = self.queries.expand(tokens.shape[0], -1, -1)
        attended: tuple[Tensor, Tensor] = self.attention(
            queries, tokens, tokens, key_padding_mask=~inputs[1], need_weights=weights
        )
        return attended
