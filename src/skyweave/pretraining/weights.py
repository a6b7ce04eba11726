"""The weights of a masked autoencoder on disk: the backbone's checkpoint with the decoder beside it."""

from pathlib import Path
from typing import Any

import torch

from skyweave.backbone import ModelCard, load_backbone, read_checkpoint, save_checkpoint
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.errors import WeightsError
from skyweave.pretraining.decoder import DecoderConfig
from skyweave.pretraining.masked_autoencoder import MaskedAutoencoder, ObjectiveConfig


def save_autoencoder(
    path: Path, model: MaskedAutoencoder, name: str, dtype: torch.dtype = torch.float32, **card_fields: Any
) -> ModelCard:
    """Write weights and card; `load_backbone` reads the backbone of them, `load_autoencoder` all.

    Args:
        path: of the weights; the card has the same name.
        model: what is saved.
        name: in the card.
        dtype: storage type of the weights.
        **card_fields: ``training``, ``metrics``, ``licence`` of the card.
    """
    parts = {"decoder": model.decoder.config.to_dict(), "objective": model.objective.to_dict()}
    extra = {f"decoder.{key}": value for key, value in model.decoder.state_dict().items()}
    return save_checkpoint(path, model.backbone, name, extra, dtype, parts=parts, **card_fields)


def load_autoencoder(name_or_path: str | Path) -> tuple[MaskedAutoencoder, ModelCard]:
    """Load a masked autoencoder in evaluation mode, and its card.

    Args:
        name_or_path: as of `load_backbone`.

    Raises:
        ValueError: the checkpoint holds no decoder (one saved without it serves for features only).
    """
    state, card = read_checkpoint(name_or_path)
    decoder = {key.removeprefix("decoder."): value for key, value in state.items() if key.startswith("decoder.")}
    if not decoder or "decoder" not in card.parts:
        raise WeightsError(
            f"{name_or_path} holds no pretraining decoder, so it cannot reconstruct; choose other weights"
        )
    objective = ObjectiveConfig(**card.parts.get("objective", {}))
    autoencoder = MaskedAutoencoder(load_backbone(name_or_path), DecoderConfig(**card.parts["decoder"]), objective)
    load_strictly(autoencoder.decoder, decoder, str(name_or_path))
    return autoencoder.eval(), card
