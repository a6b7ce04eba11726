from .config import LiftConfig, MapConfig, ModelConfig
from .evaluation import Scores, alone, evaluate
from .model import PerceptionModel, PlatformMaps
from .prediction import Scene, predict, read_maps
from .results import Detections, InstanceMap, Trajectories
from .samples import Augmentation, Samples, collate
from .tracking import Tracker, TrackerConfig
from .views import View, Views
from .weights import load_perception, save_perception

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
