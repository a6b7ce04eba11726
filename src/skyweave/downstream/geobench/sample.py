"""One sample of GEO-Bench: an HDF5 file with a dataset a band, read into observations and their label."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.downstream.geobench.hdf5 import dataset_name, open_sample, read_dataset, read_description
from skyweave.downstream.geobench.tasks import GeobenchTask, StoredSensor
from skyweave.downstream.geobench.unpickle import decode_stored
from skyweave.downstream.labels.labelled_images import check_sample
from skyweave.downstream.labels.sample import LabelledSample

if TYPE_CHECKING:
    import h5py

Unlabelled = Literal["class", "ignore"]
NANOSECONDS_PER_SECOND = 1_000_000_000


def read_sample(
    path: str | Path,
    task: GeobenchTask,
    sensors: Sequence[str] | None = None,
    unlabelled: Unlabelled = "class",
) -> LabelledSample:
    """Read the images of a sample in their sensors' units, and its label.

    Bands are found by the names of the task's table; those that the table leaves out are not read. Where a task has
    masks, every observation gets the mask's rows and columns: coarser pixels are repeated. The files' georeference is
    not used: that of EuroSAT is of another image, and others are in degrees.

    Args:
        path: an ``.hdf5`` file.
        task: whose table says how the file is read.
        sensors: those of the task's sensors to read, by their names in the table; default: all.
        unlabelled: whether classes that mean that nobody knows count as classes, as in the benchmark, or are ignored.

    Raises:
        FileNotFoundError: no such file.
        OSError: no HDF5, or a file that breaks off.
        UnsafePickleError: its pickle names something that is not data; see `unpickle`.
        DataError: a band or the label is missing or of another size, a label outside the classes; names the file.
        ModuleNotFoundError: h5py, the extra ``geobench``, is not installed.
    """
    path = Path(path)
    stored = task.select(list(sensors) if sensors is not None else None)
    try:
        with open_sample(path) as file:
            description = read_description(file, path)
            label = task.stored_label.read(file, description, path)
            if unlabelled == "ignore":
                label = task.stored_label.without_classes(label, task.unlabelled)
            shape = label.shape if isinstance(label, np.ndarray) and label.ndim == 2 else None
            observations = tuple(_observation(file, sensor, description, shape, path) for sensor in stored)
    except (KeyError, RuntimeError, OSError, ValueError) as error:
        if str(path) in str(error):
            raise
        # how h5py says that a file is damaged inside
        raise OSError(f"{path} is damaged ({error}); download the task again") from error
    _check_sizes(shape, observations, path)
    return check_sample(LabelledSample(observations, label, str(path)), task.task.label_kind, len(task.classes))


def _check_sizes(shape: tuple[Any, ...] | None, observations: tuple[Observation, ...], path: Path) -> None:
    """Check that images without a mask have one size."""
    if shape is None and len({observation.shape for observation in observations}) > 1:
        sizes = ", ".join(str(observation.shape) for observation in observations)
        raise DataError(f"{path}: its images have sizes {sizes}; download the file again")


def _observation(
    file: "h5py.File",
    stored: StoredSensor,
    description: dict[str, Any],
    shape: tuple[int, int] | None,
    path: Path,
) -> Observation:
    """Return the image of one sensor: its bands stacked, in its units."""
    names = [dataset_name(file, dataset, path) for _, dataset in stored.bands]
    values = _channels(file, names[0], stored.channels, path) if stored.channels else _bands(file, names, stored, path)
    distance = stored.ground_sample_distance
    valid = np.ones(values.shape, bool) if stored.nodata is None else values != stored.nodata
    pixels = stored.encoding.decode(values)
    if shape is not None and values.shape[1:] != shape:
        times = _repetitions(values.shape[1:], shape, stored.name, path)
        pixels, valid = (layer.repeat(times, axis=1).repeat(times, axis=2) for layer in (pixels, valid))
        distance /= times
    day = description.get(names[0])
    return Observation.from_pixels(
        pixels, stored.sensor, distance, valid=valid, time=_time(day, path), source=f"{path} ({stored.name})"
    )


def _channels(file: "h5py.File", name: str, count: int, path: Path) -> np.ndarray:
    """Return (channels, rows, columns) of a dataset that holds all bands in its third axis."""
    values = read_dataset(file, name, path)
    if values.ndim != 3 or values.shape[2] < count:
        raise DataError(f"{path}: {name!r} has shape {values.shape}; {count} channels last are expected")
    return np.moveaxis(values[:, :, :count], 2, 0)


def _bands(file: "h5py.File", names: list[str], stored: StoredSensor, path: Path) -> np.ndarray:
    """Return (bands, rows, columns) of datasets that hold one band each."""
    bands = [_flat(read_dataset(file, name, path), name, path) for name in names]
    if len({band.shape for band in bands}) > 1:
        sizes = ", ".join(f"{name!r} {band.shape}" for name, band in zip(names, bands, strict=True))
        raise DataError(f"{path}: the bands of {stored.name} have different sizes: {sizes}")
    return np.stack(bands)


def _flat(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Return (rows, columns), where a single band may be stored with a third axis of one."""
    if values.ndim == 3 and values.shape[2] == 1:
        return values[:, :, 0]
    if values.ndim != 2:
        raise DataError(f"{path}: {name!r} has shape {values.shape}; one band is expected")
    return values


def _repetitions(shape: tuple[int, ...], target: tuple[int, int], name: str, path: Path) -> int:
    """Return how often a coarse pixel is repeated to fill the mask's grid."""
    times = target[0] // max(1, shape[0])
    if times < 1 or (shape[0] * times, shape[1] * times) != target:
        raise DataError(f"{path}: the mask has shape {target}, the image of {name} {shape}; they do not fit")
    return times


def _time(described: Any, path: Path) -> int | None:
    """Return the day of a band in UTC nanoseconds, if it is known."""
    day = decode_stored(described.get("date"), str(path)) if isinstance(described, dict) else None
    if not isinstance(day, datetime.date):
        return None
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    return int(midnight.timestamp()) * NANOSECONDS_PER_SECOND
