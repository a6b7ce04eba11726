"""How weights lie in a file: float32, float16, bfloat16, or int8 with a scale for each row.

A tensor that half precision cannot hold, such as a batch norm's variance beyond 65504, lies there in float32.

In int8 a matrix row w is stored as round(w / s), with s the smallest power of two for which that fits. Powers of two
make it exact to store once more what was read, so weights have one fingerprint, whoever has saved them last.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from skyweave.core.errors import WeightsError

SCALE_SUFFIX = ".scale"
MIN_INT8_NUMEL = (
    1024  # numbers of a tensor from which int8 saves room; smaller ones, and vectors, stay in half precision
)
MAX_INT8 = 127


def pack_state(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return tensors as they are stored.

    Args:
        state: tensors by name.
        dtype: float32, float16, bfloat16 or int8.
    """
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        value = value.detach().cpu()
        if dtype is torch.int8 and _is_quantised(value):
            scale = _scale(value.float())
            result[key] = (value.float() / scale).round().to(torch.int8).contiguous()
            result[key + SCALE_SUFFIX] = scale.flatten().contiguous()
        elif value.is_floating_point():
            result[key] = _as_small(value, dtype).contiguous()
        else:  # whole numbers, such as entropy tables, stay what they are
            result[key] = value.to(torch.int32).contiguous()
    return result


def unpack_state(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return stored tensors as float32.

    Raises `WeightsError` for int8 weights without their scale.

    Args:
        stored: tensors by name, of `pack_state`.
    """
    result: dict[str, Tensor] = {}
    for key, value in stored.items():
        if key.endswith(SCALE_SUFFIX) and key.removesuffix(SCALE_SUFFIX) in stored:
            continue
        result[key] = _unpack_value(key, value, stored.get(key + SCALE_SUFFIX))
    return result


def _unpack_value(key: str, value: Tensor, scale: Tensor | None) -> Tensor:
    """Unpack one tensor; int8 needs its scale."""
    if value.dtype is not torch.int8:
        return value.float()
    if scale is None or scale.shape != value.shape[:1]:
        raise WeightsError(f"{key} is int8 and has no scale for each of its {len(value)} rows; fetch it again")
    return value.float() * scale.float().view(-1, *[1] * (value.ndim - 1))


def round_to_storage(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is read back after storing, as float32.

    Args:
        value: a tensor.
        dtype: as of `pack_state`.
    """
    return unpack_state(pack_state({"value": value}, dtype))["value"]


def _is_quantised(value: Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1 and value.numel() >= MIN_INT8_NUMEL


def _as_small(value: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in a type, or in float32 where a finite number would become infinite."""
    small = value.to(torch.float16 if dtype is torch.int8 else dtype)
    return value.float() if bool(small.isinf().any()) and bool(value.isfinite().all()) else small


def _scale(value: Tensor) -> Tensor:
    """(rows, 1, ...) powers of two."""
    largest = value.flatten(1).abs().amax(1).clamp(min=2.0**-100)
    mantissa, exponent = torch.frexp(largest / MAX_INT8)  # mantissa in [0.5, 1)
    exponent = torch.where(mantissa == 0.5, exponent - 1, exponent)
    return torch.ldexp(torch.ones_like(largest), exponent).view(-1, *[1] * (value.ndim - 1))
