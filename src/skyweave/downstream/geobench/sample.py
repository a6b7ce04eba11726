"""One sample of GEO-Bench: an HDF5 file with a dataset a band, read into observations and their label."""

import ast
import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.downstream.geobench.tasks import GeobenchTask, StoredSensor
from skyweave.downstream.geobench.unpickle import MAX_PICKLE_BYTES, decode_stored, read_pickle
from skyweave.downstream.labels.labelled_data import IGNORE_INDEX, Label, LabelledSample, check_sample

if TYPE_CHECKING:
    import h5py

Unlabelled = Literal["class", "ignore"]
MAX_VALUES = 2**27
"""Values in one dataset above which it is not read: the benchmark's largest has 400 x 400, or 40 x 40 x 369."""


def read_sample(
    path: str | Path,
    task: GeobenchTask,
    sensors: Sequence[str] | None = None,
    unlabelled: Unlabelled = "class",
) -> LabelledSample:
    """The pictures of a sample in their sensors' units, and its label.

    Bands are found by the names of the task's table; those that the table leaves out are not read. Where a task has
    masks, every observation gets the mask's rows and columns: coarser pixels are repeated. The files' georeference is
    not used: that of EuroSAT is of another picture, and others are in degrees.

    Args:
        path: an ``.hdf5`` file.
        sensors: those of the task's sensors to read, by their names in the table; default: all.
        unlabelled: whether classes that mean that nobody knows count as classes, as in the benchmark, or are ignored.

    Raises:
        FileNotFoundError: no such file.
        OSError: no HDF5, or a file that breaks off.
        UnsafePickleError: (a ``ValueError``) its pickle names something that is not data; see `unpickle`.
        ValueError: a band or the label is missing or of another size, a label outside the classes; names the file.
        ModuleNotFoundError: h5py, the extra ``geobench``, is not installed.
    """
    path = Path(path)
    stored = task.select(list(sensors) if sensors is not None else None)
    try:
        with _opened(path) as file:
            described = _described(file, path)
            label = _label(file, described, task, path)
            if isinstance(label, np.ndarray) and unlabelled == "ignore" and task.kind == "segmentation":
                label = np.where(np.isin(label, task.unlabelled), IGNORE_INDEX, label)
            shape = label.shape if isinstance(label, np.ndarray) and label.ndim == 2 else None
            observations = tuple(_observation(file, one, described, shape, path) for one in stored)
    except (KeyError, RuntimeError, OSError, ValueError) as error:
        if str(path) in str(error):
            raise
        # how h5py says that a file is damaged inside
        raise OSError(f"{path} is damaged ({error}); download the task again") from error
    if shape is None and len({observation.shape for observation in observations}) > 1:
        sizes = ", ".join(str(observation.shape) for observation in observations)
        raise DataError(f"{path}: its pictures have sizes {sizes}; download the file again")
    return check_sample(LabelledSample(observations, label, str(path)), task.task)


def _opened(path: Path) -> "h5py.File":
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; download the task again")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise OSError(f"{path} is no HDF5 file or breaks off ({error}); download the task again") from error


def _described(file: "h5py.File", path: Path) -> dict[str, Any]:
    """What the sample says of itself: its label, and of each band date, resolution and the like."""
    attribute = file.attrs.get("pickle")
    if isinstance(attribute, np.void):
        attribute = attribute.tobytes()
    if isinstance(attribute, str):  # the bytes as Python prints them
        if len(attribute) > 4 * MAX_PICKLE_BYTES or not re.fullmatch(
            r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\"", attribute
        ):
            raise DataError(f"{path}: its attribute 'pickle' holds no bytes; it is no sample of GEO-Bench")
        try:
            attribute = ast.literal_eval(attribute)
        except (SyntaxError, ValueError) as error:
            raise DataError(f"{path}: its attribute 'pickle' is damaged; download the task again") from error
    if not isinstance(attribute, bytes):
        raise DataError(f"{path}: it has no attribute 'pickle'; it is no sample of GEO-Bench")
    described = read_pickle(attribute, str(path))
    if not isinstance(described, dict):
        raise DataError(f"{path}: its attribute 'pickle' describes no bands; it is no sample of GEO-Bench")
    return described


def _label(file: "h5py.File", described: dict[str, Any], task: GeobenchTask, path: Path) -> Label:
    """The label: a mask among the datasets, or a number or a row of yes and no in the description."""
    if task.kind == "segmentation":
        mask = _dataset(file, _named(file, "label", path), path)
        if mask.ndim != 2:
            raise DataError(f"{path}: its mask has shape {mask.shape}; two dimensions are expected")
        if mask.dtype.kind == "f" and not (np.isfinite(mask).all() and (mask % 1 == 0).all()):
            raise DataError(f"{path}: its mask holds fractions; class numbers are expected")
        return mask.astype(np.int64)
    if "label" not in described:
        raise DataError(f"{path}: it has no label; download the task again")
    value = decode_stored(described["label"], str(path))
    if isinstance(value, int) and task.kind == "classification":
        return value
    numbers = np.asarray(value if isinstance(value, list | np.ndarray) else [value])
    single = task.kind == "classification"
    if numbers.dtype.kind not in "biuf" or numbers.ndim != 1 or (single and len(numbers) != 1):
        raise DataError(f"{path}: its label is no {'class number' if single else 'row of yes and no'}")
    if (numbers % 1 != 0).any():
        raise DataError(f"{path}: its label {numbers.tolist()[:5]} holds fractions")
    if single:
        return int(numbers[0])
    if not np.isin(numbers, (0, 1)).all():
        raise DataError(f"{path}: its label holds {sorted(set(numbers.tolist()) - {0, 1})[:5]}; 0 and 1 are expected")
    return numbers.astype(bool)


