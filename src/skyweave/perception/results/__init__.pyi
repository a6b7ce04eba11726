from .cover_map import CoverMap
from .detections import Detections
from .instance_map import InstanceMap
from .scene import ScenePrediction
from .trajectory_set import Trajectories
from .vector import Result, VectorFeature

__all__ = ["CoverMap", "Detections", "InstanceMap", "Result", "ScenePrediction", "Trajectories", "VectorFeature"]
