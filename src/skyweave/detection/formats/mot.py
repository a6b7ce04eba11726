"""MOT challenge: frame from 1, identity, left, top, width, height, score, class or x, (visibility or y, z) a line.

VisDrone and UAVDT write tables that look alike and whose last columns mean other things.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.detection.formats.box_file import BoxFile, gather_boxes, read_text

MIN_COLUMNS = 6
UNKNOWN = -1  # in place of an identity, a score, a class or a place
CLASS_NAMES = {  # of MOT16 and later
    1: "person", 2: "person", 3: "car", 4: "bicycle", 5: "motorcycle", 6: "vehicle", 7: "person", 8: "distractor",
    9: "occluder", 10: "occluder", 11: "occluder", 12: "reflection", 13: "crowd",
}  # fmt: skip
VISDRONE_COLUMNS = 10
VISDRONE_NAMES = {
    1: "person", 2: "person", 3: "bicycle", 4: "car", 5: "van", 6: "truck", 7: "tricycle", 8: "awning-tricycle",
    9: "bus", 10: "motorcycle", 11: "vehicle",
}  # fmt: skip
Row = tuple[int, np.ndarray, float, str, str | None]


def read_mot(path: Path) -> BoxFile:
    """Read boxes of a MOT file; an identity of -1 is none, and so is a score of -1.

    Args:
        path: of the file.

    Raises:
        DataError: a line that is none of that, which it names.
    """
    return _read(path, _parse_mot, "MOT16")


def read_visdrone(path: Path) -> BoxFile:
    """Read boxes of a VisDrone file, which has the class after the score; regions to ignore are left out.

    Args:
        path: of the file.

    Raises:
        DataError: a line that is none of that, which it names.
    """
    return _read(path, _parse_visdrone, "VisDrone")


def _split(line: str) -> list[str]:
    """Return the cells of a line, whatever parts them; between semicolons a comma is that of a decimal number."""
    if ";" in line:
        return line.replace(",", ".").split(";")
    return line.split(",") if "," in line else line.split()


def _read(path: Path, parse: Callable[[Sequence[float]], Row | str | None], name: str) -> BoxFile:
    rows: dict[int, list[Any]] = defaultdict(list)
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = _split(line)
        if not line.strip() or (number == 1 and not _is_number(cells[0])):
            continue
        row = parse(_numbers(cells, path, number))
        if isinstance(row, str):
            raise DataError(f"{path} line {number}: {row}")
        if row is not None:
            rows[row[0]].append(row[1:])
    classes = sorted({row[2] for boxes in rows.values() for row in boxes} - {"object"})
    note = f"{path}: classes are taken by the numbers of {name} ({', '.join(classes)})"
    return BoxFile(path, gather_boxes(rows), notes=(note,) if classes else ())


def _numbers(cells: list[str], path: Path, number: int) -> list[float]:
    try:
        values = [float(cell) if cell.strip() else UNKNOWN for cell in _without_empty_end(cells)]
    except ValueError:
        values = []
    if len(values) < MIN_COLUMNS or not np.isfinite(values).all() or values[0] < 1:
        raise DataError(
            f"{path} line {number}: {','.join(cells)[:60]!r} is no line of a MOT file; it needs frame (from 1), "
            "identity, left, top, width, height, and may have a score and a class"
        )
    return values


def _without_empty_end(cells: list[str]) -> list[str]:
    """Leave out the empty cells after the last number; others stand for what is not known."""
    filled = [number for number, cell in enumerate(cells, 1) if cell.strip()]
    return cells[: filled[-1] if filled else 0]


def _parse_mot(values: Sequence[float]) -> Row | str | None:
    """Return frame, box, score, class and identity; or what is wrong."""
    score, label, *more = [*values[6:], UNKNOWN, UNKNOWN][: max(len(values) - 6, 2)]
    if score != UNKNOWN and not 0 <= score <= 1:
        return f"score {score:g} is not between 0 and 1; divide the scores, or write -1 where there are none"
    if len(values) >= VISDRONE_COLUMNS and set(more) != {UNKNOWN}:
        return (
            "it has ten columns, and the last are not -1: VisDrone's files are read with --boxes-format visdrone; of "
            "others leave all but the first seven out, such as with `cut -d, -f1-7`"
        )
    if more and not -1 <= more[0] <= 1:
        return (
            f"column 9 is a share that is visible, not {more[0]:g}; leave out what comes after the score, such as with "
            "`cut -d, -f1-7`"
        )
    if label != UNKNOWN and label not in CLASS_NAMES:
        return (
            f"class {label:g} is none of MOT's (1 to {max(CLASS_NAMES)}, or -1); COCO's and JSON lines have classes of "
            "their own"
        )
    name = CLASS_NAMES.get(int(label), "object")
    return int(values[0]) - 1, _box(values), 1.0 if score == UNKNOWN else score, name, _identity(values)


def _parse_visdrone(values: Sequence[float]) -> Row | str | None:
    """Return frame, box, score, class and identity; none for a region to ignore; or what is wrong."""
    if len(values) != VISDRONE_COLUMNS:
        return f"{len(values)} numbers, a line of VisDrone has {VISDRONE_COLUMNS}; name the format of others"
    score, label = values[6], int(values[7])
    if not 0 <= score <= 1 or label not in {0, UNKNOWN, *VISDRONE_NAMES}:
        return f"score {score:g} and class {label}; VisDrone's are 0 to 1 and 0 to 11"
    if label == 0 or score == 0:  # annotations score 0 what does not count
        return None
    return int(values[0]) - 1, _box(values), score, VISDRONE_NAMES.get(label, "object"), _identity(values)


def _box(values: Sequence[float]) -> np.ndarray:
    left, top, width, height = values[2:6]
    return np.array([left, top, left + width, top + height])


def _identity(values: Sequence[float]) -> str | None:
    return None if values[1] < 0 else f"{values[1]:g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
