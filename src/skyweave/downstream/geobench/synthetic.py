"""Miniatures of the twelve tasks in the published format, with labels that can be learnt from the pictures.

They are for trying a pipeline out, and for tests, where the benchmark's 57 GB are not at hand. Every class has colours
of its own in every sensor, under noise; scores on them say nothing about a model. Partitions are written last: a folder
that was broken off is refused when it is read.
"""

import datetime
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import CRS

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.downstream.geobench.layouts import CLOUDS, DATED, LANDSAT8, LAYOUTS, NEON_CHANNELS, SENTINEL1, SENTINEL2
from skyweave.downstream.geobench.partitions import FRACTIONS, SPLITS
from skyweave.downstream.geobench.pickling import stored_date, write_pickle
from skyweave.downstream.geobench.stored_labels import described_label
from skyweave.downstream.geobench.tasks import GeobenchTask, StoredSensor, get_task, list_tasks
from skyweave.downstream.geobench.unpickle import PickledObject
from skyweave.downstream.labels.sample import Label

SAMPLES_PER_SPLIT = (40, 20, 20)
"""Of training, validation and test."""
MAX_IMAGE_SIDE = 32
"""Pixels a side, where a task's pictures are larger."""
CONTRAST, NOISE = 0.8, 0.3
"""How far classes lie apart and how much a pixel varies, in the standard deviations of a band."""


def fabricate(
    folder: str | Path,
    names: Sequence[str] | None = None,
    samples: tuple[int, int, int] = SAMPLES_PER_SPLIT,
    size: int = MAX_IMAGE_SIDE,
    seed: int = 0,
) -> list[Path]:
    """Write miniature tasks below ``folder``, in the folders of the published archive.

    Args:
        folder: gets the folders of the tasks.
        names: tasks; default: all twelve.
        samples: how many of training, validation and test.
        size: pixels a side (a task whose pictures are smaller keeps its own; NeonTree takes a multiple of ten).
        seed: other images.

    Returns:
        The folders of the tasks.

    Raises:
        FileExistsError: a task's folder has something in it.
        DataError: no samples, or images too small to hold anything.
        UnknownNameError: no such task.
    """
    if min(samples) < 1 or size < 10:
        raise DataError(f"{samples} samples of {size} pixels a side: give one of each split at least, and ten pixels")
    chosen = [get_task(name) for name in names] if names is not None else list(list_tasks().values())
    return [_task(Path(folder), task, samples, min(size, task.size), seed) for task in chosen]


def _task(root: Path, task: GeobenchTask, samples: tuple[int, int, int], size: int, seed: int) -> Path:
    """One task's folder with all that the published one has."""
    folder = root / task.collection / task.name
    _make_folder(folder)
    size = size // 10 * 10 if task.name == "m-NeonTree" else size
    random = np.random.default_rng([seed, list(list_tasks()).index(task.name)])
    colours = {stored.name: random.normal(size=(len(task.classes), len(stored.sensor))) for stored in task.sensors}
    names = [_sample_name(task, number) for number in range(sum(samples))]
    labels: dict[str, Label] = {}
    held: dict[str, list[np.ndarray]] = {}
    for number, name in enumerate(names):
        mask = _mask(task, number, size, random)
        label = task.stored_label.fabricate(mask, len(task.classes))
        labels[name] = label
        bands = _bands(task, mask, colours, random)
        _hold_values(bands, held)
        _write_sample(folder / f"{name}.hdf5", task, bands, label)

    first, second = samples[0], samples[0] + samples[1]
    splits = dict(zip(SPLITS, (names[:first], names[first:second], names[second:]), strict=True))
    _write_json(folder / "default_partition.json", splits)
    _write_fractions(random, splits, first, folder)
    _write_json(folder / "band_stats.json", _band_statistics(held))
    shares = {name: task.stored_label.class_shares(label, len(task.classes)) for name, label in labels.items()}
    _write_json(folder / "label_stats.json", shares)
    with write_aside(folder / "task_specs.pkl") as path:
        path.write_bytes(write_pickle(_specification(task, size)))
    return folder


def _make_folder(folder: Path) -> None:
    """Make the folder of a task, which must hold nothing."""
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; fabricate into a folder of its own, or remove it")
    folder.mkdir(parents=True, exist_ok=True)


