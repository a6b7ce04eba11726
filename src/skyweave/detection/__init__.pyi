from .detector import Detector
from .formats.box_file import BoxFile, read_boxes
from .image_detections import ImageDetections
from .onnx_detector import DetectorConfig, OnnxDetector
from .supervision import detections_from_supervision, detections_to_supervision

__all__ = [
    "BoxFile",
    "Detector",
    "DetectorConfig",
    "ImageDetections",
    "OnnxDetector",
    "detections_from_supervision",
    "detections_to_supervision",
    "read_boxes",
]
