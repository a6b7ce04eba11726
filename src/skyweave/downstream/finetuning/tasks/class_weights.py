"""Weights of classes by their frequency."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

ClassWeighting = Literal["none", "root", "balanced"]
"""``balanced``: 1 / frequency; ``root``: its square root."""
POWERS = {"root": 0.5, "balanced": 1.0}
MIN_POSITIVE_SHARE = 1e-3


def frequency_weights(counts: np.ndarray, weighting: ClassWeighting) -> Tensor | None:
    """Return (classes,) weights of mean 1 over the labels; None for none.

    A class that does not occur has weight 0: its logit is still pushed down by the others.

    Args:
        counts: (classes,) how often each class occurs.
        weighting: how frequencies count.
    """
    if weighting == "none":
        return None
    power = POWERS[weighting]
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -power, 0.0)
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)


def positive_weights(counts: np.ndarray, samples: int, weighting: ClassWeighting) -> Tensor | None:
    """Return (classes,) weights of a positive label: negative over positive ones; None for none.

    Args:
        counts: (classes,) how many samples have each class.
        samples: how many there are.
        weighting: how frequencies count.
    """
    if weighting == "none":
        return None
    share = np.clip(counts / max(1, samples), MIN_POSITIVE_SHARE, 1 - MIN_POSITIVE_SHARE)
    return torch.tensor(((1 - share) / share) ** POWERS[weighting], dtype=torch.float32)
