"""The plan of a lift: which map cell every (camera, pixel, bin) falls in. Geometry only, so it is made once a pose."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import NEAR_PLANE_M, CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.mapping.bins import Bins
from skyweave.mapping.pooling import PoolingPlan
from skyweave.mapping.rays import ground_rays
from skyweave.mapping.visibility import project_cells

MAX_CACHED_PLANS, MAX_CACHED_BYTES = 32, 256 * 2**20
Plan = TypeVar("Plan", bound="_Sized")


@dataclass(frozen=True, eq=False)
class LiftPlan:
    """Several cameras onto one or several maps of one shape.

    Attributes:
        cameras: the cameras, in the order of the features.
        maps: for each camera the index of the map it is lifted to.
        grids: for each map where it lies; all of one shape.
        grounds: for each camera the ground it looks at.
        bins: parametrisation of depth.
        feature_shape: (rows, columns) of the cameras' feature maps.
        device: where the indices are.
        pooling: (cameras x rows x columns, bins) onto (maps x rows x columns) cells.
    """

    cameras: tuple[CameraGeometry, ...]
    maps: tuple[int, ...]
    grids: tuple[MapGrid, ...]
    grounds: tuple[Ground, ...]
    bins: Bins
    feature_shape: tuple[int, int]
    device: torch.device
    pooling: PoolingPlan

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of maps, rows and columns."""
        return len(self.grids), *self.grids[0].shape

    @property
    def nbytes(self) -> int:
        """Bytes that the plan holds, without `visible_pixels`."""
        return self.pooling.nbytes

    @cached_property
    def visible_pixels(self) -> Tensor:
        """(cameras, heights, rows x columns) int32: the feature pixel onto which a point over a cell projects.

        At several heights; -1 where that point is out of the image. Computed at the first access.
        """
        return torch.stack(
            [
                project_cells(camera, self.grids[m], ground, self.bins, self.feature_shape, self.device)
                for camera, m, ground in zip(self.cameras, self.maps, self.grounds, strict=True)
            ]
        )

    def visible(self, valid: Tensor | None = None) -> Tensor:
        """Return (maps, rows, columns) bool: cells over whose centre some height up to the bins' reach is in an image.

        Args:
            valid: (cameras, rows, columns) bool feature pixels that count; default: all.
        """
        pixels = self.visible_pixels
        if valid is None:
            by_camera = (pixels >= 0).any(1)
        else:
            flat = valid.to(pixels.device, torch.bool).reshape(len(self.cameras), -1)
            flat = torch.cat([flat, flat.new_zeros(len(flat), 1)], 1)  # -1 takes the last one
            index = torch.where(pixels < 0, flat.shape[1] - 1, pixels).long().reshape(len(flat), -1)
            by_camera = flat.gather(1, index).reshape(pixels.shape).any(1)
        visible = by_camera.new_zeros(len(self.grids), by_camera.shape[1])
        for camera, index_of_map in enumerate(self.maps):
            visible[index_of_map] |= by_camera[camera]
        return visible.reshape(self.shape)


def plan_lift(
    cameras: Sequence[CameraGeometry],
    grids: MapGrid | Sequence[MapGrid],
    bins: Bins,
    feature_shape: tuple[int, int],
    grounds: Ground | Sequence[Ground] | None = None,
    maps: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    cache: bool = True,
) -> LiftPlan:
    """Return the plan of a lift, from the cache (32 plans, or 256 MiB) if it was made for exactly this geometry.

    Args:
        cameras: n cameras; their feature maps have one shape.
        grids: one grid, or one for each map.
        bins: parametrisation of depth.
        feature_shape: (rows, columns) of a feature map over the whole picture.
        grounds: one ground, or one for each camera; default: a plane at height 0.
        maps: (n,) index of the map each camera is lifted to; default: all to the first.
        device: of the features that will be pooled.
        cache: keep the plan; pointless where every camera is new, as in training. An elevation model is recognised by
            its identity: do not change its heights in place.

    Raises:
        ValueError: no cameras, lists of different lengths, or grids of different shape.
        DataError: a camera in another reference system than its grid.
    """
    cameras, grids_, grounds_, maps_ = _resolve(cameras, grids, grounds, maps)
    device = torch.device(device)

    def make() -> LiftPlan:
        num_cells = grids_[0].rows * grids_[0].columns
        index = []
        for camera, m, ground in zip(cameras, maps_, grounds_, strict=True):
            of_camera = cell_index(camera, grids_[m], ground, bins, feature_shape, device)
            index.append(torch.where(of_camera < 0, -1, of_camera + m * num_cells) if m else of_camera)
        pooling = PoolingPlan.from_cells(torch.cat(index), num_cells * len(grids_))
        return LiftPlan(cameras, maps_, grids_, grounds_, bins, feature_shape, device, pooling)

    if not cache:
        return make()
    key = (tuple(map(_camera_key, cameras)), grids_, tuple(map(_ground_key, grounds_)), maps_, bins, feature_shape)
    return PLANS.get((*key, device), make)


