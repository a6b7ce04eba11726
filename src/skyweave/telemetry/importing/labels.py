"""Labels of images in the formats of annotation tools and benchmarks: COCO, CVAT, MOT, KITTI.

A package of somebody else adds a format through an entry point in the group ``skyweave.label_formats``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.box_checks import check_image_boxes, check_stated_size
from skyweave.core.images.image_names import ByImageName
from skyweave.core.json_text import parse_json
from skyweave.core.registry import Registry

MOT_COLUMNS = 6  # at least: frame, identity, left, top, width, height
MOT_CLASSES = {1: "pedestrian", 2: "pedestrian", 3: "car", 4: "bicycle", 5: "motorcycle", 7: "pedestrian"}
VISDRONE_COLUMNS = 10  # as many as MOT15 has, which fills the last three with -1
UNKNOWN = -1  # in place of a class
KITTI_COLUMNS = 15  # of an object; one more in tracking, with frame and identity before them
VEHICLES = ("car", "van", "truck", "bus")
MAX_TURN = 10.0  # radians; -10 stands for an angle that is not known
KITTI_IGNORED = ("DontCare", "Misc")
CATEGORIES = {  # of others, by the names that are ours
    "person": "pedestrian",
    "people": "pedestrian",
    "person_sitting": "pedestrian",
    "bike": "bicycle",
    "cyclist": "bicycle",
    "motorbike": "motorcycle",
    "motor": "motorcycle",
    "lorry": "truck",
}


@dataclass(frozen=True)
class CameraBox:
    """A box in the axes of a camera, as KITTI has them.

    Attributes:
        bottom: (3,) middle of its bottom face, metres right, down and forward.
        size: (3,) length, width and height, metres.
        turn: radians about the axis that points down, from the camera's right.
    """

    bottom: np.ndarray
    size: np.ndarray
    turn: float


@dataclass(frozen=True)
class ImageLabel:
    """One object in one image.

    Attributes:
        category: its class.
        box: (4,) left, top, right and bottom in pixels of the image; None where it has none.
        track: identity over the images; empty where nobody said which is which.
        camera_box: where the label is a box in three dimensions.
    """

    category: str
    box: np.ndarray | None
    track: str = ""
    camera_box: CameraBox | None = None


class ImageLabels:
    """Labels by image: by its number from 0, or by the name of its file.

    Args:
        by_number: labels of images that are known by their number.
        by_name: labels of images that are known by their file.
        path: of the labels, for messages.
        sizes: rows and columns that they state of images, by name; 0 for unknown.
        notes: what was assumed, and what was left out.
    """

    def __init__(
        self,
        by_number: Mapping[int, list[ImageLabel]] | None = None,
        by_name: Mapping[str, list[ImageLabel]] | None = None,
        path: Path = Path("labels"),
        sizes: Mapping[str, tuple[int, int]] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.path, self.by_number, self.by_name = path, by_number or {}, by_name or {}
        self.sizes, self.notes = sizes or {}, notes
        self._named = ByImageName(path, self.by_name)

    def of_image(self, number: int, name: str) -> list[ImageLabel] | None:
        """Return the labels of an image; None for one that nobody labelled.

        Args:
            number: of the image, from 0.
            name: of its file; empty in a video.

        Raises:
            DataError: two images in the labels are called so.
        """
        return self._named.find(name) if name and self._named else self.by_number.get(number)

    def _check_names(self, names: Sequence[str]) -> list[str]:
        """Refuse labels of other images than these; return what to note on how they are known."""
        if self._named and any(names):
            self._named.unmatched(names)
        elif self.by_number and not set(self.by_number) & set(range(len(names))):
            raise DataError(
                f"{self.path} has labels of images {min(self.by_number)} to {max(self.by_number)}, counted from 0, and "
                f"there are {len(names)} images; give the images that it is of"
            )
        elif self.by_name and not any(names):
            return [f"{self.path.name}: images are known by the numbers in their names, counted from 0"]
        return []

    def check_images(self, names: Sequence[str], size: tuple[int, int]) -> list[str]:
        """Return what to note on the labels of a camera's images.

        Args:
            names: of the images' files; empty ones in a video.
            size: rows and columns of all.

        Raises:
            DataError: labels of other images, of images of another size, or outside of them.
        """
        notes = [*self.notes, *self._check_names(names)]
        for name, stated in self.sizes.items():
            check_stated_size(stated, size, f"{self.path}: {name}")
        labelled = {f"image {number}": rows for number, rows in self.by_number.items()} | dict(self.by_name)
        boxes = {name: [label.box for label in rows if label.box is not None] for name, rows in labelled.items()}
        check_image_boxes({name: np.array(rows) for name, rows in boxes.items()}, size, str(self.path))
        return notes


LABEL_FORMATS: Registry[Callable[[Path], ImageLabels]] = Registry(
    "label_formats",
    "label format",
    {
        "coco": "skyweave.telemetry.importing.labels:read_coco",
        "cvat": "skyweave.telemetry.importing.cvat:read_cvat",
        "mot": "skyweave.telemetry.importing.labels:read_mot",
        "kitti": "skyweave.telemetry.importing.labels:read_kitti",
    },
)


def read_labels(path: Path, label_format: str | None = None) -> ImageLabels:
    """Read labels of images.

    Args:
        path: file, or folder of KITTI's files.
        label_format: name in `LABEL_FORMATS`; default: what the file looks like.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is damaged, or looks like none of the formats.
    """
    if not path.exists():
        raise FileNotFoundError(f"there are no labels {path}; check the name")
    return LABEL_FORMATS[label_format or _recognise(path)](path)


def _recognise(path: Path) -> str:
    """The format that a file looks like."""
    if path.is_dir():
        return "kitti"
    if path.suffix.lower() == ".json":
        return "coco"
    if path.suffix.lower() == ".xml":
        return "cvat"
    first = next((line for line in path.read_text(errors="replace").splitlines() if line.strip()), "")
    if first.count(",") + 1 >= MOT_COLUMNS:
        return "mot"
    if len(first.split()) >= KITTI_COLUMNS:
        return "kitti"
    raise DataError(f"{path} looks like no labels that are read ({', '.join(LABEL_FORMATS)}); name their format")


def read_coco(path: Path) -> ImageLabels:
    """Read COCO's JSON; of videos, ``frame_id`` and ``track_id`` (or ``instance_id``) too.

    Args:
        path: of the file.

    Raises:
        DataError: it is none.
    """
    try:
        content = parse_json(path.read_bytes())
        images = {image["id"]: image for image in content["images"]}
        labels = _coco_labels(content, images)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} holds no labels of COCO: {type(error).__name__} {error}") from None
    files = {key: str(image["file_name"]) for key, image in images.items() if "file_name" in image}
    sizes = {files.get(key, f"image {key}"): _coco_size(image) for key, image in images.items()}
    by_name = {name: labels[key] for key, name in files.items()}
    return ImageLabels(_coco_by_number(images, files, labels), by_name, path, sizes)


def _coco_size(image: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns of an image; 0 where it does not state them."""
    return int(image.get("height") or 0), int(image.get("width") or 0)


