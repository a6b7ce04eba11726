"""Batches of one sensor and one size, which models take; a training batch is a list of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors.sensor import Sensor


@dataclass(frozen=True)
class SensorBatch:
    """Images of one sensor.

    Attributes:
        pixels: (batch, bands, rows, columns) float32, in the bands' units: the model normalises, not the loader.
        valid: (batch, bands, rows, columns) bool.
        sensor: its bands are the channels, in order.
        ground_sample_distance: (batch,) float32, metres per pixel.
    """

    pixels: Tensor
    valid: Tensor
    sensor: Sensor
    ground_sample_distance: Tensor

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def to(self, device: torch.device | str) -> "SensorBatch":
        """Return the batch on another device.

        Args:
            device: such as ``cuda``.
        """
        return replace(
            self,
            pixels=self.pixels.to(device, non_blocking=True),
            valid=self.valid.to(device, non_blocking=True),
            ground_sample_distance=self.ground_sample_distance.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "SensorBatch":
        """Return the batch in page-locked memory; a data loader with ``pin_memory`` calls this."""
        return replace(
            self,
            pixels=self.pixels.pin_memory(),
            valid=self.valid.pin_memory(),
            ground_sample_distance=self.ground_sample_distance.pin_memory(),
        )


def stack_observations(observations: Sequence[Observation]) -> SensorBatch:
    """Stack observations of one sensor and one size to a batch.

    Args:
        observations: at least one.

    Raises:
        DataError: their sensors or sizes differ.
    """
    first = observations[0]
    _check_same_images(observations, first)
    return SensorBatch(
        pixels=torch.from_numpy(np.stack([o.pixels for o in observations])),
        valid=torch.from_numpy(np.stack([o.valid for o in observations])),
        sensor=first.sensor,
        ground_sample_distance=torch.tensor([o.ground_sample_distance for o in observations], dtype=torch.float32),
    )


def _check_same_images(observations: Sequence[Observation], first: Observation) -> None:
    """Check that images have one sensor and one shape."""
    for other in observations[1:]:
        if other.sensor != first.sensor or other.shape != first.shape:
            raise DataError(
                f"cannot stack {other.source} ({other.sensor.name}, {other.shape}) with {first.source} "
                f"({first.sensor.name}, {first.shape}); group by sensor, bands and size first"
            )


def batch_by_sensor(observations: Sequence[Observation]) -> list[SensorBatch]:
    """Stack observations to one batch per sensor and size, in order of first appearance.

    Args:
        observations: of any sensors and sizes.
    """
    groups: dict[tuple[Sensor, tuple[int, int]], list[Observation]] = {}
    for observation in observations:
        groups.setdefault((observation.sensor, observation.shape), []).append(observation)
    return [stack_observations(members) for members in groups.values()]
