from .atomic_write import write_aside
from .config import TaggedConfig, apply_override, config_from_dict, load_config_file
from .errors import (
    ConfigError,
    DataError,
    FleetError,
    MissingExtraError,
    SkyweaveError,
    TrainingError,
    UnknownNameError,
    WeightsError,
    WireError,
)
from .malloc import keep_freed_memory
from .observation import GeoTransform, Observation
from .registry import Registry

__all__ = [
    "ConfigError",
    "DataError",
    "FleetError",
    "GeoTransform",
    "MissingExtraError",
    "Observation",
    "Registry",
    "SkyweaveError",
    "TaggedConfig",
    "TrainingError",
    "UnknownNameError",
    "WeightsError",
    "WireError",
    "apply_override",
    "config_from_dict",
    "keep_freed_memory",
    "load_config_file",
    "write_aside",
]
