"""The weights of a perception model on disk: one safetensors file with its card beside it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skyweave.backbone import BackboneConfig, ModelCard, build_backbone, read_checkpoint, save_checkpoint
from skyweave.backbone.checkpoint import load_strictly
from skyweave.backbone.storage import round_to_storage
from skyweave.core.config import config_from_dict
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import sensor_from_dict
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.model import PerceptionModel

STATE_PREFIX = "perception."
COLLABORATION_PREFIX = "collaboration."  # of what is built on perception and stored beside it


def save_perception(
    path: Path,
    model: PerceptionModel,
    name: str,
    dtype: torch.dtype = torch.float32,
    more: Mapping[str, Tensor] | None = None,
    more_parts: Mapping[str, Any] | None = None,
    **card_fields: Any,
) -> ModelCard:
    """Write weights and card; ``skyweave.load`` reads the backbone of it, ``load_perception`` all.

    Args:
        more: tensors of a model around this one, named as ``COLLABORATION_PREFIX`` says, which ``load_perception`` leaves aside.
        more_parts: their entries in the card.
        card_fields: ``training``, ``metrics``, ``licence`` of the card.
    """
    extra = {STATE_PREFIX + key: value for key, value in _own_state(model).items()} | dict(more or {})
    parts = {"perception": model.config.to_dict(), "perception_fingerprint": fingerprint(model, dtype)}
    parts |= dict(more_parts or {})
    return save_checkpoint(path, model.backbone, name, extra, dtype, parts=parts, **card_fields)


def load_perception(name_or_path: str | Path, device: str | torch.device = "cpu") -> PerceptionModel:
    """A perception model in evaluation mode, with its card as ``card``.

    Raises:
        FileNotFoundError, ValueError: as `skyweave.load`; or the checkpoint holds a backbone only.
    """
    state, card = read_checkpoint(name_or_path)
    state = {key: value for key, value in state.items() if not key.startswith(COLLABORATION_PREFIX)}
    if "perception" not in card.parts:
        raise WeightsError(f"{name_or_path} holds a backbone and no perception model; train one with `skyweave train`")
    config = config_from_dict(card.parts["perception"], PerceptionConfig)
    sensors = [sensor_from_dict(entry) for entry in card.sensors]
    backbone = build_backbone(BackboneConfig(**card.architecture), sensors, seed=0)
    model = PerceptionModel(config, backbone)
    whole = {key: value for key, value in state.items() if not key.startswith(STATE_PREFIX)}
    whole = {f"backbone.{key}": value for key, value in whole.items()}
    whole |= {key.removeprefix(STATE_PREFIX): value for key, value in state.items() if key.startswith(STATE_PREFIX)}
    kinds = {key: value.dtype for key, value in model.state_dict().items()}
    load_strictly(
        model, {key: value.to(kinds.get(key, value.dtype)) for key, value in whole.items()}, str(name_or_path)
    )
    model.card = card
    return model.eval().to(device)


def fingerprint(model: PerceptionModel, dtype: torch.dtype = torch.float32) -> str:
    """Sixteen hexadecimal digits that change with the configuration or any weight: peers that differ cannot fuse.

    Options at their defaults are left out, so that an option new to the software leaves older weights their name.
    """
    said = _beyond(model.config.to_dict(), PerceptionConfig().to_dict())
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(round_to_storage(value, dtype).numpy().tobytes())
    return digest.hexdigest()[:16]


def _beyond(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration is not as by default."""
    said = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and isinstance(defaults.get(key), Mapping):
            value = _beyond(value, defaults[key])
            if not value:
                continue
        elif key in defaults and value == defaults[key]:
            continue
        said[key] = value
    return said


def _own_state(model: PerceptionModel) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if not key.startswith("backbone.")}
