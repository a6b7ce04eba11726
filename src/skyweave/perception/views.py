"""Inputs of a perception model: the images of several platforms, each with its camera and pose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.observation import Observation


@dataclass(frozen=True)
class View:
    """One image of one platform in a batch.

    Attributes:
        observation: the image.
        geometry: camera and pose.
        sample: index in the batch.
        platform: index in the sample; 0 is the ego.
        depth: (rows, columns) metres along the optical axis, for supervision; None where it is not known.
    """

    observation: Observation
    geometry: CameraGeometry
    sample: int
    platform: int
    depth: np.ndarray | None = None


@dataclass(frozen=True)
class Views:
    """All images of one frame of a batch, grouped by sensor and size.

    Attributes:
        images: one batch a sensor and size.
        cameras: for each of ``images`` its cameras, in order.
        maps: for each of ``images`` the index sample * platforms + platform of each image.
        grids: for each sample its map.
        grounds: for each sample its ground.
        platforms: maximum number of platforms of a sample.
        depths: for each of ``images`` the depths of its views; empty where none is wanted.
    """

    images: list[SensorBatch]
    cameras: list[tuple[CameraGeometry, ...]]
    maps: list[tuple[int, ...]]
    grids: tuple[MapGrid, ...]
    grounds: tuple[Ground, ...]
    platforms: int
    depths: tuple[tuple[np.ndarray | None, ...], ...] = ()

    @classmethod
    def from_views(
        cls,
        views: Sequence[View],
        grids: Sequence[MapGrid],
        platforms: int,
        grounds: Sequence[Ground] | None = None,
    ) -> "Views":
        """Return images grouped by sensor and size.

        Args:
            views: the images.
            grids: of each sample its map.
            platforms: maximum number of platforms of a sample.
            grounds: of each sample the ground under it; default: a plane at height 0.
        """
        groups = _group_by_sensor(views)
        return cls(
            images=[stack_observations([view.observation for view in group]) for group in groups],
            cameras=[tuple(view.geometry for view in group) for group in groups],
            maps=[tuple(view.sample * platforms + view.platform for view in group) for group in groups],
            grids=tuple(grids),
            grounds=tuple([GroundPlane()] * len(grids) if grounds is None else grounds),
            platforms=platforms,
            depths=tuple(tuple(view.depth for view in group) for group in groups),
        )

    @property
    def present(self) -> Tensor:
        """(samples, platforms) bool: which platforms have an image."""
        present = torch.zeros(len(self.grids) * self.platforms, dtype=torch.bool)
        for group in self.maps:
            present[list(group)] = True
        return present.reshape(len(self.grids), self.platforms)

    def to(self, device: torch.device | str) -> "Views":
        """Return the same views with their images on another device.

        Args:
            device: of the images.
        """
        return replace(self, images=[batch.to(device) for batch in self.images])


def _group_by_sensor(views: Sequence[View]) -> list[list[View]]:
    """Group views by sensor and shape."""
    by_sensor: dict[object, list[View]] = {}
    for view in views:
        by_sensor.setdefault((view.observation.sensor, view.observation.shape), []).append(view)
    return list(by_sensor.values())
