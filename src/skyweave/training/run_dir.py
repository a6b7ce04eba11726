"""The output folder of a training: its configuration, and whether a run can start or go on there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError

LAST_CHECKPOINT = "last.ckpt"
CONFIG_FILE = "config.json"
KEYS_FREE_ON_RESUME = ("workers", "checkpoint_every")
"""Keys of a configuration in which a resumed run may differ from the run it goes on with."""


def prepare_run_dir(output: Path, config: Mapping[str, Any], resume: bool) -> None:
    """Check that a run can start in a folder, or go on there.

    Args:
        output: folder of the run.
        config: of the run, as plain JSON types.
        resume: go on from the folder's last checkpoint.

    Raises:
        FileExistsError: the folder holds a run and ``resume`` is not set.
        FileNotFoundError: nothing to resume.
        ConfigError: a broken checkpoint, or another configuration than that of the run to resume.
    """
    exists = (output / LAST_CHECKPOINT).exists()
    if exists and not resume:
        raise FileExistsError(f"{output} holds a run already; add --resume to go on with it, or choose another folder")
    if resume and not exists:
        raise FileNotFoundError(f"{output} holds no {LAST_CHECKPOINT} to resume; start without --resume")
    if resume:
        _check_readable(output / LAST_CHECKPOINT)
        _check_same_config(output, config)


def write_config(output: Path, config: Mapping[str, Any]) -> None:
    """Make the folder of a run and keep its configuration there.

    Args:
        output: folder of the run.
        config: of the run, as plain JSON types.
    """
    output.mkdir(parents=True, exist_ok=True)
    with write_aside(output / CONFIG_FILE) as aside:
        aside.write_text(json.dumps(config, indent=1))


def _check_same_config(output: Path, config: Mapping[str, Any]) -> None:
    try:
        before = _without_free_keys((output / CONFIG_FILE).read_text())
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{output / CONFIG_FILE} cannot be read ({error}); start a new folder") from error
    now = _without_free_keys(json.dumps(config))
    differing = [key for key in now if now[key] != before.get(key)]
    if differing:
        raise ConfigError(
            f"{output} was started with another configuration: {', '.join(differing)} differ; resume with the same "
            "one, or start a new folder"
        )


def _without_free_keys(text: str) -> dict[str, Any]:
    """Return a configuration without what may change, at its top and one level below."""
    config: dict[str, Any] = json.loads(text)
    for section in [config, *(value for value in config.values() if isinstance(value, dict))]:
        for key in KEYS_FREE_ON_RESUME:
            section.pop(key, None)
    return config


def _check_readable(checkpoint: Path) -> None:
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True)
    except Exception as error:  # torch raises several kinds, by the place where the file breaks off
        raise ConfigError(
            f"{checkpoint} cannot be read ({error}); start a new folder, or put a whole copy back"
        ) from error
