"""Boxes of a file as a detector: by the number of the image, or by the name of its file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.box_checks import check_image_boxes, check_stated_size
from skyweave.core.images.image_names import ByImageName
from skyweave.core.registry import Registry
from skyweave.detection.class_names import check_classes
from skyweave.detection.image_detections import ImageDetections

BOX_FORMATS: Registry[Callable[[Path], "BoxFile"]] = Registry(
    "box_formats",
    "format of boxes",
    {
        "coco": "skyweave.detection.formats.coco:read_coco",
        "mot": "skyweave.detection.formats.mot:read_mot",
        "visdrone": "skyweave.detection.formats.mot:read_visdrone",
        "json-lines": "skyweave.detection.formats.json_lines:read_json_lines",
    },
)
FORMAT_OF_SUFFIX = {".json": "coco", ".txt": "mot", ".csv": "mot", ".jsonl": "json-lines", ".ndjson": "json-lines"}


@dataclass(frozen=True)
class BoxFile:
    """Boxes by image.

    Attributes:
        path: of the file.
        by_frame: boxes by the number of the image, from 0.
        by_name: boxes by the name of the image's file.
        sizes: rows and columns of images that the file states, by the image's name in it.
        counted: how many images the file lists, where their order alone says which is which; 0: it numbers them.
        notes: what was assumed.
    """

    path: Path
    by_frame: Mapping[int, ImageDetections]
    by_name: Mapping[str, ImageDetections] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    counted: int = 0
    notes: Sequence[str] = ()
    needs_images: bool = False

    @cached_property
    def _named(self) -> ByImageName[ImageDetections]:
        return ByImageName(self.path, self.by_name)

    def detect(self, image: np.ndarray | None, frame: int, name: str = "") -> ImageDetections:
        """Return the boxes of one image; none where the file has none.

        Args:
            image: not looked at.
            frame: number of the image, from 0.
            name: of its file; where the file of boxes has names, they count.
        """
        detections = self._named.find(name) if name and self._named else self.by_frame.get(frame)
        return ImageDetections.empty() if detections is None else detections

    def select(self, classes: Sequence[str] | None, min_score: float | None) -> "BoxFile":
        """Return the boxes of some classes, and from a score on.

        Args:
            classes: names of those that are kept; None: all.
            min_score: lowest score; None: any.

        Raises:
            UnknownNameError: no box is of a class.
        """
        every = [*self.by_frame.values(), *self.by_name.values()]
        check_classes(classes or (), sorted({name for one in every for name in one.categories}), self.path)

        def kept(boxes: ImageDetections) -> ImageDetections:
            rows = np.ones(len(boxes), bool) if min_score is None else boxes.scores >= min_score
            return boxes.select(
                rows & np.array([classes is None or name in classes for name in boxes.categories], bool)
            )

        by_frame = {frame: kept(boxes) for frame, boxes in self.by_frame.items()}
        return replace(self, by_frame=by_frame, by_name={name: kept(boxes) for name, boxes in self.by_name.items()})

    def check_images(self, images: Sequence[tuple[int, float, str]], size: tuple[int, int] | None) -> list[str]:
        """Return what to note on the boxes of a sequence of images.

        Args:
            images: number, seconds and name of each.
            size: rows and columns of all; None where it is not known.

        Raises:
            DataError: boxes of other images, of images of another size, or outside of them.
        """
        notes = list(self.notes)
        if self._named and any(name for *_, name in images):
            missing = self._named.unmatched(name for *_, name in images)
            notes += [f"{self.path}: {missing} of {len(images)} images are not in it"] if missing else []
        else:
            notes += self._check_numbers([frame for frame, *_ in images])
        if size is not None:
            for name, stated in self.sizes.items():
                check_stated_size(stated, size, f"{self.path}: {name}")
            boxes = {f"image {frame}": detections.boxes for frame, detections in self.by_frame.items()}
            boxes |= {name: detections.boxes for name, detections in self.by_name.items()}
            check_image_boxes(boxes, size, str(self.path))
        return notes

    def _check_numbers(self, frames: Sequence[int]) -> list[str]:
        """Refuse boxes of other images than those, and numbers that begin at 1; note images that are not there."""
        last, step = frames[-1], frames[-1] - frames[-2] if len(frames) > 1 else 1
        if self.counted and not last < self.counted <= last + step + 1:
            raise DataError(
                f"{self.path} lists {self.counted} images without their numbers, the sequence has {last + 1}: which is "
                'which is not known; give each image its "frame_id", counted from 0'
            )
        seen = sorted(self.by_frame)
        if seen and (seen[0], seen[-1]) == (1, last + 1):
            raise DataError(
                f"{self.path} numbers images from 1 to {last + 1}, and the first one is 0; number them from 0"
            )
        if seen and not set(seen) & set(frames):
            raise DataError(
                f"{self.path} has boxes of images {seen[0]} to {seen[-1]}, the images are {frames[0]} to {last}; "
                "give the images that the boxes are of, or number them from 0"
            )
        beyond = sum(frame > last for frame in seen)
        return [f"{self.path}: {beyond} images with boxes come after the last one ({last})"] if beyond else []


def read_boxes(path: Path, format_name: str | None = None) -> BoxFile:
    """Read a file of boxes.

    Args:
        path: of the file.
        format_name: of `BOX_FORMATS`; default: by the suffix.

    Raises:
        FileNotFoundError: no such file.
        DataError: another suffix, or what is wrong in the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of boxes {path}")
    name = format_name or FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if name is None:
        raise DataError(
            f"{path} is neither an ONNX model nor a file of boxes by its name ({', '.join(FORMAT_OF_SUFFIX)}); say "
            f"what it is with --boxes-format ({', '.join(BOX_FORMATS)})"
        )
    return BOX_FORMATS[name](path)


def read_text(path: Path) -> str:
    """Return the text of a file of boxes.

    Args:
        path: of the file.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        copy = path.with_name(f"{path.stem}_utf8{path.suffix}")
        raise DataError(
            f"{path} is not UTF-8 text; save it as UTF-8, such as with `iconv -f UTF-16 -t UTF-8 {path} > {copy}`"
        ) from None


def gather_boxes(
    rows: Mapping[int, list[tuple[np.ndarray, float, str, str | None]]],
) -> dict[int, ImageDetections]:
    """Return detections by image.

    Args:
        rows: of each image its boxes (left, top, right, bottom), scores, classes and identities.
    """
    return {
        frame: ImageDetections(
            np.array([box for box, _, _, _ in boxes], np.float64).reshape(-1, 4),
            np.array([score for _, score, _, _ in boxes], np.float64),
            tuple(name for _, _, name, _ in boxes),
            None if any(identity is None for *_, identity in boxes) else tuple(str(identity) for *_, identity in boxes),
        )
        for frame, boxes in rows.items()
    }
