"""The twelve tasks as a table (``tasks.yaml``): classes, sizes, and which stored band is which band of which sensor."""

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

import yaml

from skyweave.core.errors import DataError, UnknownNameError, did_you_mean
from skyweave.core.sensors import Encoding, Sensor
from skyweave.downstream.finetuning.tasks.base import Task, make_task
from skyweave.downstream.geobench.sensors import get_stored_sensor
from skyweave.downstream.geobench.stored_labels import STORED_LABELS, StoredLabel


@dataclass(frozen=True)
class StoredSensor:
    """The image of one sensor, as a task's files store it.

    Attributes:
        name: short, unique in the task: what a user selects it by.
        sensor_name: of the catalogue or of `skyweave.downstream.geobench.sensors`.
        unit: a unit of that sensor, or the factor from stored values to the bands' unit.
        ground_sample_distance: metres a pixel.
        bands: a band of the sensor and the dataset that holds it; one ``*`` where a dataset holds all bands in its
            third axis.
        channels: how many of that dataset's channels are read; 0 where each band has its own.
        nodata: this stored value is no measurement.
    """

    name: str
    sensor_name: str
    unit: str | float
    ground_sample_distance: float
    bands: tuple[tuple[str, str], ...]
    channels: int = 0
    nodata: float | None = None

    @cached_property
    def sensor(self) -> Sensor:
        """Its bands are those read, in the order read."""
        sensor = get_stored_sensor(self.sensor_name)
        return sensor if self.channels else sensor.select([band for band, _ in self.bands])

    @cached_property
    def encoding(self) -> Encoding:
        """From stored values to the bands' unit."""
        if isinstance(self.unit, str):
            return self.sensor.encoding(self.unit)
        return Encoding(f"{self.unit:g} x stored", scale=self.unit)


@dataclass(frozen=True)
class GeobenchTask:
    """One of the twelve tasks.

    Attributes:
        name: as the benchmark spells it, ``m-eurosat``.
        title: one line for people.
        collection: folder of the published archive, ``classification_v1.0`` or ``segmentation_v1.0``.
        kind: of task: ``classification``, ``multilabel`` or ``segmentation``.
        metric: that the benchmark reports: ``accuracy``, ``micro_map`` or ``mean_iou``.
        size: pixels a side.
        samples: published for training, validation and test.
        classes: names, in the order of the stored numbers.
        sensors: one observation each.
        unlabelled: class numbers that mean that nobody knows.
        statistics: to normalise with: ``task`` where the unit is too uncertain for the ``sensor``'s.
        notes: what a reader of the scores should know.
    """

    name: str
    title: str
    collection: str
    kind: str
    metric: str
    size: int
    samples: tuple[int, int, int]
    classes: tuple[str, ...]
    sensors: tuple[StoredSensor, ...]
    unlabelled: tuple[int, ...] = ()
    statistics: Literal["sensor", "task"] = "sensor"
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """The fine-tuning task with the same classes."""
        return make_task(self.kind, self.name, self.classes)

    @property
    def stored_label(self) -> StoredLabel:
        """How the files store labels."""
        return STORED_LABELS[self.kind]

    def select(self, names: "tuple[str, ...] | list[str] | None") -> tuple[StoredSensor, ...]:
        """Return some of its sensors.

        Args:
            names: in this order; None: all of them.

        Raises:
            UnknownNameError: the task has no such sensor; lists those it has.
            DataError: none, or one twice.
        """
        if names is None:
            return self.sensors
        known = {stored.name: stored for stored in self.sensors}
        self._check_names(names, known)
        return tuple(known[name] for name in names)

    def _check_names(self, names: tuple[str, ...] | list[str], known: dict[str, StoredSensor]) -> None:
        """Check that known sensors are named, each once."""
        if not names or len(set(names)) < len(names):
            raise DataError(f"{self.name}: name each sensor to read once, out of {', '.join(known)}")
        for name in names:
            if name not in known:
                raise UnknownNameError(f"{self.name} has no sensor {name!r}; it has {', '.join(known)}")


@cache
def list_tasks() -> dict[str, GeobenchTask]:
    """Return all twelve by name."""
    text = (files("skyweave.downstream.geobench") / "tasks.yaml").read_text(encoding="utf-8")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {name: _task(name, row) for name, row in yaml.load(text, Loader=loader).items()}


def get_task(name: str) -> GeobenchTask:
    """Return one of the twelve.

    Args:
        name: in any spelling of capitals.

    Raises:
        UnknownNameError: there is no such task; lists all and the nearest.
    """
    for known, task in list_tasks().items():
        if known.lower() == name.lower():
            return task
    names = list(list_tasks())
    raise UnknownNameError(
        f"GEO-Bench has no task {name!r}{did_you_mean(name, names)}; its tasks are {', '.join(names)}"
    )


def _task(name: str, row: dict[str, Any]) -> GeobenchTask:
    row = dict(row)
    sensors = tuple(_stored_sensor(key, dict(value)) for key, value in row.pop("sensors").items())
    unlabelled = tuple(row["classes"].index(label) for label in row.pop("unlabelled", ()))
    for key in ("samples", "classes", "notes"):
        row[key] = tuple(row.get(key, ()))
    return GeobenchTask(name=name, sensors=sensors, unlabelled=unlabelled, **row)


def _stored_sensor(name: str, row: dict[str, Any]) -> StoredSensor:
    unit = row["unit"]
    return StoredSensor(
        name=name,
        sensor_name=row["sensor"],
        unit=unit if isinstance(unit, str) else float(unit["scale"]),
        ground_sample_distance=float(row["ground_sample_distance"]),
        bands=tuple(row["bands"].items()),
        channels=row.get("channels", 0),
        nodata=row.get("nodata"),
    )
