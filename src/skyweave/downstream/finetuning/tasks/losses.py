"""Losses over what has a label: cross-entropy, Dice, squared error."""

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.downstream.labels.sample import IGNORE_INDEX


def masked_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """Compute the mean cross-entropy of what has a label; 0 where nothing has.

    Args:
        logits: (batch, classes, ...).
        targets: (batch, ...) int64, `IGNORE_INDEX` where unknown.
        class_weights: (classes,).
    """
    known = targets != IGNORE_INDEX
    if not bool(known.any()):
        return logits.sum() * 0.0
    weights = None if class_weights is None else class_weights.to(logits)
    total = functional.cross_entropy(logits, targets, weights, ignore_index=IGNORE_INDEX, reduction="sum")
    count = known.sum() if weights is None else weights[targets[known]].sum()
    return total / count.clamp(min=1e-6)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute 1 less the soft Dice overlap (Milletari et al. 2016, arXiv 1606.04797), a mean over classes that occur.

    Args:
        logits: (batch, classes, ...).
        targets: (batch, ...) int64, `IGNORE_INDEX` where unknown.
    """
    known = (targets != IGNORE_INDEX).unsqueeze(1)
    one_hot = functional.one_hot(targets.clamp(min=0), logits.shape[1]).movedim(-1, 1) * known
    probabilities = logits.softmax(1) * known
    over = [axis for axis in range(logits.ndim) if axis != 1]
    shared, area = (probabilities * one_hot).sum(over), (probabilities + one_hot).sum(over)
    occurs = one_hot.sum(over) > 0
    return torch.where(occurs, 1 - 2 * shared / area.clamp(min=1e-6), 0).sum() / occurs.sum().clamp(min=1)


def masked_squared_error(predicted: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean squared error of what has a value; 0 where nothing has.

    Args:
        predicted: (batch, ...).
        targets: (batch, ...), NaN where unknown.
    """
    known = torch.isfinite(targets)
    return (predicted - targets)[known].square().sum() / known.sum().clamp(min=1)
