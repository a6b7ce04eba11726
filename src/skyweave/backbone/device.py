"""Where a model runs."""

import torch

from skyweave.core.errors import ConfigError


def resolve_device(device: str | torch.device) -> torch.device:
    """Return a device of this machine.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or whatever else PyTorch names.

    Raises:
        ConfigError: PyTorch does not know that name, or this machine has no such device.
    """
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"there is no device {str(device)!r}; choose cpu, cuda, cuda:N or mps") from error
    try:
        torch.empty(1, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(f"the device {str(device)!r} cannot be used here ({reason}); choose cpu") from error
    return resolved
