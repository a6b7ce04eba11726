"""Base maps of a node: files on board, of which not a byte travels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.core.registry import Registry
from skyweave.core.sensors import get_sensor
from skyweave.recordings.recording import BaseMap

BASE_MAP_READERS: Registry[Callable[..., Observation]] = Registry(
    "base_map_readers", "reader of base maps", {"raster": "skyweave.data.raster:read_observation"}
)
"""From path, sensor and ``unit=`` to an observation with a geotransform; packages add some under the entry points
``skyweave.base_map_readers``."""


@dataclass(frozen=True)
class BaseMapConfig:
    """One orthorectified image on board, an entry of ``perceiver.base_maps``.

    Attributes:
        path: what the reader reads; of ``raster`` a GeoTIFF, or anything else that GDAL reads.
        sensor: catalogue name of what took it.
        unit: how it stores values, one of the sensor's encodings.
        time: when it was taken, ISO 8601 with a time zone; None where that is not known.
        position_std: standard deviation of its place, metres; None where that is not known.
        reader: a name in `BASE_MAP_READERS`.
    """

    path: str
    sensor: str = "rgb"
    unit: str = "uint8"
    time: str | None = None
    position_std: float | None = None
    reader: str = "raster"

    def __post_init__(self) -> None:
        if self.position_std is not None and not self.position_std >= 0:
            raise ConfigError(f"base_maps: {self.path}: position_std {self.position_std} must be metres, 0 or more")
        self.nanoseconds()

    def nanoseconds(self) -> int | None:
        """Return when it was taken as UTC nanoseconds.

        Raises:
            ConfigError: the time is none, or has no zone.
        """
        if self.time is None:
            return None
        try:
            taken = datetime.fromisoformat(self.time)
        except ValueError:
            taken = None
        if taken is None or taken.tzinfo is None:
            raise ConfigError(f"base_maps: {self.path}: time {self.time!r}; write 2026-06-21T10:00:00+00:00")
        return int(taken.timestamp()) * 10**9


def open_base_maps(configs: Sequence[BaseMapConfig]) -> list[BaseMap]:
    """Return the base maps of a configuration, which are read when they are asked for.

    Args:
        configs: of the files.

    Raises:
        UnknownNameError: there is no such sensor, or no such reader.
    """
    return [_open(one) for one in configs]


def _open(one: BaseMapConfig) -> BaseMap:
    """Return one base map, which is read when it is asked for."""
    load = partial(BASE_MAP_READERS[one.reader], one.path, get_sensor(one.sensor), unit=one.unit)
    return BaseMap(one.path, load, one.nanoseconds(), one.position_std)
