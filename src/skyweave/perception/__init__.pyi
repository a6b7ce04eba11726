from .config import LiftConfig, MapConfig, PerceptionConfig
from .dataset import AugmentationConfig, PerceptionDataset, collate
from .evaluation import PerceptionScores, ego_only_dataset, evaluate
from .model import PerceptionModel, PlatformMaps
from .prediction import ScenePrediction, decode_maps, predict
from .results import Detections, InstanceMap, Trajectories
from .tracking import Tracker, TrackerConfig
from .views import View, Views
from .weights import load_perception, save_perception

__all__ = [
    "AugmentationConfig",
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
    "ego_only_dataset",
    "evaluate",
    "load_perception",
    "predict",
    "save_perception",
]