def _coco_by_number(
    images: Mapping[Any, Any], files: Mapping[Any, str], labels: Mapping[Any, list[ImageLabel]]
) -> dict[int, list[ImageLabel]]:
    """Labels by the number of their frame, as they state it, or as the names of their files do."""
    numbers = {key: image.get("frame_id", _number_in(files.get(key, ""))) for key, image in images.items()}
    return {int(numbers[key]): rows for key, rows in labels.items() if numbers[key] is not None}


def _coco_labels(content: Any, images: Iterable[Any]) -> dict[Any, list[ImageLabel]]:
    """Return the labels of each image by its number in the file."""
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    labels: dict[Any, list[ImageLabel]] = {key: [] for key in images}
    for annotation in content["annotations"]:
        if annotation.get("iscrowd"):
            continue
        left, top, width, height = (float(value) for value in annotation["bbox"])
        track = annotation.get("track_id", annotation.get("instance_id", ""))
        box = image_box(left, top, left + width, top + height)
        labels[annotation["image_id"]].append(
            ImageLabel(plain_category(names[annotation["category_id"]]), box, str(track))
        )
    return labels


def read_mot(path: Path) -> ImageLabels:
    """Read a table of the MOT challenge: frame from 1, identity, left, top, width, height, confidence, class.

    Args:
        path: of the file.

    Raises:
        DataError: a line is no row of it.
    """
    by_number: dict[int, list[ImageLabel]] = {}
    left_out: dict[int, int] = {}
    for number, cells in _rows(path, ","):
        try:
            frame, identity, box, considered, kind = _mot_row(cells)
        except (ValueError, IndexError) as error:
            raise DataError(f"{path}, line {number} is no row of MOT: {error}") from None
        rows = by_number.setdefault(frame - 1, [])
        if considered and (kind in MOT_CLASSES or kind < 0):
            rows.append(ImageLabel(MOT_CLASSES.get(kind, "object"), box, str(identity) if identity >= 0 else ""))
        elif considered:
            left_out[kind] = left_out.get(kind, 0) + 1
    notes = [
        f"{path.name}: {count} boxes of class {kind} are left out: MOT's classes are pedestrian (1, 2, 7), car (3), "
        "bicycle (4) and motorcycle (5)"
        for kind, count in sorted(left_out.items())
    ]
    return ImageLabels(by_number, path=path, notes=notes)


