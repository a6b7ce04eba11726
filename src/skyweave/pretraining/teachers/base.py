"""The interface of a teacher, and the registry of those that there are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from skyweave.backbone.backbone import Patches
from skyweave.backbone.batch import SensorBatch
from skyweave.core.registry import Registry
from skyweave.core.sensors.sensor import Sensor


@dataclass(frozen=True)
class TeacherMaps:
    """What a teacher sees in images.

    Attributes:
        pooled: (batch, channels), of the whole image.
        maps: (batch, channels, rows, columns) each, from fine to coarse.
    """

    pooled: Tensor
    maps: list[Tensor]


class Teacher(nn.Module, ABC):
    """A frozen network that a backbone learns from.

    Attributes:
        inputs: names of what it can be given, such as a colour composite; its features of each are predicted by layers
            of their own.
        pooled_channels: of the features of a whole image.
        map_channels: of each map.
    """

    inputs: tuple[str, ...]
    pooled_channels: int
    map_channels: tuple[int, ...]

    @abstractmethod
    def readable_inputs(self, sensor: Sensor) -> tuple[str, ...]:
        """Return those of `inputs` that the bands of a sensor can make; none: it cannot read the sensor.

        Args:
            sensor: any.
        """

    @abstractmethod
    def forward(self, batch: SensorBatch, patches: Patches, name: str) -> TeacherMaps:
        """Return the features of images.

        Args:
            batch: whole images of one sensor and size, in the bands' units.
            patches: the same, normalised and cut into patches.
            name: which of the inputs.
        """


TEACHERS: Registry[Callable[[], Teacher]] = Registry(
    "teachers",
    "teacher",
    {"efficientnet-lite0": "skyweave.pretraining.teachers.efficientnet_lite:load_efficientnet_lite0"},
)
