"""Labels and answers as pictures: classes in colours, values in grey, boxes as outlines."""

import numpy as np

from skyweave.core.images.true_color import NODATA_GREY, true_color_image
from skyweave.core.observation import Observation
from skyweave.downstream.labels.labelled_data import IGNORE_INDEX, Task

COLOURS = np.array(
    [
        [68, 119, 170], [34, 136, 51], [204, 187, 68], [238, 102, 119], [170, 51, 119], [102, 204, 238], [221, 170, 51],
        [119, 119, 119], [153, 85, 34], [0, 68, 102], [136, 204, 170], [255, 170, 187], [51, 34, 136], [187, 204, 51],
    ],
    np.uint8,
)  # fmt: skip
"""Of the classes, told apart by people who see colours otherwise (after Tol, personal.sron.nl/~pault)."""


def label_image(task: Task, observation: Observation, label: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, str]:
    """A label or an answer as (rows, columns, 3) uint8, and words for the caption.

    Args:
        scale: of regression, the values whose range is shown from black to white.
    """
    if task.kind in ("segmentation", "change"):
        return colour_classes(label), ""
    if task.kind == "regression":
        known = scale[np.isfinite(scale)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        grey = np.clip((np.nan_to_num(label, nan=low) - low) / max(high - low, 1e-9), 0, 1)
        image = np.repeat(np.round(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
        image[~np.isfinite(label)] = NODATA_GREY
        return image, f" ({low:.3g} to {high:.3g})"
    image = true_color_image(observation)
    if task.kind == "detection":
        return draw_boxes(image, label), f" ({len(label)} boxes)"
    if task.kind == "multilabel":
        names = [name for name, own in zip(task.classes, label, strict=True) if own]
        return image, f": {', '.join(names) or 'nothing'}"
    return image, f": {task.classes[int(label)]}"


def colour_classes(label: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) uint8; grey where there is no label."""
    image: np.ndarray = COLOURS[np.maximum(label, 0) % len(COLOURS)].copy()
    image[label == IGNORE_INDEX] = NODATA_GREY
    return image


def draw_boxes(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The picture with boxes (number, 5 or 6) drawn in their class's colour; of scored boxes those above 0.3."""
    image = image.copy()
    rows, columns = image.shape[:2]
    for box in boxes:
        if len(box) > 5 and box[5] < 0.3:
            continue
        left, right = (int(np.clip(round(float(own)), 0, columns - 1)) for own in (box[0], box[2]))
        top, bottom = (int(np.clip(round(float(own)), 0, rows - 1)) for own in (box[1], box[3]))
        colour = COLOURS[(int(box[4]) + 3) % len(COLOURS)]
        image[[top, bottom], left : right + 1] = colour
        image[top : bottom + 1, [left, right]] = colour
    return image