def _observation(
    file: "h5py.File",
    stored: StoredSensor,
    described: dict[str, Any],
    shape: tuple[int, int] | None,
    path: Path,
) -> Observation:
    """What one sensor saw: its bands stacked, in its units."""
    names = [_named(file, theirs, path) for _, theirs in stored.bands]
    if stored.channels:
        (name,) = names
        values = _dataset(file, name, path)
        if values.ndim != 3 or values.shape[2] < stored.channels:
            raise DataError(f"{path}: {name!r} has shape {values.shape}; {stored.channels} channels last are expected")
        values = np.moveaxis(values[:, :, : stored.channels], 2, 0)
    else:
        bands = [_flat(_dataset(file, name, path), name, path) for name in names]
        if len({band.shape for band in bands}) > 1:
            sizes = ", ".join(f"{name!r} {band.shape}" for name, band in zip(names, bands, strict=True))
            raise DataError(f"{path}: the bands of {stored.name} have different sizes: {sizes}")
        values = np.stack(bands)
    distance = stored.ground_sample_distance
    valid = np.ones(values.shape, bool) if stored.nodata is None else values != stored.nodata
    pixels = stored.encoding.decode(values)
    if shape is not None and values.shape[1:] != shape:
        times = _times(values.shape[1:], shape, stored.name, path)
        pixels, valid = (layer.repeat(times, axis=1).repeat(times, axis=2) for layer in (pixels, valid))
        distance /= times
    day = described.get(names[0])
    return Observation.from_pixels(
        pixels, stored.sensor, distance, valid=valid, time=_time(day, path), source=f"{path} ({stored.name})"
    )


def _named(file: "h5py.File", name: str, path: Path) -> str:
    """The dataset called ``name``; samples with a date append it, ``04 - Red_2016-01-01``."""
    if name in file:
        return name
    there = [key for key in file if isinstance(key, str)]  # bytes where a name is no text
    dated = [key for key in there if re.fullmatch(re.escape(name) + r"_\d{4}-\d\d-\d\d.*", key)]
    if len(dated) == 1:
        return dated[0]
    if dated:
        raise DataError(f"{path}: {name!r} is there for {len(dated)} dates; samples of one date are expected")
    raise DataError(f"{path}: it has no {name!r}; it has {', '.join(there) or 'nothing'}: is it of another task?")


def _dataset(file: "h5py.File", name: str, path: Path) -> np.ndarray:
    """The values of a dataset that lies in this file itself; links can point to any file of the machine."""
    import h5py

    link = file.get(name, getlink=True)
    data = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise DataError(f"{path}: {name!r} is no dataset of this file but points elsewhere; refused")
    if data.dtype.kind not in "biuf" or data.ndim not in (2, 3):
        raise DataError(f"{path}: {name!r} holds {data.dtype} of shape {data.shape}; pictures are expected")
    if not 0 < data.size <= MAX_VALUES:
        raise DataError(f"{path}: {name!r} has shape {data.shape}; no picture of the benchmark is of that size")
    try:
        return np.asarray(data[()])
    except OSError as error:
        raise OSError(f"{path}: {name!r} breaks off or is damaged ({error}); download the task again") from error


def _flat(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """(rows, columns), where a single band may be stored with a third axis of one."""
    if values.ndim == 3 and values.shape[2] == 1:
        return values[:, :, 0]
    if values.ndim != 2:
        raise DataError(f"{path}: {name!r} has shape {values.shape}; one band is expected")
    return values


def _times(shape: tuple[int, ...], wanted: tuple[int, int], name: str, path: Path) -> int:
    """How often a coarse pixel is repeated to fill the mask's grid."""
    times = wanted[0] // max(1, shape[0])
    if times < 1 or (shape[0] * times, shape[1] * times) != wanted:
        raise DataError(f"{path}: the mask has shape {wanted}, the picture of {name} {shape}; they do not fit")
    return times


def _time(described: Any, path: Path) -> int | None:
    """The day of a band in UTC nanoseconds, if it is known."""
    day = decode_stored(described.get("date"), str(path)) if isinstance(described, dict) else None
    if not isinstance(day, datetime.date):
        return None
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    return int(midnight.timestamp()) * 1_000_000_000
