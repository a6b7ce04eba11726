"""Inputs of a perception model: observations with a geometry, a camera and its pose or a raster's geotransform."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.core.observation import GeoTransform, Observation
from skyweave.mapping import raster_window


@dataclass(frozen=True)
class View:
    """One image of one camera of a platform in a batch.

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
class RasterView:
    """One orthorectified image in a batch: a satellite pass, an orthophoto, a base map.

    Attributes:
        observation: the image; its ground sample distance is that of its pixels.
        geometry: where it lies.
        sample: index in the batch.
        platform: index in the sample.
        age: seconds since it was taken; None where that is not known.
        position_std: standard deviation of its place on the map, metres; None where that is not known.
    """

    observation: Observation
    geometry: GeoTransform
    sample: int
    platform: int
    age: float | None = None
    position_std: float | None = None


def view_raster(
    observation: Observation,
    grid: MapGrid,
    context: int,
    age: float | None = None,
    position_std: float | None = None,
) -> RasterView | None:
    """Return the part of an orthorectified image that a map needs; None where the two do not meet.

    Args:
        observation: the image, with a geotransform.
        grid: the map.
        context: pixels beyond the map on each side.
        age: seconds since it was taken; None where that is not known.
        position_std: standard deviation of its place on the map, metres; None where that is not known.

    Raises:
        DataError: the image has no geotransform, or no way leads from its reference system to the map's.
    """
    geometry = observation.geotransform
    if geometry is None:
        raise DataError(f"{observation.source} has no geotransform, so it has no place on a map; georeference it")
    window = raster_window(geometry, observation.shape, grid, context)
    if window is None:
        return None
    part = observation.window(*window)
    return RasterView(part, geometry.window(*window[:2]), 0, 0, age, position_std)


AnyView = TypeVar("AnyView", View, RasterView)


@dataclass(frozen=True)
class RasterGroup:
    """Orthorectified images of one sensor, size and resolution.

    Attributes:
        images: as one batch.
        views: each image's geometry and what it says of itself, in order.
        maps: index sample * platforms + platform of each image.
    """

    images: SensorBatch
    views: tuple[RasterView, ...]
    maps: tuple[int, ...]


@dataclass(frozen=True)
class Views:
    """All observations of one frame of a batch, grouped by sensor and size; any mix of geometries, or none.

    Attributes:
        images: of cameras: one batch a sensor and size.
        cameras: for each of ``images`` its cameras, in order.
        maps: for each of ``images`` the index sample * platforms + platform of each image.
        grids: for each sample its map.
        grounds: for each sample its ground.
        platforms: maximum number of platforms of a sample.
        depths: for each of ``images`` the depths of its views; empty where none is wanted.
        rasters: orthorectified images, one group a sensor, size and resolution.
    """

    images: list[SensorBatch]
    cameras: list[tuple[CameraGeometry, ...]]
    maps: list[tuple[int, ...]]
    grids: tuple[MapGrid, ...]
    grounds: tuple[Ground, ...]
    platforms: int
    depths: tuple[tuple[np.ndarray | None, ...], ...] = ()
    rasters: tuple[RasterGroup, ...] = ()

    @classmethod
    def from_views(
        cls,
        views: Sequence[View | RasterView],
        grids: Sequence[MapGrid],
        platforms: int,
        grounds: Sequence[Ground] | None = None,
    ) -> "Views":
        """Return observations grouped by geometry, sensor and size.

        Args:
            views: the observations.
            grids: of each sample its map.
            platforms: maximum number of platforms of a sample.
            grounds: of each sample the ground under it; default: a plane at height 0.
        """
        groups = _group_by_sensor([view for view in views if isinstance(view, View)])
        rasters = _group_by_sensor([view for view in views if isinstance(view, RasterView)])
        return cls(
            images=[stack_observations([view.observation for view in group]) for group in groups],
            cameras=[tuple(view.geometry for view in group) for group in groups],
            maps=[tuple(view.sample * platforms + view.platform for view in group) for group in groups],
            grids=tuple(grids),
            grounds=tuple([GroundPlane()] * len(grids) if grounds is None else grounds),
            platforms=platforms,
            depths=tuple(tuple(view.depth for view in group) for group in groups),
            rasters=tuple(_raster_group(group, platforms) for group in rasters),
        )

    @property
    def present(self) -> Tensor:
        """(samples, platforms) bool: which platforms have an observation."""
        present = torch.zeros(len(self.grids) * self.platforms, dtype=torch.bool)
        for maps in (*self.maps, *(group.maps for group in self.rasters)):
            present[list(maps)] = True
        return present.reshape(len(self.grids), self.platforms)

    def to(self, device: torch.device | str) -> "Views":
        """Return the same views with their images on another device.

        Args:
            device: of the images.
        """
        rasters = tuple(replace(group, images=group.images.to(device)) for group in self.rasters)
        return replace(self, images=[batch.to(device) for batch in self.images], rasters=rasters)


def _group_by_sensor(views: Sequence[AnyView]) -> list[list[AnyView]]:
    """Group views by sensor and shape; rasters by their resolution as well, by which they are cut into patches."""
    groups: dict[object, list[AnyView]] = {}
    for view in views:
        seen = view.observation
        resolution = seen.ground_sample_distance if isinstance(view, RasterView) else None
        groups.setdefault((seen.sensor, seen.shape, resolution), []).append(view)
    return list(groups.values())


def _raster_group(views: Sequence[RasterView], platforms: int) -> RasterGroup:
    """Join rasters of one sensor, size and resolution."""
    images = stack_observations([view.observation for view in views])
    return RasterGroup(images, tuple(views), tuple(view.sample * platforms + view.platform for view in views))
