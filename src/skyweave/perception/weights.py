"""The weights of a perception model on disk: one safetensors file with its card beside it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skyweave.backbone import BackboneConfig, ModelCard, build_backbone, read_checkpoint, save_checkpoint
from skyweave.backbone.checkpoint import check_fingerprint
from skyweave.backbone.device import resolve_device
from skyweave.backbone.state_dict import load_strictly
from skyweave.backbone.storage import round_to_storage
from skyweave.core.errors import ConfigError, WeightsError
from skyweave.core.sensors import sensor_from_dict
from skyweave.perception.card import config_from_card, config_to_card
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.domain import TrainingDomain
from skyweave.perception.model import PerceptionModel

STATE_PREFIX = "perception."
DOMAIN_PART = "domain"  # of a card
BACKBONE_PREFIX = "backbone."
COLLABORATION_PREFIX = "collaboration."  # of what is built on perception and stored beside it


def save_perception(
    path: Path,
    model: PerceptionModel,
    name: str,
    dtype: torch.dtype = torch.float32,
    extra_state: Mapping[str, Tensor] | None = None,
    extra_parts: Mapping[str, Any] | None = None,
    **card_fields: Any,
) -> ModelCard:
    """Write weights and card; ``skyweave.load`` reads the backbone of it, ``load_perception`` all.

    Args:
        path: of the safetensors file.
        model: to be written.
        name: of the card.
        dtype: storage type of the weights.
        extra_state: tensors of a model around this one, named with `COLLABORATION_PREFIX`, which ``load_perception``
            leaves aside.
        extra_parts: their entries in the card.
        card_fields: ``training``, ``metrics``, ``licence`` of the card.
    """
    state = {STATE_PREFIX + key: value for key, value in _state_beyond_backbone(model).items()}
    parts = {"perception": config_to_card(model.config), "perception_fingerprint": fingerprint(model, dtype)}
    if model.domain is not None:
        parts[DOMAIN_PART] = model.domain.to_card()
    parts |= dict(extra_parts or {})
    state |= dict(extra_state or {})
    return save_checkpoint(path, model.backbone, name, state, dtype, parts=parts, **card_fields)


def load_perception(name_or_path: str | Path, device: str | torch.device = "cpu") -> PerceptionModel:
    """Return a perception model in evaluation mode, with its card as ``card``.

    Args:
        name_or_path: a shipped name, or a safetensors file with its card beside it.
        device: of the model.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: the checkpoint holds a backbone only, or does not fit its card.
    """
    state, card = read_checkpoint(name_or_path)
    if "perception" not in card.parts:
        raise WeightsError(f"{name_or_path} holds a backbone and no perception model; train one with `skyweave train`")
    config = _stored_config(card, name_or_path)
    sensors = [sensor_from_dict(entry) for entry in card.sensors]
    model = PerceptionModel(config, build_backbone(BackboneConfig(**card.architecture), sensors, seed=0))
    _load_state(model, state, name_or_path)
    check_fingerprint(fingerprint(model), card.parts.get("perception_fingerprint", ""), str(name_or_path))
    model.card = card
    if DOMAIN_PART in card.parts:
        model.domain = TrainingDomain.from_card(card.parts[DOMAIN_PART])
    return model.eval().to(resolve_device(device))


def _stored_config(card: ModelCard, name_or_path: str | Path) -> PerceptionConfig:
    """Read the configuration of a card."""
    try:
        config = config_from_card(card.parts["perception"])
    except ConfigError as error:
        raise WeightsError(f"{name_or_path}: its card describes no perception model: {error}") from error
    return config


def _load_state(model: PerceptionModel, state: dict[str, Tensor], name_or_path: str | Path) -> None:
    """Load the weights of the perception model."""
    dtypes = {key: value.dtype for key, value in model.state_dict().items()}
    named = {_model_key(key): value for key, value in state.items() if not key.startswith(COLLABORATION_PREFIX)}
    load_strictly(
        model, {key: value.to(dtypes.get(key, value.dtype)) for key, value in named.items()}, str(name_or_path)
    )


def fingerprint(model: PerceptionModel, dtype: torch.dtype = torch.float32) -> str:
    """Return 16 hexadecimal digits that change with the configuration or any weight: peers that differ cannot fuse.

    Options at their defaults are left out, so that an option new to the software leaves older weights their name. The
    configuration counts as it is stored in cards (`skyweave.perception.card`).

    Args:
        model: with its weights.
        dtype: storage type in which the weights count.
    """
    changed = _changed_options(config_to_card(model.config), config_to_card(PerceptionConfig()))
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(round_to_storage(value, dtype).numpy().tobytes())
    return digest.hexdigest()[:16]


def _changed_options(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a configuration that differ from the defaults."""
    changed: dict[str, Any] = {}
    for key, value in config.items():
        default = defaults.get(key)
        _add_changed(value, default, changed, key, defaults)
    return changed


def _add_changed(
    value: Any, default: Any | None, changed: dict[str, Any], key: str, defaults: Mapping[str, Any]
) -> None:
    """Add an option that differs from its default."""
    if isinstance(value, Mapping) and isinstance(default, Mapping):
        if nested := _changed_options(value, default):
            changed[key] = nested
    elif key not in defaults or value != default:
        changed[key] = value


def _model_key(key: str) -> str:
    """The key in the model of a stored tensor."""
    return key.removeprefix(STATE_PREFIX) if key.startswith(STATE_PREFIX) else BACKBONE_PREFIX + key


def _state_beyond_backbone(model: PerceptionModel) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if not key.startswith(BACKBONE_PREFIX)}
