"""Adapted models on disk: a checkpoint whose backbone any part of Skyweave loads, with the head beside it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from skyweave.backbone import Backbone, BackboneConfig, ModelCard, build_backbone, read_checkpoint, save_checkpoint
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.atomic_write import write_aside
from skyweave.core.config import config_from_dict
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import sensor_from_dict, sensor_to_dict
from skyweave.downstream.finetuning.config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel, build_model
from skyweave.downstream.labels.labelled_data import Task

CARD_PART = "adaptation"
BACKBONE_PREFIX = "network.backbone."


def save_finetuned(path: Path, model: FinetunedModel, name: str, **card_fields: Any) -> ModelCard:
    """Write ``path`` (``.safetensors``) and its card (``.json``).

    Args:
        card_fields: ``training``, ``metrics``, ``licence`` of the card.

    Raises:
        ValueError: a backbone that is not ours, which the file could not rebuild.
    """
    network = model.network
    rest = {f"{CARD_PART}.{key}": own for key, own in model.state_dict().items() if not key.startswith(BACKBONE_PREFIX)}
    parts = {CARD_PART: _described(model)}
    if isinstance(network, EncoderWithHead):
        if not isinstance(network.backbone, Backbone):
            raise WeightsError(
                f"a {type(network.backbone).__name__} with a head cannot be saved here: only Skyweave's own backbones "
                "are rebuilt from a card; keep its weights and train the head again"
            )
        return save_checkpoint(path, network.backbone, name, rest, parts=parts, **card_fields)
    card = ModelCard(name, {}, [], parts=parts, **card_fields)
    with write_aside(path) as aside:
        aside.write_bytes(save({key: own.cpu().contiguous() for key, own in rest.items()}))
    with write_aside(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(vars(card), indent=1) + "\n")
    return card


def load_finetuned(path: str | Path, device: str | torch.device = "cpu") -> FinetunedModel:
    """A model that `skyweave finetune` wrote, ready to `predict`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no adapted model, or keys or shapes that do not fit.
    """
    state, card = read_checkpoint(path)
    if CARD_PART not in card.parts:
        raise WeightsError(
            f"{path} is no adapted model (its card has no part {CARD_PART!r}); make one with skyweave finetune"
        )
    part = card.parts[CARD_PART]
    task = Task(part["task"]["name"], part["task"]["kind"], tuple(part["task"]["classes"]))
    sensors = [sensor_from_dict(own) for own in part["sensors"]]
    backbone = None
    if card.architecture:
        known = [sensor_from_dict(own) for own in card.sensors]
        backbone = build_backbone(BackboneConfig(**card.architecture), known, seed=0)
    recipe = RecipeConfig(
        MethodConfig("frozen" if backbone is not None else "unet", channels=part["channels"]),
        config_from_dict(part["head"], HeadConfig),
        TrainingConfig(test_time_flips=part["test_time_flips"]),
        part["patch_size"],
    )
    model = build_model(task, backbone, sensors, recipe, seed=0, tile=part["tile"])
    own = {key.removeprefix(f"{CARD_PART}."): value for key, value in state.items() if key.startswith(f"{CARD_PART}.")}
    own |= {BACKBONE_PREFIX + key: value for key, value in state.items() if not key.startswith(f"{CARD_PART}.")}
    load_strictly(model, own, str(path))
    return model.eval().requires_grad_(False).to(device)


def _described(model: FinetunedModel) -> dict[str, Any]:
    """What the card must say for the model to be built again."""
    network = model.network
    headed = isinstance(network, EncoderWithHead)
    return {
        "task": {"name": model.task.name, "kind": model.task.kind, "classes": list(model.task.classes)},
        "sensors": [sensor_to_dict(own) for own in model.sensors],
        "head": asdict(network.config if isinstance(network, EncoderWithHead) else HeadConfig()),
        "patch_size": network.patch_size if isinstance(network, EncoderWithHead) else None,
        "channels": 1 if headed else network.channels,
        "tile": model.tile,
        "test_time_flips": model.test_time_flips,
    }
