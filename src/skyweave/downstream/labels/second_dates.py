"""The second date of change: found by the name of the first, on its grid."""

from dataclasses import replace
from pathlib import Path

from skyweave.core.observation import Observation
from skyweave.downstream.labels.alignment import Alignment, align
from skyweave.downstream.labels.config import ImageSourceConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import image_header, read_cached_image


def align_second(images: ImageFiles, template: str, path: Path) -> tuple[Path, Alignment | None]:
    """Return the second date of an image, and how it comes to the grid of the first; only headers are read.

    Args:
        images: of the first date.
        template: path of the second below the data folder, with ``{name}``.
        path: of an image of the first date.

    Raises:
        FileNotFoundError: no such image.
        DataError: it lies on another grid; names both and the remedy.
    """
    second = images.other_file("second", template, path)
    if not second.is_file():
        raise FileNotFoundError(f"no image {second}; check `second` and `name`")
    return second, align(image_header(second), image_header(path), "bilinear", "0", same_pixels=True)


def read_second(
    images: ImageFiles, source: ImageSourceConfig, template: str, path: Path, first: Observation
) -> Observation:
    """Return the second date of an image on the grid of the first.

    Args:
        images: of the first date.
        source: how both store values.
        template: path of the second below the data folder, with ``{name}``.
        path: of the image of the first date.
        first: that image.

    Raises:
        FileNotFoundError: no such image.
        DataError: it lies on another grid, or does not fit the source.
    """
    second, alignment = align_second(images, template, path)
    image = read_cached_image(source, second)
    if alignment is None:
        return image
    pixels, valid = alignment.apply(image.pixels), alignment.apply(image.valid)
    return replace(image, pixels=pixels, valid=valid, geometry=first.geometry)
