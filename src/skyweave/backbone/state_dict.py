"""Tensors by name: from files to modules, strictly; nothing in a file is executed."""

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from skyweave.core.errors import WeightsError

MAX_NAMED_KEYS = 5
MAX_NAMED_PROBLEMS = 6


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Args:
        path: of the file.

    Raises:
        WeightsError: it is no safetensors file, or damaged, or holds complex numbers.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}); fetch or train it again") from error
    if unreal := [name for name, value in tensors.items() if value.is_complex()]:
        raise WeightsError(f"{path}: {unreal[0]} holds complex numbers, and weights are real; fetch or train it again")
    return tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file that torch saved, without running what else is in it.

    Args:
        path: of a state dict, or of a mapping that has one under ``model`` or ``state_dict``.

    Raises:
        WeightsError: anything else than tensors, or a damaged file.
    """
    _check_archive(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # training scripts store their options beside
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: not a weights file that can be read safely ({reason}); expected a state dict of tensors"
        ) from error
    content = _unwrap(content)
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path}: holds {type(content).__name__}, expected a state dict of tensors")
    _check_entries(content, path)
    return dict(content)


def _check_entries(content: Mapping[Any, Any], path: Path) -> None:
    """Check that all entries are tensors by name."""
    others = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if others:
        raise WeightsError(f"{path}: expected a state dict of tensors; these entries are none: {', '.join(others[:8])}")
    if expanded := [key for key, value in content.items() if not _is_stored(value)]:
        raise WeightsError(
            f"{path}: {expanded[0]} is no plain tensor whose numbers are all in the file; save what "
            "`module.state_dict()` returns"
        )


def _is_stored(value: Tensor) -> bool:
    """Say whether a tensor's numbers are all in its file: a view of one number can have any shape, at no cost there."""
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _check_archive(path: Path) -> None:
    """Refuse an archive that holds more than it takes: torch writes without compression, and would expand any."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        held = sum(member.file_size for member in archive.infolist())
    if held > path.stat().st_size:
        raise WeightsError(
            f"{path}: an archive of {held} bytes that is compressed; torch.save writes none: save it anew"
        )


def _unwrap(content: object) -> object:
    """Return the state dict inside of what a training script saved."""
    for wrapper in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return content


def load_strictly(module: torch.nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict and refuse any difference.

    Args:
        module: into which.
        state: tensors by the module's names.
        source: of the tensors, for messages.

    Raises:
        WeightsError: keys are missing or unexpected, shapes differ, or numbers are not finite; the message names them.
    """
    expected = module.state_dict()
    problems = _find_problems(expected, state)
    if problems:
        raise WeightsError(
            f"{source} does not fit {type(module).__name__}: " + "; ".join(problems[:MAX_NAMED_PROBLEMS])
        )
    check_finite(state, source)
    module.load_state_dict(dict(state))


def _find_problems(expected: dict[str, Any], state: Mapping[str, Tensor]) -> list[str]:
    """Find what does not fit the module."""
    problems = []
    if missing := sorted(expected.keys() - state.keys()):
        problems.append(f"missing keys: {_shorten(missing)}")
    if unexpected := sorted(state.keys() - expected.keys()):
        problems.append(f"unexpected keys: {_shorten(unexpected)}")
    for key in sorted(expected.keys() & state.keys()):
        if expected[key].shape != state[key].shape:
            problems.append(f"{key} has shape {tuple(state[key].shape)}, the model needs {tuple(expected[key].shape)}")
    return problems


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights that are not finite: every output of theirs would be NaN.

    Args:
        state: tensors by name.
        source: of the tensors, for messages.

    Raises:
        WeightsError: the message names the tensors.
    """
    broken = sorted(key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all())
    if broken:
        raise WeightsError(
            f"{source} holds NaN or infinity in {_shorten(broken)}; use weights of before, such as of an earlier "
            "checkpoint, or train again"
        )


def _shorten(keys: list[str]) -> str:
    shown = ", ".join(keys[:MAX_NAMED_KEYS])
    return shown if len(keys) <= MAX_NAMED_KEYS else f"{shown} and {len(keys) - MAX_NAMED_KEYS} more"