def _mot_row(cells: list[str]) -> tuple[int, int, np.ndarray, bool, int]:
    """Return frame from 1, identity, box, whether it counts, and class of a row."""
    left, top, width, height = (float(cell) for cell in cells[2:6])
    considered = float(cells[6]) != 0 if len(cells) > 6 else True
    kind = int(float(cells[7])) if len(cells) > 7 else UNKNOWN
    if len(cells) >= VISDRONE_COLUMNS and any(float(cell) != UNKNOWN for cell in cells[7:10]):
        raise ValueError(
            "it has ten columns, and the last three are not -1: VisDrone's classes have other numbers; convert it to "
            "COCO, or leave all but seven columns out (`cut -d, -f1-7`)"
        )
    box = image_box(left, top, left + width, top + height)
    if float(cells[0]) < 1:
        raise ValueError("its frames count from 1; add 1 to those of this file")
    return int(float(cells[0])), int(float(cells[1])), box, considered, kind


def read_kitti(path: Path) -> ImageLabels:
    """Read KITTI's labels: a folder with a file an image (detection), or one file of a sequence (tracking).

    Args:
        path: folder or file.

    Raises:
        DataError: a line is no object, or the folder holds no files.
    """
    if path.is_dir():
        return _read_kitti_folder(path)
    by_number: dict[int, list[ImageLabel]] = {}
    for line, cells in _rows(path, None):
        rows = by_number.setdefault(_whole(cells[0], path, line), [])
        label = _kitti_label(path, line, cells[2:], cells[1] if len(cells) > 1 else "")
        if label is not None:
            rows.append(label)
    return ImageLabels(by_number, path=path, notes=_kitti_notes(path, by_number.values()))


def _kitti_notes(path: Path, labels: Iterable[list[ImageLabel]]) -> list[str]:
    """A note where most vehicles are wider than long: converters exchange the two."""
    sizes = [one.camera_box.size for rows in labels for one in rows if one.camera_box and one.category in VEHICLES]
    wide = sum(bool(length < width) for length, width, _ in sizes)
    if wide <= len(sizes) / 2:
        return []
    return [f"{path.name}: {wide} of {len(sizes)} vehicles are wider than long: KITTI's order is height, width, length"]


def _read_kitti_folder(path: Path) -> ImageLabels:
    """Read a folder with a file an image."""
    files = sorted(path.glob("*.txt"))
    if not files:
        raise DataError(f"{path} holds no .txt files of KITTI's labels; name the folder that has them")
    by_name = {file.stem: [_kitti_label(file, line, cells) for line, cells in _rows(file, None)] for file in files}
    known = {name: [label for label in rows if label is not None] for name, rows in by_name.items()}
    numbers = {int(name): rows for name, rows in known.items() if name.isdecimal()}
    return ImageLabels(numbers, known, path, notes=_kitti_notes(path, known.values()))


def _kitti_label(path: Path, line: int, cells: list[str], track: str = "") -> ImageLabel | None:
    if len(cells) < KITTI_COLUMNS:
        raise DataError(f"{path}, line {line} has {len(cells)} values; an object of KITTI has {KITTI_COLUMNS}")
    if cells[0] in KITTI_IGNORED:
        return None
    try:
        values = np.array([float(cell) for cell in cells[1:KITTI_COLUMNS]])
    except ValueError as error:
        raise DataError(f"{path}, line {line} is no object of KITTI: {error}") from None
    height, width, length = values[7:10]
    if abs(values[13]) > MAX_TURN:
        raise DataError(f"{path}, line {line}: rotation_y {values[13]:g} must be radians; convert it from degrees")
    known = min(height, width, length) > 0
    camera_box = CameraBox(values[10:13], np.array([length, width, height]), float(values[13])) if known else None
    return ImageLabel(plain_category(cells[0]), image_box(*values[3:7]), track, camera_box)


def _rows(path: Path, separator: str | None) -> Iterable[tuple[int, list[str]]]:
    """Lines of a table with their numbers, blank ones left out."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [(number, line.split(separator)) for number, line in enumerate(lines, 1) if line.strip()]


def _whole(text: str, path: Path, line: int) -> int:
    try:
        return int(float(text))
    except ValueError:
        raise DataError(f"{path}, line {line}: {text!r} is no number of an image") from None


def image_box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return a box: (4,) pixels.

    Args:
        left: side, pixels.
        top: side, pixels.
        right: side, pixels.
        bottom: side, pixels.

    Raises:
        ValueError: it ends before it begins, or is not finite.
    """
    box = np.array([left, top, right, bottom], np.float64)
    if not np.isfinite(box).all() or right < left or bottom < top:
        raise ValueError(f"{box.tolist()} is no box")
    return box


def _number_in(name: str) -> int | None:
    """The last number in the name of a file."""
    digits = re.findall(r"\d+", Path(name).stem)
    return int(digits[-1]) if digits else None


def plain_category(name: str) -> str:
    """Return the name of a class as it is here.

    Args:
        name: in a file of labels.
    """
    plain = name.strip().lower().replace(" ", "_")
    return CATEGORIES.get(plain, plain)
