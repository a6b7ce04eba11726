from .attitude import Attitude, rotation_from_attitude
from .metadata import PhotoMetadata, read_metadata

__all__ = ["Attitude", "PhotoMetadata", "read_metadata", "rotation_from_attitude"]
