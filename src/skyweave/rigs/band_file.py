"""One file of a rig: the raw values of one band, and what its EXIF and XMP say of that band."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags

from skyweave.core.errors import DataError, normalise_name
from skyweave.core.images.decoding import open_image
from skyweave.telemetry.image_metadata.field_values import parse_number, parse_text
from skyweave.telemetry.image_metadata.xmp import read_xmp

BAND_SUFFIX = re.compile(r"_(\d{1,2}|[A-Z]{3})$")  # of file names: MicaSense's IMG_0001_3, Parrot's .._0001_NIR
CAPTURE_FIELDS = ("CaptureId", "CaptureUUID")
SATURATED = 65_470  # of 16 bits: 10-bit and 12-bit sensors store their top value shifted to just below 2^16
THERMAL_NAMES = {"lwir", "thermal"}


@dataclass(frozen=True)
class BandFile:
    """One band as a camera of a rig wrote it.

    Attributes:
        path: the file.
        stored: (rows, columns) raw values, uint16.
        xmp: values of the XMP packet by name with prefix, from `read_xmp`.
        tags: EXIF of the image and of the camera, by number.
    """

    path: Path
    stored: np.ndarray
    xmp: Mapping[str, str]
    tags: Mapping[int, Any]
    _fields: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fields", {key.split(":", 1)[-1]: value for key, value in self.xmp.items()})

    @property
    def make(self) -> str:
        """Return the maker in small letters."""
        return parse_text(self.tags.get(ExifTags.Base.Make)).lower()

    @property
    def model(self) -> str:
        """Return the model of the rig."""
        return parse_text(self.tags.get(ExifTags.Base.Model))

    @property
    def written_name(self) -> str:
        """Return the band's name as the camera writes it."""
        return self.text("BandName") or self.path.stem.rpartition("_")[2]

    @property
    def name(self) -> str:
        """Return the band's name in small letters without blanks, such as ``rededge``."""
        return normalise_name(self.written_name)

    @property
    def is_thermal(self) -> bool:
        """Return whether it measures temperature."""
        return self.name in THERMAL_NAMES

    @property
    def wavelength(self) -> float | None:
        """Return the centre in nanometres; a thermal camera's may be stated in micrometres."""
        stated = self.number("CentralWavelength")
        return None if not stated or stated <= 0 else stated * (1000 if stated < 100 else 1)

    @property
    def width(self) -> float | None:
        """Return the full width at half maximum in nanometres."""
        stated, wavelength = self.number("WavelengthFWHM"), self.number("CentralWavelength")
        return None if not stated or stated <= 0 else stated * (1000 if wavelength and wavelength < 100 else 1)

    @property
    def capture(self) -> str:
        """Return what the bands of one capture share: an identity, else the name without that of the band."""
        identity = next((self.text(name) for name in CAPTURE_FIELDS if self.text(name)), "")
        return identity or (self.path.parent / BAND_SUFFIX.sub("", self.path.stem)).as_posix()

    @property
    def saturated(self) -> np.ndarray:
        """Return (rows, columns) bool: which pixels reached the sensor's top value."""
        return np.asarray(self.stored >= SATURATED)

    def text(self, name: str) -> str:
        """Return a field of the XMP as text; empty without.

        Args:
            name: without the prefix.
        """
        return self._fields.get(name, "").strip()

    def number(self, name: str) -> float | None:
        """Return a field of the XMP as a number; None where it is none.

        Args:
            name: without the prefix.
        """
        return parse_number(self.text(name))

    def read_xmp_sequence(self, name: str, min_length: int = 1) -> tuple[float, ...] | None:
        """Return a sequence of numbers in the XMP; None where it is none.

        Args:
            name: without the prefix.
            min_length: how many there must be.
        """
        parsed = [parse_number(part) for part in self.text(name).split(",")]
        known = tuple(number for number in parsed if number is not None)
        return known if len(known) == len(parsed) >= min_length else None

    def require_xmp_sequence(self, name: str, min_length: int = 1) -> tuple[float, ...]:
        """Return a sequence of numbers in the XMP.

        Args:
            name: without the prefix.
            min_length: how many there must be.

        Raises:
            DataError: the file does not state it; the message names both.
        """
        numbers = self.read_xmp_sequence(name, min_length)
        if numbers is None:
            raise DataError(
                f"{self.path.name} does not state {name} in its XMP, without which its values cannot be calibrated; "
                "take the files as the camera wrote them"
            )
        return numbers

    def tag(self, number: int) -> float:
        """Return a number of the EXIF.

        Args:
            number: of the tag.

        Raises:
            DataError: the file does not state it; the message names both.
        """
        value = parse_number(self.tags.get(number))
        if value is None or value <= 0:
            name = ExifTags.TAGS.get(number, str(number))
            raise DataError(f"{self.path.name} does not state {name} in its EXIF; take the file as the camera wrote it")
        return value


def read_band_file(path: str | Path) -> BandFile:
    """Read one band of a rig.

    Args:
        path: a TIFF of one band of 16 bits, as the camera wrote it.

    Raises:
        FileNotFoundError: no such file.
        DataError: it is no image, or not of one band of 16 bits.
    """
    path = Path(path)
    try:
        stored, xmp, tags = _read(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such file: {path}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}; copy it once more from the camera") from None
    if not _is_raw(stored):
        raise DataError(
            f"{path.name} holds {stored.dtype} values of shape {stored.shape}, and the raw band of a rig is one of 16 "
            "bits; give the .tif files that the camera wrote, one a band"
        )
    return BandFile(path, stored.astype(np.uint16), xmp, tags)


def _is_raw(stored: np.ndarray) -> bool:
    """Return whether values are those of one band of 16 bits, in whatever type they were opened."""
    limits = np.iinfo(np.uint16)
    is_whole = stored.ndim == 2 and stored.dtype.itemsize >= 2 and np.issubdtype(stored.dtype, np.integer)
    return bool(is_whole and stored.size and stored.min() >= limits.min and stored.max() <= limits.max)


def _read(path: Path) -> tuple[np.ndarray, dict[str, str], dict[int, Any]]:
    """Values, XMP and EXIF of an image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damage that stops the values from being read, too
        with open_image(path, path.name, eight_bit=False) as image:
            exif = image.getexif()
            tags = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
            return np.asarray(image), read_xmp(image)[0], tags
