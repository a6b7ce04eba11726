"""Labels and predictions as images: classes in colours, values in grey, boxes as outlines."""

import numpy as np

from skyweave.core.images.true_color import NODATA_GREY
from skyweave.downstream.labels.sample import IGNORE_INDEX

CLASS_COLOURS = np.array(
    [
        [68, 119, 170], [34, 136, 51], [204, 187, 68], [238, 102, 119], [170, 51, 119], [102, 204, 238], [221, 170, 51],
        [119, 119, 119], [153, 85, 34], [0, 68, 102], [136, 204, 170], [255, 170, 187], [51, 34, 136], [187, 204, 51],
    ],
    np.uint8,
)  # fmt: skip
"""RGB, distinct for colour-blind readers too (after Tol, personal.sron.nl/~pault)."""
MIN_DRAWN_SCORE = 0.3
FIRST_BOX_COLOUR = 3
"""Boxes begin with a colour that stands out from vegetation and water."""


def colour_classes(label: np.ndarray) -> np.ndarray:
    """Return (rows, columns, 3) uint8 with the colours of the classes; grey where there is no label.

    Args:
        label: (rows, columns) int class indices.
    """
    image: np.ndarray = CLASS_COLOURS[np.maximum(label, 0) % len(CLASS_COLOURS)].copy()
    image[label == IGNORE_INDEX] = NODATA_GREY
    return image


def grey_values(values: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, str]:
    """Return values in grey, and their range in words.

    Args:
        values: (rows, columns), NaN where unknown.
        reference: values whose range is shown from black to white.

    Returns:
        (rows, columns, 3) uint8, and the range.
    """
    known = reference[np.isfinite(reference)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    grey = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9), 0, 1)
    image = np.repeat(np.round(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    image[~np.isfinite(values)] = NODATA_GREY
    return image, f" ({low:.3g} to {high:.3g})"


def draw_boxes(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the image with boxes drawn in the colours of their classes; of scored boxes those above 0.3.

    Args:
        image: (rows, columns, 3) uint8.
        boxes: (boxes, 5) of left, top, right, bottom and class, or (boxes, 6) with a score.
    """
    image = image.copy()
    rows, columns = image.shape[:2]
    for box in boxes:
        if len(box) > 5 and box[5] < MIN_DRAWN_SCORE:
            continue
        left, right = (int(np.clip(round(float(side)), 0, columns - 1)) for side in (box[0], box[2]))
        top, bottom = (int(np.clip(round(float(side)), 0, rows - 1)) for side in (box[1], box[3]))
        colour = CLASS_COLOURS[(int(box[4]) + FIRST_BOX_COLOUR) % len(CLASS_COLOURS)]
        image[[top, bottom], left : right + 1] = colour
        image[top : bottom + 1, [left, right]] = colour
    return image
