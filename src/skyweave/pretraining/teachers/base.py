"""The interface of a teacher, and the registry of those that there are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from skyweave.core.registry import Registry


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
    """A frozen network of colour images.

    Attributes:
        pooled_channels: of the features of a whole image.
        map_channels: of each map.
    """

    pooled_channels: int
    map_channels: tuple[int, ...]

    @abstractmethod
    def forward(self, images: Tensor) -> TeacherMaps:
        """Return the features of images.

        Args:
            images: (batch, 3, rows, columns), red, green, blue, standardised (mean 0, spread 1 over all images).
        """


TEACHERS: Registry[Callable[[], Teacher]] = Registry(
    "teachers",
    "teacher",
    {"efficientnet-lite0": "skyweave.pretraining.teachers.efficientnet_lite:load_efficientnet_lite0"},
)