def cell_index(
    camera: CameraGeometry,
    grid: MapGrid,
    ground: Ground,
    bins: Bins,
    feature_shape: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return (pixels, bins) int32 flat cell index of every node; -1 outside the grid and where the ray has no node.

    Args:
        camera: camera and pose.
        grid: the map.
        ground: that the camera looks at.
        bins: parametrisation of depth.
        feature_shape: (rows, columns) of the feature map.
        device: of the result.

    Raises:
        DataError: the camera is in another reference system than the grid.
    """
    check_same_crs(camera.crs, grid.crs, f"camera {camera.name}")
    rays = ground_rays(camera, ground, feature_shape, device)
    depths = bins.depths(rays)
    # fractional row and column are linear in depth, and relative to the grid's corner: exact to nanometres even for
    # northings of millions of metres
    start = torch.as_tensor(grid.cells_from_world(camera.position), device=device)
    slope = rays.directions[:, :2] / grid.resolution
    row = torch.addcmul(start[0], slope[:, 1:], depths, value=-1)
    column = torch.addcmul(start[1], slope[:, :1], depths)
    inside = (
        (depths > NEAR_PLANE_M) & (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
    )  # not for NaN
    flat = row.floor_().mul_(grid.columns).add_(column.floor_())
    return flat.masked_fill_(~inside, -1).int()


def check_same_crs(crs: str | None, grid_crs: str | None, name: str) -> None:
    """Check that two reference systems are the same.

    Args:
        crs: of what ``name`` is, as WKT or ``EPSG:code``; None: a local frame.
        grid_crs: of the grid.
        name: for the message.

    Raises:
        DataError: they differ; the message names both.
    """
    if crs == grid_crs:
        return
    if crs is not None and grid_crs is not None:
        from pyproj import CRS

        if CRS.from_user_input(crs) == CRS.from_user_input(grid_crs):
            return
    raise DataError(
        f"{name} is in {crs or 'a local frame'}, the grid in {grid_crs or 'a local frame'}; give both in one "
        "reference system"
    )


class _Sized(Protocol):
    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        ...


class PlanCache:
    """The most recently used plans by geometry, up to a number and a size; the newest is always kept.

    Args:
        max_plans: number of plans.
        max_bytes: bytes of all of them.
    """

    def __init__(self, max_plans: int, max_bytes: int) -> None:
        self.max_plans, self.max_bytes = max_plans, max_bytes
        self.plans: OrderedDict[Hashable, Any] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Plan]) -> Plan:
        """Return the plan for a key, made if it is not there.

        Args:
            key: the geometry.
            make: makes the plan.
        """
        with self.lock:
            if key in self.plans:
                self.plans.move_to_end(key)
                return cast(Plan, self.plans[key])
        plan = make()
        with self.lock:
            self.plans[key] = plan
            self._drop_oldest()
        return plan

    def _drop_oldest(self) -> None:
        """Drop the oldest plans until the rest fits."""
        size = sum(cached.nbytes for cached in self.plans.values())
        while len(self.plans) > 1 and (len(self.plans) > self.max_plans or size > self.max_bytes):
            size -= self.plans.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Drop all plans from the cache."""
        with self.lock:
            self.plans.clear()


PLANS = PlanCache(MAX_CACHED_PLANS, MAX_CACHED_BYTES)


def _resolve(
    cameras: Sequence[CameraGeometry],
    grids: MapGrid | Sequence[MapGrid],
    grounds: Ground | Sequence[Ground] | None,
    maps: Sequence[int] | None,
) -> tuple[tuple[CameraGeometry, ...], tuple[MapGrid, ...], tuple[Ground, ...], tuple[int, ...]]:
    cameras = tuple(cameras)
    if not cameras:
        raise ValueError("no cameras to lift")
    grids = (grids,) if isinstance(grids, MapGrid) else tuple(grids)
    _check_shapes(grids)
    ground: Any = GroundPlane() if grounds is None else grounds
    grounds = tuple(ground) if isinstance(ground, Sequence) else (ground,) * len(cameras)
    maps = (0,) * len(cameras) if maps is None else tuple(int(m) for m in maps)
    _check_counts(cameras, grids, grounds, maps)
    return cameras, grids, grounds, maps


def _check_shapes(grids: tuple[MapGrid, ...]) -> None:
    """Check that maps have one shape."""
    if len({grid.shape for grid in grids}) != 1:
        raise ValueError(f"maps of one batch need one shape, got {sorted({grid.shape for grid in grids})}")


def _check_counts(
    cameras: Sequence[CameraGeometry], grids: Sequence[MapGrid], grounds: Sequence[Ground], maps: Sequence[int]
) -> None:
    if not len(cameras) == len(grounds) == len(maps):
        raise ValueError(f"{len(cameras)} cameras, {len(grounds)} grounds and {len(maps)} map indices")
    if min(maps) < 0 or max(maps) >= len(grids):
        raise ValueError(f"map indices {maps} must be 0 to {len(grids) - 1}, one of the {len(grids)} grids")


def _camera_key(geometry: CameraGeometry) -> Hashable:
    camera = geometry.camera
    return (
        camera.intrinsics.tobytes(),
        camera.rows,
        camera.columns,
        camera.distortion,
        geometry.world_from_camera.tobytes(),
        geometry.crs,
    )


class _Identity:
    """Equal to another of the same object only; holds it, so that its id is not given to another."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value


def _ground_key(ground: Ground) -> Hashable:
    return ground if isinstance(ground, GroundPlane) else _Identity(ground)
