"""What stands before the values of an array in NumPy's format (``.npy``): how many there are, before any is read."""

from typing import IO, Any

import numpy as np


def read_array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether in Fortran order, and type of the array that begins here; its values come next.

    Args:
        stream: at the beginning of an array.

    Raises:
        ValueError: no array begins here.
    """
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return reader(stream)
