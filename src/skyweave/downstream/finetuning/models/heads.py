"""Heads for one answer an image, and what all heads have in common."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from skyweave.downstream.finetuning.models.encoder_features import EncodedMaps

HeadInputs = tuple[Tensor, ...]
"""What a head needs of an image, before any trained weight; of frozen backbones it is computed once and kept."""


class Head(nn.Module, ABC):
    """Features to an answer, in two steps: what needs no weights, and what does."""

    @abstractmethod
    def gather(self, encoded: EncodedMaps) -> HeadInputs:
        """Tensors (batch, ...) that `forward` reads."""

    @abstractmethod
    def forward(self, gathered: HeadInputs, shape: tuple[int, int]) -> Tensor:
        """(batch, outputs) an image, or (batch, outputs, rows, columns); ``shape`` is the image's in pixels."""

    @abstractmethod
    def fit_scale(self, samples: list[HeadInputs]) -> None:
        """Take means and spreads of the features from training samples, each with a batch of one or more."""


class Standardise(nn.Module):
    """Zero mean and unit spread by channel (dimension 1), as measured once on training features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, samples: list[Tensor]) -> None:
        """Measure on (batch, channels, ...) tensors."""
        rows = torch.cat([own.detach().float().transpose(0, 1).flatten(1) for own in samples], dim=1)
        self.mean.copy_(rows.mean(1))
        spread = rows.std(1, correction=0)
        # a channel that hardly varies would be blown up to noise
        self.std.copy_(spread.clamp(min=max(1e-6, 0.05 * float(spread.median()))))

    def forward(self, values: Tensor) -> Tensor:
        """(batch, channels, ...) to the same."""
        shape = (1, -1, *[1] * (values.ndim - 2))
        return ((values.float() - self.mean.view(shape)) / self.std.view(shape)).clamp(-10, 10)


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

    def gather(self, encoded: EncodedMaps) -> HeadInputs:
        """(batch, 2 * channels): mean and deviation over valid patches."""
        values = encoded.side_by_side().flatten(2)
        weight = encoded.valid.flatten(1).unsqueeze(1).to(values.dtype)
        count = weight.sum(-1).clamp(min=1)
        mean = (values * weight).sum(-1) / count
        variance = ((values - mean.unsqueeze(-1)) * weight).square().sum(-1) / count
        return (torch.cat([mean, (variance + 1e-8).sqrt()], dim=1),)  # a root of zero has no gradient

    def fit_scale(self, samples: list[HeadInputs]) -> None:
        """See ``Head``."""
        self.scale.fit([own[0] for own in samples])

    def forward(self, gathered: HeadInputs, shape: tuple[int, int]) -> Tensor:
        """(batch, outputs)."""
        answer: Tensor = self.linear(self.scale(gathered[0]))
        return answer


class AttentivePooled(Head):
    """Learned queries attend to the patches (attentive probing, as in CoCa, arXiv 2205.01917).

    Args:
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

    def gather(self, encoded: EncodedMaps) -> HeadInputs:
        """The patches (batch, channels, number) and which of them are valid (batch, number)."""
        valid = encoded.valid.flatten(1)
        return encoded.side_by_side().flatten(2), valid | ~valid.any(1, keepdim=True)

    def fit_scale(self, samples: list[HeadInputs]) -> None:
        """See ``Head``."""
        self.scale.fit([own[0] for own in samples])

    def forward(self, gathered: HeadInputs, shape: tuple[int, int]) -> Tensor:
        """(batch, outputs)."""
        answer: Tensor = self.linear(self.norm(self._pooled(gathered, False)[0].flatten(1)))
        return answer

    def attention_weights(self, gathered: HeadInputs) -> Tensor:
        """(batch, queries, patches): where each query looks."""
        return self._pooled(gathered, True)[1]

    def _pooled(self, gathered: HeadInputs, weights: bool) -> tuple[Tensor, Tensor]:
        tokens = self.narrow(self.scale(gathered[0]).transpose(1, 2))
        queries = self.queries.expand(len(tokens), -1, -1)
        found: tuple[Tensor, Tensor] = self.attention(
            queries, tokens, tokens, key_padding_mask=~gathered[1], need_weights=weights
        )
        return found
