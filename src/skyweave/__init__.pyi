from .backbone import list_weights, load
from .collaboration.on_recordings import evaluate, perceive
from .core.errors import SkyweaveError
from .core.geometry.grid import MapGrid
from .core.observation import Observation
from .core.sensors import Sensor, get_sensor
from .data.raster import read_observation
from .downstream.finetuning.finetune import finetune
from .downstream.finetuning.prediction import predict
from .embedding import embed_scene
from .fleet.sinks.client import FleetClient
from .mapping import project_to_bev
from .recordings.nuscenes import load_recording

__all__ = [
    "FleetClient",
    "MapGrid",
    "Observation",
    "Sensor",
    "SkyweaveError",
    "embed_scene",
    "evaluate",
    "finetune",
    "get_sensor",
    "list_weights",
    "load",
    "load_recording",
    "perceive",
    "predict",
    "project_to_bev",
    "read_observation",
]
__version__: str
