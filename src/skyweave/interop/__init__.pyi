from .export import ExportedModel, export_model
from .sensor_module import SensorModule
from .stac_item import build_stac_item

__all__ = [
    "ExportedModel",
    "SensorModule",
    "build_stac_item",
    "export_model",
]
