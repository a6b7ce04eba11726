"""The optimiser of all trainings: AdamW with a linear warm-up and a cosine."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from skyweave.core.errors import ConfigError


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW (arXiv 1711.05101) with a linear warm-up, and a cosine (arXiv 1608.03983) or a trapezoid.

    The trapezoid (arXiv 2405.18392) stays at the peak until a last part in which the rate falls linearly: a run can go
    on for as long as it pays, as nothing before the fall depends on the number of steps.

    Attributes:
        steps: optimiser steps of the whole run.
        learning_rate: peak.
        warmup: optimiser steps in which the learning rate rises.
        weight_decay: of matrices; vectors (biases, norms) are not decayed.
        betas: decay rates of the running means of the gradient and of its square.
        clip: largest norm of the gradient.
        final_share: share of the peak below which the rate does not fall.
        schedule: ``cosine`` or ``trapezoid``.
        decay: of a trapezoid, the share of the steps in which the rate falls, the last ones.

    Raises:
        ConfigError: no step to take, or a share outside 0 to 1.
    """

    steps: int = 1000
    learning_rate: float = 1e-3
    warmup: int = 50
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    final_share: float = 0.0
    schedule: Literal["cosine", "trapezoid"] = "cosine"
    decay: float = 0.2

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"optimiser.steps is {self.steps}, must be at least 1")
        if not 0 <= self.final_share <= 1:
            raise ConfigError(f"optimiser.final_share is {self.final_share}, must be from 0 to 1")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"optimiser.decay is {self.decay}, must be above 0 and at most 1")

    def rate_factor(self, step: int) -> float:
        """Return the learning rate of a step over the peak.

        Args:
            step: optimiser steps taken before.
        """
        done = min(step, self.steps) / self.steps
        if self.schedule == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * done))
        else:
            factor = min(1.0, (1 - done) / self.decay)
        return min(1.0, (step + 1) / max(1, self.warmup)) * max(factor, self.final_share)


def make_optimiser(
    groups: Sequence[tuple[Iterable[nn.Parameter], float]], config: OptimiserConfig, fused: bool = True
) -> dict[str, Any]:
    """Return AdamW and its schedule as Lightning's ``configure_optimizers`` gives them, stepping every step.

    Args:
        groups: parameters, of which those that require a gradient are taken, and their peak learning rate.
        config: everything else; its ``learning_rate`` is not used, as every group brings one.
        fused: compute a step in one kernel; sums are then rounded otherwise than without.
    """
    param_groups: list[dict[str, Any]] = []
    for parameters, peak in groups:
        param_groups += _param_groups([p for p in parameters if p.requires_grad], peak, config.weight_decay)
    optimiser = torch.optim.AdamW(param_groups, betas=config.betas, fused=fused or None)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, config.rate_factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _param_groups(parameters: list[nn.Parameter], peak: float, weight_decay: float) -> list[dict[str, Any]]:
    """Return the groups of matrices, which are decayed, and of vectors, which are not."""
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    groups = (
        {"params": matrices, "lr": peak, "weight_decay": weight_decay},
        {"params": vectors, "lr": peak, "weight_decay": 0.0},
    )
    return [group for group in groups if group["params"]]
