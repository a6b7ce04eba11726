"""CVAT's XML, version 1.1: boxes, also turned ones, and polygons, of images and of videos."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from skyweave.core.errors import DataError
from skyweave.telemetry.importing.labels import ImageLabel, ImageLabels, image_box, plain_category

CVAT_LEFT_OUT = ("polyline", "points", "ellipse", "mask", "cuboid", "skeleton")


def read_cvat(path: Path) -> ImageLabels:
    """Read CVAT's XML, version 1.1, for images or for videos: boxes, also turned ones, and polygons as the box around.

    Args:
        path: of the file.

    Raises:
        DataError: it is none.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if "<!ENTITY" in text:
        raise DataError(f"{path} declares entities and is not read")
    try:
        root = ElementTree.fromstring(text)
        by_number, by_name, sizes = _cvat_images(root)
        for track in root.iter("track"):
            _read_cvat_track(track, by_number)
        for size in root.iterfind("meta//original_size"):
            sizes["its video"] = (int(size.findtext("height") or 0), int(size.findtext("width") or 0))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no labels of CVAT: {type(error).__name__} {error}") from None
    return ImageLabels(by_number, by_name, path, sizes, _cvat_notes(root, path))


def _cvat_images(
    root: ElementTree.Element,
) -> tuple[dict[int, list[ImageLabel]], dict[str, list[ImageLabel]], dict[str, tuple[int, int]]]:
    """Labels of images by number and by name, and the sizes of these."""
    images = list(root.iter("image"))
    by_name = {image.attrib["name"]: list(map(_cvat_label, _shapes(image))) for image in images}
    sizes = {image.attrib["name"]: (int(image.get("height", 0)), int(image.get("width", 0))) for image in images}
    return {int(image.attrib["id"]): by_name[image.attrib["name"]] for image in images}, by_name, sizes


def _cvat_label(shape: ElementTree.Element) -> ImageLabel:
    return ImageLabel(plain_category(shape.attrib["label"]), _cvat_box(shape))


def _read_cvat_track(track: ElementTree.Element, by_number: dict[int, list[ImageLabel]]) -> None:
    """Add what a track is in each image; one in which it is outside is an image with labels, too."""
    for shape in _shapes(track):
        rows = by_number.setdefault(int(shape.attrib["frame"]), [])
        if shape.get("outside") != "1":
            rows.append(ImageLabel(plain_category(track.attrib["label"]), _cvat_box(shape), track.attrib["id"]))


def _cvat_notes(root: ElementTree.Element, path: Path) -> list[str]:
    counts = {kind: len(list(root.iter(kind))) for kind in CVAT_LEFT_OUT}
    left_out = ", ".join(f"{count} of kind {kind}" for kind, count in counts.items() if count)
    return [f"{path.name}: boxes and polygons are read; left out are {left_out}"] if left_out else []


def _shapes(element: ElementTree.Element) -> list[ElementTree.Element]:
    """Shapes of CVAT that have a box, in an image or a track."""
    return [*element.iter("box"), *element.iter("polygon")]


def _cvat_box(shape: ElementTree.Element) -> np.ndarray:
    """The box around a polygon, or around a box that is turned clockwise about its middle."""
    if shape.tag == "polygon":
        corners = np.array([pair.split(",") for pair in shape.attrib["points"].split(";")], np.float64)
        return image_box(*corners.min(0), *corners.max(0))
    box = image_box(*(float(shape.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr")))
    angle, middle, half = np.radians(float(shape.get("rotation", 0))), (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    reach = np.abs([[np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ half
    return np.concatenate([middle - reach, middle + reach])
