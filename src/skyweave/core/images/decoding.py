"""Image files to 8-bit pixels: what cannot be shown in 8 bits without loss is refused, and turns are made."""

import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from skyweave.core.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

EIGHT_BIT_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
EXIF_ORIENTATION = 274
FILE_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")  # Pillow knows more, and runs other programs for some of them
MESSAGE_FORMATS = ("JPEG", "PNG")
MAX_MESSAGE_PIXELS = 4096 * 4096
MAX_JPEG_SCANS = 100  # a camera's progressive JPEG has about ten, its previews some more
START_OF_SCAN = b"\xff\xda"


@contextmanager
def open_image(
    source: "Path | IO[bytes]",
    name: str,
    formats: tuple[str, ...] = FILE_FORMATS,
    max_pixels: int | None = None,
    eight_bit: bool = True,
) -> "Iterator[Image.Image]":
    """Open an image; its pixels are decoded later. Nothing else opens images.

    Args:
        source: file, or its content.
        name: of the image, for messages.
        formats: that are read, by Pillow's names.
        max_pixels: that it may have; None: as many as Pillow decodes.
        eight_bit: of 8-bit grey or colours only.

    Raises:
        DataError: no image of these formats, one with too many pixels, or one of more than 8 bits: Pillow would clip
            its values to 255, or keep their upper halves.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():  # large photographs are no attack; what Pillow refuses is refused
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source, formats=formats)
    except Image.DecompressionBombError:
        raise DataError(
            f"{name} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels; use a reduced copy"
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            f"{name} cannot be read as a picture: it is none, or of a kind that is not read (HEIC, raw); use "
            f"{'JPEG or PNG' if formats == MESSAGE_FORMATS else 'JPEG, TIFF or PNG'}"
        ) from None
    with image:
        _check_cost(image, name, source, max_pixels)
        if eight_bit:
            _check_mode(image, name)
        yield image


def _check_cost(image: "Image.Image", name: str, source: "Path | IO[bytes]", max_pixels: int | None) -> None:
    """Refuse an image that would take too much memory or time to decode."""
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise DataError(f"{name} has {image.width} x {image.height} pixels, more than the {max_pixels} that are read")
    is_jpeg = image.format in ("JPEG", "MPO")
    if is_jpeg and isinstance(source, BytesIO) and source.getvalue().count(START_OF_SCAN) > MAX_JPEG_SCANS:
        raise DataError(f"{name} is a JPEG of more than {MAX_JPEG_SCANS} scans; save it anew")


def _check_mode(image: "Image.Image", name: str) -> None:
    """Refuse an image of more than 8 bits."""
    if image.mode not in EIGHT_BIT_MODES or _is_deep(image):
        source, target = shlex.quote(name), shlex.quote(f"{Path(name).stem}_8bit.tif")
        raise DataError(
            f"{name} cannot be read as a picture: its pixels have more than 8 bits ({image.mode}); 8-bit grey or "
            "colour is needed; `skyweave align` makes stacks of what multispectral and thermal cameras write; of other "
            "pictures make copies of 8 bits, LOW and HIGH the same for all: "
            f"`gdal_translate -ot Byte -scale LOW HIGH 0 255 {source} {target}` and, for what they say of themselves, "
            f"`exiftool -TagsFromFile {source} -all:all -xmp {target}`"
        )


def decode_upright(image: "Image.Image", mode: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode an image as viewers show it: turned as its EXIF orientation asks.

    Args:
        image: open Pillow image.
        mode: ``L`` for grey, ``RGB`` for colours.

    Returns:
        (rows, columns) or (rows, columns, 3) uint8, and the mask (rows, columns) of pixels that are not transparent,
        None where all are.
    """
    from PIL import ImageOps

    opaque, mask = split_transparency(ImageOps.exif_transpose(image))
    return np.asarray(opaque.convert(mode)), mask


def stated_orientation(image: "Image.Image") -> int:
    """Return the EXIF orientation that the pixels still have: Pillow turns those of a TIFF by itself.

    Args:
        image: open Pillow image.
    """
    value: int = image.getexif().get(EXIF_ORIENTATION) or 1
    return value if image.format != "TIFF" and value in range(2, 9) else 1


def upright_size(image: "Image.Image") -> tuple[int, int]:
    """Return (rows, columns) of an image as viewers show it; nothing is decoded.

    Args:
        image: open Pillow image.
    """
    return (image.width, image.height) if stated_orientation(image) >= 5 else (image.height, image.width)


def has_transparency(image: "Image.Image") -> bool:
    """Return whether an image says how opaque its pixels are.

    Args:
        image: open Pillow image.
    """
    return image.mode in ALPHA_MODES or "transparency" in image.info


def split_transparency(image: "Image.Image") -> "tuple[Image.Image, np.ndarray | None]":
    """Return an image without transparency, and where it had none.

    Args:
        image: open Pillow image.

    Returns:
        The image, and the mask (rows, columns) of pixels that are not wholly transparent, None where all are.
    """
    if not has_transparency(image):
        return image, None
    colours = image.convert("RGBA")
    alpha = np.asarray(colours.getchannel("A"))
    return colours.convert("RGB"), None if alpha.all() else alpha > 0


def colour_profile(image: "Image.Image") -> str | None:
    """Return the name of the ICC profile of an image's colours; None where it is sRGB or there is none.

    Args:
        image: open image.
    """
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        name = ImageCms.getProfileDescription(ImageCms.getOpenProfile(BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return "unknown"
    return None if "srgb" in name.lower() else name or "unknown"


def _is_deep(image: Any) -> bool:
    """Whether the file holds more than 8 bits a value, of which Pillow would keep the upper 8."""
    return any(";16" in str(argument) for tile in image.tile for argument in tile[3:])
