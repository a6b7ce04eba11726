"""Datasets and descriptions of a published sample, an HDF5 file; what could point elsewhere is refused."""

import ast
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.geobench.unpickle import MAX_PICKLE_BYTES, read_pickle

if TYPE_CHECKING:
    import h5py

MAX_VALUES = 2**27
"""Values in one dataset above which it is not read: the benchmark's largest has 400 x 400, or 40 x 40 x 369."""
PRINTED_BYTES = re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\"")


def open_sample(path: Path) -> "h5py.File":
    """Open a sample's file.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        OSError: no HDF5, or a file that breaks off.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; download the task again")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise OSError(f"{path} is no HDF5 file or breaks off ({error}); download the task again") from error


def read_description(file: "h5py.File", path: Path) -> dict[str, Any]:
    """Return what the sample says of itself: its label, and of each band date, resolution and the like.

    Args:
        file: opened.
        path: of it, for messages.

    Raises:
        DataError: no description, or one that cannot be read safely.
    """
    attribute = file.attrs.get("pickle")
    if isinstance(attribute, np.void):
        attribute = attribute.tobytes()
    if isinstance(attribute, str):
        attribute = _printed_bytes(attribute, path)
    if not isinstance(attribute, bytes):
        raise DataError(f"{path}: it has no attribute 'pickle'; it is no sample of GEO-Bench")
    description = read_pickle(attribute, str(path))
    if not isinstance(description, dict):
        raise DataError(f"{path}: its attribute 'pickle' describes no bands; it is no sample of GEO-Bench")
    return description


def dataset_name(file: "h5py.File", name: str, path: Path) -> str:
    """Return the name of a dataset in the file; samples with a date append it, ``04 - Red_2016-01-01``.

    Args:
        file: opened.
        name: without the date.
        path: of the file, for messages.

    Raises:
        DataError: no such dataset, or several dates.
    """
    if name in file:
        return name
    there = [key for key in file if isinstance(key, str)]  # bytes where a name is no text
    dated = [key for key in there if re.fullmatch(re.escape(name) + r"_\d{4}-\d\d-\d\d.*", key)]
    return _only_dated(dated, path, name, there)


def _only_dated(dated: list[str], path: Path, name: str, there: list[str]) -> str:
    """Return the only dated name, or raise what says what is there."""
    if len(dated) == 1:
        return dated[0]
    if dated:
        raise DataError(f"{path}: {name!r} is there for {len(dated)} dates; samples of one date are expected")
    raise DataError(f"{path}: it has no {name!r}; it has {', '.join(there) or 'nothing'}: is it of another task?")


def read_dataset(file: "h5py.File", name: str, path: Path) -> np.ndarray:
    """Return the values of a dataset that lies in this file itself; links can point to any file of the machine.

    Args:
        file: opened.
        name: of the dataset.
        path: of the file, for messages.

    Returns:
        (rows, columns) or (rows, columns, channels) numbers.

    Raises:
        DataError: a link, something else than numbers, or more of them than any image of the benchmark has.
        OSError: a file that breaks off.
    """
    import h5py

    link = file.get(name, getlink=True)
    data = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise DataError(f"{path}: {name!r} is no dataset of this file but points elsewhere; refused")
    _check_image(data, path, name)
    try:
        return np.asarray(data[()])
    except OSError as error:
        raise OSError(f"{path}: {name!r} breaks off or is damaged ({error}); download the task again") from error


def _check_image(data: Any, path: Path, name: str) -> None:
    """Check that a dataset can be an image of the benchmark."""
    if data.dtype.kind not in "biuf" or data.ndim not in (2, 3):
        raise DataError(f"{path}: {name!r} holds {data.dtype} of shape {data.shape}; images are expected")
    if not 0 < data.size <= MAX_VALUES:
        raise DataError(f"{path}: {name!r} has shape {data.shape}; no image of the benchmark is of that size")
    if math.prod(data.chunks or ()) > MAX_VALUES:  # each is read as a whole
        raise DataError(f"{path}: {name!r} has chunks of {data.chunks}; no image of the benchmark is of that size")


def _printed_bytes(text: str, path: Path) -> Any:
    """Return the bytes that Python has printed into an attribute."""
    if len(text) > 4 * MAX_PICKLE_BYTES or not PRINTED_BYTES.fullmatch(text):
        raise DataError(f"{path}: its attribute 'pickle' holds no bytes; it is no sample of GEO-Bench")
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path}: its attribute 'pickle' is damaged; download the task again") from error
