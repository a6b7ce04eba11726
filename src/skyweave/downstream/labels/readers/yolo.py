"""Labels as boxes in YOLO's text files: one an image, one line a box, in shares of the image's sides."""

import math
from pathlib import Path

from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.readers.box_files import BoxFileReader
from skyweave.downstream.labels.readers.stored_boxes import Box

BOX_NUMBERS = 5  # class, and the centre's x and y, width and height
MIN_OUTLINE_NUMBERS = 7  # class, and three corners
SHARE_TOLERANCE = 1e-3  # beyond 0 to 1, by rounding


class YoloReader(BoxFileReader):
    """Class number, x and y of the centre, width and height; or x and y of an outline's corners by turns.

    Numbers count the classes from 0.
    """

    @override
    def _read_file(self, file: Path, image: Path) -> list[Box]:
        # one box a line that is not blank
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is no text of YOLO ({error}); name the file of lines of numbers") from error
        return [
            self._box(line, image, f"{file}, line {number}") for number, line in enumerate(lines, 1) if line.strip()
        ]

    def _box(self, line: str, image: Path, source: str) -> Box:
        number, *places = _numbers(line, source)
        rows, columns = image_header(image).shape
        left, top, right, bottom = _sides(places)
        return Box(
            (left * columns, top * rows, right * columns, bottom * rows), self._class_name(number, source), source
        )

    def _class_name(self, number: float, source: str) -> str:
        names = list(self.config.class_names)
        if isinstance(self.config.classes, dict):
            return str(int(number))  # which the mapping says the name of
        if not 0 <= number < len(names):
            raise DataError(
                f"{source}: there is no class {number:g} among {', '.join(names)}, which count from 0; give all "
                "classes in their order, or say which number is which, such as classes: {0: car}"
            )
        return names[int(number)]


def _sides(places: list[float]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a box or an outline, in shares of the image."""
    if len(places) + 1 == BOX_NUMBERS:
        x, y, width, height = places
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return min(places[::2]), min(places[1::2]), max(places[::2]), max(places[1::2])


def _numbers(line: str, source: str) -> list[float]:
    """Return the numbers of a line: a class, and a box or an outline in shares of the image."""
    text = line.strip()[:60]
    try:
        numbers = list(map(float, line.split()))
    except ValueError:
        numbers = []
    is_outline = len(numbers) >= MIN_OUTLINE_NUMBERS and len(numbers) % 2 == 1
    if not (len(numbers) == BOX_NUMBERS or is_outline) or not all(map(math.isfinite, numbers)):
        raise DataError(
            f"{source}: {text!r} is no box; a line must be a class number, x and y of the centre, width and height, or "
            "x and y of the corners of an outline by turns"
        )
    low, high = min(numbers[1:]), max(numbers[1:])
    if not numbers[0].is_integer() or low < -SHARE_TOLERANCE or high > 1 + SHARE_TOLERANCE:
        raise DataError(
            f"{source}: {text!r}: all but the class number must be shares of the image, 0 to 1; divide pixels by its "
            "columns and rows"
        )
    return numbers
