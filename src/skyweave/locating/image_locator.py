"""A detector and the errors of its camera in one: images in, places on the map out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.ground import Ground
from skyweave.detection.detector import Detector
from skyweave.detection.formats.box_file import read_boxes
from skyweave.detection.image_detections import ImageDetections
from skyweave.detection.onnx_detector import DetectorConfig, OnnxDetector
from skyweave.locating.ground_points import CameraState
from skyweave.locating.located import BoxErrorConfig, LocatedDetections, locate_detections
from skyweave.locating.pose_error_model import PoseErrorConfig


class ImageLocator:
    """Locates what a detector sees in the images of cameras with the same errors.

    Args:
        detector: of boxes in images; None: boxes come from elsewhere.
        errors: of the cameras' poses and the ground.
        categories: names of the classes that count.
        names: names that are given to classes of the detector.
        min_score: lowest score of a box.
    """

    def __init__(
        self,
        detector: Detector | None,
        errors: PoseErrorConfig,
        categories: Sequence[str],
        names: Mapping[str, str],
        min_score: float = 0.0,
    ) -> None:
        self.detector, self.errors, self.categories, self.names = detector, errors, categories, names
        self.min_score = min_score
        self._factor = np.sqrt(errors.camera_covariance())

    @classmethod
    def from_model(
        cls,
        path: Path,
        errors: PoseErrorConfig,
        categories: Sequence[str],
        names: Mapping[str, str],
        min_score: float,
        slice_pixels: int | None,
        threads: int,
    ) -> "ImageLocator":
        """Open the detector in an ONNX file.

        Args:
            path: of the model.
            errors: of the cameras' poses and the ground.
            categories: names of the classes that count.
            names: names that are given to classes of the detector.
            min_score: lowest score of a box.
            slice_pixels: side of the windows into which images are cut; None: images are taken as a whole.
            threads: of the processor.
        """
        config = DetectorConfig(min_score=min_score, slice=slice_pixels, threads=threads)
        return cls(OnnxDetector(path, config), errors, categories, names)

    def locate(
        self, image: np.ndarray | None, state: CameraState, ground: Ground, time: float, platform: int, frame: int
    ) -> LocatedDetections:
        """Return what is in an image, on the map.

        Args:
            image: (rows, columns, 3) uint8, RGB; None for a detector that needs none.
            state: of the camera.
            ground: in the frame of the camera's pose.
            time: seconds.
            platform: number of the camera.
            frame: number of the image.

        Raises:
            ConfigError: there is no detector.
        """
        if self.detector is None:
            raise ConfigError("there is no detector; name one, or take boxes from a source that gives them")
        boxes = self.detector.detect(image, frame, state.geometry.name)
        return self.place(boxes.boxes, boxes.scores, boxes.categories, state, ground, time, platform, frame)

    def place(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        categories: tuple[str, ...],
        state: CameraState,
        ground: Ground,
        time: float,
        platform: int,
        frame: int,
    ) -> LocatedDetections:
        """Return where boxes of an image are on the map.

        Args:
            boxes: (n, 4) left, top, right, bottom in pixels, of any detector.
            scores: (n,) 0 to 1.
            categories: n class names.
            state: of the camera.
            ground: in the frame of the camera's pose.
            time: seconds.
            platform: number of the camera.
            frame: number of the image.
        """
        names = tuple(self.names.get(name, name) for name in categories)
        known = np.array([name in self.categories for name in names], bool) & (scores >= self.min_score)
        chosen = ImageDetections(boxes, scores, names).select(known)
        return locate_detections(
            chosen, state, ground, self._factor, self.errors, BoxErrorConfig(), time, platform, frame
        )


def open_detector(path: Path, config: DetectorConfig, boxes_format: str | None = None) -> Detector:
    """Open an ONNX model, or a file of boxes.

    Args:
        path: of it.
        config: options of a model.
        boxes_format: of a file of boxes; None: by its suffix.

    Raises:
        ConfigError: an option of models for a file of boxes.
        UnknownNameError: a class that no box is of.
    """
    if path.suffix.lower() == ".onnx" and boxes_format is None:
        return OnnxDetector(path, config)
    for option, value in (("family", config.family), ("slice", config.slice), ("names", config.names)):
        if value is not None:
            raise ConfigError(f"--{option} is for a model, and {path} is a file of boxes; remove it")
    return read_boxes(path, boxes_format).select(config.classes, config.min_score)
