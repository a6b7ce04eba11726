"""Detections of the library ``supervision``, in and out."""

from typing import Any

import numpy as np

from skyweave.detection.image_detections import ImageDetections

CLASS_NAME = "class_name"  # where supervision keeps the names of classes


def detections_from_supervision(detections: Any, names: dict[int, str] | None = None) -> ImageDetections:
    """Convert ``supervision.Detections``; oriented boxes and masks stay behind, their boxes come.

    Args:
        detections: of one image.
        names: of classes by their number, where the detections carry none.
    """
    count = len(detections)
    scores = np.ones(count) if detections.confidence is None else detections.confidence
    stated = detections.data.get(CLASS_NAME)
    if stated is None:
        labels = [-1] * count if detections.class_id is None else detections.class_id.tolist()
        stated = [(names or {}).get(label, "object" if label < 0 else f"class {label}") for label in labels]
    tracks = detections.tracker_id
    return ImageDetections(
        np.asarray(detections.xyxy, np.float64),
        np.asarray(scores, np.float64),
        tuple(map(str, stated)),
        None if tracks is None else tuple(map(str, tracks.tolist())),
    )


def detections_to_supervision(detections: ImageDetections) -> Any:
    """Convert to ``supervision.Detections``, with the names of classes as its own models give them.

    Args:
        detections: of one image.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    import supervision

    names = sorted(set(detections.categories))
    count = len(detections)
    return supervision.Detections(
        xyxy=detections.boxes.astype(np.float32).reshape(count, 4),
        confidence=detections.scores.astype(np.float32),
        class_id=np.array([names.index(name) for name in detections.categories], int),
        data={CLASS_NAME: np.array(detections.categories, dtype=str)},
    )
