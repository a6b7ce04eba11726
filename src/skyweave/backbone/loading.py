"""Load whatever weights hold: a backbone, or a model of any family that is built on one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.checkpoint import load_backbone, read_card
from skyweave.backbone.device import resolve_device
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.pretrained.published import is_published, load_published
from skyweave.core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL_FAMILIES: "Registry[Callable[..., Any]]" = Registry(
    "model_families",
    "model family",
    {
        "adaptation": "skyweave.downstream.finetuning.models.checkpoint:load_finetuned",
        "collaboration": "skyweave.collaboration.weights:load_collaboration",
        "perception": "skyweave.perception.weights:load_perception",
    },
)
"""Part of a card to the function ``(name_or_path, device)`` that loads the model; the first that is there counts."""


@overload
def load(name_or_path: Literal["tiny"], device: str | torch.device = "cpu") -> Backbone: ...
@overload
def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> Any: ...
def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Load a model in evaluation mode: what the card beside the weights says that they hold.

    Args:
        name_or_path: the name of shipped weights (see `list_weights`), a ``.safetensors`` file with its card beside it,
            or weights that others published (see docs/backbone.md).
        device: where the model is to run.

    Returns:
        A `skyweave.backbone.Backbone`; or a `skyweave.perception.PerceptionModel`, a
        `skyweave.collaboration.CollaborativeModel` (perception with what it shares) or a
        `skyweave.downstream.finetuning.FinetunedModel`; or an encoder that others published.

    Raises:
        FileNotFoundError: no such name or file; the message lists the shipped names.
        WeightsError: no checkpoint of Skyweave, or its keys or shapes do not fit.
    """
    if is_published(name_or_path):
        return load_encoder(name_or_path, device)
    parts = read_card(name_or_path).parts
    for family in MODEL_FAMILIES:
        if family in parts:
            return MODEL_FAMILIES[family](name_or_path, device)
    return load_backbone(name_or_path, device)


def load_encoder(name_or_path: str | Path, device: str | torch.device = "cpu") -> Encoder:
    """Load an encoder in evaluation mode: a backbone, also the one inside of a larger model, or a published encoder.

    Args:
        name_or_path: the name of shipped weights, a ``.safetensors`` file with its card, or as of `load_published`.
        device: where it is to run.

    Raises:
        FileNotFoundError: no such name or file; the message lists the shipped names.
        WeightsError: not weights that can be read safely, or their keys or shapes do not fit.
    """
    if is_published(name_or_path):
        return load_published(name_or_path).to(resolve_device(device))
    return load_backbone(name_or_path, device)
