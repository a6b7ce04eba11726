"""The weights of a pretraining on disk: the backbone's checkpoint, with the pixel decoder beside it if there is one."""

from pathlib import Path
from typing import Any

import torch

from skyweave.backbone import ModelCard, load_backbone, read_checkpoint, save_checkpoint
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.errors import WeightsError
from skyweave.pretraining.decoder import DecoderConfig, PixelDecoder
from skyweave.pretraining.masked_autoencoder import MaskedAutoencoder
from skyweave.pretraining.objectives.pixels import PixelReconstruction
from skyweave.pretraining.pretrainer import Pretrainer


def save_pretrained(
    path: Path, model: Pretrainer, name: str, dtype: torch.dtype = torch.float32, **card_fields: Any
) -> ModelCard:
    """Write weights and card; `load_backbone` reads the backbone of them, `load_autoencoder` the pixel decoder, too.

    Args:
        path: of the weights; the card has the same name.
        model: what is saved.
        name: in the card.
        dtype: storage type of the weights.
        **card_fields: ``training``, ``metrics``, ``licence`` of the card.
    """
    if "pixels" not in model.objectives:
        return save_checkpoint(path, model.backbone, name, dtype=dtype, **card_fields)
    objective = model.objectives["pixels"]
    assert isinstance(objective, PixelReconstruction)
    parts = {"decoder": objective.decoder.config.to_dict()}
    extra = {f"decoder.{key}": value for key, value in objective.decoder.state_dict().items()}
    return save_checkpoint(path, model.backbone, name, extra, dtype, parts=parts, **card_fields)


def load_autoencoder(name_or_path: str | Path) -> tuple[MaskedAutoencoder, ModelCard]:
    """Load a backbone and its pixel decoder in evaluation mode, and its card.

    Args:
        name_or_path: as of `load_backbone`.

    Raises:
        WeightsError: the checkpoint holds no decoder (one pretrained without the objective ``pixels``, or saved
            without it, serves for features only).
    """
    state, card = read_checkpoint(name_or_path)
    weights = {key.removeprefix("decoder."): value for key, value in state.items() if key.startswith("decoder.")}
    if not weights or "decoder" not in card.parts:
        raise WeightsError(
            f"{name_or_path} holds no pretraining decoder, so it cannot reconstruct; choose other weights"
        )
    backbone = load_backbone(name_or_path)
    numbers = backbone.config
    decoder = PixelDecoder(
        numbers.width,
        numbers.patch_size,
        DecoderConfig(**card.parts["decoder"]),
        numbers.ground_sample_distance,
        numbers.band_kinds,
    )
    load_strictly(decoder, weights, str(name_or_path))
    return MaskedAutoencoder(backbone, decoder).eval(), card
