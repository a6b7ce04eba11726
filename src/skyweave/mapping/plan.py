"""The pooling plan: which map cell every (camera, pixel, bin) falls in. Geometry only, so it is made once a pose."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from skyweave.core.geometry.camera import NEAR_PLANE_M, CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.mapping.bins import Bins, ground_rays
from skyweave.mapping.pooling import PoolingPlan
from skyweave.mapping.visibility import project_cells

MAX_CACHED_PLANS, MAX_CACHED_BYTES = 32, 256 * 2**20


@dataclass(frozen=True, eq=False)
class LiftPlan:
    """Several cameras onto one or several maps of one shape.

    Attributes:
        cameras: the cameras, in the order of the features.
        maps: for each camera the map it is placed on.
        grids: for each map where it lies; all of one shape.
        grounds: for each camera the ground it looks at.
        bins: parametrisation of depth.
        feature_shape: (rows, columns) of the cameras' feature maps.
        device: where the indices are.
        runs: (cameras x rows x columns, bins) onto (maps x rows x columns) cells, for `skyweave.mapping.pooling`.
    """

    cameras: tuple[CameraGeometry, ...]
    maps: tuple[int, ...]
    grids: tuple[MapGrid, ...]
    grounds: tuple[Ground, ...]
    bins: Bins
    feature_shape: tuple[int, int]
    device: torch.device
    runs: PoolingPlan

    @property
    def shape(self) -> tuple[int, int, int]:
        """(maps, rows, columns)."""
        return len(self.grids), *self.grids[0].shape

    @property
    def nbytes(self) -> int:
        """Bytes that the plan holds, without `seen`."""
        return self.runs.nbytes

    @cached_property
    def seen(self) -> Tensor:
        """(cameras, heights, rows x columns) int32: the feature pixel that sees a cell's column at some heights.

        -1 where that point is out of the picture. Made when it is first asked for.
        """
        return torch.stack(
            [
                project_cells(camera, self.grids[m], ground, self.bins, self.feature_shape, self.device)
                for camera, m, ground in zip(self.cameras, self.maps, self.grounds, strict=True)
            ]
        )

    def visible(self, valid: Tensor | None = None) -> Tensor:
        """(maps, rows, columns) bool: cells over whose centre some height up to the bins' reach is in a picture.

        Args:
            valid: (cameras, rows, columns) bool feature pixels that count; default: all.
        """
        seen = self.seen
        if valid is None:
            by_camera = (seen >= 0).any(1)
        else:
            flat = valid.to(seen.device, torch.bool).reshape(len(self.cameras), -1)
            flat = torch.cat([flat, flat.new_zeros(len(flat), 1)], 1)  # -1 takes the last one
            index = torch.where(seen < 0, flat.shape[1] - 1, seen).long().reshape(len(flat), -1)
            by_camera = flat.gather(1, index).reshape(seen.shape).any(1)
        visible = by_camera.new_zeros(len(self.grids), by_camera.shape[1])
        for camera, m in enumerate(self.maps):
            visible[m] |= by_camera[camera]
        return visible.reshape(self.shape)


def plan_lift(
    cameras: Sequence[CameraGeometry],
    grids: MapGrid | Sequence[MapGrid],
    bins: Bins,
    feature_shape: tuple[int, int],
    grounds: Ground | Sequence[Ground] | None = None,
    maps: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    keep: bool = True,
) -> LiftPlan:
    """Make the plan, or take it from the last ones (32, or 256 MiB) if it was made for exactly this geometry.

    Args:
        cameras: n cameras; their feature maps have one shape.
        grids: one grid, or one for each map.
        bins: parametrisation of depth.
        feature_shape: (rows, columns) of a feature map over the whole picture.
        grounds: one ground, or one for each camera; default: a plane at height 0.
        maps: (n,) index of the map each camera is placed on; default: all on the first.
        device: of the features that will be pooled.
        keep: remember the plan; pointless where every camera is new, as in training. An elevation model is told by its
            identity: do not change its heights in place.

    Raises:
        ValueError: no cameras, lists of different lengths, grids of different shape, or a camera in another reference
            system than its grid.
    """
    cameras, grids_, grounds_, maps_ = _resolve(cameras, grids, grounds, maps)
    device = torch.device(device)

    def make() -> LiftPlan:
        cells = grids_[0].rows * grids_[0].columns
        index = []
        for camera, m, ground in zip(cameras, maps_, grounds_, strict=True):
            of_camera = cell_index(camera, grids_[m], ground, bins, feature_shape, device)
            index.append(torch.where(of_camera < 0, -1, of_camera + m * cells) if m else of_camera)
        runs = PoolingPlan.from_cells(torch.cat(index), cells * len(grids_))
        return LiftPlan(cameras, maps_, grids_, grounds_, bins, feature_shape, device, runs)

    if not keep:
        return make()
    key = (tuple(map(_camera_key, cameras)), grids_, tuple(map(_ground_key, grounds_)), maps_, bins, feature_shape)
    return cast(LiftPlan, PLANS.get((*key, device), make))


def cell_index(
    camera: CameraGeometry,
    grid: MapGrid,
    ground: Ground,
    bins: Bins,
    feature_shape: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Tensor:
    """(pixels, bins) int32 flat cell index of every node; -1 outside the grid and where the ray has no node."""
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


def check_same_crs(crs: str | None, grid_crs: str | None, what: str) -> None:
    """Refuse to mix reference systems.

    Raises:
        ValueError: they differ; the message names both.
    """
    if crs == grid_crs:
        return
    if crs is not None and grid_crs is not None:
        from pyproj import CRS

        if CRS.from_user_input(crs) == CRS.from_user_input(grid_crs):
            return
    raise ValueError(
        f"{what} is in {crs or 'a local frame'}, the grid in {grid_crs or 'a local frame'}; give both in one "
        "reference system"
    )


class PlanCache:
    """The most recently used plans by geometry, up to a number and a size; the newest is always kept."""

    def __init__(self, size: int, nbytes: int) -> None:
        self.size, self.nbytes = size, nbytes
        self.plans: OrderedDict[Hashable, Any] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Hashable, make: Any) -> Any:
        """The plan for this key, made if it is not there."""
        with self.lock:
            if key in self.plans:
                self.plans.move_to_end(key)
                return self.plans[key]
        plan = make()
        with self.lock:
            self.plans[key] = plan
            held = sum(kept.nbytes for kept in self.plans.values())
            while len(self.plans) > 1 and (len(self.plans) > self.size or held > self.nbytes):
                held -= self.plans.popitem(last=False)[1].nbytes
        return plan

    def clear(self) -> None:
        """Forget all plans."""
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
        raise ValueError("no cameras to place")
    grids = (grids,) if isinstance(grids, MapGrid) else tuple(grids)
    if len({grid.shape for grid in grids}) != 1:
        raise ValueError(f"maps of one batch need one shape, got {sorted({grid.shape for grid in grids})}")
    ground: Any = GroundPlane() if grounds is None else grounds
    grounds = tuple(ground) if isinstance(ground, Sequence) else (ground,) * len(cameras)
    maps = (0,) * len(cameras) if maps is None else tuple(int(m) for m in maps)
    if not len(cameras) == len(grounds) == len(maps):
        raise ValueError(f"{len(cameras)} cameras, {len(grounds)} grounds and {len(maps)} map indices")
    if not all(0 <= m < len(grids) for m in maps):
        raise ValueError(f"map indices {maps} must be 0 to {len(grids) - 1}, one of the {len(grids)} grids")
    return cameras, grids, grounds, maps


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

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.thing is self.thing


def _ground_key(ground: Ground) -> Hashable:
    return ground if isinstance(ground, GroundPlane) else _Identity(ground)
