from .augmentation import AugmentationConfig
from .batch import PerceptionBatch, PerceptionSample, collate
from .config import LiftConfig, MapConfig, PerceptionConfig, RasterConfig
from .dataset import PerceptionDataset
from .evaluation import PerceptionScores, ego_only_dataset, evaluate
from .export import write_geojson, write_geoparquet, write_geotiff
from .heads import HEADS
from .heads.base import EvaluatedSample, HeadEvaluator, HeadScores, MapContext, PerceptionHead, PerceptionHeadConfig
from .model import PerceptionModel, PlatformMaps
from .prediction import decode_maps, predict
from .results import CoverMap, Detections, InstanceMap, Result, ScenePrediction, Trajectories, VectorFeature
from .results.vector import GeometryType
from .targets import rasterise
from .tracking import Tracker, TrackerConfig
from .train import load_scenes
from .views import RasterView, View, Views
from .weights import load_perception, save_perception

__all__ = [
    "HEADS",
    "AugmentationConfig",
    "CoverMap",
    "Detections",
    "EvaluatedSample",
    "GeometryType",
    "HeadEvaluator",
    "HeadScores",
    "InstanceMap",
    "LiftConfig",
    "MapConfig",
    "MapContext",
    "PerceptionBatch",
    "PerceptionConfig",
    "PerceptionDataset",
    "PerceptionHead",
    "PerceptionHeadConfig",
    "PerceptionModel",
    "PerceptionSample",
    "PerceptionScores",
    "PlatformMaps",
    "RasterConfig",
    "RasterView",
    "Result",
    "ScenePrediction",
    "Tracker",
    "TrackerConfig",
    "Trajectories",
    "VectorFeature",
    "View",
    "Views",
    "collate",
    "decode_maps",
    "ego_only_dataset",
    "evaluate",
    "load_perception",
    "load_scenes",
    "predict",
    "rasterise",
    "save_perception",
    "write_geojson",
    "write_geoparquet",
    "write_geotiff",
]
