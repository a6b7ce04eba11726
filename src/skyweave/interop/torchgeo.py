"""TorchGeo: its sample dictionaries to observations and back. Models for its trainers: `skyweave.interop.timm_model`.

TorchGeo's samples are dictionaries of tensors: ``image`` (bands, rows, columns), ``mask`` (rows, columns) or ``label``,
``bbox_xyxy`` with ``label`` for boxes, and from datasets of georeferenced files ``crs`` and ``bounds``, three slices
with their steps. They do not say what the channels are or how they are stored: whoever reads them must.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import ConfigError
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors.sensor import Sensor
from skyweave.downstream.labels import IGNORE_INDEX, Label
from skyweave.interop.sensor_module import decode_stored


def to_sample(observation: Observation, label: Label | None = None, ignore_index: int = IGNORE_INDEX) -> dict[str, Any]:
    """A TorchGeo sample of an observation: values in the bands' units, NaN where invalid.

    Args:
        observation: of any sensor, with or without a place.
        label: as in `LabelledSample`: a class or (classes,) bool becomes ``label``, (rows, columns) ``mask``,
            (boxes, 5) ``bbox_xyxy`` and ``label``.
        ignore_index: what the mask holds where there is no label.
    """
    pixels = np.where(observation.valid, observation.pixels, np.float32("nan"))
    sample: dict[str, Any] = {"image": torch.from_numpy(pixels)}
    sample |= _located(observation)
    if label is None:
        return sample
    return sample | _labels(torch.as_tensor(np.asarray(label)), observation.shape, ignore_index)


def _labels(values: Tensor, shape: tuple[int, int], ignore_index: int) -> dict[str, Tensor]:
    """Return the entries of a sample for the label of an image of ``shape`` (rows, columns)."""
    if values.ndim != 2:
        return {"label": values.long()}
    if values.shape[1] == 5 and values.shape != shape:
        return {"bbox_xyxy": values[:, :4].float(), "label": values[:, 4].long()}
    if not values.is_floating_point():
        values = torch.where(values == IGNORE_INDEX, ignore_index, values.long())
    return {"mask": values}


def from_sample(
    sample: Mapping[str, Any], sensor: Sensor, unit: str | None, ground_sample_distance: float | None = None
) -> Observation:
    """An observation of a TorchGeo sample.

    Args:
        sample: with ``image`` (bands, rows, columns); NaN and infinity are nodata.
        sensor: its bands are the image's channels, in order; select the dataset's with ``sensor.select([...])``.
        unit: how the dataset stores them, a word of the sensor's encodings; None: in the bands' own units.
        ground_sample_distance: metres; default: of the sample's bounds where they are in metres, else the sensor's.

    Raises:
        ValueError: an image that is not of this sensor's bands.
    """
    image = torch.as_tensor(sample["image"]).float()
    if image.ndim != 3 or len(image) != len(sensor):
        raise ConfigError(
            f"the sample's image has shape {tuple(image.shape)}, but {sensor.name} has {len(sensor)} bands; "
            "select the dataset's bands with sensor.select([...])"
        )
    if unit is not None:
        image = decode_stored(image.unsqueeze(0), sensor.encoding(unit)).squeeze(0)
    geometry, metres, time = _location(sample)
    return Observation.from_pixels(
        image.numpy(),
        sensor,
        ground_sample_distance or metres,
        geometry=geometry,
        time=time,
        source=str(sample.get("filename", "sample")),
    )


def to_batch(
    batch: Mapping[str, Any], sensor: Sensor, unit: str | None, ground_sample_distance: float | None = None
) -> SensorBatch:
    """Return a `SensorBatch` of a collated TorchGeo batch.

    Args:
        batch: ``image`` (batch, bands, rows, columns).
        sensor: its bands are the channels.
        unit: as of `from_sample`.
        ground_sample_distance: as of `from_sample`.
    """
    images = batch["image"]
    values = images.float() if unit is None else decode_stored(images, sensor.encoding(unit))
    valid = values.isfinite()
    metres = values.new_full((len(values),), ground_sample_distance or sensor.ground_sample_distance)
    return SensorBatch(torch.where(valid, values, 0.0), valid, sensor, metres)


def label_of(sample: Mapping[str, Any], ignore_index: int | None = None) -> Label | None:
    """Return the label as `LabelledSample` has it, or None.

    Args:
        sample: of a TorchGeo dataset.
        ignore_index: in a mask; becomes `IGNORE_INDEX`.
    """
    if "bbox_xyxy" in sample:
        boxes = torch.cat([sample["bbox_xyxy"].float(), sample["label"].float().unsqueeze(1)], dim=1)
        return boxes.numpy()
    if "mask" in sample:
        return _mask_label(sample["mask"].squeeze(), ignore_index)
    if "label" not in sample:
        return None
    label = torch.as_tensor(sample["label"])
    return int(label) if label.ndim == 0 else label.bool().numpy()


def _mask_label(mask: Tensor, ignore_index: int | None) -> np.ndarray:
    """Return (rows, columns) numbers or classes, `IGNORE_INDEX` where there is none."""
    if mask.is_floating_point():
        return mask.float().numpy()
    classes = mask.long()
    if ignore_index is not None:
        classes = torch.where(mask == ignore_index, IGNORE_INDEX, classes)
    return classes.numpy()


def _located(observation: Observation) -> dict[str, Any]:
    """``crs`` and ``bounds`` of an image that lies north up on a map."""
    place = observation.geotransform
    if place is None or place.crs is None:
        return {}
    a, b, west, d, e, north = place.affine
    if b or d or a <= 0 or e >= 0:
        return {}  # bounds cannot say how it is turned
    from pyproj import CRS

    rows, columns = observation.shape
    seconds = 0.0 if observation.time is None else observation.time / 1e9
    bounds = (slice(west, west + a * columns, a), slice(north + e * rows, north, -e), slice(seconds, seconds, 1))
    return {"crs": CRS.from_user_input(place.crs), "bounds": bounds}


def _location(sample: Mapping[str, Any]) -> tuple[GeoTransform | None, float | None, int | None]:
    """Geotransform, metres per pixel and time, each where the sample tells."""
    bounds = sample.get("bounds")
    if not _are_bounds(bounds):
        return None, None, None
    x, y, time = bounds
    rows, columns = sample["image"].shape[-2:]
    width, height = (x.stop - x.start) / columns, (y.stop - y.start) / rows
    crs = sample.get("crs")
    place = GeoTransform(None if crs is None else crs.to_wkt(), (width, 0.0, x.start, 0.0, -height, y.stop))
    return place, math.sqrt(width * height) if _is_in_metres(crs) else None, _nanoseconds(time.start)


def _are_bounds(bounds: Any) -> TypeGuard[Sequence[slice]]:
    """Say whether a sample's bounds are three slices: x, y and time."""
    return isinstance(bounds, tuple | list) and len(bounds) == 3 and all(isinstance(b, slice) for b in bounds)


def _is_in_metres(crs: Any) -> bool:
    """Say whether a reference system, if there is one, counts in metres."""
    return crs is not None and crs.is_projected and crs.axis_info[0].unit_name in ("metre", "meter")


def _nanoseconds(start: Any) -> int | None:
    if hasattr(start, "value"):  # pandas.Timestamp
        return int(start.value) if start.value > 0 else None  # Timestamp.min means that nobody knows
    return int(start * 1e9) if isinstance(start, int | float) and start > 0 else None
