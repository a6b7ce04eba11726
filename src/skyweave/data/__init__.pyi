from .augment import Augmentation, RandomResizedCrop
from .dataset import ImageDataset, SourceIndex, load_dataset
from .dataset_config import DatasetConfig, DatasetSourceConfig, SourceOverrideConfig, load_dataset_config
from .elevation import read_elevation
from .header import RasterHeader, read_header
from .memory_mapped import StoredImage
from .raster import read_observation
from .shards import ShardIndex, write_shards
from .synthetic import procedural_classes, procedural_scene
from .units import check_unit

__all__ = [
    "Augmentation",
    "DatasetConfig",
    "DatasetSourceConfig",
    "ImageDataset",
    "RandomResizedCrop",
    "RasterHeader",
    "ShardIndex",
    "SourceIndex",
    "SourceOverrideConfig",
    "StoredImage",
    "check_unit",
    "load_dataset",
    "load_dataset_config",
    "procedural_classes",
    "procedural_scene",
    "read_elevation",
    "read_header",
    "read_observation",
    "write_shards",
]
