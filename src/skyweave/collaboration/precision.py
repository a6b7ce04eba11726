"""Numeric precision by device: bfloat16 for reading maps, float32 for whatever is quantised."""

import torch
from torch import nn


def inference_autocast(device: torch.device) -> torch.autocast:
    """Return a context in which matrix products and convolutions run in bfloat16, as inference does.

    Args:
        device: on which the tensors lie.
    """
    return torch.autocast(device.type, torch.bfloat16)


def full_precision(device: torch.device) -> torch.autocast:
    """Return a context in which no operation is cast to a lower precision, whatever a trainer has switched on.

    Args:
        device: on which the tensors lie.
    """
    return torch.autocast(device.type, enabled=False)


def module_device(module: nn.Module) -> torch.device:
    """Return the device on which the parameters of a module lie.

    Args:
        module: with at least one parameter.
    """
    return next(module.parameters()).device
