from .config import FLIP_AXES, InferenceConfig
from .engine import compute_raster
from .job import InferenceJob, WindowModel, WindowSource, plan_windows
from .objects import ObjectJob, compute_objects
from .quantisation import Int8Quantisation
from .raster import FinishedRaster, Provenance, RasterDescription, RasterKind, RasterStatistics, Runtime
from .source import SceneSource, open_scene
from .writer import RasterWriter
from .writers import WRITERS, get_writer, write_raster

__all__ = [
    "FLIP_AXES",
    "WRITERS",
    "FinishedRaster",
    "InferenceConfig",
    "InferenceJob",
    "Int8Quantisation",
    "ObjectJob",
    "Provenance",
    "RasterDescription",
    "RasterKind",
    "RasterStatistics",
    "RasterWriter",
    "Runtime",
    "SceneSource",
    "WindowModel",
    "WindowSource",
    "compute_objects",
    "compute_raster",
    "get_writer",
    "open_scene",
    "plan_windows",
    "write_raster",
]
