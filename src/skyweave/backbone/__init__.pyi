from .backbone import Backbone
from .builder import SIZES, build_backbone
from .checkpoint import Card, fingerprint, load, read_checkpoint, save_checkpoint, shipped
from .config import BackboneConfig
from .features import Features

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
