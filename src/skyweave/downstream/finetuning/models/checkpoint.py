"""Fine-tuned models on disk: a checkpoint whose backbone any part of Skyweave loads, with the head beside it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from skyweave.backbone import Backbone, BackboneConfig, ModelCard, build_backbone, read_checkpoint, save_checkpoint
from skyweave.backbone.device import resolve_device
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.atomic_write import write_aside
from skyweave.core.config import config_from_dict
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import sensor_from_dict, sensor_to_dict
from skyweave.downstream.finetuning.config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.tasks.base import make_task

CARD_PART = "adaptation"
BACKBONE_PREFIX = "network.backbone."


def save_finetuned(path: Path, model: FinetunedModel, name: str, **card_fields: Any) -> ModelCard:
    """Write ``path`` (``.safetensors``) and its card (``.json``).

    Args:
        path: ends in ``.safetensors``.
        model: of Skyweave's backbone with a head, or a U-Net.
        name: of the model.
        card_fields: ``training``, ``metrics``, ``licence`` of the card.

    Raises:
        WeightsError: a backbone of others, which the file could not rebuild.
    """
    network = model.network
    state = model.state_dict().items()
    rest = {f"{CARD_PART}.{key}": value for key, value in state if not key.startswith(BACKBONE_PREFIX)}
    parts = {CARD_PART: _description(model)}
    if isinstance(network, EncoderWithHead):
        if not isinstance(network.backbone, Backbone):
            raise WeightsError(
                f"a {type(network.backbone).__name__} with a head cannot be saved here: only Skyweave's own backbones "
                "are rebuilt from a card; keep its weights and train the head again"
            )
        return save_checkpoint(path, network.backbone, name, rest, parts=parts, **card_fields)
    card = ModelCard(name, {}, [], parts=parts, **card_fields)
    with write_aside(path) as aside:
        aside.write_bytes(save({key: value.cpu().contiguous() for key, value in rest.items()}))
    with write_aside(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(vars(card), indent=1) + "\n")
    return card


def load_finetuned(path: str | Path, device: str | torch.device = "cpu") -> FinetunedModel:
    """Return a model that ``skyweave finetune`` wrote, ready to `predict`.

    Args:
        path: of the weights, with their card beside them.
        device: where the model is to run.

    Raises:
        FileNotFoundError: no such file.
        UnknownNameError: a task of a package that is not installed.
        WeightsError: no fine-tuned model, or keys or shapes that do not fit.
    """
    state, card = read_checkpoint(path)
    if CARD_PART not in card.parts:
        raise WeightsError(
            f"{path} is no fine-tuned model (its card has no part {CARD_PART!r}); make one with skyweave finetune"
        )
    part = card.parts[CARD_PART]
    task = make_task(part["task"]["kind"], part["task"]["name"], part["task"]["classes"])
    sensors = [sensor_from_dict(content) for content in part["sensors"]]
    backbone = _build_backbone(card) if card.architecture else None
    recipe = RecipeConfig(
        MethodConfig("frozen" if backbone is not None else "unet", channels=part["channels"]),
        config_from_dict(part["head"], HeadConfig),
        TrainingConfig(test_time_flips=part["test_time_flips"]),
        part["patch_size"],
    )
    model = build_model(task, backbone, sensors, recipe, seed=0, tile=part["tile"])
    model.pixel_sizes = tuple(part.get("pixel_sizes", ()))
    load_strictly(model, _model_state(state), str(path))
    return model.eval().requires_grad_(False).to(resolve_device(device))


def _build_backbone(card: ModelCard) -> Backbone:
    """Return the backbone that the card describes."""
    known = [sensor_from_dict(content) for content in card.sensors]
    return build_backbone(BackboneConfig(**card.architecture), known, seed=0)


def _model_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the checkpoint's weights by their names in the model."""
    prefix = f"{CARD_PART}."
    rest = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    backbone_state = {BACKBONE_PREFIX + key: value for key, value in state.items() if not key.startswith(prefix)}
    return rest | backbone_state


def _description(model: FinetunedModel) -> dict[str, Any]:
    """Return what the card must say for the model to be built again."""
    network = model.network
    headed = isinstance(network, EncoderWithHead)
    return {
        "task": {"name": model.task.name, "kind": model.task.kind, "classes": list(model.task.classes)},
        "sensors": [sensor_to_dict(sensor) for sensor in model.sensors],
        "head": asdict(network.config if isinstance(network, EncoderWithHead) else HeadConfig()),
        "patch_size": network.patch_size if isinstance(network, EncoderWithHead) else None,
        "channels": 1 if headed else network.channels,
        "tile": model.tile,
        "test_time_flips": model.test_time_flips,
        "pixel_sizes": list(model.pixel_sizes),
    }
