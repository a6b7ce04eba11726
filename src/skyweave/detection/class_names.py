"""Names of the classes that models number: those of COCO, unless a model or its user says others."""

import ast
import json
from collections.abc import Sequence
from pathlib import Path

from skyweave.core.errors import DataError, UnknownNameError, did_you_mean

COCO_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
COCO_GAPS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers of COCO's annotations that stand for no class


def class_names(count: int, stated: str | None = None, file: Path | None = None) -> tuple[str, ...]:
    """Return the names of the classes of a model.

    Args:
        count: of its classes.
        stated: by the model: a mapping of numbers to names, or a list, as text.
        file: one name a line, by the user.

    Raises:
        DataError: other than ``count`` names in the file.
    """
    if file is not None:
        names = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
        if len(names) != count:
            raise DataError(f"{file} names {len(names)} classes, the model has {count}; write one a line")
        return tuple(names)
    return _stated_names(count, stated) or _coco_names(count)


def check_classes(chosen: Sequence[str], names: Sequence[str], source: Path) -> None:
    """Refuse classes to keep that a detector does not have.

    Args:
        chosen: by the user.
        names: of the detector.
        source: of the detector, for messages.

    Raises:
        UnknownNameError: one is unknown.
    """
    for name in chosen:
        if name not in names:
            hint = did_you_mean(name, names)
            raise UnknownNameError(
                f"{source} has no class {name!r}{hint}; choose among {', '.join(filter(None, names)) or 'none'}"
            )


def _coco_names(count: int) -> tuple[str, ...]:
    if count == len(COCO_NAMES):
        return COCO_NAMES
    if count in (len(COCO_NAMES) + len(COCO_GAPS) - 1, len(COCO_NAMES) + len(COCO_GAPS)):
        names = iter(COCO_NAMES)
        return tuple("" if number in COCO_GAPS else next(names) for number in range(count))
    return tuple(f"class {number}" for number in range(count))


def _stated_names(count: int, stated: str | None) -> tuple[str, ...] | None:
    """Return the names that a model states, if there are enough; text of unknown form states none."""
    if not stated:
        return None
    try:
        names = json.loads(stated)
    except ValueError:
        try:
            names = ast.literal_eval(stated)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    if isinstance(names, dict):
        by_number = {str(number): str(name) for number, name in names.items()}
        names = [by_number.get(str(number), f"class {number}") for number in range(count)]
    return tuple(map(str, names)) if isinstance(names, list | tuple) and len(names) == count else None
