from .flight import Flight, read_flight
from .photo import Photo, PoseStd
from .pipeline import OrthomosaicReport, make_orthomosaic
from .poses import Poses, read_poses

__all__ = [
    "Flight",
    "OrthomosaicReport",
    "Photo",
    "PoseStd",
    "Poses",
    "make_orthomosaic",
    "read_flight",
    "read_poses",
]
