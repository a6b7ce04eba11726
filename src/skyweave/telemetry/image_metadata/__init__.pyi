from .attitude import Attitude, rotation_from_attitude
from .image_files import find_images
from .intrinsics import Calibration, camera_from_metadata, read_calibration
from .metadata import PhotoMetadata, read_metadata

__all__ = [
    "Attitude",
    "Calibration",
    "PhotoMetadata",
    "camera_from_metadata",
    "find_images",
    "read_calibration",
    "read_metadata",
    "rotation_from_attitude",
]
