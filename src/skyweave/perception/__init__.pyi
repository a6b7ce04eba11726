from .config import LiftConfig, MapConfig, PerceptionConfig
from .evaluation import PerceptionScores, evaluate, evaluate_ego_only
from .model import PerceptionModel, PlatformMaps
from .prediction import ScenePrediction, decode_maps, predict
from .results import Detections, InstanceMap, Trajectories
from .samples import Augmentation, PerceptionDataset, collate
from .tracking import Tracker, TrackerConfig
from .views import View, Views
from .weights import load_perception, save_perception

__all__ = [
    "Augmentation",
    "Detections",
    "InstanceMap",
    "LiftConfig",
    "MapConfig",
    "PerceptionConfig",
    "PerceptionDataset",
    "PerceptionModel",
    "PerceptionScores",
    "PlatformMaps",
    "ScenePrediction",
    "Tracker",
    "TrackerConfig",
    "Trajectories",
    "View",
    "Views",
    "collate",
    "decode_maps",
    "evaluate",
    "evaluate_ego_only",
    "load_perception",
    "predict",
    "save_perception",
]
