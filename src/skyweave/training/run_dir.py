"""The output folder of a training: its configuration, and whether a run can start or go on there."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.training.checkpoint_io import PREVIOUS_CHECKPOINT

LAST_CHECKPOINT = "last.ckpt"
WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"
KEYS_FREE_ON_RESUME = ("workers", "checkpoint_every")
"""Keys of a configuration in which a resumed run may differ from the run it goes on with."""


def prepare_run_dir(
    output: Path, config: Mapping[str, Any], resume: bool, progress: Sequence[str] = (LAST_CHECKPOINT,)
) -> None:
    """Check that a run can start in a folder, or go on there.

    What failed before its first checkpoint has left nothing to go on with, and does not keep another from starting.

    Args:
        output: folder of the run.
        config: of the run, as plain JSON types.
        resume: go on from the folder's last checkpoint.
        progress: globs of the files from which a run goes on.

    Raises:
        FileExistsError: the folder holds a run, or weights, and ``resume`` is not set.
        FileNotFoundError: nothing to resume.
        ConfigError: a broken checkpoint, or another configuration than that of the run to resume.
    """
    resumable = any(path for pattern in progress for path in output.glob(pattern))
    if not resume:
        _check_free(output, resumable)
        return
    _check_resumable(resumable, output)
    steps = max((_steps_taken(checkpoint) for checkpoint in output.glob(LAST_CHECKPOINT)), default=0)
    _check_same_config(output, config, steps)


def _check_resumable(resumable: bool, output: Path) -> None:
    """Check that there is a run to resume."""
    if not resumable:
        elsewhere = " in another folder" if (output / WEIGHTS_FILE).exists() else ""
        raise FileNotFoundError(f"{output} holds no run to resume; start without --resume{elsewhere}")


def _check_free(output: Path, resumable: bool) -> None:
    """Refuse a folder with a run, or with weights that a run would replace."""
    if resumable:
        raise FileExistsError(f"{output} holds a run already; add --resume to go on with it, or choose another folder")
    if (output / WEIGHTS_FILE).exists():
        raise FileExistsError(f"{output} holds {WEIGHTS_FILE} already; choose another folder")


def write_config(output: Path, config: Mapping[str, Any]) -> None:
    """Make the folder of a run and keep its configuration there.

    Args:
        output: folder of the run.
        config: of the run, as plain JSON types.
    """
    output.mkdir(parents=True, exist_ok=True)
    with write_aside(output / CONFIG_FILE) as aside:
        aside.write_text(json.dumps(config, indent=1))


def _check_same_config(output: Path, config: Mapping[str, Any], steps: int) -> None:
    try:
        before = _without_free_keys((output / CONFIG_FILE).read_text(), steps)
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{output / CONFIG_FILE} cannot be read ({error}); start a new folder") from error
    now = _without_free_keys(json.dumps(config), steps)
    differing = [key for key in now if now[key] != before.get(key)]
    if differing:
        raise ConfigError(
            f"{output} was started with another configuration: {', '.join(differing)} differ; resume with the same "
            "one, or start a new folder"
        )


def _without_free_keys(text: str, steps: int) -> dict[str, Any]:
    """Return a configuration without what may change, at its top and one level below.

    A trapezoid whose rate has not begun to fall may end sooner or later than was said at first, as nothing that was
    done depends on it.
    """
    config: dict[str, Any] = json.loads(text)
    sections = [config, *(value for value in config.values() if isinstance(value, dict))]
    for section in sections:
        falls = section.get("schedule") == "trapezoid" and steps <= section["steps"] * (1 - section["decay"])
        for key in (*KEYS_FREE_ON_RESUME, *(("steps", "decay") if falls else ())):
            section.pop(key, None)
    return config


def _steps_taken(checkpoint: Path) -> int:
    """Return the optimiser steps that a checkpoint was written after."""
    try:
        return int(torch.load(checkpoint, map_location="meta", weights_only=True)["global_step"])
    except Exception as error:  # torch raises several kinds, by the place where the file breaks off
        previous = checkpoint.with_name(PREVIOUS_CHECKPOINT)
        remedy = f"put the one before back: mv {previous} {checkpoint}" if previous.exists() else "start a new folder"
        raise ConfigError(f"{checkpoint} cannot be read ({error}); {remedy}") from error