def _hold_values(bands: dict[str, np.ndarray], held: dict[str, list[np.ndarray]]) -> None:
    """Hold some values of each band for the statistics."""
    for key, values in bands.items():
        held.setdefault(key, []).append(values.ravel()[:: max(1, values.size // 100)])


def _band_statistics(held: dict[str, list[np.ndarray]]) -> dict[str, dict[str, float]]:
    """Return the statistics of each band."""
    return {key: _statistics(np.concatenate(part)) for key, part in held.items()}


def _write_fractions(random: np.random.Generator, splits: dict[str, list[str]], first: int, folder: Path) -> None:
    """Write the partitions with a part of the training samples."""
    for fraction in FRACTIONS:
        train = random.permutation(splits["train"])[: max(1, int(first * fraction))].tolist()
        _write_json(folder / f"{fraction:.2f}x_train_partition.json", {**splits, "train": train})


def _mask(task: GeobenchTask, number: int, size: int, random: np.random.Generator) -> np.ndarray:
    """(rows, columns) class of each pixel: one class for classification, patches of several for the others."""
    classes = len(task.classes)
    if not task.stored_label.mixes_classes:
        return np.full((size, size), number % classes)
    others = [other for other in random.permutation(classes) if other != number % classes]
    several = np.array([number % classes, *others[:2]])
    heights = _smooth(random.normal(size=(len(several), size, size)), max(1, size // 8))
    return np.asarray(several[heights.argmax(0)])


def _bands(
    task: GeobenchTask, mask: np.ndarray, colours: dict[str, np.ndarray], random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Stored values of every dataset: those that are read show the classes, the others are noise."""
    shown: dict[str, np.ndarray] = {}
    for stored in task.sensors:
        step = 10 if task.name == "m-NeonTree" and stored.name != "rgb" else 1
        seen = mask[step // 2 :: step, step // 2 :: step]
        deviation = np.moveaxis(colours[stored.name][seen], 2, 0) * CONTRAST
        deviation = deviation + NOISE * random.normal(size=deviation.shape)
        sensor = stored.sensor
        values = sensor.means[:, None, None] + deviation * sensor.stds[:, None, None]
        if sensor.bands[0].unit == "uint8":
            values = np.clip(values, 1, 255)
        shown = _store_bands(stored, values, shown)
    layout, kind = LAYOUTS[task.name]
    return {name: _as_stored(name, shown.get(name), kind, mask.shape, random) for name in layout}


def _store_bands(stored: StoredSensor, values: np.ndarray, shown: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Encode the values of a sensor as its bands are stored."""
    if stored.channels:
        more = np.repeat(values[-1:], NEON_CHANNELS - stored.channels, axis=0)
        shown[stored.bands[0][1]] = np.moveaxis(_encode(np.concatenate([values, more]), stored), 0, 2)
    else:
        encoded = _encode(values, stored)
        shown |= {dataset: band for (_, dataset), band in zip(stored.bands, encoded, strict=True)}
    return shown


def _encode(values: np.ndarray, stored: StoredSensor) -> np.ndarray:
    """From a sensor's unit to stored values: the inverse of its encoding."""
    encoding = stored.encoding
    if encoding.decibel:
        values = 10 ** (values / 10)
    return (values - encoding.offset) / encoding.scale


def _as_stored(
    name: str, values: np.ndarray | None, kind: str, shape: tuple[int, ...], random: np.random.Generator
) -> np.ndarray:
    """Of the type that the published files have, within its range."""
    if values is None:
        values = np.zeros(shape) if name == CLOUDS else random.uniform(1, 100, size=shape)
    if name == "Neon":
        kind = "i2"
    elif name == "Canopy Height Model":
        kind, values = "f4", values[:, :, None]
    dtype = np.dtype(kind)
    return _cast(dtype, values)


def _cast(dtype: np.dtype, values: np.ndarray) -> np.ndarray:
    """Cast values to the type they are stored in."""
    if dtype.kind == "f":
        stored: np.ndarray = np.maximum(values, 1e-4).astype(dtype)
    else:
        stored = np.clip(np.round(values), 1, np.iinfo(dtype).max).astype(dtype)
    return stored


def _write_sample(path: Path, task: GeobenchTask, bands: dict[str, np.ndarray], label: Label) -> None:
    import h5py

    day = DATED.get(task.name)
    date = stored_date(datetime.date.fromisoformat(day)) if day else None
    ending = f"_{day}" if day else ""
    described: dict[str, Any] = {}
    is_mask = task.stored_label.is_mask
    if not is_mask:
        described["label"] = described_label(label)
    with h5py.File(path, "w") as file:
        _write_bands(bands, file, ending, task, date, described)
        _write_mask(is_mask, ending, task, file, label, date, described)
        described["bands_order"] = [key for key in described if key != "label" or is_mask]
        file.attrs["pickle"] = str(write_pickle(described))


def _write_bands(
    bands: dict[str, np.ndarray],
    file: Any,
    ending: str,
    task: GeobenchTask,
    date: PickledObject | None,
    described: dict[str, Any],
) -> None:
    """Write the bands, and what describes them."""
    for name, values in bands.items():
        file.create_dataset(name + ending, data=values)
        described[name + ending] = _band(task, _band_info(task, name), date)


def _write_mask(
    is_mask: bool,
    ending: str,
    task: GeobenchTask,
    file: Any,
    label: Label,
    date: PickledObject | None,
    described: dict[str, Any],
) -> None:
    """Write the label as a mask."""
    if is_mask:
        dataset = "label" + ending * (task.name == "m-nz-cattle")  # the only one whose masks are dated
        file.create_dataset(dataset, data=np.asarray(label).astype(np.uint8))
        described[dataset] = _band(task, _label_specification(task), date)


def _band(task: GeobenchTask, info: PickledObject, date: PickledObject | None) -> dict[str, Any]:
    return {
        "date": date,
        "date_id": date,
        "spatial_resolution": task.sensors[0].ground_sample_distance,
        "band_info": info,
        "meta_info": None,
        "transform": PickledObject("affine.Affine", (10.0, 0.0, 600000.0, 0.0, -10.0, 5000000.0)),
        "crs": PickledObject("rasterio.crs.CRS", (), _utm()),
    }


@cache
def _utm() -> str:
    """A coordinate reference system as rasterio stores it."""
    return CRS.from_epsg(32633).to_wkt("WKT1_GDAL")


def _band_info(task: GeobenchTask, name: str) -> PickledObject:
    """What the benchmark's own classes hold about a band."""
    state: dict[str, Any] = {
        "name": name,
        "alt_names": (),
        "spatial_resolution": task.sensors[0].ground_sample_distance,
    }
    if name == "Neon":
        state |= {"n_bands": NEON_CHANNELS, "wavelength_range": None}
        return PickledObject("geobench.dataset.HyperSpectralBands", (), state)
    if name in (CLOUDS, "Canopy Height Model"):
        return PickledObject(f"geobench.dataset.{'CloudProbability' if name == CLOUDS else 'ElevationBand'}", (), state)
    kind = _class_of_band(name, task)
    return PickledObject(f"geobench.dataset.{kind}", (), state | {"wavelength": None})


def _class_of_band(name: str, task: GeobenchTask) -> str:
    """Return the class that describes a band of an instrument."""
    kinds = {"Sentinel2": SENTINEL2, "Sentinel1": SENTINEL1, "Landsat8": LANDSAT8}
    return next(
        (kind for kind, known in kinds.items() if name in known and kind.lower() in _sensors(task)), "SpectralBand"
    )


def _sensors(task: GeobenchTask) -> set[str]:
    return {stored.name for stored in task.sensors}


def _label_specification(task: GeobenchTask) -> PickledObject:
    return task.stored_label.specification(task.classes, task.sensors[0].ground_sample_distance)


def _specification(task: GeobenchTask, size: int) -> PickledObject:
    state = {
        "dataset_name": task.name,
        "benchmark_name": task.collection,
        "patch_size": (size, size),
        "n_time_steps": 1,
        "bands_info": [_band_info(task, name) for name in LAYOUTS[task.name][0]],
        "label_type": _label_specification(task),
        "spatial_resolution": task.sensors[0].ground_sample_distance,
    }
    return PickledObject("geobench.task.TaskSpecifications", (), state)


def _sample_name(task: GeobenchTask, number: int) -> str:
    """Named as the published ones are; some are coordinates."""
    if task.name in ("m-pv4ger", "m-pv4ger-seg"):
        return f"{6 + number / 10_000:.8f},{51 + number / 10_000:.8f}"
    if task.name == "m-forestnet":
        return f"-{1 + number / 10_000}_{128 + number / 10_000}_{DATED[task.name].replace('-', '_')}"
    return f"id_{number:04d}"


def _statistics(values: np.ndarray) -> dict[str, float]:
    statistics = {"min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std()}
    quantiles = {"median": 50, "percentile_0_1": 0.1, "percentile_1": 1, "percentile_5": 5}
    quantiles |= {"percentile_95": 95, "percentile_99": 99, "percentile_99_9": 99.9}
    statistics |= {key: np.percentile(values, share) for key, share in quantiles.items()}
    return {key: float(value) for key, value in statistics.items()}


def _smooth(values: np.ndarray, radius: int) -> np.ndarray:
    """A running mean along rows and columns."""
    window = 2 * radius + 1
    for axis in (1, 2):
        around = [(0, 0), (0, 0), (0, 0)]
        around[axis] = (radius + 1, radius)
        total = np.moveaxis(np.cumsum(np.pad(values, around, mode="wrap"), axis=axis), axis, 0)
        values = np.moveaxis(total[window:] - total[:-window], 0, axis)
    return values


def _write_json(path: Path, content: Any) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
