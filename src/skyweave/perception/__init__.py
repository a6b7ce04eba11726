"""Three tasks from one map: detection, instances and trajectories, for one platform or for several."""

from skyweave.perception.config import LiftConfig, MapConfig, ModelConfig
from skyweave.perception.evaluate import Scores, alone, evaluate
from skyweave.perception.model import PerceptionModel, PlatformMaps
from skyweave.perception.predict import Scene, predict, read_maps
from skyweave.perception.results import Detections, InstanceMap, Trajectories
from skyweave.perception.samples import Augmentation, Samples, collate
from skyweave.perception.track import Tracker, TrackerConfig
from skyweave.perception.views import View, Views
from skyweave.perception.weights import load_perception, save_perception

__all__ = [
    "Augmentation",
    "Detections",
    "InstanceMap",
    "LiftConfig",
    "MapConfig",
    "ModelConfig",
    "PerceptionModel",
    "PlatformMaps",
    "Samples",
    "Scene",
    "Scores",
    "Tracker",
    "TrackerConfig",
    "Trajectories",
    "View",
    "Views",
    "alone",
    "collate",
    "evaluate",
    "load_perception",
    "predict",
    "read_maps",
    "save_perception",
]
