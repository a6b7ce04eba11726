"""Centre heatmaps: the focal loss on peaks, and how an untrained head starts."""

import math
from typing import cast

import torch
from torch import Tensor, nn

PRIOR_PROBABILITY = 0.02
"""Probability of a peak that an untrained head predicts, so that the first losses are not of background alone."""
MIN_PROBABILITY = 1e-5
PEAK_TOLERANCE = 1e-6  # below 1, from which a target counts as a peak


def init_prior(convolution: nn.Conv2d, channels: int) -> None:
    """Set the bias of a convolution's first channels to the logit of the prior probability (RetinaNet, 1708.02002).

    Args:
        convolution: with a bias.
        channels: number of its first output channels that predict peaks.
    """
    with torch.no_grad():
        cast(Tensor, convolution.bias)[:channels] = math.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY))


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heatmaps per peak (CornerNet, arXiv 1808.01244).

    Args:
        logits: any shape.
        targets: likewise, in [0, 1]; 1 at the peaks.
    """
    probability = logits.sigmoid().clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    peak = targets >= 1 - PEAK_TOLERANCE
    positive = (1 - probability) ** 2 * probability.log()
    negative = (1 - targets) ** 4 * probability**2 * (1 - probability).log()
    return -torch.where(peak, positive, negative).sum() / peak.sum().clamp(min=1)
