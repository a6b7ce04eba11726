"""The shared backbone: tokenizers, positions, encoder, checkpoints."""

from skyweave.backbone.backbone import Backbone
from skyweave.backbone.builder import SIZES, build_backbone
from skyweave.backbone.checkpoint import Card, fingerprint, load, read_checkpoint, save_checkpoint, shipped
from skyweave.backbone.config import BackboneConfig
from skyweave.backbone.features import Features

__all__ = [
    "SIZES",
    "Backbone",
    "BackboneConfig",
    "Card",
    "Features",
    "build_backbone",
    "fingerprint",
    "load",
    "read_checkpoint",
    "save_checkpoint",
    "shipped",
]
