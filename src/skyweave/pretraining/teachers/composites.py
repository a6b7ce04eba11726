"""Three-band composites of any sensor's images, which a network of colour images can look at."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.backbone import Patches
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.patches import unpatchify
from skyweave.core.sensors.sensor import Sensor
from skyweave.pretraining.teachers.base import Teacher, TeacherMaps

COLOUR_NM = (660.0, 555.0, 480.0)
INFRARED_NM = (1610.0, 850.0, 660.0)
NEAR_INFRARED_NM = (850.0, 660.0, 555.0)
MAX_DISTANCE_NM = 90.0
"""A band stands for a wavelength of a composite if its centre is no farther from it."""
COMPOSITES = ("colour", "infrared", "other")
COMPOSITE_PIXELS = 128
"""Per side of the composite that a teacher is given."""


@dataclass(frozen=True)
class Composite:
    """Three channels of a sensor.

    Attributes:
        name: one of `COMPOSITES`.
        channels: of the sensor's bands, for red, green and blue.
    """

    name: str
    channels: tuple[int, int, int]

    def render(self, patches: Patches, extent: tuple[int, int], pixels: int) -> Tensor:
        """Return standardised images, (batch, 3, pixels, pixels).

        Args:
            patches: whole and normalised by the sensor's statistics.
            extent: (rows, columns) of the images without their padding.
            pixels: per side of the result.
        """
        chosen = patches.select_bands(torch.tensor(sorted(set(self.channels))))
        order = [sorted(set(self.channels)).index(channel) for channel in self.channels]
        images = unpatchify(chosen.values, patches.grid)[:, order, : extent[0], : extent[1]]
        return functional.interpolate(
            images.float(), (pixels, pixels), mode="bilinear", align_corners=False, antialias=True
        )


@lru_cache(maxsize=256)
def composites_of(sensor: Sensor) -> tuple[Composite, ...]:
    """Return the composites that a sensor's bands allow, at least one.

    Args:
        sensor: any.
    """
    composites = []
    if colour := _nearest(sensor, COLOUR_NM):
        composites.append(Composite("colour", colour))
    if infrared := _nearest(sensor, INFRARED_NM) or _nearest(sensor, NEAR_INFRARED_NM):
        composites.append(Composite("infrared", infrared))
    if not composites:
        bands = len(sensor)
        composites.append(Composite("other", (0, bands // 2, bands - 1)))
    return tuple(composites)


def _nearest(sensor: Sensor, wavelengths: tuple[float, float, float]) -> tuple[int, int, int] | None:
    """Return the channels nearest to three wavelengths in nanometres; None if one of them has none near."""
    channels = []
    for wavelength in wavelengths:
        distances = [
            abs(band.wavelength - wavelength) if band.kind == "optical" and band.wavelength else float("inf")
            for band in sensor.bands
        ]
        nearest = min(range(len(distances)), key=distances.__getitem__)
        if distances[nearest] > MAX_DISTANCE_NM:
            return None
        channels.append(nearest)
    return channels[0], channels[1], channels[2]


class CompositeTeacher(Teacher):
    """A teacher of colour images, which is given three-band composites of any sensor."""

    inputs = COMPOSITES

    def readable_inputs(self, sensor: Sensor) -> tuple[str, ...]:
        """Return the composites that a sensor's bands allow, at least one.

        Args:
            sensor: any.
        """
        return tuple(composite.name for composite in composites_of(sensor))

    def forward(self, batch: SensorBatch, patches: Patches, name: str) -> TeacherMaps:
        """Return the features of a composite.

        Args:
            batch: whole images of one sensor and size.
            patches: the same, normalised and cut into patches.
            name: of the composite.
        """
        composite = next(one for one in composites_of(batch.sensor) if one.name == name)
        rows, columns = batch.pixels.shape[-2:]
        return self.see(composite.render(patches, (rows, columns), COMPOSITE_PIXELS))

    @abstractmethod
    def see(self, images: Tensor) -> TeacherMaps:
        """Return the features of images.

        Args:
            images: (batch, 3, rows, columns), red, green, blue, standardised (mean 0, spread 1 over all images).
        """
