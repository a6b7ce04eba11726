"""Labels as boxes in the XML of Pascal VOC (Everingham et al. 2010): one file an image."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.readers.box_files import BoxFileReader
from skyweave.downstream.labels.readers.stored_boxes import Box, Corners

SIDES = ("xmin", "ymin", "xmax", "ymax")


class VocReader(BoxFileReader):
    """Objects with a name and a ``bndbox``, whose pixels count from 1 and include the last one."""

    @override
    def _read_file(self, file: Path, image: Path) -> list[Box]:
        # one box an object, if they were drawn on an image of this size
        try:
            root = ElementTree.parse(file).getroot()
        except (ElementTree.ParseError, ValueError) as error:
            raise DataError(f"{file} is no XML of Pascal VOC ({error}); name the annotation of the image") from error
        _check_size(root, file, image)
        return [_box(entry, f"{file}, object {number}") for number, entry in enumerate(root.iter("object"))]


def _box(entry: ElementTree.Element, source: str) -> Box:
    """Return the box of an object."""
    name = (entry.findtext("name") or "").strip()
    return Box(_corners(entry, source), name, source)


def _corners(entry: ElementTree.Element, source: str) -> Corners:
    """Return the sides in pixels that count from 0, from the edge of the first to the edge behind the last."""
    texts = [entry.findtext(f"bndbox/{side}") for side in SIDES]
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        raise DataError(
            f"{source}: its bndbox has {', '.join(map(str, texts))}; give {', '.join(SIDES)} in pixels"
        ) from None
    return max(left - 1, 0.0), max(top - 1, 0.0), right, bottom


def _check_size(root: ElementTree.Element, file: Path, image: Path) -> None:
    """Refuse an image of another size than the boxes were drawn on."""
    rows, columns = image_header(image).shape
    stated = (root.findtext("size/height"), root.findtext("size/width"))
    if all(stated) and stated not in ((str(rows), str(columns)), ("0", "0")):
        raise DataError(
            f"{file} says that its image has {stated[1]} x {stated[0]} pixels, and {image} has {columns} x {rows}; "
            "give the images that the boxes were drawn on"
        )
