from .augment import Augmentation, RandomResizedCrop
from .dataset import ImageDataset, SourceIndex, load_dataset
from .dataset_config import DatasetConfig, DatasetSourceConfig, SourceOverrideConfig, load_dataset_config
from .elevation import read_elevation
from .header import RasterHeader, read_header
from .inspection import BandReport, RasterReport, inspect_raster
from .memory_mapped import StoredImage
from .raster import open_image, read_observation
from .raster_image import RasterImage
from .sensor_matching import SensorMatch, match_sensors
from .shards import ShardIndex, write_shards
from .synthetic import procedural_classes, procedural_scene
from .units import check_unit

__all__ = [
    "Augmentation",
    "BandReport",
    "DatasetConfig",
    "DatasetSourceConfig",
    "ImageDataset",
    "RandomResizedCrop",
    "RasterHeader",
    "RasterImage",
    "RasterReport",
    "SensorMatch",
    "ShardIndex",
    "SourceIndex",
    "SourceOverrideConfig",
    "StoredImage",
    "check_unit",
    "inspect_raster",
    "load_dataset",
    "load_dataset_config",
    "match_sensors",
    "open_image",
    "procedural_classes",
    "procedural_scene",
    "read_elevation",
    "read_header",
    "read_observation",
    "write_shards",
]
