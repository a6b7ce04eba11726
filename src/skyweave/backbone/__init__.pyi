from .backbone import Backbone
from .builder import SIZES, build_backbone
from .checkpoint import ModelCard, fingerprint, list_weights, load_backbone, read_card, read_checkpoint, save_checkpoint
from .config import BackboneConfig
from .features import Features
from .loading import load

__all__ = [
    "SIZES",
    "Backbone",
    "BackboneConfig",
    "Features",
    "ModelCard",
    "build_backbone",
    "fingerprint",
    "list_weights",
    "load",
    "load_backbone",
    "read_card",
    "read_checkpoint",
    "save_checkpoint",
]
