"""Detectors of the usual families as ONNX files, run by ONNX Runtime on the processor."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import WeightsError
from skyweave.detection.class_names import check_classes, class_names
from skyweave.detection.families.base import DecodedOutputs
from skyweave.detection.families.registry import DETECTOR_FAMILIES, family_of
from skyweave.detection.image_detections import ImageDetections, join_detections
from skyweave.detection.input_image import prepare_input
from skyweave.detection.slices import slices_of
from skyweave.detection.suppression import suppress_overlaps

DEFAULT_INPUT = 640  # pixels a side, of a model that takes any
MAX_CANDIDATES = 3000  # of an image, by score
ERRORS_ONLY = 3  # of ONNX Runtime's severities
DEFAULT_MIN_SCORE = 0.25  # of the boxes of a model


@dataclass(frozen=True)
class DetectorConfig:
    """Options of a detector.

    Attributes:
        family: of the model; None: by its outputs.
        min_score: lowest score of a box; None: `DEFAULT_MIN_SCORE` of a model, any of a file of boxes.
        max_overlap: intersection over union of two boxes of one class up to which both stay.
        slice: side in pixels of the windows into which images are cut, so that small objects are large enough; None:
            images are taken as a whole.
        slice_overlap: share of a window that the next one repeats.
        classes: names of those that are kept; None: all.
        names: file with the names of the classes, one a line.
        threads: of the processor; 0: all.
    """

    family: str | None = None
    min_score: float | None = None
    max_overlap: float = 0.5
    slice: int | None = None
    slice_overlap: float = 0.2
    classes: tuple[str, ...] | None = None
    names: Path | None = None
    threads: int = 0


class OnnxDetector:
    """A detector in an ONNX file.

    Args:
        path: of the file.
        config: options.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: it is no ONNX model, or takes no image.
        DataError: its outputs are those of no known family.
        MissingExtraError: ONNX Runtime is not installed.
    """

    needs_images = True

    def __init__(self, path: Path, config: DetectorConfig | None = None) -> None:
        self.path, self.config = path, config or DetectorConfig()
        self._session = _open_session(path, self.config.threads)
        self._input = self._session.get_inputs()[0]
        self.size = _input_size(self._input.shape, path)
        self._outputs = {output.name: _shape_of(output.shape) for output in self._session.get_outputs()}
        name = self.config.family or family_of(self._outputs, self.size, str(path))
        self.family_name, self.family = name, DETECTOR_FAMILIES[name]
        self._names: tuple[str, ...] | None = None

    def detect(self, image: np.ndarray | None, frame: int, name: str = "") -> ImageDetections:
        """Return the boxes of one image, the whole and each slice of it seen.

        Args:
            image: (rows, columns, 3) uint8, RGB.
            frame: number of the image; not used.
            name: of its file; not used.
        """
        assert image is not None
        config = self.config
        windows = [(0, 0, *image.shape[:2])]
        if config.slice is not None:
            windows += slices_of(image.shape[0], image.shape[1], config.slice, config.slice_overlap)
        parts = [self._detect_window(image, *window) for window in windows]
        joined = join_detections(parts)
        if len(windows) > 1:
            joined = joined.select(suppress_overlaps(joined, config.max_overlap, by_smaller=True))
        return joined

    def check_images(self, images: Sequence[tuple[int, float, str]], size: tuple[int, int] | None) -> list[str]:
        """Return nothing to note: a model looks at any images.

        Args:
            images: number, seconds and name of each.
            size: rows and columns of all.
        """
        return []

    def _detect_window(self, image: np.ndarray, top: int, left: int, rows: int, columns: int) -> ImageDetections:
        window = image[top : top + rows, left : left + columns]
        pixels, placement = prepare_input(window, *self.size, self.family.input)
        outputs = self._session.run(list(self._outputs), {self._input.name: pixels})
        decoded = self.family.decode(dict(zip(self._outputs, outputs, strict=True)), self.size)
        chosen = self._chosen(decoded)
        boxes = np.clip(placement.to_image(chosen.boxes), 0, [columns, rows, columns, rows])
        inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
        corner = np.array([left, top, left, top], np.float64)
        placed = ImageDetections(boxes + corner, chosen.scores, chosen.categories).select(inside)
        if not decoded.overlapping:
            return placed
        return placed.select(suppress_overlaps(placed, self.config.max_overlap))

    def _chosen(self, decoded: DecodedOutputs) -> ImageDetections:
        """Return the candidates with a score that is high enough, in input pixels."""
        if self._names is None:
            self._names = self._class_names(decoded.scores.shape[1])
        labels = decoded.scores.argmax(1)
        scores = decoded.scores[np.arange(len(labels)), labels]
        sound = np.isfinite(decoded.boxes).all(1) & (decoded.boxes[:, 2:] >= decoded.boxes[:, :2]).all(1)
        lowest = DEFAULT_MIN_SCORE if self.config.min_score is None else self.config.min_score
        rows = np.flatnonzero(sound & (scores >= lowest))
        if self.config.classes is not None:
            rows = rows[[self._names[labels[row]] in self.config.classes for row in rows]] if len(rows) else rows
        rows = rows[np.argsort(-scores[rows], kind="stable")][:MAX_CANDIDATES]
        names = tuple(self._names[labels[row]] for row in rows)
        return ImageDetections(decoded.boxes[rows], np.clip(scores[rows], 0, 1), names)

    def _class_names(self, count: int) -> tuple[str, ...]:
        metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        names = class_names(count, metadata.get("names"), self.config.names)
        check_classes(self.config.classes or (), names, self.path)
        return names


def _open_session(path: Path, threads: int):  # type: ignore[no-untyped-def]  # ONNX Runtime carries no types
    import onnxruntime

    if not path.is_file():
        raise FileNotFoundError(f"there is no model {path}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or threads would wait on a busy core
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own, with no common base
        raise WeightsError(f"{path} is no ONNX model that can be run: {str(error).splitlines()[0]}") from None


def _shape_of(shape: list[int | str | None]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _input_size(shape: list[int | str | None], path: Path) -> tuple[int, int]:
    """Return (rows, columns) of the input."""
    sizes = _shape_of(shape)
    if len(sizes) != 4 or sizes[1] not in (3, None):
        raise WeightsError(f"{path} takes {shape}; a detector takes one image (1, 3, rows, columns)")
    return sizes[2] or DEFAULT_INPUT, sizes[3] or DEFAULT_INPUT
