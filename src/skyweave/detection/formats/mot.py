"""MOT challenge: frame from 1, identity, left, top, width, height, score, class or x, (visibility or y, z) a line."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.detection.formats.box_file import BoxFile, gather_boxes

MIN_COLUMNS = 6
CLASS_NAMES = {  # of MOT16 and later; -1 stands for none
    1: "person", 2: "person", 3: "car", 4: "bicycle", 5: "motorcycle", 6: "vehicle", 7: "person", 8: "distractor",
}  # fmt: skip


def read_mot(path: Path) -> BoxFile:
    """Read boxes of a MOT file; an identity of -1 is none.

    Args:
        path: of the file.

    Raises:
        DataError: a line that is none of that, which it names.
    """
    rows: dict[int, list[Any]] = defaultdict(list)
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        cells = line.replace(";", ",").split(",") if "," in line or ";" in line else line.split()
        if not line.strip() or (number == 1 and not _is_number(cells[0])):
            continue
        rows_of_line = _parse(cells, path, number)
        rows[rows_of_line[0]].append(rows_of_line[1:])
    return BoxFile(path, gather_boxes(rows), {})


def _parse(cells: list[str], path: Path, number: int) -> tuple[int, np.ndarray, float, str, str | None]:
    try:
        values = [float(cell) for cell in cells if cell.strip()]
    except ValueError:
        values = []
    if len(values) < MIN_COLUMNS or not np.isfinite(values).all() or values[0] < 1:
        raise DataError(
            f"{path} line {number}: {','.join(cells)[:60]!r} is no line of a MOT file; it needs frame (from 1), "
            "identity, left, top, width, height, and may have a score and a class"
        )
    frame, identity, left, top, width, height = values[:6]
    score = values[6] if len(values) > 6 and 0 <= values[6] <= 1 else 1.0
    label = int(values[7]) if len(values) > 7 and len(values) < 10 else -1
    box = np.array([left, top, left + max(width, 0), top + max(height, 0)])
    name = CLASS_NAMES.get(label, "object")
    return int(frame) - 1, box, score, name, None if identity < 0 else f"{identity:g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
