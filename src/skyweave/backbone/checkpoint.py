"""Weights on disk: a safetensors file with a JSON card beside it; nothing is ever unpickled."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.builder import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.backbone.device import resolve_device
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.state_dict import check_finite, load_strictly, read_safetensors
from skyweave.backbone.storage import pack_state, round_to_storage, unpack_state
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import sensor_from_dict, sensor_to_dict

CARD_FORMAT = 1
EXTRA_PARTS = ("decoder.", "perception.", "collaboration.", "adaptation.")
"""Parts of a checkpoint that a backbone does not need; anything else unexpected is an error."""


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says of itself.

    Attributes:
        name: what people call it.
        architecture: the fields of ``BackboneConfig``.
        sensors: sensors it was trained on, with the normalisation that it applies.
        training: data, steps, recipe; free form.
        metrics: figures with their meaning; free form.
        licence: of the weights.
        fingerprint: hash of architecture, normalisation and weights.
        parts: configuration of further parts, such as the pretraining decoder.
    """

    name: str
    architecture: dict[str, Any]
    sensors: list[dict[str, Any]]
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    fingerprint: str = ""
    parts: dict[str, Any] = field(default_factory=dict)
    format: int = CARD_FORMAT


def load_backbone(name_or_path: str | Path, device: str | torch.device = "cpu") -> Backbone:
    """Load a backbone in evaluation mode.

    Args:
        name_or_path: the name of shipped weights (``tiny``) or a ``.safetensors`` file with its card beside it.
        device: where it is to run.

    Raises:
        FileNotFoundError: no such name or file; the message lists the shipped names.
        ValueError: not a Skyweave checkpoint, or its keys or shapes do not fit; the message names them.
    """
    state, card = read_checkpoint(name_or_path)
    sensors = [sensor_from_dict(entry) for entry in card.sensors]
    backbone = build_backbone(BackboneConfig(**card.architecture), sensors, seed=0)
    used = {key: value for key, value in state.items() if not key.startswith(EXTRA_PARTS)}
    load_strictly(backbone, used, str(name_or_path))
    check_fingerprint(fingerprint(backbone), card.fingerprint, str(name_or_path))
    return backbone.eval().to(resolve_device(device))


def save_checkpoint(
    path: Path,
    backbone: Backbone,
    name: str,
    extra: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    **card_fields: Any,
) -> ModelCard:
    """Write weights (``.safetensors``) and their card (``.json``), each aside and then renamed.

    Args:
        path: of the weights; the card has the same name.
        backbone: what is saved.
        name: in the card.
        extra: further tensors, whose names start with one of ``EXTRA_PARTS``.
        dtype: storage type of the weights, see `skyweave.backbone.storage`; they are read back as float32.
        card_fields: ``training``, ``metrics``, ``licence``, ``parts`` of the card.

    Raises:
        WeightsError: weights that are not finite; nothing is written.
    """
    state = {**backbone.state_dict(), **(extra or {})}
    check_finite(state, name)
    architecture = backbone.config.to_dict()
    sensors = [sensor_to_dict(sensor) for sensor in backbone.sensors.values()]
    card = ModelCard(name, architecture, sensors, fingerprint=fingerprint(backbone, dtype), **card_fields)
    with write_aside(path) as aside:
        aside.write_bytes(save(pack_state(state, dtype)))
    with write_aside(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(vars(card), indent=1) + "\n")
    return card


def read_checkpoint(name_or_path: str | Path) -> tuple[dict[str, Tensor], ModelCard]:
    """Return the tensors (float32) and the card of a checkpoint.

    Raises as `load_backbone` does.

    Args:
        name_or_path: as of `load_backbone`.
    """
    path, card = _locate(name_or_path), read_card(name_or_path)
    state = unpack_state(read_safetensors(path))
    _check_size(card, state, str(name_or_path))
    return state, card


def read_card(name_or_path: str | Path) -> ModelCard:
    """Return the card of a checkpoint, without reading its weights.

    Args:
        name_or_path: as of `load_backbone`.

    Raises:
        FileNotFoundError: no such weights, or they have no card beside them.
        WeightsError: the card is not that of a Skyweave checkpoint, or of a format that this version does not read.
    """
    path = _locate(name_or_path)
    card_path = path.with_suffix(".json")
    if not card_path.exists():
        raise FileNotFoundError(f"{path} has no card: {card_path} is missing; both files belong together")
    try:
        card = ModelCard(**json.loads(card_path.read_text()))
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"{card_path} is not the card of a Skyweave checkpoint: {error}") from error
    if card.format != CARD_FORMAT:
        raise WeightsError(f"{card_path}: format {card.format} is not supported (this version reads {CARD_FORMAT})")
    return card


def fingerprint(encoder: Encoder, dtype: torch.dtype = torch.float32) -> str:
    """Return sixteen hexadecimal digits that change with the architecture, the normalisation or any weight.

    Args:
        encoder: whose function is identified.
        dtype: storage type of the weights, to which they are rounded first.
    """
    digest = hashlib.sha256(json.dumps(encoder.architecture, sort_keys=True).encode())
    for sensor in encoder.sensors.values():
        digest.update(json.dumps(sensor_to_dict(sensor), sort_keys=True).encode())
    for key, value in sorted(encoder.state_dict().items()):
        digest.update(key.encode())
        digest.update(round_to_storage(value, dtype).numpy().tobytes())
    return digest.hexdigest()[:16]


def check_fingerprint(actual: str, stated: str, source: str) -> None:
    """Refuse weights that are not those of their card.

    Args:
        actual: fingerprint of the weights.
        stated: that of the card; empty: it states none.
        source: of the weights, for the message.

    Raises:
        WeightsError: they differ.
    """
    if stated and actual != stated:
        raise WeightsError(
            f"{source} and its card do not belong together: the weights have the fingerprint {actual}, the card states "
            f"{stated}; copy both files again"
        )


def _check_size(card: ModelCard, state: Mapping[str, Tensor], source: str) -> None:
    """Refuse a card that asks for a larger model than its weights are of, before that is built."""
    largest = max((size for tensor in state.values() for size in tensor.shape), default=0)
    for name, limit in (("depth", len(state)), ("width", largest)):
        value = card.architecture.get(name)
        if isinstance(value, int) and value > limit:
            raise WeightsError(
                f"{source}: its card asks for a {name} of {value}, and the file holds {len(state)} tensors of at most "
                f"{largest} rows; copy both files again"
            )


def list_weights() -> dict[str, Path]:
    """Return names and files of the weights that come with the package."""
    folder = Path(str(resources.files("skyweave"))) / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def _locate(name_or_path: str | Path) -> Path:
    available = list_weights()
    if str(name_or_path) in available:
        return available[str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix == ".safetensors" and path.exists():
        return path
    names = ", ".join(available) or "none"
    raise FileNotFoundError(
        f"no weights {str(name_or_path)!r}: give a shipped name ({names}) or the path of a .safetensors file"
    )
