from .export import ExportedModel, export_model
from .sensor_module import SensorModule
from .stac_item import build_stac_item
from .terratorch import register_terratorch_backbone
from .timm_model import register_timm_encoder
from .torchgeo import from_sample, label_of, to_batch, to_sample

__all__ = [
    "ExportedModel",
    "SensorModule",
    "build_stac_item",
    "export_model",
    "from_sample",
    "label_of",
    "register_terratorch_backbone",
    "register_timm_encoder",
    "to_batch",
    "to_sample",
]
