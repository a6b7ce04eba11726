from .backbone import Backbone
from .batch import SensorBatch, batch_by_sensor, stack_observations
from .builder import SIZES, build_backbone
from .checkpoint import ModelCard, fingerprint, list_weights, load_backbone, read_card, read_checkpoint, save_checkpoint
from .config import BackboneConfig
from .encoder import Encoder
from .features import Features
from .loading import load, load_encoder
from .patches import pad_to_patches, patchify
from .pretrained.family import EncoderFamily
from .pretrained.published import load_published

__all__ = [
    "SIZES",
    "Backbone",
    "BackboneConfig",
    "Encoder",
    "EncoderFamily",
    "Features",
    "ModelCard",
    "SensorBatch",
    "batch_by_sensor",
    "build_backbone",
    "fingerprint",
    "list_weights",
    "load",
    "load_backbone",
    "load_encoder",
    "load_published",
    "pad_to_patches",
    "patchify",
    "read_card",
    "read_checkpoint",
    "save_checkpoint",
    "stack_observations",
]
