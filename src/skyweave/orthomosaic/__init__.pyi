from .flight import Flight, read_flight
from .image_files import find_images
from .intrinsics import Calibration, read_calibration
from .photo import Photo, PoseStd
from .pipeline import OrthomosaicReport, make_orthomosaic
from .poses import Poses, read_poses

__all__ = [
    "Calibration",
    "Flight",
    "OrthomosaicReport",
    "Photo",
    "PoseStd",
    "Poses",
    "find_images",
    "make_orthomosaic",
    "read_calibration",
    "read_flight",
    "read_poses",
]
