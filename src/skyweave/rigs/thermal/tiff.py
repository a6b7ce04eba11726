"""Thermal TIFF: what other programs write of temperatures, in the unit that the user states."""

import io
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.decoding import open_image
from skyweave.core.sensors import get_sensor
from skyweave.rigs.thermal.registry import ThermalFormat, ThermalOptions

HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def recognises(content: bytes) -> bool:
    """Return whether it is a TIFF.

    Args:
        content: of the file.
    """
    return content.startswith(HEADERS)


def read(path: Path, content: bytes, options: ThermalOptions) -> np.ndarray:
    """Return temperatures: (rows, columns) kelvin.

    Args:
        path: for messages.
        content: of the file.
        options: the unit of its values, an encoding of the sensor ``thermal``.

    Raises:
        DataError: it is not of one band, or no TIFF.
    """
    try:
        with open_image(io.BytesIO(content), path.name, ("TIFF",), eight_bit=False) as image:
            stored = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as an image: {error}; copy it once more from the camera") from None
    if stored.ndim != 2 or stored.dtype.itemsize < 2:
        raise DataError(
            f"{path.name} holds {stored.dtype} values of shape {stored.shape}, which are colours, no temperatures; "
            "give the radiometric file"
        )
    encoding = get_sensor("thermal").encoding(options.unit or "")
    return encoding.decode(stored.astype(np.float32)[None]).reshape(stored.shape)


TIFF = ThermalFormat(recognises, read)
