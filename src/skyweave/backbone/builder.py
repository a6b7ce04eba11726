"""Every size in one place."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.band_encoder import added_kinds
from skyweave.backbone.config import CONDITIONING, BackboneConfig
from skyweave.backbone.positions import Positions
from skyweave.backbone.tokenizers import Conditioning, PerSensorTokenizer, SpectralTokenizer, Tokenizer
from skyweave.backbone.transformer import TransformerEncoder, initialise_weights
from skyweave.core.errors import ConfigError
from skyweave.core.sensors.sensor import Sensor

SIZES = {
    "tiny": BackboneConfig(width=192, depth=12, heads=3, patch_size=8),
    "small": BackboneConfig(width=384, depth=12, heads=6, patch_size=16),
    "base": BackboneConfig(width=768, depth=12, heads=12, patch_size=16),
    "large": BackboneConfig(width=1024, depth=24, heads=16, patch_size=16),
}


def build_backbone(
    size: str | BackboneConfig, sensors: Sequence[Sensor] = (), seed: int | None = None, **changes: Any
) -> Backbone:
    """Build a backbone with random weights.

    Args:
        size: a name in ``SIZES``, or a whole configuration.
        sensors: sensors whose normalisation the model keeps; the ``per_sensor`` tokenizer embeds exactly these.
        seed: makes the weights reproducible without touching the global random state.
        changes: fields of the configuration to change, such as ``tokenizer="per_sensor"``.
        **changes: fields of the configuration to change, such as ``tokenizer="per_sensor"``.

    Raises:
        ValueError: unknown size.
    """
    if isinstance(size, str):
        if size not in SIZES:
            raise ConfigError(f"no backbone size {size!r}; choose one of: {', '.join(SIZES)}")
        size = SIZES[size]
    config = replace(size, **changes)
    config = replace(config, band_kinds=(*config.band_kinds, *added_kinds(sensors, config.band_kinds)))
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        backbone = Backbone(
            _tokenizer(config, sensors),
            Positions(config.width, config.ground_sample_distance),
            TransformerEncoder(config.width, config.depth, config.heads),
            config,
            sensors,
        )
        initialise_weights(backbone)
        if isinstance(backbone.patch_embed, SpectralTokenizer):
            backbone.patch_embed.scale_initial_kernel()
        if isinstance(backbone.whitening, nn.Linear):
            nn.init.eye_(backbone.whitening.weight)  # random features have nothing to be whitened by
    return backbone


def _tokenizer(config: BackboneConfig, sensors: Sequence[Sensor]) -> Tokenizer:
    if config.tokenizer == "spectral":
        conditioning = Conditioning(**{name: getattr(config, name) for name in CONDITIONING})
        return SpectralTokenizer(config.width, config.patch_size, config.mixes, config.band_kinds, conditioning)
    if not sensors:
        raise ConfigError("the per_sensor tokenizer needs the list of sensors it shall embed; pass sensors=[...]")
    return PerSensorTokenizer(config.width, config.patch_size, sensors)
