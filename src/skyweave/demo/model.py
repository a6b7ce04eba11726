"""The backbone together with its pretraining decoder, from one checkpoint."""

from pathlib import Path

from skyweave.backbone import Card, load, read_checkpoint
from skyweave.backbone.checkpoint import load_strictly
from skyweave.pretraining import DecoderConfig, MaskedAutoencoder, ObjectiveConfig


def load_autoencoder(name_or_path: str | Path) -> tuple[MaskedAutoencoder, Card]:
    """A masked autoencoder in evaluation mode, and its card.

    Raises:
        ValueError: the checkpoint holds no decoder (one saved without it serves for features only).
    """
    state, card = read_checkpoint(name_or_path)
    decoder = {key.removeprefix("decoder."): value for key, value in state.items() if key.startswith("decoder.")}
    if not decoder or "decoder" not in card.parts:
        raise ValueError(f"{name_or_path} holds no pretraining decoder, so it cannot reconstruct; choose other weights")
    objective = ObjectiveConfig(**card.parts.get("objective", {}))
    autoencoder = MaskedAutoencoder(load(name_or_path), DecoderConfig(**card.parts["decoder"]), objective)
    load_strictly(autoencoder.decoder, decoder, str(name_or_path))
    return autoencoder.eval(), card
