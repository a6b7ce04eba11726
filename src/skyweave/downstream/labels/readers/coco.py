"""Labels as boxes in the JSON of COCO (Lin et al. 2014, arXiv 1405.0312): images, categories, annotations."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.matching import match_names
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.readers.stored_boxes import Box, ImageBoxes, StoredBoxes
from skyweave.downstream.labels.tiles import Window

Identifier = int | str
MAX_DISAGREEMENT = 0.5  # of a box's longer side, between it and its outlines


class CocoImage(msgspec.Struct):
    """An image of a COCO file; 0 pixels where it does not say."""

    id: Identifier
    file_name: str
    width: int = 0
    height: int = 0


class CocoCategory(msgspec.Struct):
    """A class of a COCO file."""

    id: Identifier
    name: str


class CocoAnnotation(msgspec.Struct):
    """A box of a COCO file: left, top, width, height in pixels; or outlines, x and y by turns."""

    image_id: Identifier
    category_id: Identifier
    bbox: list[float] | None = None
    segmentation: Any = None
    iscrowd: int = 0

    @property
    def around(self) -> list[float] | None:
        """Left, top, width and height of the box around the outlines; None without any."""
        if not isinstance(self.segmentation, list) or not self.segmentation:
            return None
        points = np.concatenate([np.asarray(outline, float).reshape(-1, 2) for outline in self.segmentation])
        return [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()]


class CocoFile(msgspec.Struct):
    """What is read of a COCO file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation]


class CocoReader(LabelReader):
    """Boxes of a COCO file. An image that it lists without annotations has none; crowds are left out."""

    needs_files = True
    keys = ("files",)

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        self._path = images.root / (config.files or "")
        content = read_coco(self._path)
        self._matching = match_names((image.file_name for image in content.images), images, self._path)
        self._left_out: dict[str, list[str]] = defaultdict(list)
        boxes = self._boxes_by_image(content)
        _check_corners(boxes)
        self._boxes = ImageBoxes(boxes, images)

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredBoxes:
        # the boxes whose centre lies in the window, cut to it
        boxes = self._boxes.of(path)
        return boxes if window is None else boxes.cut(window)

    @override
    def source(self, path: Path) -> str:
        # the image and the file
        return f"{path} ({self._path})"

    @override
    def left_out(self) -> dict[str, list[str]]:
        # what is wrong with annotations and boxes
        matching = {f"images of {self._path.name} without a file": self._matching.unmatched}
        return {**super().left_out(), **matching, **self._left_out, **self._boxes.left_out}

    def _is_stored(self, path: Path) -> bool:
        return path in self._boxes

    def _boxes_by_image(self, content: CocoFile) -> dict[Path, list[Box]]:
        names = {category.id: category.name.strip() for category in content.categories}
        files = {image.id: self._matching.image_of.get(image.file_name) for image in content.images}
        boxes = self._selected_images(content, files)
        for number, annotation in enumerate(content.annotations):
            source = f"{self._path}, annotation {number}"
            if annotation.image_id not in files:
                self._left_out["annotations of no image in the file"].append(Path(source).name)
            elif annotation.category_id not in names:
                raise DataError(
                    f"{source} has category {annotation.category_id!r}, and there are {', '.join(map(str, names))}; "
                    "correct it, or add the category"
                )
            elif (path := files[annotation.image_id]) in boxes and path is not None:
                boxes[path] += self._box(annotation, names[annotation.category_id], source)
        return boxes

    def _selected_images(self, content: CocoFile, files: dict[Identifier, Path | None]) -> dict[Path, list[Box]]:
        """Return the images that are used, without their boxes as yet."""
        boxes: dict[Path, list[Box]] = {}
        for image in content.images:
            path = files[image.id]
            if path is not None and self._is_selected(path):
                _check_size(image, path, self._path)
                boxes[path] = []
        return boxes

    def _box(self, annotation: CocoAnnotation, name: str, source: str) -> list[Box]:
        """Return the annotation's box, or none of a crowd or where it has none."""
        if annotation.iscrowd:
            self._left_out["crowds"].append(Path(source).name)
            return []
        around = _around(annotation, source)
        rectangle = annotation.bbox or around
        if not rectangle:
            self._left_out["annotations without a box"].append(Path(source).name)
            return []
        if len(rectangle) != 4 or not np.isfinite(rectangle).all() or min(rectangle[2:]) < 0:
            raise DataError(f"{source}: the box {rectangle} is none; give left, top, width and height in pixels")
        left, top, width, height = rectangle
        _check_agreement(rectangle, around, source)
        return [Box((left, top, left + width, top + height), name, source)]


def _around(annotation: CocoAnnotation, source: str) -> list[float] | None:
    """Return the box around an annotation's outlines; None where it has none."""
    try:
        return annotation.around
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: its segmentation is no list of outlines ({error}); give x and y by turns"
        ) from error


def _check_agreement(rectangle: list[float], around: list[float] | None, source: str) -> None:
    """Refuse a box that lies elsewhere than its outlines."""
    if around is None or np.abs(np.subtract(rectangle, around)).max() <= MAX_DISAGREEMENT * max(*around[2:], 10):
        return
    raise DataError(
        f"{source}: its box {rectangle} and the box around its outlines {around} (left, top, width, height) contradict "
        "each other; correct one of them"
    )


def _check_corners(boxes: dict[Path, list[Box]]) -> None:
    """Refuse boxes that leave their images, and would not if width and height were right and bottom."""
    overhangs, all_corners = 0, True
    for path, members in boxes.items():
        rows, columns = image_header(path).shape if members else (0, 0)
        for left, top, right, bottom in (box.corners for box in members):
            overhangs += right > columns + 1 or bottom > rows + 1
            all_corners &= left < right - left <= columns and top < bottom - top <= rows
    if overhangs and all_corners:
        first = next(box for members in boxes.values() for box in members)
        raise DataError(
            f"{first.source}: {overhangs} boxes leave their images, and none would if they were left, top, right and "
            "bottom; COCO has left, top, width and height: subtract left and top"
        )


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file.

    Args:
        path: of the JSON.

    Raises:
        FileNotFoundError: no such file.
        DataError: no COCO file, or an identifier that is given twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no COCO file {path}; check labels.files")
    try:
        content: Any = json.loads(path.read_bytes().decode("utf-8-sig"))
        coco = msgspec.convert(content, CocoFile, strict=False)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{path} is no COCO file ({error}); it needs lists of images, categories and annotations"
        ) from error
    _check_unique("image", [image.id for image in coco.images], path)
    _check_unique("category", [category.id for category in coco.categories], path)
    return coco


def _check_unique(noun: str, identifiers: list[Identifier], path: Path) -> None:
    """Refuse an identifier that is given twice."""
    for identifier, count in Counter(identifiers).most_common(1):
        if count > 1:
            raise DataError(f"{path}: the {noun} id {identifier!r} is given twice; number them anew")


def _check_size(image: CocoImage, path: Path, source: Path) -> None:
    """Refuse an image whose file has another size than its boxes were drawn on."""
    rows, columns = image_header(path).shape
    if image.width and image.height and (image.height, image.width) != (rows, columns):
        raise DataError(
            f"{source} says that {image.file_name} has {image.width} x {image.height} pixels, and {path} has "
            f"{columns} x {rows}; give the images that the boxes were drawn on, or scale boxes, width and height"
        )
